"""The data term: Gaussian log-likelihood with per-shell noise and the best scale per image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cryoscope.physics.ctf import CTFTable, ctf
from cryoscope.physics.fourier import Band
from cryoscope.physics.imaging import shift_phase


@dataclass(frozen=True, eq=False)
class MatchedData:
    """Images folded with what the microscope did, so that a model is compared without shift or CTF.

    Attributes
    ----------
    matched
        (B, m) complex ``w CTF conj(shift) Y / noise``: un-shifted, CTF-weighted, whitened data.
    power
        (B, m) ``w CTF^2 / noise``: weight of the model's power.
    total
        (B,) ``sum w |Y|^2 / noise``: power of the image itself.
    """

    matched: Tensor
    power: Tensor
    total: Tensor


def match_data(
    coefficients: Tensor,
    table: CTFTable,
    shift_A: Tensor,
    band: Band,
    noise_power: Tensor,
    envelope_A2: float = 0.0,
) -> MatchedData:
    """Fold images with the CTF, the shift and the noise; no gradient flows through here.

    Parameters
    ----------
    coefficients
        (B, m) images in ``band``.
    table, shift_A
        CTF and (B, 2) shifts.
    noise_power
        (m,) noise variance of each coefficient.
    envelope_A2
        B-factor of an envelope on the CTF, ``exp(-B k^2 / 4)``.
    """
    value = ctf(table, band.kx_per_A, band.ky_per_A)
    if envelope_A2 > 0:
        value = value * torch.exp(-0.25 * envelope_A2 * band.k_per_A**2)
    whitening = band.weight / noise_power
    weighted = value * whitening
    back = shift_phase(-shift_A, band.kx_per_A, band.ky_per_A)
    total = (torch.view_as_real(coefficients).square().sum(-1) * whitening).sum(1)
    return MatchedData(coefficients * back * weighted, weighted * value, total)


def log_likelihood_gain(projection: Tensor, data: MatchedData) -> Tensor:
    """(B,) nats by which each image is better explained by its projection than by nothing.

    With the least-squares scale ``a = <X, Y> / <X, X>`` (not below zero) the log-likelihood
    rises by ``<X, Y>^2 / (2 <X, X>)`` over that of an empty image.

    Parameters
    ----------
    projection
        (B, m) complex model projections, before shift and CTF.
    """
    overlap, power = overlap_and_power(projection, data)
    return 0.5 * overlap.clamp_min(0) ** 2 / power


def image_scale(projection: Tensor, data: MatchedData) -> Tensor:
    """(B,) least-squares scale of each projection; its sign tells the contrast of the data."""
    overlap, power = overlap_and_power(projection, data)
    return overlap / power


def overlap_and_power(projection: Tensor, data: MatchedData) -> tuple[Tensor, Tensor]:
    """(B,) ``<X, Y>`` and ``<X, X>``, the latter above zero."""
    real = torch.view_as_real(projection)
    overlap = (real * torch.view_as_real(data.matched)).sum((1, 2))
    return overlap, ((real**2).sum(-1) * data.power).sum(1).clamp_min(1e-20)
