"""Superposition of many structures at once, and the distance between two ensembles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Array = NDArray[np.floating]
FloatArray = NDArray[np.float64]

#: Structures compared at most in one assignment (Prins et al. use 4,000).
MOST_ASSIGNED = 4000
_PAIRS_AT_ONCE = 65_536


def kabsch(moving_A: Array, fixed_A: Array) -> tuple[FloatArray, FloatArray]:
    """Rotations and translations that lay structures on others by least squares (Kabsch, 1976).

    Parameters
    ----------
    moving_A
        (B, n, 3).
    fixed_A
        (B, n, 3), or (n, 3): one target for all.

    Returns
    -------
    (B, 3, 3) rotations R and (B, 3) translations t: ``moving @ R^T + t`` is nearest to ``fixed``.
    No reflections.
    """
    moving = np.asarray(moving_A, dtype=np.float64)
    fixed = np.broadcast_to(np.asarray(fixed_A, dtype=np.float64), moving.shape)
    centre_moving, centre_fixed = moving.mean(1), fixed.mean(1)
    covariance = np.einsum(
        "bni,bnj->bij", fixed - centre_fixed[:, None], moving - centre_moving[:, None]
    )
    left, _, right = np.linalg.svd(covariance)
    left[:, :, 2] *= np.sign(np.linalg.det(left) * np.linalg.det(right))[:, None]
    rotation = left @ right
    return rotation, centre_fixed - np.einsum("bij,bj->bi", rotation, centre_moving)


def superposed_A(moving_A: Array, fixed_A: Array) -> FloatArray:
    """(B, n, 3) ``moving`` laid on ``fixed`` ((B, n, 3) or (n, 3)) by :func:`kabsch`."""
    rotation, translation = kabsch(moving_A, fixed_A)
    return np.asarray(moving_A) @ rotation.transpose(0, 2, 1) + translation[:, None]


def kabsch_rmsd_matrix_A(coords_A: Array, frames_A: Array) -> FloatArray:
    """(P, F) RMSD of every structure from every frame, each pair superposed.

    From the singular values of the covariances alone, no pair is ever moved:
    ``RMSD^2 = (|a|^2 + |b|^2 - 2 (s1 + s2 +- s3)) / n``, minus where the determinant is negative.

    Parameters
    ----------
    coords_A
        (P, n, 3).
    frames_A
        (F, n, 3).
    """
    ours, theirs = _centred(coords_A), _centred(frames_A)
    atoms, count = ours.shape[1], len(theirs)
    power = (ours**2).sum((1, 2))[:, None] + (theirs**2).sum((1, 2))
    columns = theirs.transpose(1, 0, 2).reshape(atoms, -1)
    rmsd = np.empty((len(ours), count))
    step = max(1, _PAIRS_AT_ONCE // count)
    for start in range(0, len(ours), step):
        some = slice(start, start + step)
        rows = ours[some].transpose(0, 2, 1).reshape(-1, atoms)
        covariance = (rows @ columns).reshape(-1, 3, count, 3).transpose(0, 2, 1, 3)
        singular = np.linalg.svd(covariance, compute_uv=False)
        overlap = singular[..., 0] + singular[..., 1]
        overlap += np.sign(np.linalg.det(covariance)) * singular[..., 2]
        rmsd[some] = np.sqrt(np.maximum(power[some] - 2 * overlap, 0.0) / atoms)
    return rmsd


def aligned_rmsd_A(coords_A: Array, truth_A: Array) -> FloatArray:
    """(N,) RMSD of (N, n, 3) structures from their own truths, each pair superposed."""
    moved = superposed_A(coords_A, truth_A)
    difference = moved - np.asarray(truth_A, dtype=np.float64)
    return np.asarray(np.sqrt((difference**2).sum(-1).mean(-1)))


def emd_rmsd_A(
    coords_A: Array,
    frames_A: Array,
    frame: NDArray[np.integer],
    *,
    most: int = MOST_ASSIGNED,
    seed: int = 0,
) -> float:
    """Earth mover's distance of an ensemble from the true one, in A of superposed RMSD.

    Prins et al. (2024): predictions and true structures are assigned to each other one to one so
    that the mean RMSD after superposition is least. It asks whether the right structures are there
    in the right numbers, not whether every image has its own: the right ensemble in any order
    scores zero.

    Parameters
    ----------
    coords_A
        (N, n, 3) predictions, or (1, n, 3): one structure for all.
    frames_A
        (F, n, 3) distinct true structures.
    frame
        (N,) frame of each particle; the true ensemble holds every frame as often as it occurs.
    most
        Particles compared at most, drawn at random.
    seed
        Of that draw.
    """
    chosen = np.arange(len(frame))
    if len(frame) > most:
        chosen = np.sort(np.random.default_rng(seed).permutation(len(frame))[:most])
    occurring, column = np.unique(frame[chosen], return_inverse=True)
    if len(coords_A) == 1:
        return float(kabsch_rmsd_matrix_A(coords_A, frames_A[occurring])[0, column].mean())
    cost = kabsch_rmsd_matrix_A(coords_A[chosen], frames_A[occurring])[:, column]
    rows, columns = linear_sum_assignment(cost)
    return float(cost[rows, columns].mean())


def _centred(coords_A: Array) -> FloatArray:
    coords = np.asarray(coords_A, dtype=np.float64)
    return np.asarray(coords - coords.mean(1, keepdims=True))
