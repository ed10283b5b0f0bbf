"""The way between two states along which particles are most frequent."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree

from cryoscope.analysis.reduce import finite_rows
from cryoscope.analysis.stopping import ShouldStop, never, stop_if_asked
from cryoscope.analysis.trajectory import graph_particles, straight_path

# Power of the edges' lengths: the higher, the more the way prefers density to brevity.
_POWER = 3.0
_ITERATIONS, _TOLERANCE = 60, 1e-4
_SUMMED_AT_MOST = 20_000


def ridge_path(
    z: NDArray[np.floating],
    anchors: Sequence[int] | NDArray[np.integer],
    *,
    frames: int = 10,
    neighbours: int = 15,
    bandwidth: float = 0.0,
    seed: int = 0,
    should_stop: ShouldStop = never,
) -> NDArray[np.float64]:
    """States along the ridge of the particles' density from one particle to the next.

    First the cheapest way through the graph of nearest neighbours whose edges cost the third power
    of their length: with many particles such ways follow high density (power-weighted shortest
    paths; Hwang, Damelin and Hero, Ann. Appl. Probab. 26, 2016). Then every point of it climbs to
    the ridge across its own direction by subspace-constrained mean shift (Ozertem and Erdogmus,
    J. Mach. Learn. Res. 12, 2011), and the states are placed at equal distances along the result.
    Where -log(density) is read as a free energy, this is the valley from one state to the next.

    Parameters
    ----------
    z
        (N, d) latents; rows that are not finite are left out.
    anchors
        0-based numbers of two or more particles; the path begins and ends where the ridge passes
        them.
    neighbours
        Of every particle in the graph; doubled where the anchors are not connected.
    bandwidth
        Standard deviation of the kernel that estimates the density, in units of the latents; 0 for
        the median distance of a particle to its sqrt(N)-th neighbour.
    seed
        Of the 20,000 particles that larger sets are thinned to.

    Returns
    -------
    (frames, d) latents.

    Raises
    ------
    InputError
        As of :func:`~cryoscope.analysis.trajectory.graph_path`.
    """
    way = graph_particles(z, anchors, neighbours=neighbours, power=_POWER, seed=seed)
    rows = np.asarray(z[finite_rows(z)], dtype=np.float64)
    if len(rows) > _SUMMED_AT_MOST:
        rows = rows[np.random.default_rng(seed).choice(len(rows), _SUMMED_AT_MOST, replace=False)]
    stops = [0]
    for anchor in np.asarray(anchors).ravel()[1:]:
        stops.append(stops[-1] + int(np.flatnonzero(way[stops[-1] :] == anchor)[0]))
    legs = []
    for begin, end in pairwise(stops):
        points = straight_path(z[way[begin : end + 1]], max(4 * frames, 40))
        # In one dimension every point lies on the ridge.
        if z.shape[1] > 1:
            points = _without_detours(ridge_points(rows, points, bandwidth, should_stop))
        legs.append(points)
    return straight_path(np.concatenate(legs), frames)


def _without_detours(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The points on the shortest way from the first to the last, by steps of about their own.

    Steps across the ridge fold into steps back and forth along it, which are dropped.
    """
    step = np.linalg.norm(np.diff(points, axis=0), axis=1)
    if not step.any():
        return points
    reach = 2.0 * float(step.max())
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
    # Squares: many small steps are cheaper than few large ones, and bends are not cut.
    cost = np.where(apart <= reach, np.maximum(apart, 1e-9 * reach) ** 2, 0.0)
    np.fill_diagonal(cost, 0.0)
    _, before = dijkstra(csr_array(cost), directed=False, indices=0, return_predecessors=True)
    back = [len(points) - 1]
    while back[-1] != 0:
        back.append(int(before[back[-1]]))
    return points[back[::-1]]


def ridge_points(
    rows: NDArray[np.float64],
    points: NDArray[np.float64],
    bandwidth: float = 0.0,
    should_stop: ShouldStop = never,
) -> NDArray[np.float64]:
    """Points (p, d) moved across the one-dimensional ridge of the density of ``rows`` onto it."""
    tree = cKDTree(rows)
    width = bandwidth if bandwidth > 0 else _typical_width(tree, rows)
    moved = np.array(points, dtype=np.float64)
    if width <= 0:
        return moved
    active = np.arange(len(moved))
    for _ in range(_ITERATIONS):
        stop_if_asked(should_stop)
        steps = np.stack([_step(rows, moved[i], width) for i in active])
        moved[active] += steps
        active = active[np.linalg.norm(steps, axis=1) > _TOLERANCE * width]
        if len(active) == 0:
            break
    return moved


def _typical_width(tree: cKDTree, rows: NDArray[np.float64]) -> float:
    neighbour = min(max(int(np.sqrt(len(rows))), 2), len(rows))
    some = rows[:: max(1, len(rows) // 2000)]
    return float(np.median(tree.query(some, k=[neighbour])[0]))


def _step(
    rows: NDArray[np.float64], point: NDArray[np.float64], width: float
) -> NDArray[np.float64]:
    """The mean shift of a Gaussian kernel, without its part along the ridge.

    The ridge runs along the eigenvector of the Hessian of the log density with the largest
    eigenvalue.
    """
    offset = (rows - point) / width
    square = np.einsum("ij,ij->i", offset, offset)
    weight = np.exp(-0.5 * (square - square.min()))
    weight /= weight.sum()
    shift = weight @ offset
    hessian = (offset * weight[:, None]).T @ offset - np.outer(shift, shift)
    along = np.linalg.eigh(hessian)[1][:, -1]
    return np.asarray((shift - along * (along @ shift)) * width)
