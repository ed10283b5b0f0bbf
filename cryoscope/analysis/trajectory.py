"""Paths through latent space and the motion they describe."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree

from cryoscope.analysis.reduce import NeighbourIndex, finite_rows, nearest_state, principal_axes
from cryoscope.data import Embedding, InputError

# A frame averages this share of the particles, within these limits.
_SHARE, _FEWEST, _MOST = 0.02, 1, 200
# The graph is made of at most so many particles.
_GRAPH_LIMIT = 20_000


def pc_path(
    z: NDArray[np.floating],
    *,
    component: int = 1,
    frames: int = 10,
    percentiles: tuple[float, float] = (5.0, 95.0),
    embedding: Embedding | None = None,
) -> NDArray[np.float64]:
    """States at equal steps along one principal component, through the data.

    Along the component the states lie exactly at equal steps; in all other directions each lies at
    the mean of the particles nearest to it along the component, so that the path follows a curved
    cloud instead of leaving it.

    Parameters
    ----------
    z
        (N, d) latents; rows that are not finite are left out.
    component
        1-based principal component.
    frames
        Number of states, at least 2.
    percentiles
        Percentiles of the component at which the path starts and ends.
    embedding
        Linear picture whose axes (order and sign) give the components 1 and 2, so that the path
        runs as the user sees it.

    Returns
    -------
    (frames, d) latents.

    Raises
    ------
    InputError
        If there are no latents, or no such component.
    """
    if frames < 2:
        raise InputError(f"a trajectory needs at least 2 frames, not {frames}")
    rows = np.asarray(z[finite_rows(z)], dtype=np.float64)
    if len(rows) < 2:
        raise InputError(
            "a trajectory needs at least two particles with latents",
            cure="Wait for the first latents of the run",
        )
    if not 1 <= component <= z.shape[1]:
        raise InputError(
            f"there is no principal component {component}", cure=f"Choose 1 to {z.shape[1]}"
        )
    axis = _axis(rows, component, embedding)
    score = rows @ axis
    order = np.argsort(score, kind="stable")
    rows, score = rows[order], score[order]
    start, stop = np.percentile(score, percentiles)
    targets = np.linspace(float(start), float(stop), frames)
    count = int(np.clip(round(len(rows) * _SHARE), _FEWEST, min(_MOST, len(rows))))
    path = np.empty((frames, z.shape[1]))
    for frame, target in enumerate(targets):
        begin = _nearest_window(score, target, count)
        mean = rows[begin : begin + count].mean(axis=0)
        path[frame] = mean + (target - mean @ axis) * axis
    return path


def straight_path(stops: NDArray[np.floating], frames: int) -> NDArray[np.float64]:
    """(frames, d) states at equal distances along straight lines between (k, d) ``stops``."""
    points = np.asarray(stops, dtype=np.float64)
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    # Equal stops one after the other have no line between them.
    kept = np.concatenate([[True], np.diff(length) > 0])
    at = np.linspace(0.0, length[-1], frames)
    columns = [np.interp(at, length[kept], column) for column in points[kept].T]
    return np.stack(columns, axis=1)


def graph_path(
    z: NDArray[np.floating],
    anchors: Sequence[int] | NDArray[np.integer],
    *,
    frames: int = 10,
    neighbours: int = 15,
    average_neighbours: float | None = None,
    seed: int = 0,
) -> NDArray[np.float64]:
    """States along the shortest way through the cloud of particles, by way of chosen ones.

    The way goes from each anchor to the next along the edges of the graph that joins every particle
    to its nearest neighbours (Dijkstra), so that it never leaves the cloud; the states lie at equal
    distances along it.

    Parameters
    ----------
    z
        (N, d) latents; rows that are not finite are left out.
    anchors
        0-based numbers of two or more particles, in the order in which they are passed.
    frames
        Number of states.
    neighbours
        Neighbours of every particle, to begin with: where the anchors are not connected, the number
        is doubled.
    average_neighbours
        Keep only the shortest edges, so many for a particle on average: the way then avoids
        stretches without particles. With it ``neighbours`` is not doubled.
    seed
        Of the 20,000 particles that larger sets are thinned to; anchors are always kept.

    Returns
    -------
    (frames, d) latents; the first and the last are those of the first and last anchor.

    Raises
    ------
    InputError
        If there are fewer than two anchors, or one of them does not exist or has no latent; if the
        kept edges do not connect them.
    """
    stops = graph_particles(
        z, anchors, neighbours=neighbours, average_neighbours=average_neighbours, seed=seed
    )
    return straight_path(z[stops], frames)


def graph_particles(
    z: NDArray[np.floating],
    anchors: Sequence[int] | NDArray[np.integer],
    *,
    neighbours: int = 15,
    average_neighbours: float | None = None,
    power: float = 1.0,
    seed: int = 0,
) -> NDArray[np.int64]:
    """The particles that :func:`graph_path` passes, in order; arguments and errors as there.

    ``power`` is that of the length of an edge in its cost: above 1, many short steps are cheaper
    than one long one, and the way keeps to where particles are dense.
    """
    chosen = checked_anchors(z, anchors)
    rows = np.flatnonzero(finite_rows(z))
    if len(rows) < 2:
        raise InputError(
            "a path needs at least two particles with latents",
            cure="Wait for the first latents of the run",
        )
    if len(rows) > _GRAPH_LIMIT:
        drawn = np.random.default_rng(seed).choice(rows, _GRAPH_LIMIT, replace=False)
        rows = np.union1d(drawn, chosen)
    points = np.asarray(z[rows], dtype=np.float64)
    ends = np.searchsorted(rows, chosen)
    tree = cKDTree(points)
    count = min(max(neighbours, 1), len(rows) - 1)
    while True:
        graph = _neighbour_graph(tree, points, count, average_neighbours, power)
        distance, before = dijkstra(
            graph, directed=False, indices=ends[:-1], return_predecessors=True
        )
        joined = np.isfinite(distance[np.arange(len(ends) - 1), ends[1:]])
        if joined.all():
            break
        if average_neighbours is not None:
            _refuse_apart(chosen, int(joined.argmin()), count, average_neighbours)
        count = min(2 * count, len(rows) - 1)
    way = [int(ends[0])]
    for leg, (start, stop) in enumerate(pairwise(ends.tolist())):
        back = [stop]
        while back[-1] != start:
            back.append(int(before[leg, back[-1]]))
        way += back[-2::-1]
    return np.asarray(rows[way], dtype=np.int64)


def _refuse_apart(chosen: NDArray[np.int64], leg: int, count: int, average: float) -> None:
    raise InputError(
        f"no way leads from particle {chosen[leg]} to particle {chosen[leg + 1]} in the graph of "
        f"{count} neighbours with {average:g} kept on average",
        cure=f"Raise the average ({average:g}) or the neighbours ({count}), or add a particle "
        "between the two",
    )


def checked_anchors(
    z: NDArray[np.floating], anchors: Sequence[int] | NDArray[np.integer]
) -> NDArray[np.int64]:
    """Numbers of particles that a path passes; errors as of :func:`graph_path`."""
    chosen = np.asarray(anchors, dtype=np.int64).ravel()
    if len(chosen) < 2:
        raise InputError(
            "a path needs at least two particles to pass", cure="Name another particle"
        )
    if chosen.min() < 0 or chosen.max() >= len(z):
        outside = int(chosen[(chosen < 0) | (chosen >= len(z))][0])
        raise InputError(
            f"there is no particle {outside}", cure=f"Give numbers from 0 to {len(z) - 1}"
        )
    unknown = chosen[~finite_rows(z[chosen])]
    if len(unknown):
        raise InputError(
            f"particle {unknown[0]} has no latent yet", cure="Choose one that was encoded"
        )
    return chosen


def _neighbour_graph(
    tree: cKDTree,
    points: NDArray[np.float64],
    count: int,
    average: float | None,
    power: float,
) -> csr_array:
    """Costs from every point to its ``count`` nearest others, or to the nearest of these."""
    distance, near = tree.query(points, k=[*range(2, count + 2)])
    if average is not None and average * len(points) < distance.size:
        kept = max(round(average * len(points)), 1)
        longest = np.partition(distance.ravel(), kept - 1)[kept - 1]
        held = distance <= longest
    else:
        held = np.ones(distance.shape, dtype=bool)
    # In units of the typical edge, so that no power runs out of floating point.
    cost = (distance / max(float(np.median(distance)), np.finfo(np.float64).tiny)) ** power
    # csgraph takes a stored zero for no edge; equal points are next to each other.
    cost = np.maximum(cost, np.finfo(np.float64).tiny)
    start = np.concatenate([[0], np.cumsum(held.sum(axis=1))])
    return csr_array((cost[held], near[held], start), shape=(len(points),) * 2)


@dataclass(frozen=True)
class FrameSupport:
    """How well data support the states of a path.

    Attributes
    ----------
    nearest
        (frames,) the particle nearest to each state.
    distance
        (frames,) how far it is, in units of the latents.
    count
        (frames,) particles to which this state is nearer than any other of the path.
    """

    nearest: NDArray[np.int64]
    distance: NDArray[np.float64]
    count: NDArray[np.int64]


def frame_support(z: NDArray[np.floating], path: NDArray[np.floating]) -> FrameSupport:
    """Particles of (N, d) latents about each state of a (frames, d) path.

    Raises
    ------
    InputError
        If no particle has a latent.
    """
    rows = np.flatnonzero(finite_rows(z))
    if len(rows) == 0:
        raise InputError("no particle has latents yet", cure="Wait for the first latents")
    points = np.asarray(z[rows], dtype=np.float64)
    states = np.asarray(path, dtype=np.float64)
    distance, near = cKDTree(points).query(states)
    count = np.bincount(cKDTree(states).query(points)[1], minlength=len(states))
    return FrameSupport(rows[near].astype(np.int64), distance, count.astype(np.int64))


def drawn_path(
    points_xy: NDArray[np.floating],
    xy: NDArray[np.floating],
    z: NDArray[np.floating],
    *,
    frames: int = 10,
    neighbours: int = 50,
) -> NDArray[np.float64]:
    """States along a curve that was drawn in a picture of the latents.

    At equal distances along the curve, each state is the mean of the particles that lie nearest in
    the picture.

    Parameters
    ----------
    points_xy
        (k, 2) corners of the curve, k >= 2, in the picture's coordinates.
    xy
        (N, 2) picture; NaN where a particle has no place in it.
    z
        (N, d) latents of the same particles.
    neighbours
        Particles averaged for a state.

    Returns
    -------
    (frames, d) latents.

    Raises
    ------
    InputError
        If the curve has fewer than two points, or no particle has a latent.
    """
    points = np.asarray(points_xy, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 2:
        raise InputError("a drawn path needs at least two points x, y", cure="Draw another point")
    index = NeighbourIndex(xy)
    curve = straight_path(points, frames)
    return np.stack([nearest_state(z, xy, at, neighbours, index=index)[0] for at in curve])


def _axis(
    rows: NDArray[np.float64], component: int, embedding: Embedding | None
) -> NDArray[np.float64]:
    """Unit vector of the component, as the picture shows it where it does."""
    # Other linear pictures show other components, or latent dimensions.
    first = embedding is not None and not re.match(r"dims-|pc\d", embedding.embedding_id)
    if embedding is not None and first and embedding.axes is not None and component <= 2:
        length = float(np.linalg.norm(embedding.axes[component - 1]))
        if length > 0:
            return np.asarray(embedding.axes[component - 1] / length)
    return principal_axes(rows).axes[component - 1]


def _nearest_window(sorted_score: NDArray[np.float64], target: float, count: int) -> int:
    """First of the ``count`` consecutive scores that are nearest to ``target``."""
    low = max(0, int(np.searchsorted(sorted_score, target)) - count)
    high = len(sorted_score) - count
    while low < high and sorted_score[low + count] - target < target - sorted_score[low]:
        low += 1
    return min(low, high)


def displacement_A(
    coords_A: NDArray[np.floating], reference_A: NDArray[np.floating]
) -> NDArray[np.float32]:
    """How far each atom has moved, in A: (n,) or (frames, n), without any superposition."""
    offset = np.asarray(coords_A, dtype=np.float32) - np.asarray(reference_A, dtype=np.float32)
    return np.asarray(np.linalg.norm(offset, axis=-1), dtype=np.float32)


def rms_motion_A(coords_A: NDArray[np.floating]) -> NDArray[np.float64]:
    """(n,) root-mean-square distance of each atom of (frames, n, 3) from its mean, in A."""
    frames = np.asarray(coords_A, dtype=np.float64)
    offset = frames - frames.mean(axis=0)
    return np.asarray(np.sqrt((offset**2).sum(axis=-1).mean(axis=0)))
