"""How much latents tell of the coordinates or states that particles truly have."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoscope.analysis.cluster import kmeans_states

Array = NDArray[np.floating]

_NEIGHBOURS = 20


def adjusted_rand(z: Array, state: NDArray[np.integer], states: int, *, seed: int = 0) -> float:
    """Adjusted Rand index of k-means clusters of (N, d) latents with the true (N,) states.

    1: the same partition; 0: as by chance (Hubert & Arabie 1985).
    """
    _, found = kmeans_states(z, states, seed=seed)
    return same_partition(found, state)


def same_partition(found: NDArray[np.integer], state: NDArray[np.integer]) -> float:
    """Adjusted Rand index of two (N,) partitions."""
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(state, found))


def explained_by_neighbours(
    z: Array, coordinate: Array, is_closed: NDArray[np.bool_], *, neighbours: int = _NEIGHBOURS
) -> float:
    """Share of the coordinates' variance that particles with nearby latents tell.

    R2 of predicting each particle's coordinates as the mean of those of its nearest neighbours in
    latent space, itself left out; whatever the latent space's shape, 1 where it orders particles
    perfectly, about 0 where it knows nothing.

    Parameters
    ----------
    z
        (N, d).
    coordinate
        (N, k), 0 to 1.
    is_closed
        (k,) whether 1 is 0 again; such coordinates count as points on a circle.
    neighbours
        How many, less where there are few particles.
    """
    from scipy.spatial import cKDTree

    angle = 2 * np.pi * coordinate[:, is_closed]
    points = np.hstack([coordinate[:, ~is_closed], np.cos(angle), np.sin(angle)]).astype(np.float64)
    count = max(1, min(neighbours, len(z) // 10))
    _, near = cKDTree(z).query(z, k=count + 1)
    itself = near == np.arange(len(z))[:, None]
    # equal latents may list another one first; then the last is left out instead
    itself[~itself.any(axis=1), -1] = True
    near = near[~itself].reshape(len(z), count)
    residual = points - points[near].mean(axis=1)
    return float(1 - (residual**2).sum() / ((points - points.mean(0)) ** 2).sum())
