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


def trivial_predictors_A(
    reference_A: Array, frames_A: Array, frame: NDArray[np.integer]
) -> dict[str, float]:
    """Mean RMSD of predictors that look at no image.

    ``do nothing`` is the reference for every particle; ``mean structure`` the mean over all
    particles; ``best line`` knows the truth and projects it on the best straight motion.
    """
    weight = np.bincount(frame, minlength=len(frames_A)).astype(np.float64)
    flat = np.asarray(frames_A, dtype=np.float64).reshape(len(frames_A), -1)
    mean = weight @ flat / weight.sum()
    _, _, axes = np.linalg.svd((flat - mean) * np.sqrt(weight)[:, None], full_matrices=False)
    line = mean + np.outer((flat - mean) @ axes[0], axes[0])
    shape = frames_A.shape
    return {
        "do nothing": mean_rmsd_A(np.asarray(reference_A)[None], frames_A, frame),
        "mean structure": mean_rmsd_A(mean.reshape(1, *shape[1:]), frames_A, frame),
        "best line": mean_rmsd_A(line.reshape(shape)[frame], frames_A, frame),
    }
