from __future__ import annotations

import numpy as np
import pytest

from cryoscope.analysis.floors import (
    BEST_CONSTANT,
    DO_NOTHING,
    MEAN_STRUCTURE,
    TWO_ENDS,
    bayes_oracle,
    linear_floor,
    mode_fits_A,
    mode_floor,
    predictors_A,
)
from cryoscope.analysis.validate import (
    local_distance_error_A,
    mean_rmsd_A,
    rms_motion_A,
    rmsd_A,
    share_within,
    shift_error_px,
)
from cryoscope.models.normal_modes import best_mode_fit_A, elastic_modes


def helix(residues: int = 40) -> np.ndarray:
    i = np.arange(residues)
    return np.stack([2.3 * np.cos(1.745 * i), 2.3 * np.sin(1.745 * i), 1.5 * i], axis=1)


def bent(frames: int = 9, reach_A: float = 6.0) -> np.ndarray:
    base = helix()
    shape = (base[:, 2] / base[:, 2].max() - 0.5) ** 2
    bend = np.stack([shape, np.zeros_like(shape), np.zeros_like(shape)], axis=1)
    return base + np.linspace(0, reach_A, frames)[:, None, None] * bend * 4


def test_every_predictor_is_one_structure_per_frame() -> None:
    frames = bent()
    frame = np.arange(9).repeat(3)
    table = predictors_A(frames[0], frames, frame, modes=(2, 16))
    assert all(structures.shape == frames.shape for structures in table.values())
    error = {name: mean_rmsd_A(s[frame], frames, frame) for name, s in table.items()}
    assert error[DO_NOTHING] == pytest.approx(rmsd_A(frames, frames[0]).mean())
    assert error[MEAN_STRUCTURE] < error[DO_NOTHING]
    np.testing.assert_allclose(table[BEST_CONSTANT][0], frames[4])
    assert error[MEAN_STRUCTURE] == pytest.approx(error[BEST_CONSTANT], rel=1e-6)
    np.testing.assert_allclose(table[TWO_ENDS][[0, 2, 6, 8]], frames[[0, 0, 8, 8]])
    assert error[linear_floor(1)] == pytest.approx(0.0, abs=1e-6)
    assert error[mode_floor(16)] < error[mode_floor(2)] < error[DO_NOTHING]


def test_mode_fits_are_as_near_as_the_models_floor_says() -> None:
    frames = bent()
    _, modes = elastic_modes(frames[0], 4, cutoff_A=12.0)
    ours = rmsd_A(mode_fits_A(frames[0], frames, 4), frames)
    floor = best_mode_fit_A(frames[0], frames, modes)
    np.testing.assert_allclose(ours, floor, rtol=0.01, atol=1e-6)


def oracle_error_A(signal: float) -> float:
    rng = np.random.default_rng(0)
    frames, pictures = bent(), np.random.default_rng(1).normal(size=(9, 8, 8)) * signal
    frame = rng.integers(0, 9, 300)
    noisy = pictures[frame] + rng.normal(size=(300, 8, 8))
    oracle = bayes_oracle(
        lambda rows: noisy[rows], lambda row: pictures, frame, 9, 1.0, particles=200
    )
    np.testing.assert_allclose(oracle.posterior.sum(1), 1.0)
    return mean_rmsd_A(oracle.structures_A(frames), frames, frame[oracle.rows])


def test_the_oracle_lies_between_the_truth_and_the_mean_structure() -> None:
    frames = bent()
    mean_A = rmsd_A(frames, frames.mean(0)).mean()
    assert oracle_error_A(3.0) < 1e-3
    assert oracle_error_A(0.0) == pytest.approx(mean_A, rel=0.1)
    assert oracle_error_A(3.0) < oracle_error_A(0.2) < mean_A


def test_a_frame_that_never_occurs_is_never_chosen() -> None:
    frame = np.array([0, 0, 2])
    images = np.zeros((3, 4, 4))
    oracle = bayes_oracle(lambda r: images[r], lambda r: np.zeros((3, 4, 4)), frame, 3, 1.0)
    np.testing.assert_allclose(oracle.posterior, [[2 / 3, 0, 1 / 3]] * 3)


def test_local_distances_see_distortion_and_no_rigid_motion() -> None:
    frames = helix()[None]
    frame, one_chain = np.zeros(3, dtype=int), np.full(40, "A")
    moved = np.repeat(frames + 5.0, 3, axis=0)
    assert local_distance_error_A(moved, frames, frame, one_chain) == pytest.approx(0, abs=1e-4)
    stretched = np.repeat(frames * [1, 1, 1.5], 3, axis=0)
    assert local_distance_error_A(stretched, frames, frame, one_chain) > 0.5
    assert local_distance_error_A(stretched[:1], frames, frame, one_chain) == pytest.approx(
        local_distance_error_A(stretched, frames, frame, one_chain, chunk=2)
    )
    apart = frames.copy()
    apart[0, 20:] += 30.0  # chains may move apart
    two_chains = np.repeat(["A", "B"], 20)
    error_A = local_distance_error_A(apart, frames, frame[:1], two_chains)
    assert error_A == pytest.approx(0.0, abs=1e-4)


def test_small_figures() -> None:
    reference = helix()
    coords = reference + np.array([[[3.0, 4.0, 0.0]], [[0.0, 0.0, 0.0]]])
    assert rms_motion_A(coords, reference) == pytest.approx(5 / np.sqrt(2))
    assert share_within(coords[0], reference, 5.1) == 1.0
    assert share_within(coords[0], reference, 4.9) == 0.0
    assert shift_error_px(np.array([[3.0, 0.0]]), np.array([[0.0, 3.0]]), 1.5) == pytest.approx(2)
