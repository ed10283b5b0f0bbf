"""The contrast transfer function, as RELION's with protein bright (convention 7)."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from cryoscope.conventions import electron_wavelength_A
from cryoscope.data import CTFParams, Optics


@dataclass(frozen=True, eq=False)
class CTFTable:
    """CTF parameters of N particles as float32 tensors, optics group resolved.

    ``spherical_aberration_A`` and ``wavelength_A`` are in A, angles in radians.
    """

    defocus_mean_A: Tensor
    defocus_half_difference_A: Tensor
    astigmatism_rad: Tensor
    phase_shift_rad: Tensor
    wavelength_A: Tensor
    spherical_aberration_A: Tensor
    amplitude_contrast: Tensor
    b_factor_A2: Tensor
    scale: Tensor

    def __len__(self) -> int:
        return len(self.defocus_mean_A)

    def take(self, index: Tensor) -> CTFTable:
        """The rows at ``index``."""
        return CTFTable(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def to(self, device: torch.device | str) -> CTFTable:
        """The same table on another device."""
        return CTFTable(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


def ctf_table(params: CTFParams, optics: tuple[Optics, ...]) -> CTFTable:
    """Tensors of the parameters of ``params``; each particle takes its optics group's constants."""

    def of_group(name: str) -> np.ndarray:
        values = np.array([getattr(group, name) for group in optics], dtype=np.float64)
        return values[params.optics_group]

    def tensor(values: np.ndarray) -> Tensor:
        return torch.as_tensor(np.asarray(values, dtype=np.float32).copy())

    return CTFTable(
        defocus_mean_A=tensor((params.defocus_u_A + params.defocus_v_A) / 2),
        defocus_half_difference_A=tensor((params.defocus_u_A - params.defocus_v_A) / 2),
        astigmatism_rad=tensor(np.deg2rad(params.defocus_angle_deg)),
        phase_shift_rad=tensor(np.deg2rad(params.phase_shift_deg)),
        wavelength_A=tensor(electron_wavelength_A(of_group("voltage_kv"))),
        spherical_aberration_A=tensor(of_group("spherical_aberration_mm") * 1e7),
        amplitude_contrast=tensor(of_group("amplitude_contrast")),
        b_factor_A2=tensor(params.b_factor_A2),
        scale=tensor(params.scale),
    )


def ctf(table: CTFTable, kx_per_A: Tensor, ky_per_A: Tensor) -> Tensor:
    """CTF of N particles at m frequencies.

    ``-[sqrt(1 - w^2) sin g - w cos g]`` with ``g = 2 pi (-df lam k^2 / 2 + Cs lam^3 k^4 / 4) -
    phase`` and ``df = (U + V) / 2 + (U - V) / 2 cos 2 (theta - angle)`` (RELION), times
    ``scale exp(-B k^2 / 4)``.

    Parameters
    ----------
    table
        N particles.
    kx_per_A, ky_per_A
        (m,) frequencies in 1/A.

    Returns
    -------
    (N, m) float32.
    """
    k2 = kx_per_A**2 + ky_per_A**2
    theta = torch.atan2(ky_per_A, kx_per_A)
    lam = table.wavelength_A[:, None]
    # cos 2(theta - a) = cos 2theta cos 2a + sin 2theta sin 2a: an outer product, not N x m cosines
    across = table.defocus_half_difference_A[:, None] * (
        torch.cos(2 * table.astigmatism_rad)[:, None] * torch.cos(2 * theta)
        + torch.sin(2 * table.astigmatism_rad)[:, None] * torch.sin(2 * theta)
    )
    defocus_A = table.defocus_mean_A[:, None] + across
    gamma = (math.pi * lam * k2) * (
        0.5 * table.spherical_aberration_A[:, None] * lam**2 * k2 - defocus_A
    ) - table.phase_shift_rad[:, None]
    # sqrt(1 - w^2) sin g - w cos g = sin(g - asin w)
    value = -torch.sin(gamma - torch.asin(table.amplitude_contrast)[:, None])
    if bool((table.b_factor_A2 != 0).any()):
        value = value * torch.exp(-0.25 * table.b_factor_A2[:, None] * k2)
    return value * table.scale[:, None]


def delocalisation_A(table: CTFTable, resolution_A: float) -> float:
    """How far the CTF spreads detail of ``resolution_A``: max |lam df k - Cs lam^3 k^3| in A."""
    k = torch.linspace(0, 1 / resolution_A, 200)
    lam = table.wavelength_A[:, None]
    defocus_A = (table.defocus_mean_A + table.defocus_half_difference_A.abs())[:, None]
    spread = (lam * defocus_A * k - table.spherical_aberration_A[:, None] * lam**3 * k**3).abs()
    return float(spread.max())
