"""The relaxed path keeps bonds, hands and even steps, where a straight line breaks them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cryoscope.data import InputError, Structure, Trajectory
from cryoscope.io.resources import resource_path
from cryoscope.io.structures import read_structure
from cryoscope.simulation.matching import (
    common_atoms,
    rigid_motion,
    superposed,
    torsion_rad,
    with_twins_matched,
)
from cryoscope.simulation.path import path_through, relaxed_path
from cryoscope.simulation.path_quality import measure_path

FRAMES = 15


@pytest.fixture(scope="module")
def closed() -> Structure:
    return read_structure(resource_path("structures/1ake_A.pdb"))


@pytest.fixture(scope="module")
def opened() -> Structure:
    return read_structure(resource_path("structures/4ake_A.pdb"))


@pytest.fixture(scope="module")
def path(closed: Structure, opened: Structure) -> Trajectory:
    return relaxed_path(closed, opened, FRAMES)


def first_residues(structure: Structure, count: int) -> Structure:
    return structure.take(structure.residue_id <= count)


def test_demo_structures_hold_the_same_heavy_atoms(closed: Structure, opened: Structure) -> None:
    for structure in (closed, opened):
        assert len(structure) == 1656
        assert len(structure.alpha_carbons()) == 214
        assert set(structure.element) == {"C", "N", "O", "S"}
    assert (closed.atom_name == opened.atom_name).all()
    assert (closed.residue_id == opened.residue_id).all()


def test_path_keeps_the_geometry_of_its_ends(path: Trajectory) -> None:
    quality = measure_path(path)
    # Proline 87 is cis at both ends: its CA lies 3.0 A from the one before, all others near 3.8 A.
    index = path.structure.alpha_carbons()
    steps_A = np.linalg.norm(np.diff(path.coords_A[:, index], axis=1), axis=-1)
    trans = steps_A[0] > 3.4
    assert np.flatnonzero(~trans).tolist() == [85]
    assert steps_A[:, trans].min() > 3.6
    assert steps_A[:, trans].max() < 4.0
    assert quality.bond_rms_A < 0.01
    assert quality.angle_rms_A < 0.02
    assert quality.closest_contact_A > quality.closest_contact_of_ends_A - 0.1
    assert quality.ends_rmsd_A == pytest.approx(7.13, abs=0.02)
    shortest_A, longest_A = quality.frame_step_range_A
    assert longest_A < 1.5 * shortest_A


def test_straight_lines_break_what_the_path_keeps(path: Trajectory) -> None:
    t = np.linspace(0, 1, FRAMES)[:, None, None]
    ends = path.coords_A[0], path.coords_A[-1]
    line = Trajectory(path.structure, ends[0] * (1 - t) + ends[1] * t)
    assert measure_path(line).bond_rms_A > 20 * measure_path(path).bond_rms_A


def test_residues_keep_their_hand(path: Trajectory) -> None:
    at = {
        (int(r), str(a)): i
        for i, (r, a) in enumerate(
            zip(path.structure.residue_id, path.structure.atom_name, strict=True)
        )
    }
    for residue in range(1, 215):
        if (residue, "CB") in at:
            n, c, b, a = (path.coords_A[:, at[residue, name]] for name in ("N", "C", "CB", "CA"))
            volume = np.einsum("fi,fi->f", np.cross(n - a, c - a), b - a)
            assert volume.min() > 1.0


def test_ends_are_the_given_structures(
    path: Trajectory, closed: Structure, opened: Structure
) -> None:
    np.testing.assert_array_equal(path.coords_A[0], closed.coords_A)
    expected = with_twins_matched(superposed(opened, closed), closed)
    np.testing.assert_allclose(path.coords_A[-1], expected.coords_A)


def test_core_alignment_leaves_the_still_half_in_place(
    closed: Structure, opened: Structure
) -> None:
    index = closed.alpha_carbons()

    def nearest_half_A(align: str) -> float:
        moved = superposed(opened, closed, align)  # type: ignore[arg-type]
        error = np.linalg.norm(moved.coords_A[index] - closed.coords_A[index], axis=1)
        return float(np.sort(error)[: len(index) // 2].mean())

    assert nearest_half_A("core") < 0.5 * nearest_half_A("all")


def test_path_through_three_structures_visits_each(closed: Structure, opened: Structure) -> None:
    short = [first_residues(s, 60) for s in (closed, opened, closed)]
    path = path_through(short, 7)
    assert len(path) == 7
    np.testing.assert_allclose(path.coords_A[-1], path.coords_A[0], atol=1e-6)
    with pytest.raises(InputError, match="2 frames cannot pass through 3"):
        path_through(short, 2)


def test_atoms_match_whatever_their_order_and_chain_name(closed: Structure) -> None:
    shuffled = closed.take(np.random.default_rng(0).permutation(len(closed)))
    renamed = replace(shuffled, chain_id=np.full(len(closed), "B"))
    fewer = renamed.take(renamed.residue_id > 10)
    one, other = common_atoms([closed, fewer])
    np.testing.assert_array_equal(one.coords_A, other.coords_A)
    assert (one.residue_id > 10).all()


def test_structures_without_common_residues_are_refused(closed: Structure) -> None:
    elsewhere = replace(closed, residue_id=closed.residue_id + 1000)
    with pytest.raises(InputError, match="share 0 CA atoms"):
        relaxed_path(closed, elsewhere)


def test_ca_only_models_keep_their_chain(closed: Structure, opened: Structure) -> None:
    one, other = (s.take(s.alpha_carbons()) for s in (closed, opened))
    low_A, high_A = measure_path(relaxed_path(one, other, 5)).ca_step_range_A
    assert low_A > 2.9
    assert high_A < 4.1


def test_rigid_motion_recovers_a_motion() -> None:
    rng = np.random.default_rng(3)
    points = rng.standard_normal((20, 3))
    matrix = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    matrix *= np.sign(np.linalg.det(matrix))
    got, offset = rigid_motion(points, points @ matrix.T + [1.0, 2.0, 3.0])
    np.testing.assert_allclose(got, matrix, atol=1e-10)
    np.testing.assert_allclose(offset, [1.0, 2.0, 3.0], atol=1e-10)


def test_torsion_has_the_iupac_sign() -> None:
    a, b, c = np.array([1.0, 0, 0]), np.zeros(3), np.array([0, 0, 1.0])
    d = np.array([np.cos(0.7), np.sin(0.7), 1.0])
    # Looking along b -> c, turning a clockwise onto d is positive.
    assert torsion_rad(a, b, c, d) == pytest.approx(0.7)
