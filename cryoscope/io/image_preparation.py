"""What is done to every particle image before training: Fourier crop and background."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from cryoscope.conventions import centred_coordinates_A

# Below this fraction of the largest pixel, a spread is rounding, not signal.
_ROUNDING = 1e-6


def fourier_crop(images: NDArray[np.float32], box_size_px: int) -> NDArray[np.float32]:
    """The same field of view in fewer pixels; pixel values keep their scale and mean.

    The spectrum is cut to the frequencies that ``box_size_px`` samples hold; at the new Nyquist
    frequency, which stands for both signs, it is the mean of the two. Sample n // 2 stays the
    origin (convention 2).

    Parameters
    ----------
    images
        (N, y, x) images of even side.
    box_size_px
        Even side of the result, at most that of ``images``.

    Returns
    -------
    (N, box_size_px, box_size_px) float32.
    """
    full_px = images.shape[-1]
    if box_size_px % 2 or full_px % 2 or not 0 < box_size_px <= full_px:
        raise ValueError(f"cannot crop a box of {full_px} px to {box_size_px} px")
    if box_size_px == full_px:
        return images.astype(np.float32, copy=False)
    half = box_size_px // 2
    # Columns are cut before the second transform: the rest of them is never needed.
    columns: NDArray[Any] = scipy.fft.rfft(images, axis=2)[:, :, : half + 1]
    rows = scipy.fft.fft(columns, axis=1)
    cut = np.empty((len(images), box_size_px, half + 1), dtype=rows.dtype)
    cut[:, :half] = rows[:, :half]
    cut[:, half] = (rows[:, half] + rows[:, full_px - half]) / 2
    cut[:, half + 1 :] = rows[:, full_px - half + 1 :]
    # The inverse along x takes the real part at its Nyquist column: the mean of the two signs.
    cropped = scipy.fft.irfft2(cut, s=(box_size_px, box_size_px), overwrite_x=True)
    cropped *= (box_size_px / full_px) ** 2
    return np.asarray(cropped, dtype=np.float32)


def background_mask(
    box_size_px: int, pixel_size_A: float, particle_radius_A: float
) -> NDArray[np.bool_]:
    """(y, x) True further than ``particle_radius_A`` from the origin of the box."""
    position_A = centred_coordinates_A(box_size_px, pixel_size_A)
    return np.hypot(position_A[:, None], position_A[None, :]) > particle_radius_A


def normalise_background(
    images: NDArray[np.float32], background: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Shift and scale every image so that its background has mean 0 and standard deviation 1.

    Returns
    -------
    The (N, y, x) images, and an (N,) mask of those that could be normalised: the others are
    constant there or hold values that are not finite, and are returned as they come.
    """
    # np.take gathers ten times faster than a mask does.
    pixels = np.take(images.reshape(len(images), -1), np.flatnonzero(background), axis=1)
    with np.errstate(invalid="ignore", over="ignore"):
        mean = pixels.mean(axis=1, dtype=np.float64)
        deviation = np.sqrt(np.square(pixels - mean[:, None]).mean(axis=1))
        peak = np.abs(images).max(axis=(1, 2))
        usable = np.isfinite(peak) & np.isfinite(deviation) & (deviation > _ROUNDING * peak)
    scale = np.where(usable, 1 / np.where(usable, deviation, 1), 1).astype(np.float32)
    offset = np.where(usable, mean, 0).astype(np.float32)
    return (images - offset[:, None, None]) * scale[:, None, None], usable
