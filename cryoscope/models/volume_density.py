"""Maps that are given by their Fourier coefficients: projected by slices, made voxels by an FFT."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from cryoscope.models.interfaces import go_on
from cryoscope.models.volume_field import VolumeField
from cryoscope.physics.fourier import Band, make_band
from cryoscope.physics.imaging import shift_phase

#: Points that are evaluated at a time when nothing has to be kept for a backward pass.
CHUNK_POINTS = 2**16


class VolumeDensity:
    """Densities of B states of a neural volume.

    A coefficient of the field at k is that of the orthonormal transform of a projection in the
    training box whose central slice passes through k (convention 3); voxels sum to it along z.
    Nothing is known beyond the Nyquist frequency of the training box: it is zero there. Sampled
    otherwise, in a smaller box or with coarser pixels, images and maps keep their values.

    Parameters
    ----------
    field
        The network.
    z
        (B, d) latents.
    box_size_px, pixel_size_A
        Training box.
    """

    def __init__(
        self, field: VolumeField, z: Tensor, box_size_px: int, pixel_size_A: float
    ) -> None:
        self.field, self.z = field, z
        self.box_size_px, self.pixel_size_A = box_size_px, float(pixel_size_A)
        self.check: Callable[[], None] = go_on

    def project(self, rotation: Tensor, box_size_px: int, pixel_size_A: float) -> Tensor:
        """(B, n, n) projections after (B, 3, 3) rotations, without shift or CTF."""
        band = make_band(box_size_px, pixel_size_A, device=self.z.device)
        return band.embed(self.project_band(rotation, band))

    def project_band(self, rotation: Tensor, band: Band, shift_A: Tensor | None = None) -> Tensor:
        """(B, m) coefficients of the projections, moved by (B, 2) shifts; no CTF."""
        k = slice_points(rotation, band.kx_per_A, band.ky_per_A) * self.pixel_size_A
        found = self.field.coefficients(k, self.z)
        if band.box_size_px != self.box_size_px or band.pixel_size_A != self.pixel_size_A:
            known = band.k_per_A * self.pixel_size_A <= 0.5 * (1 + 1e-6)
            area = (self.pixel_size_A / band.pixel_size_A) ** 2
            found = found * (known * (area * self.box_size_px / band.box_size_px))
        if shift_A is not None:
            found = found * shift_phase(shift_A, band.kx_per_A, band.ky_per_A)
        return found

    def voxelize(self, box_size_px: int, voxel_size_A: float) -> Tensor:
        """(B, n, n, n) maps [z, y, x].

        A box smaller than the training box with as much larger voxels is its Fourier crop, and
        costs only the coefficients inside. Memory beyond that of the maps is bounded.
        """
        n, device = box_size_px, self.z.device
        spacing = self.pixel_size_A / (n * voxel_size_A)
        rows = torch.fft.fftfreq(n, 1 / n, device=device) * spacing
        columns = torch.fft.rfftfreq(n, 1 / n, device=device) * spacing
        limit = 0.5 * min(1.0, self.pixel_size_A / voxel_size_A) * (1 + 1e-6)
        square = rows[:, None, None] ** 2 + rows[:, None] ** 2 + columns**2
        inside = torch.nonzero(square.flatten() <= limit**2).squeeze(1)
        del square
        maps = []
        for z in self.z:
            half = torch.zeros(n * n * len(columns), dtype=torch.complex64, device=device)
            for index in inside.split(CHUNK_POINTS):
                self.check()
                line = index // len(columns)
                k = torch.stack(
                    [columns[index % len(columns)], rows[line % n], rows[line // n]], dim=1
                )
                parity = (index % len(columns) + line % n + line // n) % 2
                found = self.field.coefficients(k[None], z[None])[0]
                half[index] = found.to(half.dtype) * (1 - 2 * parity)
            voxels = torch.fft.irfftn(
                half.view(n, n, len(columns)), s=(n, n, n), norm="forward", dim=(0, 1, 2)
            )
            maps.append(voxels * (self.box_size_px * spacing**3))
        return torch.stack(maps)


def slice_points(rotation: Tensor, kx: Tensor, ky: Tensor) -> Tensor:
    """(B, m, 3) points ``R^T (kx, ky, 0)`` of central slices (convention 3)."""
    return torch.stack([kx, ky], dim=1) @ rotation[:, :2]
