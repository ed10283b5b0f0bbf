"""Whether two sets of latents of the same particles tell the same story."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from cryoscope.analysis.reduce import finite_rows

Floats = NDArray[np.floating]
#: Particles that are looked at, and neighbours of each.
MOST_PARTICLES, NEIGHBOURS = 4_000, 15


@dataclass(frozen=True)
class LatentAgreement:
    """How far two sets of latents agree.

    Attributes
    ----------
    explained, explained_back
        Share of the variance of the second set that a linear map of the first explains, and the
        other way round; 0 to 1. A turned, stretched or sheared copy gives 1.
    shared_neighbours, by_chance
        Share of the nearest particles in one that are among the nearest in the other, and what
        unrelated sets give; sees agreement that is not linear, too.
    """

    explained: float
    explained_back: float
    shared_neighbours: float
    by_chance: float


def latent_agreement(first: Floats, second: Floats, seed: int = 0) -> LatentAgreement | None:
    """Compare latents (n, d) and (n, e) of the same n particles; None for fewer than 20.

    Rows that are not finite are left out; of many particles a random sample is taken.
    """
    known = np.flatnonzero(finite_rows(first, second))
    if len(known) < 20:
        return None
    if len(known) > MOST_PARTICLES:
        chosen = np.random.default_rng(seed).choice(known, MOST_PARTICLES, replace=False)
        known = np.sort(chosen)
    a, b = (np.asarray(one[known], dtype=np.float64) for one in (first, second))
    count = min(NEIGHBOURS, len(known) - 1)
    near_a, near_b = (cKDTree(one).query(one, k=count + 1)[1][:, 1:] for one in (a, b))
    common = [len(np.intersect1d(x, y)) for x, y in zip(near_a, near_b, strict=True)]
    return LatentAgreement(
        _explained(a, b),
        _explained(b, a),
        float(np.mean(common)) / count,
        count / (len(known) - 1),
    )


def turned_onto(moving_xy: Floats, fixed_xy: Floats) -> NDArray[np.float32]:
    """(n, 2) ``moving_xy``, turned and mirrored so as to lie on ``fixed_xy`` as well as it can.

    Orthogonal Procrustes of the centred sets (Schonemann, 1966); sizes stay as they are, and rows
    that are not finite in one of them do not count.
    """
    known = finite_rows(moving_xy, fixed_xy)
    if known.sum() < 3:
        return np.asarray(moving_xy, dtype=np.float32)
    centre = moving_xy[known].mean(axis=0)
    moving = np.asarray(moving_xy[known] - centre, dtype=np.float64)
    fixed = np.asarray(fixed_xy[known] - fixed_xy[known].mean(axis=0), dtype=np.float64)
    left, _, right = np.linalg.svd(moving.T @ fixed)
    return np.asarray((moving_xy - centre) @ (left @ right), dtype=np.float32)


def _explained(given: NDArray[np.float64], wanted: NDArray[np.float64]) -> float:
    """R^2 of the least-squares map from one to the other, adjusted for its free numbers."""
    x, y = given - given.mean(axis=0), wanted - wanted.mean(axis=0)
    total = float((y**2).sum())
    free = len(x) - 1 - x.shape[1]
    if total <= 0 or free < 1:
        return 0.0
    rest = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
    unexplained = float((rest**2).sum()) / free / (total / (len(x) - 1))
    return float(np.clip(1 - unexplained, 0.0, 1.0))
