"""A map that changes linearly with its latent: mean + sum of z[k] * mode[k] (probabilistic PCA)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample

from cryoscope.models.heads import Posterior
from cryoscope.models.interfaces import Batch, Losses
from cryoscope.models.likelihood import match_data
from cryoscope.models.volume_density import slice_points
from cryoscope.physics.fourier import Band, make_band
from cryoscope.physics.imaging import shift_phase


class LinearModes(nn.Module):
    """Voxels of the mean and of d modes; every particle's latent has a closed form."""

    noise_power: Tensor
    reference_A: Tensor

    def __init__(self, beads: Any, band: Band, noise_power: Tensor, config: Any) -> None:
        super().__init__()
        self.band, self.latent_dim = band, config.latent.dim
        self.register_buffer("noise_power", noise_power)
        self.register_buffer("reference_A", noise_power.new_zeros(0, 3), persistent=False)
        n = band.box_size_px
        self.unit = float(noise_power.mean().sqrt()) / n  # voxels in the unit of the noise
        start = 0.1 * torch.randn(1 + self.latent_dim, n, n, n)
        self.voxels = nn.Parameter(start.to(noise_power.device))

    def slices(self, rotation: Tensor, band: Band) -> Tensor:
        """(B, 1 + d, m) central slices of the mean and the modes (conventions 3 and 6)."""
        n, pixel_A, axes = self.band.box_size_px, self.band.pixel_size_A, (1, 2, 3)
        voxels = torch.fft.ifftshift(self.unit * self.voxels, dim=axes)
        transform = torch.fft.fftshift(torch.fft.fftn(voxels, dim=axes), dim=axes) / n
        k = slice_points(rotation, band.kx_per_A, band.ky_per_A) * (n * pixel_A) + n // 2
        place = (2 * k / (n - 1) - 1).view(1, *k.shape[:2], 1, 3)
        parts = torch.cat([transform.real, transform.imag])[None]
        real, imag = grid_sample(parts, place, align_corners=True)[0, ..., 0].chunk(2)
        scale = (pixel_A / band.pixel_size_A) ** 2 * n / band.box_size_px
        return scale * torch.complex(real, imag).transpose(0, 1)

    def posterior(self, slices: Tensor, matched: Tensor, power: Tensor) -> Posterior:
        """The best diagonal Gaussian: the likelihood is a parabola in z, the prior a unit one."""
        mean, modes = slices[:, :1], slices[:, 1:]
        gram = torch.einsum("bkm,blm,bm->bkl", modes.conj(), modes, power.cfloat()).real
        precision = gram + torch.eye(self.latent_dim, device=gram.device)
        pull = (modes.conj() * (matched - power * mean[:, 0])[:, None]).real.sum(2)
        z = torch.linalg.solve(precision, pull)
        return Posterior(z, -precision.diagonal(dim1=1, dim2=2).log())

    def encode(self, batch: Batch) -> Posterior:
        """Posterior of a batch's latents."""
        data = match_data(batch.coefficients, batch.ctf, batch.shift_A, self.band, self.noise_power)
        return self.posterior(self.slices(batch.rotation, self.band), data.matched, data.power)

    def losses(self, batch: Batch, generator: torch.Generator, phase: str = "main") -> Losses:
        """Minus the log-likelihood over an empty image, and the KL divergence, per image."""
        data = match_data(batch.coefficients, batch.ctf, batch.shift_A, self.band, self.noise_power)
        slices = self.slices(batch.rotation, self.band)
        found = self.posterior(slices, data.matched, data.power)
        image = mix(found.sample(generator), slices)
        fit = (image.conj() * data.matched).real.sum(1)
        fit = fit - 0.5 * (image.abs() ** 2 * data.power).sum(1)
        return Losses({"data": -fit, "kl": found.kl()}, found, torch.zeros_like(fit))

    def decode(self, z: Tensor) -> LinearMaps:
        """Densities of (B, d) latents."""
        return LinearMaps(self, z)

    def positions(self, z: Tensor) -> Tensor:
        """There are no atoms: (B, 0, 3)."""
        return z.new_zeros(len(z), 0, 3)

    anchors = positions

    def reset_coordinates(self) -> None:
        """There are none."""


class LinearMaps:
    """Densities of B states."""

    def __init__(self, model: LinearModes, z: Tensor) -> None:
        self.model, self.z = model, z

    def project_band(self, rotation: Tensor, band: Band, shift_A: Tensor | None = None) -> Tensor:
        """(B, m) coefficients of the projections, shifted; no CTF."""
        found = mix(self.z, self.model.slices(rotation, band))
        if shift_A is None:
            return found
        return found * shift_phase(shift_A, band.kx_per_A, band.ky_per_A)

    def project(self, rotation: Tensor, box_size_px: int, pixel_size_A: float) -> Tensor:
        """(B, n, n) projections."""
        band = make_band(box_size_px, pixel_size_A, device=self.z.device)
        return band.embed(self.project_band(rotation, band))

    def voxelize(self, box_size_px: int, voxel_size_A: float) -> Tensor:
        """(B, n, n, n) maps [z, y, x]."""
        n, pixel_A = self.model.band.box_size_px, self.model.band.pixel_size_A
        at = torch.arange(box_size_px, device=self.z.device) - box_size_px // 2
        at = at * (voxel_size_A / pixel_A)
        fade = torch.sinc(at / n) ** 2  # what interpolating the transform does to the map
        z, y, x = torch.meshgrid(*[2 * (at + n // 2) / (n - 1) - 1] * 3, indexing="ij")
        place = torch.stack([x, y, z], dim=-1)[None].expand(len(self.z), -1, -1, -1, -1)
        maps = mix(self.z, (self.model.unit * self.model.voxels)[None])[:, None]
        found = grid_sample(maps, place, align_corners=True)[:, 0]
        return found * fade * fade[:, None] * fade[:, None, None]


def mix(z: Tensor, parts: Tensor) -> Tensor:
    """Mean plus modes: (B, d) and (B or 1, 1 + d, ...) -> (B, ...)."""
    weights = torch.cat([torch.ones_like(z[:, :1]), z], dim=1)
    return (weights.view(*weights.shape, *[1] * (parts.dim() - 2)) * parts).sum(1)
