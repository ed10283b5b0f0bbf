"""The neural volume: a network from spatial frequency and latent to a Fourier coefficient.

Zhong, Bepler, Berger & Davis, Nature Methods 18, 176 (2021), and Zhong's thesis, chapters 3 and 4.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from cryoscope.data import InputError
from cryoscope.models.volume_network import Plan, network_outputs


def encoding_waves(
    encoding: str, box_size_px: int, count: int, sigma: float, generator: torch.Generator | None
) -> Tensor:
    """(F, 3) waves, in radians per cycle/px, that a frequency is described by.

    With h half the box and n = ``count``:

    - ``gaussian``: 3 n waves of random direction, every component normal with deviation
      ``sigma h`` (Tancik et al. 2020);
    - ``geometric-low``: along each axis n waves ``h (1 / h)^(i / (n - 1))``, from h to 1;
    - ``geometric``: ``2 pi h (1 / h)^(i / (n - 1))``, from 2 pi h to 2 pi, as first published;
    - ``linear-low``: 1, 2, ... n along each axis;
    - ``none``: no waves; the network sees the frequency itself.

    Parameters
    ----------
    encoding
        One of the above.
    box_size_px
        Training box.
    count
        Waves per axis; 0 = h.
    sigma, generator
        Spread and source of the random ones.
    """
    half = box_size_px // 2
    count = count or half
    if encoding == "none":
        return torch.zeros(0, 3)
    if encoding == "gaussian":
        return torch.randn(3 * count, 3, generator=generator) * (sigma * half)
    if encoding == "linear-low":
        lengths = torch.arange(1, count + 1, dtype=torch.float32)
    else:
        steps = torch.arange(count) / max(count - 1, 1)
        lengths = half * (1.0 / half) ** steps
        if encoding == "geometric":
            lengths = lengths * (2 * math.pi)
    axes = torch.eye(3)[:, None, :] * lengths[None, :, None]
    return axes.flatten(0, 1)


class VolumeField(nn.Module):
    """Fourier coefficients of a map that depends on a latent.

    ``h = relu(W [features(k), z] + b)``; for each further width ``h = relu(W h + b + h)`` (the
    last ``h`` only with ``settings.residual`` and between equal widths); ``W h + b`` is real and
    imaginary part (``domain`` fourier) or a Hartley coefficient, Re - Im. Columns of the first
    weight: sines of all waves, cosines of all waves, latent. The latent is the same at all points
    of an image, so that its share of the first layer is computed once per image.

    In the Fourier domain only one half of space (z < 0, and on its border y < 0, then x < 0) is
    ever evaluated and the other is its conjugate; in the Hartley domain a coefficient needs the
    values at k and -k. Either way F(-k) = conj F(k).

    Parameters
    ----------
    box_size_px
        Training box; sets the waves.
    latent_dim
        Dimensions d of the latent.
    settings
        A ``training.config.VolumeConfig``.

    Attributes
    ----------
    waves
        (F, 3) in radians per cycle/px.
    amplitude
        Factor of the output: the unit in which the network is trained.

    Raises
    ------
    InputError
        When there are no hidden layers.
    """

    waves: Tensor
    amplitude: Tensor

    def __init__(self, box_size_px: int, latent_dim: int, settings: Any) -> None:
        super().__init__()
        if not settings.widths:
            raise InputError(
                "the volume network has no hidden layer",
                cure="Give volume.widths at least one width",
            )
        self.box_size_px, self.latent_dim = box_size_px, latent_dim
        self.domain, self.precision = str(settings.domain), str(settings.precision)
        waves = encoding_waves(
            settings.encoding, box_size_px, settings.encoding_count, settings.encoding_sigma, None
        )
        self.register_buffer("waves", waves)
        self.register_buffer("amplitude", torch.ones(()))
        widths: Sequence[int] = settings.widths
        self.residual = tuple(settings.residual and a == b for a, b in pairwise(widths))
        self.feature_count = 2 * len(waves) or 3
        self.first = nn.Linear(self.feature_count + latent_dim, widths[0])
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.last = nn.Linear(widths[-1], 2 if self.domain == "fourier" else 1)

    def forward(self, k: Tensor, z: Tensor) -> Tensor:
        """As :meth:`coefficients`."""
        return self.coefficients(k, z)

    def coefficients(self, k: Tensor, z: Tensor) -> Tensor:
        """(B, m) complex coefficients.

        Parameters
        ----------
        k
            (B, m, 3) frequencies xyz in cycles/px of the training box, from -0.5 to 0.5; no
            gradient flows to them.
        z
            (B, d) latents.
        """
        k = k.detach()
        if self.domain == "hartley":
            values = self.amplitude * self.outputs(torch.cat([k, -k], dim=1), z)[..., 0]
            here, opposite = values.chunk(2, dim=1)
            return torch.complex(0.5 * (here + opposite), 0.5 * (opposite - here))
        x, y, depth = k.permute(2, 0, 1).contiguous()
        first = torch.where(depth == 0, torch.where(y == 0, x, y), depth)
        sign = 1.0 - 2.0 * (first > 0).to(k.dtype)
        values = self.outputs(k * sign[..., None], z)
        sign = sign * (first != 0)  # F(0) is real
        factor = self.amplitude * torch.stack([torch.ones_like(sign), sign], dim=-1)
        return torch.view_as_complex(values * factor)

    def outputs(self, k: Tensor, z: Tensor) -> Tensor:
        """(B, m, 2 or 1) what the network itself gives, without symmetry or amplitude."""
        weight = self.first.weight
        offset = nn.functional.linear(z, weight[:, self.feature_count :], self.first.bias)
        parameters = [weight[:, : self.feature_count]]
        for layer in (*self.hidden, self.last):
            parameters += [layer.weight, layer.bias]
        low = self.precision == "bfloat16" and self.training
        plan = Plan(torch.bfloat16 if low else k.dtype, self.residual, torch.is_grad_enabled())
        return network_outputs(k, self.waves, offset, plan, parameters)
