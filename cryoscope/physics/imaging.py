"""From a projection to the Fourier coefficients a microscope would record."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from cryoscope.physics.ctf import CTFTable, ctf
from cryoscope.physics.fourier import Band


def shift_phase(shift_A: Tensor, kx_per_A: Tensor, ky_per_A: Tensor) -> Tensor:
    """(N, m) complex phases ``exp(-2 pi i k . shift)`` that move an image by +shift (convention 5).

    Parameters
    ----------
    shift_A
        (N, 2) x, y in A.
    kx_per_A, ky_per_A
        (m,) frequencies in 1/A.
    """
    angle = -2 * math.pi * (shift_A[:, :1] * kx_per_A + shift_A[:, 1:] * ky_per_A)
    return torch.polar(torch.ones_like(angle), angle)


def transfer(table: CTFTable, shift_A: Tensor, band: Band) -> Tensor:
    """(N, m) complex factor from a centred projection to the recorded image: CTF and shift."""
    value = ctf(table, band.kx_per_A, band.ky_per_A)
    return value * shift_phase(shift_A, band.kx_per_A, band.ky_per_A)


def rotate_to_image(coords_A: Tensor, rotation: Tensor) -> Tensor:
    """(B, n, 2) positions in the image plane: the first two rows of ``R @ x`` (convention 3)."""
    return coords_A @ rotation[:, :2].transpose(1, 2)
