from __future__ import annotations

import numpy as np
import pytest

from cryoscope.io.resources import resource_path
from cryoscope.io.structures import read_structure
from cryoscope.models import normal_modes
from cryoscope.models.coarse_grain import coarse_grain
from cryoscope.models.normal_modes import elastic_modes, rigid_motions


@pytest.fixture(scope="module")
def kinase_A() -> np.ndarray:
    return coarse_grain(read_structure(resource_path("structures/1ake_A.pdb"))).anchor_A


def overlap(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Share of the space of ``theirs`` that lies in that of ``ours`` (both orthonormal columns)."""
    return float(((ours.T @ theirs) ** 2).sum() / theirs.shape[1])


def test_modes_are_those_of_prodys_anisotropic_network(kinase_A: np.ndarray) -> None:
    prody = pytest.importorskip("prody", reason="ProDy is not installed (extra: analysis)")
    prody.confProDy(verbosity="none")
    anm = prody.ANM("kinase")
    anm.buildHessian(kinase_A, cutoff=15.0, gamma=1.0)
    anm.calcModes(n_modes=20)
    values, modes = elastic_modes(kinase_A, 20)
    assert overlap(modes, anm.getEigvecs()) > 0.999
    assert values == pytest.approx(anm.getEigvals(), rel=1e-6)


def test_modes_are_orthonormal_and_hold_no_net_motion(kinase_A: np.ndarray) -> None:
    values, modes = elastic_modes(kinase_A, 12)
    assert np.allclose(modes.T @ modes, np.eye(12), atol=1e-9)
    assert np.abs(rigid_motions(kinase_A).T @ modes).max() < 1e-9
    assert np.all(np.diff(values) >= 0)
    assert values[0] > 1e-3


def test_the_iterative_solver_finds_the_same_modes(
    kinase_A: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    dense_values, dense = elastic_modes(kinase_A, 20)
    monkeypatch.setattr(normal_modes, "DENSE_UP_TO", 0)
    values, modes = elastic_modes(kinase_A, 20)
    assert values == pytest.approx(dense_values, rel=1e-4)
    assert overlap(modes, dense) > 0.999


def test_parts_that_no_spring_joins_move_freely(kinase_A: np.ndarray) -> None:
    apart = np.concatenate([kinase_A, kinase_A[:40] + 500.0])
    values, modes = elastic_modes(apart, 10)
    # the second part has six motions of its own, all of them free
    assert np.allclose(values[:6], 0, atol=1e-8)
    assert values[6] > 1e-3
    assert np.isfinite(modes).all()


def test_small_structures_give_the_modes_they_have() -> None:
    triangle = np.array([[0.0, 0, 0], [3.8, 0, 0], [0, 3.8, 0]])
    values, modes = elastic_modes(triangle, 32)
    assert modes.shape == (9, 3)
    assert np.all(values > 0.1)
    assert rigid_motions(triangle[:2]).shape == (6, 5)
    assert rigid_motions(triangle[:1]).shape == (3, 3)
    assert elastic_modes(triangle[:1], 32)[1].shape == (3, 0)


@pytest.mark.parametrize("beads", [4, 400])
def test_no_modes_can_be_asked_for(beads: int) -> None:
    positions_A = np.random.default_rng(0).normal(size=(beads, 3)) * 20
    values, modes = elastic_modes(positions_A, 0)
    assert values.shape == (0,)
    assert modes.shape == (3 * beads, 0)
