"""What can be learned of the shape of beads and atoms: a common blur, and factors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

#: Bounds of the learned B-factor in A^2.
LEAST_B_A2, MOST_B_A2 = 1.0, 2000.0


class BlurredShape(nn.Module):
    """One B-factor common to all, learned or as given.

    A learned one is at least ``LEAST_B_A2``; one that is not learned may be 0: no blur at all.

    Attributes
    ----------
    log_b_factor
        Logarithm of the B-factor in A^2: a parameter where it is learned, else a constant, which
        is minus infinity for none.
    """

    log_b_factor: Tensor

    def __init__(self, settings: Any) -> None:
        super().__init__()
        self.learn_blur = bool(settings.learn_blur)
        if self.learn_blur:
            first = math.log(max(settings.b_factor_A2, LEAST_B_A2))
            self.log_b_factor = nn.Parameter(torch.tensor(first))
        else:
            given = torch.tensor(float(settings.b_factor_A2)).log()
            self.register_buffer("log_b_factor", given, persistent=False)

    @property
    def b_factor_A2(self) -> Tensor:
        """() the B-factor of ``exp(-B k^2 / 4)``."""
        value = self.log_b_factor.exp()
        return value.clamp(LEAST_B_A2, MOST_B_A2) if self.learn_blur else value


class LearnedFactor(nn.Module):
    """A positive factor of every bead: none, one for all, one per type, or one per bead.

    Parameters
    ----------
    kind
        ``none`` (it stays as it is), ``tied``, ``type`` or ``bead``.
    kind_of
        (N,) type of every bead.
    types
        Number of types.
    first
        What the factor is at first.
    most_log
        Bound of the factor's logarithm about its first value.

    Attributes
    ----------
    log_factor
        Logarithm of the factor over its first value, 0 at first.
    """

    log_factor: Tensor
    kind_of: Tensor

    def __init__(
        self,
        kind: str,
        kind_of: NDArray[np.int64],
        types: int,
        *,
        first: float = 1.0,
        most_log: float = math.inf,
    ) -> None:
        super().__init__()
        self.kind, self.first, self.most_log = kind, float(first), most_log
        size = {"none": 1, "tied": 1, "type": types, "bead": len(kind_of)}[kind]
        if kind == "none":
            self.register_buffer("log_factor", torch.zeros(size), persistent=False)
        else:
            self.log_factor = nn.Parameter(torch.zeros(size))
        self.register_buffer("kind_of", torch.as_tensor(kind_of), persistent=False)

    def forward(self) -> Tensor:
        """(N,) factors, or (1,) where they are all the same."""
        logarithm = self.log_factor.clamp(-self.most_log, self.most_log)
        factor: Tensor = self.first * logarithm.exp()
        return factor[self.kind_of] if self.kind == "type" else factor
