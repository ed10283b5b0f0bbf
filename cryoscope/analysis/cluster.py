"""Groups of particles in latent space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from cryoscope.analysis.reduce import finite_rows
from cryoscope.analysis.stopping import ShouldStop, never, stop_if_asked
from cryoscope.data import InputError

METHODS = ("kmeans", "gmm", "hdbscan", "agglomerative")
LINKAGES = ("ward", "complete", "average", "single")
# Larger sets are fitted on so many particles drawn at random; the others join what was found.
_FITTED_AT_MOST = 100_000
# HDBSCAN slows down beyond this; agglomerative clustering keeps all pairs of distances.
_HDBSCAN_AT_MOST, _PAIRS_AT_MOST = 20_000, 4_000
# Beyond so many clusters another start of k-means changes little and costs as much again.
_MANY_CLUSTERS = 100

Rows = NDArray[np.float64]


@dataclass(frozen=True)
class Clusters:
    """Particles in groups, the largest group first.

    Attributes
    ----------
    labels
        (N,) cluster of each particle; -1 for none (no latent, or noise of HDBSCAN).
    centres
        (K, d) middles of the clusters; for k-means and mixtures those of the model.
    particle
        (K,) the particle of each cluster that lies nearest to its centre: a centre on data.
    sizes
        (K,) particles in each.
    method, parameters
        How they were made, as plain JSON; ``"bic"`` holds what the Bayesian information criterion
        said about each number of components of a mixture.
    """

    labels: NDArray[np.int64]
    centres: NDArray[np.float64]
    particle: NDArray[np.int64]
    sizes: NDArray[np.int64]
    method: str
    parameters: dict[str, Any]

    def __len__(self) -> int:
        return len(self.sizes)


def cluster_latents(
    z: NDArray[np.floating],
    method: str = "kmeans",
    clusters: int | Sequence[int] = 10,
    *,
    linkage: str = "ward",
    min_size: int = 0,
    seed: int = 0,
    should_stop: ShouldStop = never,
) -> Clusters:
    """Group particles by their latents.

    Parameters
    ----------
    z
        (N, d); rows that are not finite belong to no cluster.
    method
        ``"kmeans"``, ``"gmm"`` (Gaussian mixture with full covariances), ``"hdbscan"`` or
        ``"agglomerative"``; scikit-learn's.
    clusters
        How many. For a mixture several numbers may be given: the one with the lowest Bayesian
        information criterion is taken. HDBSCAN finds the number itself.
    linkage
        Of agglomerative clustering: ``"ward"``, ``"complete"``, ``"average"`` or ``"single"``.
    min_size
        Fewest particles that HDBSCAN takes for a cluster; 0 for a hundredth of them, at least 5.
    seed
        Of first centres, and of the sample that larger sets are fitted on (k-means and mixtures
        100,000, HDBSCAN 20,000, agglomerative 4,000 particles). Particles outside the sample go to
        the nearest centre, the likeliest component, or where their nearest neighbour went.
    should_stop
        Asked between stages.

    Raises
    ------
    InputError
        If there are fewer particles with latents than clusters, or no such method or linkage.
    Stopped
        Where ``should_stop`` said so.
    """
    numbers = [clusters] if isinstance(clusters, int) else [int(one) for one in clusters]
    if method not in METHODS:
        raise InputError(
            f"there is no clustering {method!r}", cure=f"Choose one of {', '.join(METHODS)}"
        )
    if linkage not in LINKAGES:
        raise InputError(
            f"there is no linkage {linkage!r}", cure=f"Choose one of {', '.join(LINKAGES)}"
        )
    if len(numbers) != 1 and (method != "gmm" or not numbers):
        raise InputError(f"{method} takes one number of clusters", cure="Give one number")
    mask = finite_rows(z)
    rows = np.asarray(z[mask], dtype=np.float64)
    for number in numbers if method != "hdbscan" else [1]:
        if not 1 <= number <= len(rows):
            raise InputError(
                f"{number} clusters cannot be made of {len(rows):,} particles with latents",
                cure="Choose a number from 1 to that of the particles",
            )
    stop_if_asked(should_stop)
    if method == "kmeans":
        found, middles, parameters = _kmeans(rows, numbers[0], seed)
    elif method == "gmm":
        found, middles, parameters = _mixture(rows, numbers, seed, should_stop)
    elif method == "hdbscan":
        found, middles, parameters = _hdbscan(rows, min_size, seed)
    else:
        found, middles, parameters = _agglomerative(rows, numbers[0], linkage, seed)
    stop_if_asked(should_stop)
    return _ranked(np.flatnonzero(mask), rows, len(z), found, middles, method, parameters)


def kmeans_states(
    z: NDArray[np.floating], clusters: int, *, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(clusters, d) k-means centres and (N,) cluster of each particle, -1 for none.

    Arguments and errors as of :func:`cluster_latents`; the largest cluster comes first.
    """
    found = cluster_latents(z, "kmeans", clusters, seed=seed)
    return found.centres, found.labels


_Found = tuple[NDArray[np.int64], Rows | None, dict[str, Any]]


def _kmeans(rows: Rows, clusters: int, seed: int) -> _Found:
    from sklearn.cluster import KMeans

    starts = 4 if clusters <= _MANY_CLUSTERS else 1
    sample = rows[_sample(len(rows), max(_FITTED_AT_MOST, clusters), seed)]
    model = KMeans(clusters, n_init=starts, random_state=seed).fit(sample)
    found = np.asarray(model.predict(rows), dtype=np.int64)
    return found, np.asarray(model.cluster_centers_, dtype=np.float64), {"clusters": clusters}


def _mixture(rows: Rows, numbers: Sequence[int], seed: int, should_stop: ShouldStop) -> _Found:
    """The mixture with the lowest BIC (Schwarz 1978)."""
    from sklearn.mixture import GaussianMixture

    sample = rows[_sample(len(rows), _FITTED_AT_MOST, seed)]
    # A floor under the covariances in units of the data: latents have no scale of their own.
    floor = 1e-6 * max(float(sample.var(axis=0).mean()), 1e-12)
    best, bic = None, {}
    for number in numbers:
        stop_if_asked(should_stop)
        model = GaussianMixture(number, reg_covar=floor, n_init=2, random_state=seed).fit(sample)
        bic[str(number)] = float(model.bic(sample))
        if best is None or bic[str(number)] <= min(bic.values()):
            best = model
    assert best is not None
    parameters = {"clusters": int(best.n_components), "bic": bic}
    found = np.asarray(best.predict(rows), dtype=np.int64)
    return found, np.asarray(best.means_, dtype=np.float64), parameters


def _hdbscan(rows: Rows, min_size: int, seed: int) -> _Found:
    from sklearn.cluster import HDBSCAN

    picked = _sample(len(rows), _HDBSCAN_AT_MOST, seed)
    if len(picked) < 2:
        raise InputError("HDBSCAN needs at least two particles", cure="Use kmeans")
    size = min(min_size if min_size > 0 else max(5, len(picked) // 100), len(picked))
    model = HDBSCAN(min_cluster_size=max(size, 2), copy=True).fit(rows[picked])
    found = _joined(rows, picked, np.asarray(model.labels_, dtype=np.int64))
    return found, None, {"min_size": max(size, 2)}


def _agglomerative(rows: Rows, clusters: int, linkage: str, seed: int) -> _Found:
    picked = _sample(len(rows), max(_PAIRS_AT_MOST, clusters), seed)
    found = _joined(rows, picked, agglomerate(rows[picked], clusters, linkage))
    return found, None, {"clusters": clusters, "linkage": linkage}


def agglomerate(rows: NDArray[np.floating], clusters: int, linkage: str) -> NDArray[np.int64]:
    """(n,) cluster of each row by merging the nearest two until ``clusters`` are left.

    Keeps all pairs of distances: n squared numbers.
    """
    from scipy.cluster.hierarchy import fcluster
    from scipy.cluster.hierarchy import linkage as merge

    if len(rows) < 2:
        return np.zeros(len(rows), dtype=np.int64)
    tree = merge(np.asarray(rows, dtype=np.float64), method=linkage)
    # "maxclust" gives fewer clusters where merges are at equal heights; heights that only rise
    # by rank do not.
    tree[:, 2] = np.arange(1, len(tree) + 1)
    return np.asarray(fcluster(tree, clusters, criterion="maxclust"), dtype=np.int64) - 1


def _sample(count: int, at_most: int, seed: int) -> NDArray[np.int64]:
    if count <= at_most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, at_most, replace=False))


def _joined(rows: Rows, picked: NDArray[np.int64], label: NDArray[np.int64]) -> NDArray[np.int64]:
    """The label of the nearest picked row, for every row."""
    if len(picked) == len(rows):
        return label
    return np.asarray(label[cKDTree(rows[picked]).query(rows)[1]])


def _ranked(
    index: NDArray[np.int64],
    rows: Rows,
    count: int,
    found: NDArray[np.int64],
    middles: Rows | None,
    method: str,
    parameters: dict[str, Any],
) -> Clusters:
    """The record, the largest cluster first; clusters without particles are left out."""
    held = found >= 0
    used, label = np.unique(found[held], return_inverse=True)
    sizes = np.bincount(label, minlength=len(used))
    order = np.argsort(-sizes, kind="stable")
    rank = np.empty(len(used), dtype=np.int64)
    rank[order] = np.arange(len(used))
    ranked = np.full(len(rows), -1, dtype=np.int64)
    ranked[held] = rank[label]
    labels = np.full(count, -1, dtype=np.int64)
    labels[index] = ranked
    if middles is None:
        sums = np.stack([np.bincount(label, column[held], len(used)) for column in rows.T], axis=1)
        centres = (sums / sizes[:, None])[order]
    else:
        centres = middles[used][order]
    particle = np.empty(len(used), dtype=np.int64)
    by_cluster = np.argsort(ranked, kind="stable")[np.count_nonzero(~held) :]
    bounds = np.concatenate([[0], np.cumsum(sizes[order])])
    for cluster, centre in enumerate(centres):
        members = by_cluster[bounds[cluster] : bounds[cluster + 1]]
        nearest = ((rows[members] - centre) ** 2).sum(axis=1).argmin()
        particle[cluster] = index[members[nearest]]
    return Clusters(labels, centres, particle, sizes[order], method, parameters)
