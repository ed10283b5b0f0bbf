"""Decoded structures against known truth, and the trivial predictors they must beat."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from cryoscope.analysis.reduce import principal_axes

Array = NDArray[np.floating]


def rmsd_A(coords_A: Array, truth_A: Array) -> NDArray[np.float64]:
    """(N,) root mean square distance of (N, n, 3) structures, in place: no superposition."""
    difference = np.asarray(coords_A, dtype=np.float64) - np.asarray(truth_A, dtype=np.float64)
    return np.asarray(np.sqrt((difference**2).sum(-1).mean(-1)))


def mean_rmsd_A(
    coords_A: Array, frames_A: Array, frame: NDArray[np.integer], chunk: int = 4096
) -> float:
    """Mean RMSD of N structures from the true frame of each particle.

    Parameters
    ----------
    coords_A
        (N, n, 3), or (1, n, 3): one structure for all.
    frames_A
        (F, n, 3).
    frame
        (N,) index of each particle's frame.
    """
    total = 0.0
    for start in range(0, len(frame), chunk):
        rows = slice(start, start + chunk)
        ours = coords_A if len(coords_A) == 1 else coords_A[rows]
        total += float(rmsd_A(ours, frames_A[frame[rows]]).sum())
    return total / len(frame)


def order_along_path(z: Array, frame: NDArray[np.integer]) -> float:
    """Absolute Spearman correlation of the first principal component of z with the true frame."""
    score = np.asarray(z, dtype=np.float64) @ principal_axes(z).axes[0]
    return float(abs(spearmanr(score, frame).statistic))


def local_distance_error_A(
    coords_A: Array,
    frames_A: Array,
    frame: NDArray[np.integer],
    chain_id: NDArray[np.str_],
    *,
    nearest: int = 2,
    farthest: int = 4,
    chunk: int = 4096,
) -> float:
    """Mean error of the distances between residues i and i + 2 to i + 4 of a chain, in A.

    These hold helices and turns together; neighbours (i + 1) are left out, since every method
    restrains them.

    Parameters
    ----------
    coords_A
        (N, n, 3), or (1, n, 3): one structure for all.
    frames_A, frame
        (F, n, 3) true structures and the (N,) frame of each particle.
    chain_id
        (n,) of the residues, in file order.
    nearest, farthest
        Bounds of the step along the chain, both included.
    """
    total, count = 0.0, 0
    truth = [_steps_A(np.asarray(frames_A, np.float32), k) for k in range(nearest, farthest + 1)]
    for start in range(0, len(frame), chunk):
        rows = slice(start, start + chunk)
        ours = np.asarray(coords_A if len(coords_A) == 1 else coords_A[rows], dtype=np.float32)
        for step, right in zip(range(nearest, farthest + 1), truth, strict=True):
            within = chain_id[step:] == chain_id[:-step]
            error = np.abs(_steps_A(ours, step) - right[frame[rows]])[:, within]
            total, count = total + float(error.sum(dtype=np.float64)), count + error.size
    return total / max(count, 1)


def _steps_A(coords_A: NDArray[np.float32], step: int) -> NDArray[np.float32]:
    """(N, n - step) distances between residues so far apart along the chain."""
    return np.asarray(np.linalg.norm(coords_A[:, step:] - coords_A[:, :-step], axis=-1))


def shift_error_px(found_A: Array, true_A: Array, pixel_size_A: float) -> float:
    """Root mean square error along one axis of (N, 2) shifts, in pixels."""
    difference = np.asarray(found_A, dtype=np.float64) - true_A
    return float(np.sqrt(np.mean(difference**2)) / pixel_size_A)


def share_within(coords_A: Array, truth_A: Array, limit_A: float = 3.0) -> float:
    """Share of the residues of one (n, 3) structure closer than ``limit_A`` to the truth.

    Cryofold's second figure (tables 1 and 2); no superposition.
    """
    distance_A = np.linalg.norm(np.asarray(coords_A, dtype=np.float64) - truth_A, axis=-1)
    return float((distance_A < limit_A).mean())


def rms_motion_A(coords_A: Array, reference_A: Array) -> float:
    """Root mean square distance of all (N, n, 3) structures from the (n, 3) reference."""
    total = sum(
        float(((np.asarray(part, dtype=np.float64) - reference_A) ** 2).sum())
        for part in np.array_split(coords_A, max(1, len(coords_A) // 4096))
    )
    return float(np.sqrt(total / (len(coords_A) * len(reference_A))))


def trivial_predictors_A(
    reference_A: Array, frames_A: Array, frame: NDArray[np.integer]
) -> dict[str, float]:
    """Mean RMSD of predictors that look at no image.

    ``do nothing`` is the reference for every particle; ``mean structure`` the mean over all
    particles; ``best line`` knows the truth and projects it on the best straight motion.
    """
    mean = mean_structure_A(frames_A, frame)
    line = best_linear_A(frames_A, frame, 1)
    return {
        "do nothing": mean_rmsd_A(np.asarray(reference_A)[None], frames_A, frame),
        "mean structure": mean_rmsd_A(mean[None], frames_A, frame),
        "best line": mean_rmsd_A(line[frame], frames_A, frame),
    }


def mean_structure_A(frames_A: Array, frame: NDArray[np.integer]) -> NDArray[np.float64]:
    """(n, 3) mean of the true structures over all particles."""
    share = np.bincount(frame, minlength=len(frames_A)) / len(frame)
    return np.asarray(np.tensordot(share, np.asarray(frames_A, dtype=np.float64), axes=1))


def best_linear_A(
    frames_A: Array, frame: NDArray[np.integer], dimensions: int
) -> NDArray[np.float64]:
    """(F, n, 3) every frame projected on the best linear motion of so many dimensions.

    Principal components of the true structures, weighted by how many particles each has.
    """
    weight = np.bincount(frame, minlength=len(frames_A)).astype(np.float64)
    flat = np.asarray(frames_A, dtype=np.float64).reshape(len(frames_A), -1)
    mean = weight @ flat / weight.sum()
    _, _, axes = np.linalg.svd((flat - mean) * np.sqrt(weight)[:, None], full_matrices=False)
    kept = axes[:dimensions]
    return np.asarray(mean + (flat - mean) @ kept.T @ kept).reshape(frames_A.shape)
