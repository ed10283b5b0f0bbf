"""Fused CPU kernels of pair energies: energy and gradient in one pass, threads over structures."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit, prange

QUADRATIC, ROBUST, LOG = 0, 1, 2
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
    if shape == QUADRATIC:
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
    """Weighted sum of pair energies of every structure; ``grad`` (B, N, 3) is added to."""
    batch = coords.shape[0]
    energy = np.zeros(batch, np.float64)
    for b in prange(batch):
        total = 0.0
        for p in range(pairs.shape[0]):
            w = pair_weight[p]
            if w == 0.0:
                continue
            i, j = pairs[p, 0], pairs[p, 1]
            x = coords[b, i, 0] - coords[b, j, 0]
            y = coords[b, i, 1] - coords[b, j, 1]
            z = coords[b, i, 2] - coords[b, j, 2]
            value, slope = _pair(x * x + y * y + z * z, d0[p], shape, width)
            total += w * value
            _push(grad[b], i, j, w * slope, x, y, z)
        energy[b] = total
    return energy


@njit(parallel=True, cache=True, fastmath=True, nogil=True)
def clash_energy(coords: Any, bonded: Any, distance: float, grad: Any) -> Any:
    """Sum of ``(distance - d)^2`` over all pairs closer than ``distance`` but bonded neighbours.

    Beads are swept in order along x, so that only those within ``distance`` meet.
    """
    batch, count = coords.shape[0], coords.shape[1]
    energy = np.zeros(batch, np.float64)
    limit2 = distance * distance
    for b in prange(batch):
        order = np.argsort(coords[b, :, 0])
        total = 0.0
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
                d = math.sqrt(max(d2, 1e-6))
                gap = distance - d
                total += gap * gap
                _push(grad[b], i, j, -2.0 * gap / d, x, y, z)
        energy[b] = total
    return energy


@njit(parallel=True, cache=True, fastmath=True, nogil=True)
def distance_variance(coords: Any, pairs: Any) -> Any:
    """(P,) variance over the structures of each pair's distance."""
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
            d2 = x * x + y * y + z * z
            mean += math.sqrt(d2)
            square += d2
        mean /= batch
        variance[p] = max(0.0, square / batch - mean * mean)
    return variance
