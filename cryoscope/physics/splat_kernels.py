"""Fused CPU kernels of the local bead projector: threads over images, no patch is ever stored.

A bead touches the pixels within ``reach`` standard deviations, not the whole box: a window of a
fixed number of pixels where it is narrow, and by loops where it is wide.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit, prange

from cryoscope.physics.window_kernels import add_in_window, read_in_window

#: Samples that a bead may touch along an axis; callers check it.
MAX_WINDOW_PX = 512
#: Width and height in pixels of the windows of narrow beads; ``_add`` and ``_read`` know them too.
WINDOWS_PX = ((8, 6), (8, 8), (16, 12), (16, 16), (24, 20))
#: Number of the window where a bead is too wide for all of them.
LOOPS = len(WINDOWS_PX)
_HALF, _NO_LIMIT = np.float32(0.5), np.float32(1e30)


def window_number(widest_sigma_px: float, reach: float, box_size_px: int) -> int:
    """The smallest window that holds a bead to its reach, and that the box holds; or ``LOOPS``."""
    for number, (width, height) in enumerate(WINDOWS_PX):
        if 2 * reach * widest_sigma_px <= height and width <= box_size_px:
            return number
    return LOOPS


@njit(cache=True, inline="always", error_model="numpy")
def _size(window: int) -> tuple[int, int]:
    if window < 2:
        return 8, (6 if window == 0 else 8)
    return (16, (12 if window == 2 else 16)) if window < 4 else (24, 20)


@njit(cache=True, fastmath=True, inline="always", error_model="numpy")
def _begin(centre_px: Any, size: int, n: int) -> int:
    """First sample of the window about a bead, all of it within the box."""
    return min(max(math.ceil(centre_px - _HALF * np.float32(size)), 0), n - size)


@njit(cache=True, fastmath=True, inline="always", error_model="numpy")
def _outside(x: Any, y: Any, margin: Any, n: int) -> bool:
    """Whether a bead is further than its reach from all pixels."""
    most = np.float32(n - 1) + margin
    return x < -margin or y < -margin or x > most or y > most


@njit(cache=True, fastmath=True, inline="always", error_model="numpy")
def _add(window: int, image: Any, start: int, x: Any, y: Any, rate: Any, peak: Any) -> None:
    if window == 0:
        add_in_window(8, 6, image, start, x, y, rate, peak)
    elif window == 1:
        add_in_window(8, 8, image, start, x, y, rate, peak)
    elif window == 2:
        add_in_window(16, 12, image, start, x, y, rate, peak)
    elif window == 3:
        add_in_window(16, 16, image, start, x, y, rate, peak)
    else:
        add_in_window(24, 20, image, start, x, y, rate, peak)


@njit(cache=True, fastmath=True, inline="always", error_model="numpy")
def _read(window: int, image: Any, start: int, x: Any, y: Any, rate: Any, limit: Any) -> Any:
    if window == 0:
        return read_in_window(8, 6, image, start, x, y, rate, limit)
    if window == 1:
        return read_in_window(8, 8, image, start, x, y, rate, limit)
    if window == 2:
        return read_in_window(16, 12, image, start, x, y, rate, limit)
    if window == 3:
        return read_in_window(16, 16, image, start, x, y, rate, limit)
    return read_in_window(24, 20, image, start, x, y, rate, limit)


@njit(cache=True, fastmath=True, inline="always", error_model="numpy")
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


@njit(cache=True, fastmath=True, nogil=True, error_model="numpy")
def _add_beads(
    xy_A: Any, scale: Any, peak: Any, sigma_px: Any, reach: Any, window: int, image: Any
) -> None:
    """Add (N, 2) beads to one image by windows."""
    n = image.shape[1]
    width, height = _size(window)
    centre = np.float32(n // 2)
    for j in range(len(xy_A)):
        s, x, y = sigma_px[j], xy_A[j, 0] * scale + centre, xy_A[j, 1] * scale + centre
        if _outside(x, y, reach * s, n):
            continue
        x0, y0 = _begin(x, width, n), _begin(y, height, n)
        dx, dy = np.float32(x0) - x, np.float32(y0) - y
        _add(window, image, y0 * n + x0, dx, dy, _HALF / (s * s), peak[j])


@njit(cache=True, fastmath=True, nogil=True, error_model="numpy")
def _loop_over_beads(
    xy_A: Any, scale: Any, peak: Any, sigma_px: Any, reach: Any, image: Any
) -> None:
    """Add (N, 2) beads of any width to one image."""
    n = image.shape[1]
    centre = np.float32(n // 2)
    gx = np.empty(MAX_WINDOW_PX, np.float32)
    gy = np.empty(MAX_WINDOW_PX, np.float32)
    for j in range(len(xy_A)):
        x0, width = _profile(xy_A[j, 0] * scale + centre, sigma_px[j], reach, n, gx)
        y0, height = _profile(xy_A[j, 1] * scale + centre, sigma_px[j], reach, n, gy)
        for iy in range(height):
            row = image[y0 + iy, x0 : x0 + width]
            factor = peak[j] * gy[iy]
            for ix in range(width):
                row[ix] += factor * gx[ix]


@njit(parallel=True, cache=True, nogil=True, error_model="numpy")
def splat_forward(
    xy_A: Any,
    pixel_size_A: float,
    peak: Any,
    sigma_px: Any,
    reach: float,
    window: int,
    images: Any,
) -> None:
    """Add beads to zeroed images.

    Parameters
    ----------
    xy_A, pixel_size_A
        (B, N, 2) bead positions from the middle of the box (sample n // 2), and of the images.
    peak, sigma_px
        (N,) height of the middle and width.
    reach
        Truncation in standard deviations; windows hold at least that.
    window
        See :func:`window_number`.
    images
        (B, n, n) written to.
    """
    far, scale = np.float32(reach), np.float32(1.0 / pixel_size_A)
    for b in prange(len(xy_A)):
        if window == LOOPS:
            _loop_over_beads(xy_A[b], scale, peak, sigma_px, far, images[b])
        else:
            _add_beads(xy_A[b], scale, peak, sigma_px, far, window, images[b])


@njit(cache=True, fastmath=True, inline="always", error_model="numpy")
def _put(seen: Any, slope: Any, j: int, grad_xy: Any, sums: Any) -> None:
    """Hand out what bead j has seen, see ``splat_backward``."""
    grad_xy[j, 0] = slope[j] * seen[1]
    grad_xy[j, 1] = slope[j] * seen[2]
    if len(sums) > 0:
        sums[j, 0], sums[j, 1] = seen[0], seen[3]


@njit(cache=True, fastmath=True, nogil=True, error_model="numpy")
def _read_beads(
    xy_A: Any,
    scale: Any,
    slope: Any,
    sigma_px: Any,
    reach: tuple[Any, bool],
    window: int,
    image: Any,
    grad_xy: Any,
    sums: Any,
) -> None:
    """Look at one image at (N, 2) beads by windows, which a sharp reach is cut out of."""
    n = image.shape[1]
    width, height = _size(window)
    centre = np.float32(n // 2)
    far, sharp = reach
    nothing = np.zeros(4, np.float32)
    for j in range(len(xy_A)):
        s, x, y = sigma_px[j], xy_A[j, 0] * scale + centre, xy_A[j, 1] * scale + centre
        margin = far * s
        if _outside(x, y, margin, n):
            _put(nothing, slope, j, grad_xy, sums)
            continue
        x0, y0 = _begin(x, width, n), _begin(y, height, n)
        dx, dy = np.float32(x0) - x, np.float32(y0) - y
        limit = margin * margin if sharp else _NO_LIMIT
        seen = _read(window, image, y0 * n + x0, dx, dy, _HALF / (s * s), limit)
        _put(seen, slope, j, grad_xy, sums)


@njit(cache=True, fastmath=True, nogil=True, error_model="numpy")
def _loop_and_read(
    xy_A: Any, scale: Any, slope: Any, sigma_px: Any, far: Any, image: Any, grad_xy: Any, sums: Any
) -> None:
    """As ``_read_beads``, for beads of any width; the reach is always sharp."""
    n = image.shape[1]
    centre = np.float32(n // 2)
    gx = np.empty(MAX_WINDOW_PX, np.float32)
    gy = np.empty(MAX_WINDOW_PX, np.float32)
    seen = np.empty(4, np.float32)
    for j in range(len(xy_A)):
        cx, cy = xy_A[j, 0] * scale + centre, xy_A[j, 1] * scale + centre
        x0, width = _profile(cx, sigma_px[j], far, n, gx)
        y0, height = _profile(cy, sigma_px[j], far, n, gy)
        seen[:] = np.float32(0)
        for iy in range(height):
            row = image[y0 + iy, x0 : x0 + width]
            row_sum, row_x, row_xx = np.float32(0), np.float32(0), np.float32(0)
            for ix in range(width):
                g = row[ix] * gx[ix]
                dx = np.float32(x0 + ix) - cx
                row_sum += g
                row_x += g * dx
                row_xx += g * dx * dx
            dy = np.float32(y0 + iy) - cy
            seen[0] += gy[iy] * row_sum
            seen[1] += gy[iy] * row_x
            seen[2] += gy[iy] * dy * row_sum
            seen[3] += gy[iy] * (row_xx + dy * dy * row_sum)
        _put(seen, slope, j, grad_xy, sums)


@njit(parallel=True, cache=True, nogil=True, error_model="numpy")
def splat_backward(
    xy_A: Any,
    pixel_size_A: float,
    slope: Any,
    sigma_px: Any,
    reach: float,
    sharp: bool,
    window: int,
    images: Any,
    grad_xy: Any,
    sums: Any,
) -> None:
    """What every bead sees of an image, from which the gradients of ``splat_forward`` follow.

    Parameters
    ----------
    slope
        (N,) factor of the gradients.
    sharp
        Whether a pixel counts only within the reach (along either axis); else all of the window
        counts, as in ``splat_forward``.
    images
        (B, n, n) pixels v, read.
    grad_xy, sums
        With ``w = exp(-r^2 / 2 sigma^2)``, and x, y in px from the bead: (B, N, 2), ``slope`` times
        the sums of ``w v x`` and ``w v y``; and (B, N, 2), the sums of ``w v`` and ``w v r^2``,
        unless it has no rows, (B, 0, 2). Both are written.
    """
    far, scale = np.float32(reach), np.float32(1.0 / pixel_size_A)
    for b in prange(len(xy_A)):
        out = (images[b], grad_xy[b], sums[b])
        if window == LOOPS:
            _loop_and_read(xy_A[b], scale, slope, sigma_px, far, *out)
        else:
            _read_beads(xy_A[b], scale, slope, sigma_px, (far, sharp), window, *out)
