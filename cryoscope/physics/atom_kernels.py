"""Fused CPU kernels that spread atoms on a periodic grid per element, and gather from it.

Windows come from a table, linear between its rows; threads over images.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange

#: Samples that an atom touches along an axis.
WINDOW_PX = 6
_HALF = WINDOW_PX // 2


@njit(cache=True, fastmath=True, inline="always")
def _window(position_px: float, n: int, table: Any, out: Any) -> int:
    """First sample (counted in the padded buffer) of a window, whose values go to ``out``."""
    place = position_px - n * np.floor(position_px / n)
    first = int(np.ceil(place - _HALF))
    place_in_table = (first - (place - _HALF)) * (table.shape[0] - 1)
    row = min(int(place_in_table), table.shape[0] - 2)
    share = np.float32(place_in_table - row)
    for i in range(WINDOW_PX):
        out[i] = table[row, i] + share * (table[row + 1, i] - table[row, i])
    return first + _HALF


@njit(parallel=True, cache=True, fastmath=True, nogil=True)
def spread_atoms(xy_px: Any, kind: Any, table: Any, grids: Any) -> None:
    """Fill grids with the windows of atoms.

    Parameters
    ----------
    xy_px
        (B, N, 2) positions in samples, counted from sample (0, 0); periodic.
    kind
        (N,) which of the T grids an atom belongs to.
    table
        (rows, WINDOW_PX) windows by the fraction of a sample, from 0 to 1.
    grids
        (B, T, n, n) written to.
    """
    batch, count = xy_px.shape[0], xy_px.shape[1]
    kinds, n = grids.shape[1], grids.shape[2]
    for b in prange(batch):
        padded = np.zeros((kinds, n + WINDOW_PX, n + WINDOW_PX), np.float32)
        wx = np.empty(WINDOW_PX, np.float32)
        wy = np.empty(WINDOW_PX, np.float32)
        for j in range(count):
            x0 = _window(xy_px[b, j, 0], n, table, wx)
            y0 = _window(xy_px[b, j, 1], n, table, wy)
            page = padded[kind[j]]
            for iy in range(WINDOW_PX):
                row = page[y0 + iy]
                for ix in range(WINDOW_PX):
                    row[x0 + ix] += wy[iy] * wx[ix]
        for t in range(kinds):
            grid = grids[b, t]
            grid[:] = 0.0
            for y in range(n + WINDOW_PX):
                to = grid[(y - _HALF) % n]
                row = padded[t, y]
                for x in range(_HALF):
                    to[n - _HALF + x] += row[x]
                    to[x] += row[n + _HALF + x]
                for x in range(n):
                    to[x] += row[x + _HALF]


@njit(parallel=True, cache=True, fastmath=True, nogil=True)
def gather_atoms(
    xy_px: Any, kind: Any, table: Any, slopes: Any, grad_grids: Any, grad_xy_px: Any
) -> None:
    """Gradients of ``spread_atoms``; ``slopes`` are the table's derivatives by the position."""
    batch, count = xy_px.shape[0], xy_px.shape[1]
    kinds, n = grad_grids.shape[1], grad_grids.shape[2]
    for b in prange(batch):
        padded = np.empty((kinds, n + WINDOW_PX, n + WINDOW_PX), np.float32)
        for t in range(kinds):
            for y in range(n + WINDOW_PX):
                row = padded[t, y]
                source = grad_grids[b, t, (y - _HALF) % n]
                for x in range(_HALF):
                    row[x] = source[n - _HALF + x]
                    row[n + _HALF + x] = source[x]
                for x in range(n):
                    row[x + _HALF] = source[x]
        wx = np.empty(WINDOW_PX, np.float32)
        wy = np.empty(WINDOW_PX, np.float32)
        sx = np.empty(WINDOW_PX, np.float32)
        sy = np.empty(WINDOW_PX, np.float32)
        for j in range(count):
            x0 = _window(xy_px[b, j, 0], n, table, wx)
            y0 = _window(xy_px[b, j, 1], n, table, wy)
            _window(xy_px[b, j, 0], n, slopes, sx)
            _window(xy_px[b, j, 1], n, slopes, sy)
            page = padded[kind[j]]
            along_x = np.float32(0.0)
            along_y = np.float32(0.0)
            for iy in range(WINDOW_PX):
                row = page[y0 + iy]
                value = np.float32(0.0)
                slope = np.float32(0.0)
                for ix in range(WINDOW_PX):
                    value += row[x0 + ix] * wx[ix]
                    slope += row[x0 + ix] * sx[ix]
                along_x += wy[iy] * slope
                along_y += sy[iy] * value
            grad_xy_px[b, j, 0] = along_x
            grad_xy_px[b, j, 1] = along_y
