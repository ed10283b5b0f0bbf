"""Fused CPU kernel of carried bead centres: frame, offset and gradient in one pass."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit, prange

#: Lengths below which a frame's axes are not normalised further, in A.
LEAST_ALONG_A, LEAST_BEND_A = 1e-3, 1e-2
_ALONG, _BEND = np.float32(LEAST_ALONG_A), np.float32(LEAST_BEND_A)
_ZERO, _ONE, _TWO = np.float32(0), np.float32(1), np.float32(2)


@njit(parallel=True, cache=True, fastmath=True, nogil=True, error_model="numpy")
def carry_forward(
    anchors: Any,
    carrier: Any,
    before: Any,
    here: Any,
    after: Any,
    offset: Any,
    centres: Any,
    frames: Any,
) -> None:
    """Write ``centres`` (B, M, 3) and the ``frames`` (B, M, 11) that the gradient needs.

    Bead i sits on ``carrier[i]`` of the (B, N, 3) ``anchors``. A frame is e1, e2, the bend vector,
    and the lengths that e1 and e2 were divided by.
    """
    for b in prange(anchors.shape[0]):
        x = anchors[b]
        for i in range(centres.shape[1]):
            a, p, q, r = carrier[i], before[i], here[i], after[i]
            f = frames[b, i]
            square = _ZERO
            for k in range(3):
                f[k] = x[r, k] - x[p, k]
                f[6 + k] = _TWO * x[q, k] - x[p, k] - x[r, k]
                square += f[k] * f[k]
            f[9] = max(np.float32(math.sqrt(square)), _ALONG)
            dot = _ZERO
            inverse = _ONE / f[9]
            for k in range(3):
                f[k] *= inverse
                dot += f[6 + k] * f[k]
            square = _ZERO
            for k in range(3):
                f[3 + k] = f[6 + k] - dot * f[k]
                square += f[3 + k] * f[3 + k]
            f[10] = max(np.float32(math.sqrt(square)), _BEND)
            inverse = _ONE / f[10]
            for k in range(3):
                f[3 + k] *= inverse
            for k in range(3):
                k1, k2 = (k + 1) % 3, (k + 2) % 3
                across = f[k1] * f[3 + k2] - f[k2] * f[3 + k1]
                centres[b, i, k] = (
                    x[a, k] + offset[i, 0] * f[k] + offset[i, 1] * f[3 + k] + offset[i, 2] * across
                )


@njit(parallel=True, cache=True, fastmath=True, nogil=True, error_model="numpy")
def carry_backward(
    grad_centres: Any,
    carrier: Any,
    before: Any,
    here: Any,
    after: Any,
    offset: Any,
    frames: Any,
    grad: Any,
) -> None:
    """Add to ``grad`` (B, N, 3) the gradient of the anchors."""
    for b in prange(grad_centres.shape[0]):
        g1 = np.empty(3, np.float32)
        g2 = np.empty(3, np.float32)
        for i in range(grad_centres.shape[1]):
            g = grad_centres[b, i]
            f = frames[b, i]
            along2, along1 = _ZERO, _ZERO
            for k in range(3):
                k1, k2 = (k + 1) % 3, (k + 2) % 3
                # d(e1 x e2 . g)/de1 = e2 x g, /de2 = g x e1
                g1[k] = offset[i, 0] * g[k] + offset[i, 2] * (f[3 + k1] * g[k2] - f[3 + k2] * g[k1])
                g2[k] = offset[i, 1] * g[k] + offset[i, 2] * (g[k1] * f[k2] - g[k2] * f[k1])
            for k in range(3):
                along2 += g2[k] * f[3 + k]
            if f[10] <= _BEND:
                along2 = _ZERO
            bend_dot = _ZERO
            for k in range(3):
                g2[k] = (g2[k] - along2 * f[3 + k]) / f[10]
                along1 += g2[k] * f[k]
                bend_dot += f[6 + k] * f[k]
            length_dot = _ZERO
            for k in range(3):
                g1[k] -= bend_dot * g2[k] + along1 * f[6 + k]
                length_dot += g1[k] * f[k]
            if f[9] <= _ALONG:
                length_dot = _ZERO
            a, p, q, r = carrier[i], before[i], here[i], after[i]
            for k in range(3):
                of_length = (g1[k] - length_dot * f[k]) / f[9]
                of_bend = g2[k] - along1 * f[k]
                grad[b, a, k] += g[k]
                grad[b, p, k] -= of_length + of_bend
                grad[b, r, k] += of_length - of_bend
                grad[b, q, k] += _TWO * of_bend
