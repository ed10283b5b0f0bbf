"""A chain turned about one bond, and models that are wrong by a known amount."""

from __future__ import annotations

import numpy as np
import pytest

from cryoscope.data import InputError, Structure
from cryoscope.io.resources import resource_path
from cryoscope.io.structures import read_structure
from cryoscope.simulation.hinge import turned_about_hinge
from cryoscope.simulation.starting_models import APPROXIMATE_RMSD_A, starting_model


@pytest.fixture(scope="module")
def closed() -> Structure:
    return read_structure(resource_path("structures/1ake_A.pdb"))


def ca_steps_A(structure: Structure, coords_A: np.ndarray) -> np.ndarray:
    carbons = coords_A[..., structure.alpha_carbons(), :]
    return np.asarray(np.linalg.norm(np.diff(carbons, axis=-2), axis=-1))


def test_only_what_comes_after_the_hinge_turns(closed: Structure) -> None:
    path = turned_about_hinge(closed, 100, angle_rad=1.0, frames=5)
    ca_A = path.coords_A[:, closed.alpha_carbons()]
    np.testing.assert_allclose(ca_A[:, :102], np.repeat(ca_A[:1, :102], 5, axis=0), atol=1e-9)
    assert np.linalg.norm(ca_A[-1, 120:] - ca_A[0, 120:], axis=-1).min() > 0.5
    steps = ca_steps_A(closed, path.coords_A)
    np.testing.assert_allclose(steps, np.repeat(steps[:1], 5, axis=0), atol=1e-9)


def test_the_dihedral_turns_by_the_angle(closed: Structure) -> None:
    from cryoscope.simulation.matching import torsion_rad

    path = turned_about_hinge(closed, 100, angle_rad=1.0, frames=2)
    four = closed.alpha_carbons()[99:103]
    first, last = (torsion_rad(*frame[four]) for frame in path.coords_A)
    assert np.cos(last - first - 1.0) == pytest.approx(1.0)


def test_a_hinge_at_the_end_is_refused(closed: Structure) -> None:
    with pytest.raises(InputError, match="hinge"):
        turned_about_hinge(closed, 213)


def test_starting_models_are_wrong_by_as_much_as_they_say(closed: Structure) -> None:
    carbons = closed.alpha_carbons()

    def error_A(kind: str) -> float:
        model = starting_model(closed, kind, seed=3)  # type: ignore[arg-type]
        difference = model.coords_A[carbons] - closed.coords_A[carbons]
        return float(np.sqrt((difference**2).sum(1).mean()))

    assert error_A("exact") == 0
    assert error_A("approximate") == pytest.approx(APPROXIMATE_RMSD_A, abs=0.2)
    assert error_A("uniform") == pytest.approx(6.0, abs=0.4)
    assert error_A("random") > 25


def test_an_approximate_model_keeps_bonds_and_residues(closed: Structure) -> None:
    model = starting_model(closed, "approximate")
    np.testing.assert_allclose(
        ca_steps_A(model, model.coords_A), ca_steps_A(closed, closed.coords_A), atol=0.1
    )
    first = closed.residue_id == closed.residue_id[0]
    moved = model.coords_A[first] - closed.coords_A[first]
    np.testing.assert_allclose(moved, np.repeat(moved[:1], len(moved), axis=0), atol=1e-9)
