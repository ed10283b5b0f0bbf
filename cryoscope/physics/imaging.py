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


def rotation_matrix(vector: Tensor) -> Tensor:
    """(B, 3, 3) rotations acting on xyz columns, from (B, 3) rotation vectors in radians.

    Rodrigues: ``I + sin(t) / t K + (1 - cos t) / t^2 K^2`` with t the length of the vector and K
    its cross product. Differentiable everywhere, zero included.
    """
    angle = torch.linalg.vector_norm(vector, dim=1)[:, None, None]
    x, y, z = vector.unbind(1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).view(-1, 3, 3)
    first = torch.sinc(angle / math.pi)
    second = 0.5 * torch.sinc(angle / (2 * math.pi)) ** 2
    identity = torch.eye(3, dtype=vector.dtype, device=vector.device)
    return identity + first * cross + second * (cross @ cross)
