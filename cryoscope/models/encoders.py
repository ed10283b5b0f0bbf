"""Networks from an image to the parameters of its latent posterior."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from cryoscope.models.coarse_grain import Beads
from cryoscope.physics.fourier import Band
from cryoscope.physics.imaging import rotate_to_image
from cryoscope.physics.projectors import gather_at_beads


def mlp(sizes: Sequence[int], activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """Linear layers of the given sizes with activations between them, none after the last."""
    layers: list[nn.Module] = []
    for i, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        layers.append(nn.Linear(fan_in, fan_out))
        if i < len(sizes) - 2:
            layers.append(activation())
    return nn.Sequential(*layers)


class FourierMLPEncoder(nn.Module):
    """MLP on Fourier coefficients, real and imaginary parts side by side.

    A linear first layer on coefficients up to a resolution is one on the low-passed image, with far
    fewer inputs and without an inverse transform.

    Parameters
    ----------
    band
        The coefficients images come in.
    resolution_A
        Finest resolution looked at; 0 is all of the band.
    widths, output_count
        Sizes of the network.
    """

    seen: Tensor

    def __init__(
        self, band: Band, resolution_A: float, widths: Sequence[int], output_count: int
    ) -> None:
        super().__init__()
        limit = 1 / resolution_A if resolution_A > 0 else math.inf
        seen = torch.nonzero(band.k_per_A <= limit).squeeze(1)
        self.register_buffer("seen", seen, persistent=False)
        self.net = mlp([2 * len(seen), *widths, output_count])

    def forward(self, matched: Tensor, rotation: Tensor) -> Tensor:
        """(B, m) matched coefficients -> (B, output_count); the rotation is not looked at."""
        result: Tensor = self.net(torch.view_as_real(matched[:, self.seen]).flatten(1))
        return result


class BeadViewEncoder(nn.Module):
    """MLP on what the image shows at the place of every bead of the reference, pose known.

    The matched image (un-shifted, CTF-weighted, whitened) is averaged in a Gaussian window at each
    projected bead; its slope there is turned back into the frame of the map. A bead that has moved
    away leaves a weak average and a slope that points after it, from whatever side it is seen, so
    that the network need not learn what every view of every state looks like.

    Parameters
    ----------
    centres_A
        (N, 3) beads of the reference.
    band
        The coefficients images come in.
    windows_A
        Widths of the Gaussian windows.
    widths, output_count
        Sizes of the network.
    """

    centres_A: Tensor

    def __init__(
        self,
        centres_A: Tensor,
        band: Band,
        windows_A: Sequence[float],
        widths: Sequence[int],
        output_count: int,
    ) -> None:
        super().__init__()
        self.band, self.windows_A = band, tuple(windows_A)
        self.register_buffer("centres_A", centres_A.float(), persistent=False)
        count = len(centres_A)
        self.value_norm = nn.LayerNorm(count * len(self.windows_A))
        self.slope_norm = nn.LayerNorm(3 * count * len(self.windows_A))
        self.net = mlp([4 * count * len(self.windows_A), *widths, output_count])

    def forward(self, matched: Tensor, rotation: Tensor) -> Tensor:
        """(B, m) matched coefficients and (B, 3, 3) rotations -> (B, output_count)."""
        with torch.no_grad():
            values, slopes = self.views(matched, rotation)
        features = [self.value_norm(values.flatten(1)), self.slope_norm(slopes.flatten(1))]
        result: Tensor = self.net(torch.cat(features, dim=1))
        return result

    def views(self, matched: Tensor, rotation: Tensor) -> tuple[Tensor, Tensor]:
        """(B, windows, N) averages and (B, windows, N, 3) slopes in the frame of the map."""
        images = self.band.embed(matched / self.band.weight)
        xy_A = rotate_to_image(self.centres_A.expand(len(rotation), -1, -1), rotation)
        values, slopes = [], []
        for window_A in self.windows_A:
            value, slope = gather_at_beads(images, xy_A, window_A, self.band.pixel_size_A)
            values.append(value)
            slopes.append(slope @ rotation[:, :2])
        return torch.stack(values, dim=1), torch.stack(slopes, dim=1)


def make_encoder(beads: Beads, band: Band, settings: Any, output_count: int) -> nn.Module:
    """The encoder that ``settings`` (``training.config.EncoderConfig``) asks for."""
    if settings.kind == "fourier-mlp":
        return FourierMLPEncoder(band, settings.resolution_A, settings.widths, output_count)
    centres_A = torch.as_tensor(beads.centre_A)
    return BeadViewEncoder(centres_A, band, settings.windows_A, settings.widths, output_count)
