"""Which particles lie inside a lasso: exact, and fast at a million points.

The polygon's bounding box is cut into cells. A cell that no edge touches lies inside or outside as
a whole; only points in cells that an edge touches are tested, and only against the edges that
cross their row of cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

_MIN_CELLS, _MAX_CELLS = 16, 768
# Widens every edge's footprint by this part of a cell, so that rounding never misses a cell.
_MARGIN = 1e-3
_INSIDE, _EDGE = 1, 2


@dataclass(frozen=True)
class _Cells:
    """The polygon on a grid of cells.

    ``state`` (rows, columns) says outside, inside or edge; the edges near row ``r`` are
    ``edge[start[r] : start[r + 1]]``.
    """

    state: NDArray[np.uint8]
    edge: NDArray[np.int64]
    start: NDArray[np.int64]


def polygon_mask(xy: NDArray[np.floating], polygon: ArrayLike) -> NDArray[np.bool_]:
    """Which points lie inside a polygon, by the even-odd rule.

    A point is inside when a ray from it to +x crosses the outline an odd number of times, so that
    self-intersecting outlines work and their doubly enclosed parts are outside.

    Parameters
    ----------
    xy
        (N, 2) points; NaN is outside.
    polygon
        (M, 2) corners, open or closed; fewer than three enclose nothing.

    Returns
    -------
    (N,) mask.

    Raises
    ------
    ValueError
        If the polygon is not a finite (M, 2) table.
    """
    corners = np.asarray(polygon, dtype=np.float64)
    mask = np.zeros(len(xy), dtype=bool)
    if corners.size == 0:
        return mask
    if corners.ndim != 2 or corners.shape[1] != 2 or not np.isfinite(corners).all():
        raise ValueError("a lasso is a table of finite x, y corners")
    low, high = corners.min(axis=0), corners.max(axis=0)
    if len(corners) < 3 or not (high > low).all():
        return mask
    x, y = xy[:, 0], xy[:, 1]
    near = np.flatnonzero((x >= low[0]) & (x <= high[0]) & (y >= low[1]) & (y <= high[1]))
    if len(near) == 0:
        return mask
    points = np.asarray(xy[near], dtype=np.float64)
    side = int(np.clip(np.sqrt(len(near)), _MIN_CELLS, _MAX_CELLS))
    scale = side / (high - low)
    cells = _rasterise((corners - low) * scale, side)
    column = np.minimum(((points[:, 0] - low[0]) * scale[0]).astype(np.int64), side - 1)
    row = np.minimum(((points[:, 1] - low[1]) * scale[1]).astype(np.int64), side - 1)
    state = cells.state.ravel()[row * side + column]
    inside = state == _INSIDE
    band = np.flatnonzero(state == _EDGE)
    inside[band] = _test_band(points[band], row[band], cells, corners)
    mask[near] = inside
    return mask


def crossings(
    points: NDArray[np.float64], first: NDArray[np.float64], second: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Whether the ray from each point to +x crosses the edge ``first -> second``; broadcasts."""
    spans = (first[..., 1] > points[..., 1]) != (second[..., 1] > points[..., 1])
    rise = second[..., 1] - first[..., 1]
    rise = np.where(rise == 0, 1.0, rise)
    at = first[..., 0] + (points[..., 1] - first[..., 1]) / rise * (second[..., 0] - first[..., 0])
    result: NDArray[np.bool_] = spans & (points[..., 0] < at)
    return result


def _repeat_ranges(
    start: NDArray[np.int64], count: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Owner and value of the concatenated ranges ``start[i] .. start[i] + count[i] - 1``."""
    owner = np.repeat(np.arange(len(count)), count)
    first = np.cumsum(count) - count
    return owner, np.arange(len(owner)) - first[owner] + start[owner]


def _rasterise(corners: NDArray[np.float64], side: int) -> _Cells:
    """The polygon, in units of cells, on ``side`` x ``side`` cells."""
    first, second = corners, np.roll(corners, -1, axis=0)
    low_y = np.minimum(first[:, 1], second[:, 1])
    high_y = np.maximum(first[:, 1], second[:, 1])
    top = np.clip(np.floor(low_y - _MARGIN), 0, side - 1).astype(np.int64)
    bottom = np.clip(np.floor(high_y + _MARGIN), 0, side - 1).astype(np.int64)
    edge, row = _repeat_ranges(top, bottom - top + 1)
    a, b = first[edge], second[edge]
    state = np.zeros((side, side), dtype=np.uint8)
    state[_odd_cells(a, b, row, side)] = _INSIDE
    state[_touched_cells(a, b, row, side)] = _EDGE
    order = np.argsort(row, kind="stable")
    start = np.searchsorted(row[order], np.arange(side + 1))
    return _Cells(state, edge[order], start)


def _odd_cells(
    a: NDArray[np.float64], b: NDArray[np.float64], row: NDArray[np.int64], side: int
) -> NDArray[np.bool_]:
    """Cells whose centre is enclosed an odd number of times."""
    centre_y = row + 0.5
    spans = (a[:, 1] > centre_y) != (b[:, 1] > centre_y)
    a, b, row, centre_y = a[spans], b[spans], row[spans], centre_y[spans]
    at = a[:, 0] + (centre_y - a[:, 1]) / (b[:, 1] - a[:, 1]) * (b[:, 0] - a[:, 0])
    # A ray to -x is crossed by this edge from every centre right of it.
    column = np.clip(np.ceil(at - 0.5), 0, side).astype(np.int64)
    counts = np.bincount(row * (side + 1) + column, minlength=side * (side + 1))
    odd = (counts & 1).astype(np.uint8).reshape(side, side + 1)
    return np.bitwise_xor.accumulate(odd, axis=1)[:, :side].astype(bool)


def _touched_cells(
    a: NDArray[np.float64], b: NDArray[np.float64], row: NDArray[np.int64], side: int
) -> NDArray[np.bool_]:
    """Cells that an edge touches."""
    rise = b[:, 1] - a[:, 1]
    level = np.abs(rise) < _MARGIN
    slope = (b[:, 0] - a[:, 0]) / np.where(level, 1.0, rise)
    enter = np.clip((row - _MARGIN - a[:, 1]) * slope + a[:, 0], *_x_range(a, b))
    leave = np.clip((row + 1 + _MARGIN - a[:, 1]) * slope + a[:, 0], *_x_range(a, b))
    left = np.where(level, np.minimum(a[:, 0], b[:, 0]), np.minimum(enter, leave)) - _MARGIN
    right = np.where(level, np.maximum(a[:, 0], b[:, 0]), np.maximum(enter, leave)) + _MARGIN
    begin = np.clip(np.floor(left), 0, side - 1).astype(np.int64)
    end = np.clip(np.floor(right), 0, side - 1).astype(np.int64) + 1
    size = side * (side + 1)
    steps = np.bincount(row * (side + 1) + begin, minlength=size)
    steps -= np.bincount(row * (side + 1) + end, minlength=size)
    depth = np.cumsum(steps.reshape(side, side + 1), axis=1)
    touched: NDArray[np.bool_] = depth[:, :side] > 0
    return touched


def _x_range(
    a: NDArray[np.float64], b: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lowest and highest x of each edge."""
    return np.minimum(a[:, 0], b[:, 0]), np.maximum(a[:, 0], b[:, 0])


def _test_band(
    points: NDArray[np.float64],
    row: NDArray[np.int64],
    cells: _Cells,
    corners: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """The exact test of points against the edges near their row of cells."""
    owner, entry = _repeat_ranges(cells.start[row], cells.start[row + 1] - cells.start[row])
    edge = cells.edge[entry]
    following = np.roll(corners, -1, axis=0)
    crossed = crossings(points[owner], corners[edge], following[edge])
    odd: NDArray[np.bool_] = np.bincount(owner[crossed], minlength=len(points)) % 2 == 1
    return odd
