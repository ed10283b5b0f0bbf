"""Averages of images that show about the same view, and projections to compare them with."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from cryoscope.physics.backproject import half_planes
from cryoscope.physics.ctf import CTFTable, ctf
from cryoscope.physics.fourier import checkerboard, frequencies_per_A, irfft2_centred, rfft2_centred
from cryoscope.physics.imaging import shift_phase

#: Noise over signal per coefficient of one image, all frequencies alike: see `ViewAverager`.
NOISE_OVER_SIGNAL = 10.0


class ViewAverager:
    """A Wiener average of images that differ by a turn and a shift in their plane.

    ``sum(CTF F) / (sum(CTF^2) + noise over signal)`` after every image was moved to the centre and
    turned back (bicubic). The CTF of an image is turned with it, so that astigmatism is too.

    Parameters
    ----------
    box_size_px
        Even side n of the average; images of a larger box are Fourier-cropped to it.
    pixel_size_A
        Of the average.
    """

    def __init__(self, box_size_px: int, pixel_size_A: float) -> None:
        self.box_size_px, self.pixel_size_A, self.count = box_size_px, pixel_size_A, 0
        kx, ky = frequencies_per_A(box_size_px, pixel_size_A)
        grid_y, grid_x = torch.meshgrid(ky, kx, indexing="ij")
        self._kx, self._ky = grid_x.reshape(-1), grid_y.reshape(-1)
        self._sum = torch.zeros(box_size_px, box_size_px, dtype=torch.float64)
        self._weight = torch.zeros(len(self._kx), dtype=torch.float64)

    def add(self, images: Tensor, turn_rad: Tensor, shift_A: Tensor, table: CTFTable) -> None:
        """Add (B, y, x) images, turned by (B,) ``turn_rad`` and moved by (B, 2) ``shift_A``."""
        n = self.box_size_px
        spectra = half_planes(images, n) * checkerboard(n)
        move = shift_phase(-shift_A.float(), self._kx, self._ky)
        factor = (ctf(table, self._kx, self._ky) * move).reshape(len(images), n, -1)
        centred = irfft2_centred(spectra * factor)
        self._sum += _turned_back(centred, turn_rad.float()).sum(0, dtype=torch.float64)
        turned = replace(table, astigmatism_rad=table.astigmatism_rad - turn_rad.float())
        self._weight += ctf(turned, self._kx, self._ky).square().sum(0, dtype=torch.float64)
        self.count += len(images)

    def average(self) -> Tensor:
        """(n, n) float32, in the scale of the images; zero while nothing was added."""
        spectrum = rfft2_centred(self._sum) / (self._filter_weight() + NOISE_OVER_SIGNAL)
        return irfft2_centred(spectrum).float()

    def as_seen(self, projection: Tensor) -> Tensor:
        """An (n, n) projection as this average would show it without noise."""
        weight = self._filter_weight()
        passed = rfft2_centred(projection.double()) * weight / (weight + NOISE_OVER_SIGNAL)
        return irfft2_centred(passed).float()

    def _filter_weight(self) -> Tensor:
        return self._weight.reshape(self.box_size_px, -1)


def project_volume(
    values: Tensor, voxel_size_A: float, rotation: Tensor, box_size_px: int, pixel_size_A: float
) -> Tensor:
    """Projections of a map along the beam (sums over z times the step), by trilinear sampling.

    Parameters
    ----------
    values
        (z, y, x) map with the origin at sample n // 2.
    rotation
        (B, 3, 3) map -> image (convention 3).
    box_size_px, pixel_size_A
        Of the projections; beyond the map there is nothing.

    Returns
    -------
    (B, n, n) float32.
    """
    side = values.shape[-1]
    axis_A = (torch.arange(box_size_px) - box_size_px // 2).double() * pixel_size_A
    z, y, x = torch.meshgrid(axis_A, axis_A, axis_A, indexing="ij")
    at_A = torch.stack([x, y, z], dim=-1)
    made = []
    for one in rotation.double():
        sample = at_A @ one / voxel_size_A + side // 2  # R^T x, in voxels
        place = (2 * sample / (side - 1) - 1).float()[None]
        turned = functional.grid_sample(
            values.float()[None, None], place, align_corners=True, padding_mode="zeros"
        )
        made.append(turned[0, 0].sum(0) * pixel_size_A)
    return torch.stack(made)


def agreement(first: Tensor, second: Tensor, reach: float = 0.94) -> float:
    """Correlation of two (n, n) images within a disc of ``reach`` times half the box; 0 if flat."""
    n = first.shape[-1]
    axis = torch.arange(n, dtype=torch.float64) - n // 2
    inside = axis[:, None] ** 2 + axis**2 <= (reach * n / 2) ** 2
    a, b = (one.double()[inside] for one in (first, second))
    a, b = a - a.mean(), b - b.mean()
    length = float(a.norm() * b.norm())
    return float(a @ b) / length if length > 0 else 0.0


def _turned_back(images: Tensor, turn_rad: Tensor) -> Tensor:
    """(B, n, n): the value at x of what lies at ``Rz(turn) x`` in each image."""
    n = images.shape[-1]
    axis = torch.arange(n, dtype=torch.float32) - n // 2
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    c, s = torch.cos(turn_rad)[:, None, None], torch.sin(turn_rad)[:, None, None]
    place = torch.stack([c * x - s * y, s * x + c * y], dim=-1) + n // 2
    return functional.grid_sample(
        images[:, None],
        2 * place / (n - 1) - 1,
        mode="bicubic",
        align_corners=True,
        padding_mode="zeros",
    )[:, 0]
