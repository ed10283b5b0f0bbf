from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cryoscope.io.resources import resource_path
from cryoscope.io.structures import read_structure
from cryoscope.models import normal_mode_extension, normal_modes
from cryoscope.models.coarse_grain import Beads, coarse_grain
from cryoscope.models.normal_mode_extension import bead_modes, trace_of_beads
from cryoscope.models.normal_modes import best_mode_fit_A, elastic_modes, rigid_motions


def kinase(name: str = "1ake_A", kind: str = "CA") -> Beads:
    return coarse_grain(read_structure(resource_path(f"structures/{name}.pdb")), kind=kind)


@pytest.fixture(scope="module")
def kinase_A() -> np.ndarray:
    return kinase().anchor_A


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


@pytest.mark.parametrize("restarts", [40, 1])
def test_the_iterative_solvers_find_the_same_modes(
    kinase_A: np.ndarray, monkeypatch: pytest.MonkeyPatch, restarts: int
) -> None:
    dense_values, dense = elastic_modes(kinase_A, 20)
    monkeypatch.setattr(normal_modes, "DENSE_UP_TO", 0)
    # after a single restart Lanczos gives up, and the inverse is factorised
    monkeypatch.setattr(normal_modes, "_RESTARTS", restarts)
    values, modes = elastic_modes(kinase_A, 20)
    assert values == pytest.approx(dense_values, rel=1e-4)
    assert overlap(modes, dense) > 0.999
    assert np.abs(rigid_motions(kinase_A).T @ modes).max() < 1e-9


def test_no_copy_of_an_eigenvalue_is_missed(
    kinase_A: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    # three equal parts far apart and a bead on a string: 21 motions for nothing, then triples
    third = kinase_A[:70]
    apart = np.concatenate([third + 200.0 * i for i in range(3)] + [third[:1] - [14.0, 0, 0]])
    dense_values, dense = elastic_modes(apart, 30)
    monkeypatch.setattr(normal_modes, "DENSE_UP_TO", 0)
    values, modes = elastic_modes(apart, 30)
    assert values == pytest.approx(dense_values, rel=1e-4, abs=1e-6)
    whole = dense_values[-1] - dense_values > 1e-4  # a triple may be cut by the last place
    assert overlap(modes, dense[:, whole]) > 0.999


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


@pytest.mark.parametrize(
    ("start", "end", "floors_A"),
    [("4ake_A", "1ake_A", (4.25, 1.85, 1.72)), ("1ake_A", "4ake_A", (6.09, 4.36, 3.75))],
)
def test_the_best_fit_by_modes_is_the_known_floor(
    start: str, end: str, floors_A: tuple[float, ...]
) -> None:
    rest_A, goal_A = kinase(start).anchor_A, kinase(end).anchor_A
    _, modes = elastic_modes(rest_A, 16, cutoff_A=12.0)
    turn = np.eye(3)[[1, 2, 0]]
    targets = np.stack([goal_A, rest_A @ turn.T + 5.0])
    fits = [best_mode_fit_A(rest_A, targets, modes[:, :d]) for d in (1, 8, 16)]
    assert [fit[0] for fit in fits] == pytest.approx(floors_A, abs=0.01)
    assert fits[0][1] < 1e-6
    assert best_mode_fit_A(rest_A, targets, modes, rigid=False)[1] > 5


@pytest.mark.parametrize("kind", ["CA+SC", "atoms"])
def test_modes_are_carried_to_all_beads(kind: str) -> None:
    beads = kinase(kind=kind)
    trace_values, trace_modes = elastic_modes(beads.anchor_A[beads.trace], 12)
    values, modes = bead_modes(beads, 12)
    assert modes.shape == (3 * len(beads), 12)
    assert values == pytest.approx(trace_values)
    assert np.allclose(modes.T @ modes, np.eye(12), atol=1e-9)
    assert np.abs(rigid_motions(beads.anchor_A).T @ modes).max() < 1e-9
    moved = modes.reshape(len(beads), 3, -1)
    for mode in range(12):
        trace = moved[beads.trace, :, mode].ravel()
        like = trace @ trace_modes[:, mode] / np.linalg.norm(trace)
        assert like > (0.99 if mode < 4 else 0.9)
    # what belongs to a residue moves with it
    owner = trace_of_beads(beads)
    with_it = moved[..., 0] - moved[beads.trace[owner]][..., 0]
    assert np.linalg.norm(with_it) < 0.3 * np.linalg.norm(moved[..., 0])


def test_the_trace_alone_needs_no_interpolation(kinase_A: np.ndarray) -> None:
    values, modes = bead_modes(kinase(), 12)
    plain_values, plain = elastic_modes(kinase_A, 12)
    assert values == pytest.approx(plain_values)
    assert np.array_equal(modes, plain)


def test_each_chain_can_have_modes_of_its_own() -> None:
    whole = kinase(kind="CA+SC")
    halves = replace(whole, chain=np.repeat([0, 1], [100, len(whole.trace) - 100]))
    values, modes = bead_modes(halves, 10, by_chain=True)
    assert modes.shape == (3 * len(whole), 10)
    assert np.all(np.diff(values) >= 0)
    moved = np.linalg.norm(modes.reshape(len(whole), 3, -1), axis=1)
    second = trace_of_beads(whole) >= 100
    share = np.stack([(moved[part] ** 2).sum(0) for part in (~second, second)]).max(0)
    # net motion of the whole and what is softer are taken out, which mixes the chains a little
    assert share.min() > 0.9


def test_a_bead_that_hangs_on_a_thread_follows_its_neighbours() -> None:
    beads = kinase("4ake_A")
    anchor_A = beads.anchor_A.copy()
    # three springs, all pointing the same way: all but free to move across them
    outward = anchor_A[0] - anchor_A.mean(0)
    anchor_A[0] += outward / np.linalg.norm(outward) * 20.0
    cutoff_A = float(np.sort(np.linalg.norm(anchor_A - anchor_A[0], axis=1))[3]) + 1e-6
    hanging = replace(beads, anchor_A=anchor_A)
    plain = elastic_modes(anchor_A, 12, cutoff_A=cutoff_A)[1].reshape(len(beads), 3, -1)
    assert (plain[0] ** 2).sum(0).max() > 0.5
    values, modes = bead_modes(hanging, 12, cutoff_A=cutoff_A)
    assert len(values) == 12
    assert np.allclose(modes.T @ modes, np.eye(12), atol=1e-9)
    assert (modes.reshape(len(beads), 3, -1)[0] ** 2).sum(0).max() < 0.1


def test_long_traces_are_thinned_out(monkeypatch: pytest.MonkeyPatch) -> None:
    beads = kinase("4ake_A")
    _, full = bead_modes(beads, 6)
    monkeypatch.setattr(normal_mode_extension, "MOST_ANCHORS", 110)
    _, thinned = bead_modes(beads, 6)
    assert thinned.shape == full.shape
    assert overlap(thinned[:, :3], full[:, :3]) > 0.9
