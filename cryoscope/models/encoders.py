"""Networks from an image to the parameters of its latent posterior."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


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
    coefficient_count
        Complex coefficients per image.
    widths
        Hidden widths.
    output_count
        Numbers per image that come out.
    """

    def __init__(self, coefficient_count: int, widths: Sequence[int], output_count: int) -> None:
        super().__init__()
        self.net = mlp([2 * coefficient_count, *widths, output_count])

    def forward(self, coefficients: Tensor) -> Tensor:
        """(B, m) complex -> (B, output_count)."""
        result: Tensor = self.net(torch.view_as_real(coefficients).flatten(1))
        return result
