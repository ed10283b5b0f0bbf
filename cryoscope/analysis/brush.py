"""Which particles a brush touched, and which are nearest to a point: exact, all of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def brush_mask(
    xy: NDArray[np.floating], path: ArrayLike, radius: tuple[float, float]
) -> NDArray[np.bool_]:
    """Which points lie within a brush that was drawn along a path.

    Parameters
    ----------
    xy
        (N, 2) points; NaN is outside.
    path
        (M, 2) places of the brush, joined by straight lines; one place is a dab.
    radius
        Half the width and height of the brush in the units of x and of y: it is round on a screen,
        where the two have different scales.

    Returns
    -------
    (N,) mask.

    Raises
    ------
    ValueError
        If the path is not a finite (M, 2) table or a radius is not above 0.
    """
    places = np.asarray(path, dtype=np.float64)
    size = np.asarray(radius, dtype=np.float64)
    mask = np.zeros(len(xy), dtype=np.bool_)
    if places.size == 0:
        return mask
    if places.ndim != 2 or places.shape[1] != 2 or not np.isfinite(places).all():
        raise ValueError("the path of a brush is a table of finite x, y places")
    if size.shape != (2,) or not (np.isfinite(size).all() and (size > 0).all()):
        raise ValueError("a brush needs a size above 0")
    low, high = places.min(axis=0) - size, places.max(axis=0) + size
    x, y = xy[:, 0], xy[:, 1]
    near = np.flatnonzero((x >= low[0]) & (x <= high[0]) & (y >= low[1]) & (y <= high[1]))
    points = np.asarray(xy[near], dtype=np.float64) / size
    ends = places / size
    touched = np.zeros(len(near), dtype=np.bool_)
    cells = _Cells(points, low / size)
    starts = ends[:1] if len(ends) == 1 else ends[:-1]
    stops = ends[:1] if len(ends) == 1 else ends[1:]
    for start, stop in zip(starts, stops, strict=True):
        candidate = cells.between(np.minimum(start, stop) - 1, np.maximum(start, stop) + 1)
        candidate = candidate[~touched[candidate]]
        touched[candidate[_within(points[candidate], start, stop)]] = True
    mask[near] = touched
    return mask


class _Cells:
    """Points in the order of the cells, one brush radius wide, that they lie in."""

    def __init__(self, points: NDArray[np.float64], origin: NDArray[np.float64]) -> None:
        self._origin = origin
        cell = np.floor(points - origin).astype(np.int64)
        self._last = cell.max(axis=0, initial=0)
        key = cell[:, 1] * (self._last[0] + 1) + cell[:, 0]
        self._order = np.argsort(key)
        self._key = key[self._order]

    def between(self, low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.int64]:
        """The points in all cells that a box touches."""
        first = np.clip(np.floor(low - self._origin), 0, self._last).astype(np.int64)
        last = np.clip(np.floor(high - self._origin), 0, self._last).astype(np.int64)
        row = np.arange(first[1], last[1] + 1) * (self._last[0] + 1)
        begin = np.searchsorted(self._key, row + first[0])
        end = np.searchsorted(self._key, row + last[0], side="right")
        parts = [self._order[a:b] for a, b in zip(begin.tolist(), end.tolist(), strict=True)]
        return np.concatenate(parts)


def _within(
    points: NDArray[np.float64], start: NDArray[np.float64], stop: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Points at most 1 from a line between two ends."""
    along = stop - start
    length2 = float(along @ along)
    offset = points - start
    if length2 > 0:
        part = np.clip(offset @ along / length2, 0.0, 1.0)
        offset = offset - part[:, None] * along
    within: NDArray[np.bool_] = (offset**2).sum(axis=1) <= 1.0
    return within


def nearest_mask(rows: NDArray[np.floating], point: ArrayLike, count: int) -> NDArray[np.bool_]:
    """The ``count`` rows of (N, d) nearest to a point (d,); ties go to the lower row.

    Rows that are not finite are never among them.
    """
    mask = np.zeros(len(rows), dtype=np.bool_)
    middle = np.asarray(point, dtype=np.float64)
    rough_offset = np.asarray(rows - middle.astype(rows.dtype), dtype=np.float32)
    rough = np.einsum("ij,ij->i", rough_offset, rough_offset)
    np.nan_to_num(rough, copy=False, nan=np.inf)
    count = min(count, int(np.isfinite(rough).sum()))
    if count < 1:
        return mask
    # Rounding cannot put one of the nearest beyond this: the rest is decided exactly.
    reach = float(np.partition(rough, count - 1)[count - 1])
    size = float(np.abs(middle).max()) + float(np.sqrt(reach))
    slack = 1e-5 * reach + 1e-5 * size * float(np.sqrt(reach)) + (1e-5 * size) ** 2
    near = np.flatnonzero(rough <= reach + slack)
    offset = np.asarray(rows[near], dtype=np.float64) - middle
    distance = np.einsum("ij,ij->i", offset, offset)
    limit = np.partition(distance, count - 1)[count - 1]
    mask[near[distance < limit]] = True
    ties = near[distance == limit]
    mask[ties[: count - int(mask.sum())]] = True
    return mask
