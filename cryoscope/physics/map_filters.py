"""Filters on finished maps: low-pass and B-factor."""

from __future__ import annotations

import math

import torch
from torch import Tensor

#: Width of the edge of a low-pass, in Fourier voxels (RELION's default is 2 as well).
EDGE_SHELLS = 2.0


def filter_map(
    values: Tensor, voxel_size_A: float, *, low_pass_A: float = 0.0, b_factor_A2: float = 0.0
) -> Tensor:
    """A map, low-passed and sharpened or blurred.

    Parameters
    ----------
    values
        (n, n, n) map of even side.
    voxel_size_A
        Its sampling.
    low_pass_A
        Resolution at which a cosine edge two Fourier voxels wide is half down; 0 = none.
    b_factor_A2
        Amplitudes are multiplied by ``exp(-B k^2 / 4)``: negative sharpens, positive blurs.

    Returns
    -------
    (n, n, n) float32.
    """
    n = len(values)
    axis = torch.fft.fftfreq(n, voxel_size_A)
    half = torch.fft.rfftfreq(n, voxel_size_A)
    k = torch.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + half**2)
    weight = torch.exp(-0.25 * b_factor_A2 * k**2)
    if low_pass_A > 0:
        beyond = (k - 1 / low_pass_A) * n * voxel_size_A / EDGE_SHELLS + 0.5
        weight = weight * 0.5 * (1 + torch.cos(math.pi * beyond.clamp(0, 1)))
    return torch.fft.irfftn(torch.fft.rfftn(values.float()) * weight, s=(n, n, n))
