"""Maps against maps: per-image resolution of decoded maps, and where two maps differ."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cryoscope.physics.fsc import resolution_A, shell_numbers
from cryoscope.physics.map_fsc import masked_fsc

#: The correlation of a decoded map with the truth that is called its resolution (thesis, ch. 3).
AGREEMENT = 0.5


def per_image_fsc(
    decoded: Iterable[Tensor], truth: Iterable[Tensor], mask: Tensor | None = None
) -> NDArray[np.float64]:
    """Correlation of the map decoded for each of B images with the map it was made from.

    Parameters
    ----------
    decoded, truth
        B maps each (n, n, n), in the same order; they are taken one after the other, so that
        generators never hold more than one.
    mask
        (n, n, n) for all of them.

    Returns
    -------
    (B, n // 2 + 1) per shell, DC first.

    Raises
    ------
    ValueError
        When there are more of one than of the other.
    """
    pairs = zip(decoded, truth, strict=True)
    curves = [masked_fsc(first, second, mask).numpy() for first, second in pairs]
    return np.stack(curves) if curves else np.zeros((0, 0))


def per_image_resolution_A(
    curves: NDArray[np.floating], voxel_size_A: float, threshold: float = AGREEMENT
) -> NDArray[np.float64]:
    """(B,) where each of (B, s) correlations first falls below ``threshold``, in A."""
    found = [resolution_A(torch.as_tensor(curve), voxel_size_A, threshold) for curve in curves]
    return np.array(found, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class MapDifference:
    """Where one map is denser than another.

    Attributes
    ----------
    sigma_units
        (n, n, n) first minus second over ``sigma``, times the mask.
    sigma
        Spread of the difference, in the units of the first map.
    """

    sigma_units: Tensor
    sigma: float


def map_difference(
    first: Tensor, second: Tensor, mask: Tensor, *, match_up_to: int = 0
) -> MapDifference:
    """Local difference of two maps in units of its own spread.

    The amplitudes of the second map are scaled to those of the first shell by shell, within the
    mask, so that neither a B-factor nor a scale shows; shells that one of the maps does not have
    are left out of both. Maps are in the same frame.

    Parameters
    ----------
    first, second, mask
        (n, n, n); n even.
    match_up_to
        Last shell that is compared (the coarser of the two resolutions); 0: all.

    Returns
    -------
    The difference; its spread is 1.4826 times the median absolute deviation within the mask, which
    a few places that do differ hardly move.
    """
    n = first.shape[0]
    inside = mask > 0.5
    if not bool(inside.any()):
        raise ValueError("the mask is empty")
    spectra = [torch.fft.rfftn(_centred(one, mask)) for one in (first, second)]
    shell = shell_numbers(n)
    power = [torch.bincount(shell.flatten(), s.abs().flatten().double() ** 2) for s in spectra]
    known = (power[0] > 1e-12 * power[0].max()) & (power[1] > 1e-12 * power[1].max())
    known[(match_up_to or n // 2) + 1 :] = False
    ratio = (power[0] / power[1].clamp_min(1e-300)).sqrt()
    scale = torch.where(known, ratio, torch.zeros_like(ratio)).to(first.dtype)[shell]
    kept = known.to(first.dtype)[shell]
    apart = torch.fft.irfftn(spectra[0] * kept - spectra[1] * scale, s=(n, n, n))
    values = apart[inside]
    sigma = 1.4826 * float((values - values.median()).abs().median())
    # equal maps differ by rounding, which is no difference
    rounding = 1e-6 * float(first.abs().max())
    units = apart * mask / sigma if sigma > rounding else torch.zeros_like(apart)
    return MapDifference(units, sigma)


def _centred(volume: Tensor, mask: Tensor) -> Tensor:
    """The map about its mean within the mask, times the mask."""
    return (volume - (volume * mask).sum() / mask.sum()) * mask
