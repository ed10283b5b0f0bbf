"""Fused CPU kernels of pair energies: energy and gradient in one pass, threads over structures."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit, prange

QUADRATIC, ROBUST, LOG, ONE_SIDED, REPULSIVE, LINEAR = 0, 1, 2, 3, 4, 5
#: Smallest squared distance the logarithm sees, in A^2.
MIN_SQUARE_A2 = 1e-2


@njit(cache=True, inline="always")
def _pair(d2: float, d0: float, shape: int, width: float) -> tuple[float, float]:
    """Energy and dE/d(d^2) * 2, i.e. the factor of the difference vector in the gradient."""
    if shape == LOG:
        if d2 <= MIN_SQUARE_A2:
            return math.log(MIN_SQUARE_A2 / (d0 * d0)) ** 2, 0.0
        strain = math.log(d2 / (d0 * d0))
        return strain * strain, 4.0 * strain / d2
    d = math.sqrt(max(d2, 1e-12))
    delta = d - d0
    if shape == ONE_SIDED:
        delta = max(delta, 0.0)
    elif shape == REPULSIVE:
        delta = min(delta, 0.0)
    elif shape == LINEAR:
        return max(-delta, 0.0), (-1.0 / d if delta < 0.0 else 0.0)
    if shape != ROBUST:
        return delta * delta, 2.0 * delta / d
    soft = 1.0 + delta * delta / (width * width)
    return delta * delta / soft, 2.0 * delta / (soft * soft * d)


@njit(cache=True, fastmath=True, inline="always")
def _push(grad: Any, i: int, j: int, slope: float, x: float, y: float, z: float) -> None:
    """Add ``slope`` times the difference vector to bead i, and take it from bead j."""
    grad[i, 0] += slope * x
    grad[i, 1] += slope * y
    grad[i, 2] += slope * z
    grad[j, 0] -= slope * x
    grad[j, 1] -= slope * y
    grad[j, 2] -= slope * z


@njit(parallel=True, cache=True, fastmath=True, nogil=True)
def pair_energy(
    coords: Any, pairs: Any, d0: Any, pair_weight: Any, shape: int, width: float, grad: Any
) -> Any:
    """Weighted sum of pair energies of every structure; ``grad`` (B, N, 3) is added to.

    Returns
    -------
    (B,) energies and (B,) numbers of pairs that have one.
    """
    batch = coords.shape[0]
    energy = np.zeros(batch, np.float64)
    strained = np.zeros(batch, np.int64)
    for b in prange(batch):
        total = 0.0
        count = 0
        for p in range(pairs.shape[0]):
            w = pair_weight[p]
            if w == 0.0:
                continue
            i, j = pairs[p, 0], pairs[p, 1]
            x = coords[b, i, 0] - coords[b, j, 0]
            y = coords[b, i, 1] - coords[b, j, 1]
            z = coords[b, i, 2] - coords[b, j, 2]
            value, slope = _pair(x * x + y * y + z * z, d0[p], shape, width)
            if value == 0.0:
                continue
            total += w * value
            count += 1
            _push(grad[b], i, j, w * slope, x, y, z)
        energy[b] = total
        strained[b] = count
    return energy, strained


@njit(parallel=True, cache=True, fastmath=True, nogil=True)
def clash_energy(coords: Any, bonded: Any, distance: float, shape: int, grad: Any) -> Any:
    """Energies of all pairs closer than ``distance`` but bonded neighbours; see ``pair_energy``.

    Beads are swept in order along x, so that only those within ``distance`` meet.
    """
    batch, count = coords.shape[0], coords.shape[1]
    energy = np.zeros(batch, np.float64)
    strained = np.zeros(batch, np.int64)
    limit2 = distance * distance
    for b in prange(batch):
        order = np.argsort(coords[b, :, 0])
        total = 0.0
        close = 0
        for a in range(count):
            i = order[a]
            for c in range(a + 1, count):
                j = order[c]
                x = coords[b, i, 0] - coords[b, j, 0]
                if x < -distance:
                    break
                y = coords[b, i, 1] - coords[b, j, 1]
                z = coords[b, i, 2] - coords[b, j, 2]
                d2 = x * x + y * y + z * z
                if d2 >= limit2:
                    continue
                first = min(i, j)
                if abs(i - j) == 1 and bonded[first]:
                    continue
                value, slope = _pair(d2, distance, shape, 1.0)
                total += value
                close += 1
                _push(grad[b], i, j, slope, x, y, z)
        energy[b] = total
        strained[b] = close
    return energy, strained


@njit(parallel=True, cache=True, fastmath=True, nogil=True)
def pair_variance(coords: Any, pairs: Any, d0: Any, of_error: bool) -> Any:
    """(P,) variance over the structures of each pair's distance, or of ``(d - d0)^2``."""
    batch = coords.shape[0]
    variance = np.empty(pairs.shape[0], np.float32)
    for p in prange(pairs.shape[0]):
        i, j = pairs[p, 0], pairs[p, 1]
        mean = 0.0
        square = 0.0
        for b in range(batch):
            x = coords[b, i, 0] - coords[b, j, 0]
            y = coords[b, i, 1] - coords[b, j, 1]
            z = coords[b, i, 2] - coords[b, j, 2]
            # about d0, so that little is lost in the difference of the two sums
            value = math.sqrt(x * x + y * y + z * z) - d0[p]
            if of_error:
                value *= value
            mean += value
            square += value * value
        mean /= batch
        variance[p] = max(0.0, square / batch - mean * mean)
    return variance
