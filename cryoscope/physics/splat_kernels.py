"""Fused CPU kernels of the local bead projector: threads over images, no patch is ever stored.

A bead touches the pixels within ``reach`` standard deviations, not the whole box.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit, prange

#: Samples that a bead may touch along an axis; callers check it.
MAX_WINDOW_PX = 512


@njit(cache=True, fastmath=True, inline="always")
def _profile(centre_px: float, sigma_px: float, reach: float, n: int, out: Any) -> tuple[int, int]:
    """First sample and number of samples that a bead touches along an axis.

    ``out[i] = exp(-(first + i - centre)^2 / 2 sigma^2)``, by recurrence: three exponentials in all.
    """
    first = max(0, math.ceil(centre_px - reach * sigma_px))
    count = max(0, min(n - 1, math.floor(centre_px + reach * sigma_px)) - first + 1)
    rate = 0.5 / (sigma_px * sigma_px)
    offset = first - centre_px
    value = math.exp(-rate * offset * offset)
    ratio = math.exp(-rate * (2.0 * offset + 1.0))
    step = math.exp(-2.0 * rate)
    for i in range(count):
        out[i] = value
        value *= ratio
        ratio *= step
    return first, count


@njit(parallel=True, cache=True, fastmath=True, nogil=True)
def splat_forward(
    xy_px: Any, amplitude: Any, sigma_px: Any, pixel_area_A2: float, reach: float, images: Any
) -> None:
    """Add beads to zeroed images.

    Parameters
    ----------
    xy_px
        (B, N, 2) bead positions in pixels, counted from sample (0, 0).
    amplitude, sigma_px
        (N,) mass and width.
    pixel_area_A2
        Area of a pixel: images are masses per A^2.
    reach
        Truncation in standard deviations.
    images
        (B, n, n) written to.
    """
    batch, beads = xy_px.shape[0], xy_px.shape[1]
    n = images.shape[1]
    for b in prange(batch):
        gx = np.empty(MAX_WINDOW_PX, np.float32)
        gy = np.empty(MAX_WINDOW_PX, np.float32)
        image = images[b]
        for j in range(beads):
            s = sigma_px[j]
            x0, width = _profile(xy_px[b, j, 0], s, reach, n, gx)
            y0, height = _profile(xy_px[b, j, 1], s, reach, n, gy)
            peak = amplitude[j] / (2.0 * math.pi * s * s * pixel_area_A2)
            for iy in range(height):
                row = image[y0 + iy]
                factor = np.float32(peak * gy[iy])
                for ix in range(width):
                    row[x0 + ix] += factor * gx[ix]


@njit(parallel=True, cache=True, fastmath=True, nogil=True)
def splat_backward(
    xy_px: Any,
    amplitude: Any,
    sigma_px: Any,
    pixel_area_A2: float,
    reach: float,
    grad_images: Any,
    grad_xy_px: Any,
    grad_bead: Any,
) -> None:
    """Gradients of ``splat_forward``.

    ``grad_xy_px`` (B, N, 2) is always written; ``grad_bead`` (B, N, 2) receives the gradients with
    respect to amplitude and sigma (px) unless it has no rows.
    """
    batch, beads = xy_px.shape[0], xy_px.shape[1]
    n = grad_images.shape[1]
    want_bead = grad_bead.shape[0] == batch
    for b in prange(batch):
        gx = np.empty(MAX_WINDOW_PX, np.float32)
        gy = np.empty(MAX_WINDOW_PX, np.float32)
        image = grad_images[b]
        for j in range(beads):
            s = sigma_px[j]
            cx, cy = xy_px[b, j, 0], xy_px[b, j, 1]
            x0, width = _profile(cx, s, reach, n, gx)
            y0, height = _profile(cy, s, reach, n, gy)
            total = np.float32(0.0)
            along_x = np.float32(0.0)
            along_y = np.float32(0.0)
            second = np.float32(0.0)
            for iy in range(height):
                row = image[y0 + iy]
                row_sum = np.float32(0.0)
                row_x = np.float32(0.0)
                row_xx = np.float32(0.0)
                for ix in range(width):
                    g = row[x0 + ix] * gx[ix]
                    dx = np.float32(x0 + ix - cx)
                    row_sum += g
                    row_x += g * dx
                    row_xx += g * dx * dx
                dy = np.float32(y0 + iy - cy)
                total += gy[iy] * row_sum
                along_x += gy[iy] * row_x
                along_y += gy[iy] * dy * row_sum
                second += gy[iy] * (row_xx + dy * dy * row_sum)
            unit = 1.0 / (2.0 * math.pi * s * s * pixel_area_A2)
            peak = amplitude[j] * unit
            grad_xy_px[b, j, 0] = peak * along_x / (s * s)
            grad_xy_px[b, j, 1] = peak * along_y / (s * s)
            if want_bead:
                grad_bead[b, j, 0] = unit * total
                grad_bead[b, j, 1] = peak * (second / (s * s * s) - 2.0 * total / s)
