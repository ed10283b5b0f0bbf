"""The multi-layer perceptron that encoders, heads and deformers share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "silu": functional.silu,
    "elu": functional.elu,
}


class HiddenLayers(nn.Module):
    """Linear layers, each followed by its activation.

    Parameters
    ----------
    sizes
        Width of the input and of every layer; the last one is that of the output. One number alone
        is no layer at all: the input is handed on.
    activation
        ``"relu"``, ``"silu"`` or ``"elu"``.
    residual
        Add the input of a layer to its activated output wherever their widths are equal.

    Raises
    ------
    ValueError
        For an unknown activation.
    """

    def __init__(
        self, sizes: Sequence[int], activation: str = "relu", residual: bool = False
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(f"unknown activation {activation!r}; have {sorted(ACTIVATIONS)}")
        self.activation, self.residual = ACTIVATIONS[activation], residual
        self.layers = nn.ModuleList(_linear(fan_in, out) for fan_in, out in pairwise(sizes))
        self.output_count = int(sizes[-1])

    def forward(self, x: Tensor) -> Tensor:
        """(..., sizes[0]) -> (..., sizes[-1]), activated."""
        for layer in self.layers:
            result = self.activation(layer(x))
            x = x + result if self.residual and result.shape[-1] == x.shape[-1] else result
        return x


class Encoder(nn.Module, ABC):
    """From what is seen of an image to features, in two steps.

    The first depends on the image alone, the second is learned: what was looked at can be kept.

    Attributes
    ----------
    feature_count
        Features of an image.
    in_map_frame
        Whether what it finds is in the frame of the map, not in that of the image.
    """

    feature_count: int
    in_map_frame = False

    @abstractmethod
    def look(self, seen: Tensor, rotation: Tensor) -> Tensor:
        """(B, m) coefficients and (B, 3, 3) rotations -> (B, ...), without parameters."""

    @abstractmethod
    def read(self, looked: Tensor) -> Tensor:
        """What was looked at -> (B, feature_count) features, activated."""

    def forward(self, seen: Tensor, rotation: Tensor) -> Tensor:
        """(B, m) coefficients and (B, 3, 3) rotations -> (B, feature_count)."""
        with torch.no_grad():
            looked = self.look(seen, rotation)
        return self.read(looked)


class MLP(nn.Module):
    """Hidden layers and a plain linear layer, reachable as :attr:`last`."""

    def __init__(
        self, sizes: Sequence[int], activation: str = "relu", residual: bool = False
    ) -> None:
        super().__init__()
        if len(sizes) < 2:
            raise ValueError("a network needs the widths of its input and its output")
        self.hidden = HiddenLayers(sizes[:-1], activation, residual)
        self.last = _linear(sizes[-2], sizes[-1])

    def forward(self, x: Tensor) -> Tensor:
        """(..., sizes[0]) -> (..., sizes[-1]), not activated."""
        result: Tensor = self.last(self.hidden(x))
        return result


def mlp(sizes: Sequence[int], activation: str = "relu", residual: bool = False) -> MLP:
    """Linear layers of the given sizes with activations between them, none after the last.

    Parameters
    ----------
    sizes
        Widths of the input, the hidden layers and the output.
    activation
        ``"relu"``, ``"silu"`` or ``"elu"``.
    residual
        Add the input of a hidden layer to its output wherever their widths are equal.

    Raises
    ------
    ValueError
        For an unknown activation or fewer than two sizes.
    """
    return MLP(sizes, activation, residual)


def _linear(fan_in: int, fan_out: int) -> nn.Linear:
    """A linear layer; of no inputs its bias alone, which torch would warn of."""
    if fan_in > 0:
        return nn.Linear(fan_in, fan_out)
    layer = nn.Linear(1, fan_out)
    layer.in_features, layer.weight = 0, nn.Parameter(torch.empty(fan_out, 0))
    nn.init.zeros_(layer.bias)
    return layer
