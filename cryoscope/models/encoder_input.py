"""What an encoder sees of a batch, as Fourier coefficients and as pixels."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from cryoscope.models.interfaces import Batch
from cryoscope.models.likelihood import MatchedData, match_data
from cryoscope.physics.fourier import Band

#: Encoders that see the CTF-weighted image unless told otherwise; the others the phase-flipped one.
SEES_WEIGHTED = ("bead-view", "fourier-mlp", "none")


def resolved_input(settings: Any) -> str:
    """``"weighted"``, ``"phase-flipped"`` or ``"raw"``: the input with "auto" resolved.

    Parameters
    ----------
    settings
        A ``training.config.EncoderConfig``.
    """
    if settings.input != "auto":
        return str(settings.input)
    return "weighted" if settings.kind in SEES_WEIGHTED else "phase-flipped"


def encoder_input(
    batch: Batch,
    band: Band,
    noise_power: Tensor,
    settings: Any,
    *,
    matched: MatchedData | None = None,
) -> Tensor:
    """(B, m) complex coefficients that the encoder sees; no gradient is needed through here.

    - ``weighted``: ``w CTF conj(shift) Y / noise``, that is ``MatchedData.matched``;
    - ``phase-flipped``: ``sign(CTF) conj(shift) Y / sqrt(noise)``, centred and of one contrast,
      white noise of variance 1 per coefficient;
    - ``raw``: ``Y / sqrt(noise)``, neither moved nor corrected, as all published encoders get it,
      but independent of the scale of the file (algorithms of the literature train on pixels as they
      are stored).

    Parameters
    ----------
    batch
        Images in ``band``.
    noise_power
        (m,) noise variance of each coefficient.
    settings
        A ``training.config.EncoderConfig``.
    matched
        The same batch already folded with the same ``noise_power`` (and the envelope of the CTF, if
        any), so that the CTF is not computed again. The phase-flipped image follows from it:
        ``matched / sqrt(w power)``.
    """
    kind = resolved_input(settings)
    if kind == "raw":
        return batch.coefficients * torch.rsqrt(noise_power)
    if matched is None:
        matched = match_data(batch.coefficients, batch.ctf, batch.shift_A, band, noise_power)
    if kind == "weighted":
        return matched.matched
    return matched.matched * torch.rsqrt((band.weight * matched.power).clamp_min(1e-36))


def smallest_band(band: Band, least_px: int = 0) -> Band:
    """The same coefficients in the smallest even box that holds them without aliasing.

    Fourier cropping: nothing is lost, only the pixels that carry no information of their own.

    Parameters
    ----------
    band
        Coefficients in their box of n px.
    least_px
        The new box is no smaller than this, and never larger than n.
    """
    n = band.box_size_px
    columns = n // 2 + 1
    column = band.index % columns
    row = band.index // columns
    ky = torch.where(row < n // 2, row, row - n)
    highest = int(torch.maximum(column.max(), ky.abs().max()))
    box_size_px = min(n, max(2 * (highest + 1), least_px + least_px % 2))
    return replace(
        band,
        box_size_px=box_size_px,
        pixel_size_A=band.pixel_size_A * n / box_size_px,
        index=(ky % box_size_px) * (box_size_px // 2 + 1) + column,
    )


class BandImages:
    """Coefficients that an encoder sees -> pixels at the band-limit, noise of variance 1.

    The box is the smallest that holds the band. Whitened coefficients (phase-flipped, raw) come out
    with noise of variance 1 per pixel whatever the band. CTF-weighted ones have no such scale:
    their images are divided by their own standard deviation.

    Parameters
    ----------
    band
        The coefficients images come in.
    weighted
        The input is ``weighted``.
    least_px
        Smallest box that the network can take.
    """

    def __init__(self, band: Band, *, weighted: bool, least_px: int = 0) -> None:
        self.band, self.weighted = smallest_band(band, least_px), weighted
        self.box_size_px = self.band.box_size_px
        # n^2 pixels share the variance of as many coefficients as the whole plane has in the band.
        self.scale = self.box_size_px / math.sqrt(float(band.weight.sum()))

    def __call__(self, seen: Tensor) -> Tensor:
        """(B, m) coefficients -> (B, 1, n, n) images."""
        if self.weighted:
            images = self.band.embed(seen / self.band.weight)
            deviation = images.square().mean((1, 2), keepdim=True).sqrt()
            return (images / deviation.clamp_min(1e-20)).unsqueeze(1)
        return (self.band.embed(seen) * self.scale).unsqueeze(1)
