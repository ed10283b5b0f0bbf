"""Groups of particles in latent space."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoscope.analysis.reduce import finite_rows
from cryoscope.data import InputError

_FITTED_AT_MOST = 100_000


def kmeans_states(
    z: NDArray[np.floating], clusters: int, *, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Centres of k-means clusters of the latents, the largest cluster first.

    Parameters
    ----------
    z
        (N, d); rows that are not finite belong to no cluster.
    clusters
        Number of clusters.
    seed
        Of the first centres, and of the 100,000 particles that larger sets are fitted on.

    Returns
    -------
    (clusters, d) centres, and (N,) cluster of each particle, -1 for none.

    Raises
    ------
    InputError
        If there are fewer particles with latents than clusters.
    """
    from sklearn.cluster import KMeans

    mask = finite_rows(z)
    rows = np.asarray(z[mask], dtype=np.float64)
    if not 1 <= clusters <= len(rows):
        raise InputError(
            f"{clusters} clusters cannot be made of {len(rows):,} particles with latents",
            cure="Choose a number from 1 to that of the particles",
        )
    sample = rows
    if len(rows) > _FITTED_AT_MOST:
        generator = np.random.default_rng(seed)
        sample = rows[generator.choice(len(rows), max(_FITTED_AT_MOST, clusters), replace=False)]
    model = KMeans(clusters, n_init=4, random_state=seed).fit(sample)
    found = model.predict(rows)
    order = np.argsort(-np.bincount(found, minlength=clusters), kind="stable")
    rank = np.empty(clusters, dtype=np.int64)
    rank[order] = np.arange(clusters)
    labels = np.full(len(z), -1, dtype=np.int64)
    labels[mask] = rank[found]
    return np.asarray(model.cluster_centers_[order], dtype=np.float64), labels
