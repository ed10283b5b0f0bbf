"""Gaussian beads that can be projected and turned into maps, and what they look like."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from cryoscope.models.coarse_grain import Beads
from cryoscope.models.form_factor_density import FormFactorShape
from cryoscope.models.interfaces import go_on
from cryoscope.models.learned_shape import BlurredShape, LearnedFactor
from cryoscope.physics.fourier import Band
from cryoscope.physics.imaging import rotate_to_image
from cryoscope.physics.projectors import project_beads

#: Smallest bead in pixels: narrower ones would alias (point sampling, 1.8 % error at 0.5 px).
NARROWEST_PX = 0.5
#: Bound of the logarithm of the learned factor of the widths.
MOST_LOG_WIDTH = 2.0
#: Values that are held at a time while beads are made voxels.
SLAB_VALUES = 2**21


class BeadShape(BlurredShape):
    """Mass and width of the beads; one blur is common to all of them.

    It serves atoms as well: as Gaussians of the curvature of f_e(k) at k = 0 with a B-factor of
    60 A^2 at 1.6 A per pixel they differ from form factors by 2e-2 of the coefficients up to
    3.2 A, 8e-3 up to 4 A and 4e-3 up to 5 A (aliasing), and project about twice as fast.

    Parameters
    ----------
    beads
        N beads.
    settings
        A ``BeadConfig``: ``b_factor_A2`` and ``learn_blur``; ``learn_width``; ``learn_amplitude``
        and ``amplitude_scale``.

    Attributes
    ----------
    width_factor, amplitude_factor
        Factors of the beads' own widths, before the blur, and of their masses.
    """

    mass: Tensor
    variance_A2: Tensor

    def __init__(self, beads: Beads, settings: Any) -> None:
        super().__init__(settings)
        mass = torch.as_tensor(beads.amplitude).float()
        variance_A2 = torch.as_tensor(beads.variance_A2).float()
        self.register_buffer("mass", mass / mass.mean(), persistent=False)
        self.register_buffer("variance_A2", variance_A2, persistent=False)
        types = (beads.bead_type, len(beads.type_names))
        self.width_factor = LearnedFactor(settings.learn_width, *types, most_log=MOST_LOG_WIDTH)
        self.amplitude_factor = LearnedFactor(
            settings.learn_amplitude, *types, first=settings.amplitude_scale
        )

    @property
    def amplitude(self) -> Tensor:
        """(N,) masses, 1 on average but for their factor."""
        amplitude: Tensor = self.mass * self.amplitude_factor()
        return amplitude

    def sigma_A(self, pixel_size_A: float) -> Tensor:
        """(N,) widths, never below what the pixel size can carry.

        ``s^2 = (factor x own width)^2 + B / (8 pi^2)``.
        """
        own_A2 = self.variance_A2 * self.width_factor() ** 2
        variance_A2 = own_A2 + self.b_factor_A2 / (8 * math.pi**2)
        sigma_A: Tensor = variance_A2.clamp_min((NARROWEST_PX * pixel_size_A) ** 2).sqrt()
        return sigma_A

    def density(self, centres_A: Tensor, pixel_size_A: float) -> BeadDensity:
        """The density of (B, N, 3) bead centres."""
        return BeadDensity(centres_A, self.amplitude, self.sigma_A(pixel_size_A))


def make_density_shape(beads: Beads, settings: Any) -> BeadShape | FormFactorShape:
    """What beads look like: electron form factors for atoms, Gaussians for all others.

    Parameters
    ----------
    beads
        N beads.
    settings
        A ``BeadConfig``.

    Raises
    ------
    InputError
        See :class:`~cryoscope.models.form_factor_density.FormFactorShape`.
    """
    if settings.coarse_grain == "atoms":
        return FormFactorShape(beads, settings)
    return BeadShape(beads, settings)


class BeadDensity:
    """Beads of B conformations: (B, N, 3) centres with common mass and width."""

    def __init__(self, centres_A: Tensor, amplitude: Tensor, sigma_A: Tensor) -> None:
        self.centres_A, self.amplitude, self.sigma_A = centres_A, amplitude, sigma_A
        self.check: Callable[[], None] = go_on

    def project(self, rotation: Tensor, box_size_px: int, pixel_size_A: float) -> Tensor:
        """(B, n, n) projections after (B, 3, 3) rotations, without shift or CTF."""
        xy_A = rotate_to_image(self.centres_A, rotation)
        return project_beads(xy_A, self.amplitude, self.sigma_A, box_size_px, pixel_size_A)

    def project_band(self, rotation: Tensor, band: Band, shift_A: Tensor | None = None) -> Tensor:
        """(B, m) coefficients of the projections, moved by (B, 2) shifts; no CTF."""
        xy_A = rotate_to_image(self.centres_A, rotation)
        if shift_A is not None:
            xy_A = xy_A + shift_A[:, None]
        box = (band.box_size_px, band.pixel_size_A)
        return band.transform(project_beads(xy_A, self.amplitude, self.sigma_A, *box))

    def voxelize(self, box_size_px: int, voxel_size_A: float) -> Tensor:
        """(B, n, n, n) maps [z, y, x] in mass per A^3; separable, a GEMM per slab of sections.

        Memory beyond that of the maps is bounded.
        """
        centre = box_size_px // 2
        grid_A = (torch.arange(box_size_px, device=self.centres_A.device) - centre) * voxel_size_A
        rate = (0.5 / self.sigma_A**2)[:, None]
        peak = (self.amplitude / (2 * math.pi * self.sigma_A**2) ** 1.5)[:, None]
        maps, n = [], box_size_px
        sections = max(1, SLAB_VALUES // max(1, len(self.amplitude) * n))
        for centres_A in self.centres_A:
            gx, gy, gz = (
                torch.exp(-rate * (grid_A - centres_A[:, i : i + 1]) ** 2) for i in range(3)
            )
            slabs = []
            for part in (gz * peak).split(sections, dim=1):
                self.check()
                plane = part[:, :, None] * gy[:, None, :]
                slabs.append((plane.flatten(1).T @ gx).view(-1, n, n))
            maps.append(torch.cat(slabs))
        return torch.stack(maps)
