"""Fused CPU kernels of pair energies: energy and gradient in one pass.

Lists of pairs are the same for all structures: a block of them is laid out side by side, (N, 3, L),
so that a vector instruction does one pair in many structures.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit, prange

QUADRATIC, ROBUST, LOG, ONE_SIDED, REPULSIVE, LINEAR = 0, 1, 2, 3, 4, 5
#: Smallest squared distance the logarithm sees, in A^2.
MIN_SQUARE_A2 = 1e-2
#: Structures side by side: in steps of, and at most; pairs that are summed in single precision.
LANES, MOST_LANES, SINGLE_SUM = 16, 64, 256
#: Cells along an axis of the grid in which clashes are looked for.
MOST_CELLS = 96

_ZERO, _ONE, _TWO = np.float32(0), np.float32(1), np.float32(2)
_LEAST_SQUARE, _MOST = np.float32(1e-12), np.float32(1e30)
_LEAST_LOG_SQUARE = np.float32(MIN_SQUARE_A2)


@njit(cache=True, fastmath=True, inline="always", error_model="numpy")
def _spring(d2: Any, d0: Any, form: Any) -> tuple[Any, Any]:
    """Energy of a pair and dE/d(d^2) * 2, the factor of its difference vector; but for ``LOG``."""
    linear, softness, low, high = form
    d = np.float32(math.sqrt(max(d2, _LEAST_SQUARE)))
    delta = min(max(d - d0, low), high)
    square = delta * delta
    soft = _ONE + square * softness
    both = _ONE / (soft * d)
    inverse = both * d  # 1 / soft; both * soft is 1 / d
    value = -delta if linear else square * inverse
    slope = (-both if delta < _ZERO else _ZERO) if linear else _TWO * delta * inverse * both
    return value, slope


@njit(cache=True, fastmath=True, inline="always", error_model="numpy")
def _logarithmic(d2: Any, d0: Any) -> tuple[Any, Any]:
    """As ``_spring``, of ln(d^2 / d0^2)^2."""
    strain = np.float32(math.log(max(d2, _LEAST_LOG_SQUARE) / (d0 * d0)))
    return strain * strain, (np.float32(4) * strain / d2 if d2 > _LEAST_LOG_SQUARE else _ZERO)


@njit(cache=True, inline="always", error_model="numpy")
def _form(shape: int, width: float) -> tuple[Any, Any, Any, Any]:
    """Whether linear, softness (1 / width^2 of the robust shape), and bounds of the strain."""
    softness = np.float32(1.0 / (width * width)) if shape == ROBUST else _ZERO
    low = _ZERO if shape == ONE_SIDED else -_MOST
    high = _ZERO if shape in (REPULSIVE, LINEAR) else _MOST
    return shape == LINEAR, softness, low, high


@njit(cache=True, nogil=True, error_model="numpy")
def _side_by_side(coords: Any, first: int, lanes: int) -> Any:
    """(N, 3, lanes) coordinates of the structures from ``first`` on."""
    x = np.empty((coords.shape[1], 3, lanes), np.float32)
    for i in range(coords.shape[1]):
        for k in range(3):
            for b in range(lanes):
                x[i, k, b] = coords[first + b, i, k]
    return x


@njit(cache=True, fastmath=True, inline="always", error_model="numpy")
def _add(x: Any, f: Any, pair: Any, d0: Any, w: Any, form: Any, log: bool, sums: Any) -> None:
    """Add one pair of all structures side by side to the forces ``f``.

    Rows of ``sums``: energies and numbers of pairs strained, added to; the force, overwritten.
    """
    xi, xj, fi, fj = x[pair[0]], x[pair[1]], f[pair[0]], f[pair[1]]
    for b in range(x.shape[2]):
        dx = xi[0, b] - xj[0, b]
        dy = xi[1, b] - xj[1, b]
        dz = xi[2, b] - xj[2, b]
        d2 = dx * dx + dy * dy + dz * dz
        if log:
            value, slope = _logarithmic(d2, d0)
        else:
            value, slope = _spring(d2, d0, form)
        sums[0, b] += w * value
        sums[1, b] += _ONE if value > _ZERO else _ZERO
        slope *= w
        sums[2, b] = slope * dx
        sums[3, b] = slope * dy
        sums[4, b] = slope * dz
    for k in range(3):
        for b in range(x.shape[2]):
            fi[k, b] += sums[2 + k, b]
    for k in range(3):
        for b in range(x.shape[2]):
            fj[k, b] -= sums[2 + k, b]


@njit(cache=True, fastmath=True, nogil=True, error_model="numpy")
def _sum_pairs(
    x: Any, f: Any, pairs: Any, d0: Any, weight: Any, shape: int, width: float, totals: Any
) -> None:
    """Forces of all pairs, and (2, L) energies and numbers strained, added to."""
    form = _form(shape, width)
    sums = np.zeros((5, x.shape[2]), np.float32)
    for p in range(len(pairs)):
        if weight[p] != _ZERO:
            if shape == LOG:
                _add(x, f, pairs[p], d0[p], weight[p], form, True, sums)
            else:
                _add(x, f, pairs[p], d0[p], weight[p], form, False, sums)
        if p % SINGLE_SUM == SINGLE_SUM - 1 or p == len(pairs) - 1:
            totals += sums[:2]
            sums[:2] = _ZERO


@njit(parallel=True, cache=True, fastmath=True, nogil=True, error_model="numpy")
def pair_energy(
    coords: Any,
    pairs: Any,
    d0: Any,
    pair_weight: Any,
    shape: int,
    width: float,
    grad: Any,
    threads: int = 1,
) -> Any:
    """Weighted sum of pair energies of every structure; ``grad`` (B, N, 3) is added to.

    The structures are split into as many blocks as there are ``threads``, or more.

    Returns
    -------
    (B,) energies and (B,) numbers of pairs that have one.
    """
    batch = coords.shape[0]
    totals = np.zeros((2, batch))
    share = -(-batch // threads)
    lanes = min(MOST_LANES, -(-share // LANES) * LANES)
    for block in prange((batch + lanes - 1) // lanes):
        first = block * lanes
        last = min(first + lanes, batch)
        x = _side_by_side(coords, first, last - first)
        f = np.zeros_like(x)
        _sum_pairs(x, f, pairs, d0, pair_weight, shape, width, totals[:, first:last])
        for i in range(coords.shape[1]):
            for k in range(3):
                for b in range(last - first):
                    grad[first + b, i, k] += f[i, k, b]
    return totals[0], totals[1].astype(np.int64)


@njit(cache=True, inline="always", error_model="numpy")
def _cell(place: float, low: float, size: float, cells: int) -> int:
    """Cell along an axis; coordinates that are not numbers end up in one of the cells too."""
    return min(max(int((place - low) / size), 0), cells - 1)


@njit(cache=True, nogil=True, error_model="numpy")
def _grid(coords: Any, distance: float) -> Any:
    """Beads of one structure sorted by cells no smaller than ``distance``, x fastest.

    Returns
    -------
    (N,) order of the beads, (N, 3) cells and (cells + 1,) first bead of every cell of the sorted
    beads, and the number of cells along each axis.
    """
    count = len(coords)
    low, size = np.zeros(3), np.full(3, distance)
    cells = np.ones(3, np.int64)
    for k in range(3):
        low[k], high = coords[0, k], coords[0, k]
        for i in range(count):
            low[k] = min(low[k], coords[i, k])
            high = max(high, coords[i, k])
        extent = high - low[k]
        if extent > 0.0 and extent < 1e30:
            size[k] = max(distance, extent / MOST_CELLS)
            cells[k] = min(max(int(extent / size[k]) + 1, 1), MOST_CELLS)
    place = np.empty((count, 3), np.int32)
    start = np.zeros(cells[0] * cells[1] * cells[2] + 1, np.int32)
    for i in range(count):
        for k in range(3):
            place[i, k] = _cell(coords[i, k], low[k], size[k], cells[k])
        start[(place[i, 2] * cells[1] + place[i, 1]) * cells[0] + place[i, 0]] += 1
    total = 0
    for c in range(len(start)):
        total += start[c]
        start[c] = total
    order = np.empty(count, np.int32)
    for i in range(count - 1, -1, -1):
        c = (place[i, 2] * cells[1] + place[i, 1]) * cells[0] + place[i, 0]
        start[c] -= 1
        order[start[c]] = i
    return order, place, start, cells


@njit(cache=True, fastmath=True, nogil=True, error_model="numpy")
def _clashes(
    coords: Any, bonded: Any, distance: Any, shape: int, grid: Any, grad: Any
) -> tuple[float, int]:
    """Energy and number of the clashes of one structure; each cell meets half its neighbours."""
    order, place, start, cells = grid
    count = len(order)
    limit2 = distance * distance
    form = _form(shape, 1.0)
    x = coords[order]
    total, close = 0.0, 0
    for a in range(count):
        i = order[a]
        cx, cy, cz = place[i, 0], place[i, 1], place[i, 2]
        left, right = max(cx - 1, 0), min(cx + 1, cells[0] - 1)
        # the beads that follow in this cell and the next, then four rows of three cells
        for row in range(5):
            y, z = cy + (row - 3 if row > 1 else row), cz + (1 if row > 1 else 0)
            if y < 0 or y >= cells[1] or z >= cells[2]:
                continue
            base = (z * cells[1] + y) * cells[0]
            begin = a + 1 if row == 0 else start[base + left]
            for c in range(begin, start[base + right + 1]):
                dx, dy, dz = x[a, 0] - x[c, 0], x[a, 1] - x[c, 1], x[a, 2] - x[c, 2]
                d2 = dx * dx + dy * dy + dz * dz
                if d2 >= limit2:
                    continue
                j = order[c]
                if abs(i - j) == 1 and bonded[min(i, j)]:
                    continue
                value, slope = _spring(d2, distance, form)
                total += value
                close += 1
                grad[i, 0] += slope * dx
                grad[i, 1] += slope * dy
                grad[i, 2] += slope * dz
                grad[j, 0] -= slope * dx
                grad[j, 1] -= slope * dy
                grad[j, 2] -= slope * dz
    return total, close


@njit(parallel=True, cache=True, nogil=True, error_model="numpy")
def clash_energy(coords: Any, bonded: Any, distance: float, shape: int, grad: Any) -> Any:
    """Energies of all pairs closer than ``distance`` but bonded neighbours; see ``pair_energy``.

    Beads meet those in the same cell of a grid and in the cells around it.
    """
    batch = coords.shape[0]
    energy = np.zeros(batch, np.float64)
    strained = np.zeros(batch, np.int64)
    for b in prange(batch):
        grid = _grid(coords[b], distance)
        energy[b], strained[b] = _clashes(
            coords[b], bonded, np.float32(distance), shape, grid, grad[b]
        )
    return energy, strained


@njit(parallel=True, cache=True, fastmath=True, nogil=True, error_model="numpy")
def pair_variance(coords: Any, pairs: Any, d0: Any, of_error: bool) -> Any:
    """(P,) variance over the structures of each pair's distance, or of ``(d - d0)^2``."""
    batch = coords.shape[0]
    x = _side_by_side(coords, 0, batch)
    variance = np.empty(pairs.shape[0], np.float32)
    for p in prange(pairs.shape[0]):
        xi, xj = x[pairs[p, 0]], x[pairs[p, 1]]
        mean, square = _ZERO, _ZERO
        for b in range(batch):
            dx = xi[0, b] - xj[0, b]
            dy = xi[1, b] - xj[1, b]
            dz = xi[2, b] - xj[2, b]
            # about d0, so that little is lost in the difference of the two sums
            value = np.float32(math.sqrt(dx * dx + dy * dy + dz * dz)) - d0[p]
            if of_error:
                value *= value
            mean += value
            square += value * value
        mean /= np.float32(batch)
        variance[p] = max(_ZERO, square / np.float32(batch) - mean * mean)
    return variance
