"""Atoms with electron form factors, never sampled at pixels: exact within the band."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cryoscope.data import InputError
from cryoscope.models.coarse_grain import Beads
from cryoscope.models.learned_shape import BlurredShape, LearnedFactor
from cryoscope.physics.atom_gridding import project_atoms_band
from cryoscope.physics.atoms import atoms_to_map, project_atoms_fourier
from cryoscope.physics.fourier import Band, irfft2_centred
from cryoscope.physics.imaging import rotate_to_image
from cryoscope.physics.scattering import scattering_tables


@dataclass(frozen=True, eq=False)
class FormFactors:
    """Electron form factors of n atoms.

    Attributes
    ----------
    element_type
        (n,) row of each atom in the tables.
    a_A, b_A2
        (types, 5) coefficients, see :func:`cryoscope.physics.atoms.form_factors`.
    b_factor_A2
        () blur of every atom, ``exp(-B k^2 / 4)``.
    """

    element_type: Tensor
    a_A: Tensor
    b_A2: Tensor
    b_factor_A2: Tensor

    def tables(self, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        """Types and coefficients, as the functions of ``physics.atoms`` take them."""
        return self.element_type, self.a_A.to(dtype), self.b_A2.to(dtype)


class FormFactorShape(BlurredShape):
    """Five-Gaussian form factors of the elements, with a common blur and amplitude.

    Intensities are f_e in A: some 2 per heavy atom.

    Parameters
    ----------
    beads
        Beads of kind ``"atoms"``.
    settings
        A ``BeadConfig``: ``b_factor_A2`` and ``learn_blur``; ``learn_amplitude`` (none, tied, or
        per type, i.e. per element) and ``amplitude_scale``.

    Raises
    ------
    InputError
        When widths, or amplitudes of single atoms, are to be learned, or an element is unknown.
    """

    element_type: Tensor
    a_A: Tensor
    b_A2: Tensor

    def __init__(self, beads: Beads, settings: Any) -> None:
        super().__init__(settings)
        if settings.learn_width != "none" or settings.learn_amplitude == "bead":
            raise InputError(
                "atoms have the widths of their elements; their blur and the amplitude of each "
                "element can be learned",
                cure="Set learn_width to none and learn_amplitude to none, tied or type",
            )
        kind, a_A, b_A2 = scattering_tables(beads.atoms)
        self.register_buffer("element_type", torch.as_tensor(kind), persistent=False)
        self.register_buffer("a_A", torch.as_tensor(a_A), persistent=False)
        self.register_buffer("b_A2", torch.as_tensor(b_A2), persistent=False)
        types = torch.arange(len(a_A)).numpy()
        self.amplitude_factor = LearnedFactor(
            settings.learn_amplitude, types, len(a_A), first=settings.amplitude_scale
        )

    def density(self, centres_A: Tensor, pixel_size_A: float) -> FormFactorDensity:
        """The density of (B, n, 3) atoms; the pixel size does not matter to form factors."""
        a_A = self.a_A * self.amplitude_factor()[:, None]
        factors = FormFactors(self.element_type, a_A, self.b_A2, self.b_factor_A2)
        return FormFactorDensity(centres_A, factors)


class FormFactorDensity:
    """Atoms of B conformations: (B, n, 3) positions with common form factors.

    Atoms are periodic in the box, and images and maps are limited to the band of the box, so that
    at a small blur they ring.
    """

    def __init__(self, coords_A: Tensor, factors: FormFactors) -> None:
        self.coords_A, self.factors = coords_A, factors

    def project(self, rotation: Tensor, box_size_px: int, pixel_size_A: float) -> Tensor:
        """(B, n, n) projections after (B, 3, 3) rotations, without shift or CTF."""
        xy_A = rotate_to_image(self.coords_A, rotation)
        tables = self.factors.tables(xy_A.dtype)
        coefficients = project_atoms_fourier(
            xy_A, *tables, box_size_px, pixel_size_A, b_factor_A2=self.factors.b_factor_A2
        )
        return irfft2_centred(coefficients)

    def project_band(self, rotation: Tensor, band: Band, shift_A: Tensor | None = None) -> Tensor:
        """(B, m) coefficients of the projections, moved by (B, 2) shifts; no CTF."""
        xy_A = rotate_to_image(self.coords_A, rotation)
        if shift_A is not None:
            xy_A = xy_A + shift_A[:, None]
        tables = self.factors.tables(xy_A.dtype)
        return project_atoms_band(xy_A, *tables, band, b_factor_A2=self.factors.b_factor_A2)

    def voxelize(self, box_size_px: int, voxel_size_A: float) -> Tensor:
        """(B, n, n, n) maps [z, y, x] in A^-2 (form factor per A^3)."""
        tables = self.factors.tables(self.coords_A.dtype)
        box = (box_size_px, voxel_size_A)
        blur = self.factors.b_factor_A2
        maps = [atoms_to_map(one, *tables, *box, b_factor_A2=blur) for one in self.coords_A]
        return torch.stack(maps)
