"""Densities that can be projected and turned into maps."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from cryoscope.models.coarse_grain import Beads
from cryoscope.physics.imaging import rotate_to_image
from cryoscope.physics.projectors import project_beads

#: Smallest bead in pixels: narrower ones would alias (point sampling, 1.8 % error at 0.5 px).
NARROWEST_PX = 0.5
#: Bounds of the learned B-factor in A^2.
LEAST_B_A2, MOST_B_A2 = 1.0, 2000.0


class BeadShape(nn.Module):
    """Mass and width of the beads; one learned blur is common to all of them.

    Attributes
    ----------
    log_b_factor
        Logarithm of the B-factor in A^2, ``s^2 = residue + B / (8 pi^2)``.
    """

    amplitude: Tensor
    variance_A2: Tensor

    def __init__(self, beads: Beads, b_factor_A2: float) -> None:
        super().__init__()
        mass = torch.as_tensor(beads.amplitude).float()
        self.register_buffer("amplitude", mass / mass.mean(), persistent=False)
        self.register_buffer(
            "variance_A2", torch.as_tensor(beads.variance_A2).float(), persistent=False
        )
        self.log_b_factor = nn.Parameter(torch.tensor(math.log(max(b_factor_A2, LEAST_B_A2))))

    def sigma_A(self, pixel_size_A: float) -> Tensor:
        """(N,) widths, never below what the pixel size can carry."""
        blur_A2 = self.log_b_factor.exp().clamp(LEAST_B_A2, MOST_B_A2) / (8 * math.pi**2)
        variance = self.variance_A2 + blur_A2
        return variance.clamp_min((NARROWEST_PX * pixel_size_A) ** 2).sqrt()


class BeadDensity:
    """Beads of B conformations: (B, N, 3) centres with common mass and width."""

    def __init__(self, centres_A: Tensor, amplitude: Tensor, sigma_A: Tensor) -> None:
        self.centres_A, self.amplitude, self.sigma_A = centres_A, amplitude, sigma_A

    def project(self, rotation: Tensor, box_size_px: int, pixel_size_A: float) -> Tensor:
        """(B, n, n) projections after (B, 3, 3) rotations, without shift or CTF."""
        xy_A = rotate_to_image(self.centres_A, rotation)
        return project_beads(xy_A, self.amplitude, self.sigma_A, box_size_px, pixel_size_A)

    def voxelize(self, box_size_px: int, voxel_size_A: float) -> Tensor:
        """(B, n, n, n) maps [z, y, x] in mass per A^3; separable, one GEMM per conformation."""
        centre = box_size_px // 2
        grid_A = (torch.arange(box_size_px, device=self.centres_A.device) - centre) * voxel_size_A
        rate = (0.5 / self.sigma_A**2)[:, None]
        peak = (self.amplitude / (2 * math.pi * self.sigma_A**2) ** 1.5)[:, None]
        maps = []
        for centres_A in self.centres_A:
            gx, gy, gz = (
                torch.exp(-rate * (grid_A - centres_A[:, i : i + 1]) ** 2) for i in range(3)
            )
            plane = (gz * peak)[:, :, None] * gy[:, None, :]
            maps.append((plane.flatten(1).T @ gx).view(box_size_px, box_size_px, box_size_px))
        return torch.stack(maps)
