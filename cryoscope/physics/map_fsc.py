"""Fourier shell correlation of half-maps inside a mask, corrected for the mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cryoscope.physics.fsc import fourier_shell_correlation, resolution_A, shell_numbers

#: Phases are made random from the first shell on where the unmasked correlation is below this.
RANDOMISE_BELOW = 0.8
#: Shells passed over next to where the random phases begin, which the mask blurs.
_MARGIN_SHELLS = 2
#: The correlation of half-maps that is called resolution.
THRESHOLD = 0.143


@dataclass(frozen=True, eq=False)
class FSCCurves:
    """Correlations of two half-maps per shell, DC first.

    Attributes
    ----------
    frequency_per_A
        (s,) radius of every shell.
    unmasked, masked
        (s,) correlation of the maps, and of the maps times the mask.
    randomised
        (s,) correlation of the masked maps after their phases beyond ``randomised_from`` were made
        random: what the mask alone brings about.
    corrected
        (s,) ``(masked - randomised) / (1 - randomised)`` beyond that shell, ``masked`` up to it.
    randomised_from
        Number of the shell.
    resolution_A
        Where ``corrected`` first falls below 0.143; Nyquist where it never does.
    """

    frequency_per_A: NDArray[np.float64]
    unmasked: NDArray[np.float64]
    masked: NDArray[np.float64]
    randomised: NDArray[np.float64]
    corrected: NDArray[np.float64]
    randomised_from: int
    resolution_A: float


def masked_fsc(first: Tensor, second: Tensor, mask: Tensor | None = None) -> Tensor:
    """(n // 2 + 1,) correlation of two maps times a mask.

    The mean of a map where the mask is 0 is taken away first: a level of the solvent is no signal,
    but the edge of the mask would make it one.
    """
    if mask is None:
        return fourier_shell_correlation(first, second)
    return fourier_shell_correlation(_masked(first, mask), _masked(second, mask))


def half_map_fsc(
    first: Tensor, second: Tensor, mask: Tensor, pixel_size_A: float, *, seed: int = 0
) -> FSCCurves:
    """Masked correlation of half-maps, corrected by high-resolution phase randomisation.

    Chen et al., Ultramicroscopy 135 (2013), 24: where phases are random, all correlation of the
    masked maps comes from the mask, ``FSC_n``; the true one is ``(FSC_t - FSC_n) / (1 - FSC_n)``.

    Parameters
    ----------
    first, second, mask
        (n, n, n); n even.
    pixel_size_A
        Voxel size.
    seed
        Of the random phases.
    """
    unmasked = fourier_shell_correlation(first, second)
    masked = masked_fsc(first, second, mask)
    low = torch.nonzero(unmasked[1:] < RANDOMISE_BELOW).flatten()
    begin = int(low[0]) + 1 if len(low) else len(unmasked)
    generator = torch.Generator().manual_seed(seed)
    random = [_random_phases(half, begin, generator) for half in (first, second)]
    noise = masked_fsc(random[0], random[1], mask) if begin < len(masked) else masked.clone()
    corrected = masked.clone()
    beyond = slice(begin + _MARGIN_SHELLS, None)
    # a mask so tight that random phases correlate fully says nothing about the maps
    usable = noise[beyond] < 0.999
    true = (masked[beyond] - noise[beyond]) / (1 - noise[beyond]).clamp_min(1e-3)
    corrected[beyond] = torch.where(usable, true, torch.zeros_like(true)).clamp(-1, 1)
    width_A = first.shape[0] * pixel_size_A
    return FSCCurves(
        frequency_per_A=np.arange(len(masked)) / width_A,
        unmasked=unmasked.numpy(),
        masked=masked.numpy(),
        randomised=noise.numpy(),
        corrected=corrected.numpy(),
        randomised_from=min(begin, len(masked) - 1),
        resolution_A=resolution_A(corrected, pixel_size_A, THRESHOLD),
    )


def _masked(volume: Tensor, mask: Tensor) -> Tensor:
    solvent = volume[mask < 1e-3]
    level = solvent.double().mean().to(volume.dtype) if len(solvent) else 0.0
    return (volume - level) * mask


def _random_phases(volume: Tensor, begin: int, generator: torch.Generator) -> Tensor:
    """The map with the phases of shells ``begin`` and beyond made random, amplitudes kept."""
    n = volume.shape[0]
    spectrum = torch.fft.rfftn(volume)
    # the phases of a real map of noise have the symmetry that those of a real map need
    noise = torch.fft.rfftn(torch.randn(volume.shape, generator=generator))
    phase = noise / noise.abs().clamp_min(1e-20)
    random = torch.where(shell_numbers(n) >= begin, spectrum.abs() * phase, spectrum)
    return torch.fft.irfftn(random, s=(n, n, n))
