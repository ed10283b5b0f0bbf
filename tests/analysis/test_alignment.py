from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryoscope.analysis.alignment import (
    aligned_rmsd_A,
    emd_rmsd_A,
    kabsch,
    kabsch_rmsd_matrix_A,
    superposed_A,
)
from cryoscope.analysis.validate import rmsd_A


def structures(count: int, atoms: int = 30) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, atoms, 3)) * 8


def moved(coords_A: np.ndarray) -> np.ndarray:
    turns = Rotation.random(len(coords_A), random_state=1).as_matrix()
    return coords_A @ turns.transpose(0, 2, 1) + np.arange(len(coords_A))[:, None, None]


def test_a_rigid_motion_is_undone() -> None:
    coords_A = structures(5)
    np.testing.assert_allclose(superposed_A(moved(coords_A), coords_A), coords_A, atol=1e-9)
    assert aligned_rmsd_A(moved(coords_A), coords_A).max() < 1e-9


def test_a_mirror_image_is_not_superposed_by_a_reflection() -> None:
    coords_A = structures(3)
    mirrored = coords_A * [1, 1, -1]
    rotation, _ = kabsch(mirrored, coords_A)
    np.testing.assert_allclose(np.linalg.det(rotation), 1.0)
    assert aligned_rmsd_A(mirrored, coords_A).min() > 1.0


def test_the_matrix_agrees_with_superposing_pair_by_pair() -> None:
    ours, theirs = structures(4), structures(9)[4:] * 1.1
    ours[1] = theirs[2] * [1, -1, 1]  # a pair with a negative determinant
    matrix = kabsch_rmsd_matrix_A(ours, theirs)
    for column, frame in enumerate(theirs):
        expected = rmsd_A(superposed_A(ours, frame), np.broadcast_to(frame, ours.shape))
        np.testing.assert_allclose(matrix[:, column], expected, atol=1e-6)


def test_the_right_ensemble_in_any_order_and_pose_scores_zero() -> None:
    frames = structures(4)
    frame = np.repeat([0, 1, 1, 3], 5)
    shuffled = np.random.default_rng(2).permutation(frame)
    assert emd_rmsd_A(moved(frames[shuffled]), frames, frame) == pytest.approx(0.0, abs=1e-5)


def test_wrong_numbers_of_the_right_structures_cost() -> None:
    frames = structures(2)
    distance = kabsch_rmsd_matrix_A(frames[:1], frames[1:])[0, 0]
    truth, found = np.repeat([0, 1], [6, 4]), np.repeat([0, 1], [8, 2])
    # two of ten predictions have to stand for the other structure
    assert emd_rmsd_A(frames[found], frames, truth) == pytest.approx(0.2 * distance)


def test_one_structure_for_all_and_a_sample() -> None:
    frames = structures(3)
    frame = np.random.default_rng(3).integers(0, 3, 600)
    expected = kabsch_rmsd_matrix_A(frames[:1], frames)[0, frame].mean()
    assert emd_rmsd_A(frames[:1], frames, frame) == pytest.approx(expected)
    assert emd_rmsd_A(frames[frame], frames, frame, most=50) == pytest.approx(0.0, abs=1e-5)
