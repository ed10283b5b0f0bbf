"""Fourier shell and ring correlation."""

from __future__ import annotations

import torch
from torch import Tensor


def shell_numbers(box_size_px: int, dimensions: int = 3) -> Tensor:
    """Rounded radius of every coefficient of ``rfftn``: (n, n, n // 2 + 1) for a map."""
    n = box_size_px
    radius2 = torch.fft.rfftfreq(n, 1 / n) ** 2
    full2 = torch.fft.fftfreq(n, 1 / n) ** 2
    for _ in range(dimensions - 1):
        radius2 = full2.view(-1, *[1] * radius2.dim()) + radius2
    return torch.round(radius2.sqrt()).long()


def fourier_shell_correlation(first: Tensor, second: Tensor) -> Tensor:
    """Correlation of two maps or images per shell.

    ``FSC(s) = Re sum F1 conj(F2) / sqrt(sum |F1|^2 sum |F2|^2)`` over the coefficients whose
    rounded radius is s.

    Parameters
    ----------
    first, second
        Equal cubes or squares of even side n.

    Returns
    -------
    (n // 2 + 1,) correlations, shell 0 (DC) first; 0 where a shell holds no power.

    Raises
    ------
    ValueError
        When shapes differ, are not cubic, or n is odd.
    """
    if first.shape != second.shape or len(set(first.shape)) != 1 or first.shape[0] % 2:
        raise ValueError(
            f"need two equal, even cubes or squares, got {first.shape} and {second.shape}"
        )
    n = first.shape[0]
    f1, f2 = (torch.fft.rfftn(v.to(torch.float64)) for v in (first, second))
    shell = shell_numbers(n, first.dim()).flatten()
    # every column but the first and the last of the half-plane stands for two
    weight = torch.full((n // 2 + 1,), 2.0, dtype=torch.float64)
    weight[0] = weight[-1] = 1.0

    def per_shell(values: Tensor) -> Tensor:
        return torch.bincount(shell, (values * weight).flatten())[: n // 2 + 1]

    cross = per_shell((f1 * f2.conj()).real)
    power = per_shell(f1.abs() ** 2) * per_shell(f2.abs() ** 2)
    return torch.where(power > 0, cross / power.clamp_min(1e-300).sqrt(), torch.zeros_like(cross))


def resolution_A(fsc: Tensor, pixel_size_A: float, threshold: float = 0.143) -> float:
    """Resolution where the correlation first falls below ``threshold``; Nyquist if it never does.

    Between shells the crossing is interpolated.
    """
    n = 2 * (len(fsc) - 1)
    below = torch.nonzero(fsc[1:] < threshold).flatten()
    if len(below) == 0:
        return 2 * pixel_size_A
    shell = int(below[0]) + 1
    high, low = float(fsc[shell - 1]), float(fsc[shell])
    part = (high - threshold) / (high - low) if shell > 1 and high > low else 1.0
    return n * pixel_size_A / max(shell - 1 + part, 1e-6)
