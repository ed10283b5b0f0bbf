"""Data terms: what it costs a model not to look like the image."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from cryoscope.models.likelihood import MatchedData, overlap_and_power
from cryoscope.models.whole_batch import batch_sum
from cryoscope.physics.fourier import Band

#: cryoSTAR divides its correlation by the pixels in a disc of this share of the half-box.
CRYOSTAR_MASK_RADIUS = 0.9375


class DataTerm(nn.Module):
    """Cost of a projection given the image, by the overlap and the powers of the two.

    With ``s`` the intensity of the model, ``<X, Y>`` the overlap, ``<X, X>`` and ``<Y, Y>`` the
    powers, all over the band and weighted by the noise (Parseval: as over pixels):

    - ``likelihood``: minus the Gaussian log-likelihood gained over an empty image, in nats,
      ``s^2 <X, X> / 2 - s <X, Y>``;
    - ``l2-sum``: ``|Y - s X|^2`` over all pixels (Cryofold eq. 3); ``l2-mean``: its mean (Prins,
      Nashed);
    - ``ncc``: minus ``<X, Y> / sqrt(<X, X> <Y, Y>)`` times pixels over pixels in the mask, as in
      cryoSTAR's code, which does not subtract means (there is no DC in the band, so that none
      are left) and takes deviations over the whole box. Its pull is about ``N sqrt(SNR)`` weaker
      than a likelihood's.

    The intensity is the least-squares one of each image (not below zero), one learned for all
    images (the two scalars of Prins and the log-scale of Nashed; an offset has nothing to act on
    without DC), fixed as it fits the first images, or the model's own, which stays as it is.

    Attributes
    ----------
    log_scale
        Logarithm of the common intensity: a parameter where it is learned, a buffer where fixed.
    """

    log_scale: Tensor
    calibrated: Tensor

    def __init__(self, settings: Any, band: Band) -> None:
        super().__init__()
        self.kind, self.scale = str(settings.data), str(settings.scale)
        self.pixels = band.box_size_px**2
        first = torch.zeros(())
        if self.scale == "global":
            self.log_scale = nn.Parameter(first)
        else:
            self.register_buffer("log_scale", first)
        self.register_buffer("calibrated", torch.zeros((), dtype=torch.bool))

    def forward(self, projection: Tensor, data: MatchedData) -> Tensor:
        """(B,) costs of (B, m) projections, before shift and CTF."""
        overlap, power = overlap_and_power(projection, data)
        if self.kind == "ncc":
            correlation = overlap / torch.sqrt(power * data.total.clamp_min(1e-20))
            return -correlation * 4 / (math.pi * CRYOSTAR_MASK_RADIUS**2)
        if self.scale == "image":
            gain = 0.5 * overlap.clamp_min(0) ** 2 / power
        else:
            scale = self.log_scale.exp()
            gain = scale * overlap - 0.5 * scale**2 * power
        if self.kind == "likelihood":
            return -gain
        square = data.total - 2 * gain
        return square / self.pixels if self.kind == "l2-mean" else square

    @torch.no_grad()
    def calibrate(self, projection: Tensor, data: MatchedData) -> None:
        """Begin at the common intensity that fits these images best; once, before training."""
        if self.scale in ("image", "model") or bool(self.calibrated):
            return
        overlap, power = overlap_and_power(projection, data)
        best = (batch_sum(overlap) / batch_sum(power)).clamp_min(1e-6)
        self.log_scale.copy_(best.log())
        self.calibrated.fill_(True)
