"""Displacement as a field: one small network asked at the place of every bead."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from cryoscope.models.latent_networks import LatentNetwork
from cryoscope.models.networks import HiddenLayers

#: Octaves of the waves that describe a place: from the molecule's diameter down.
OCTAVES = 10


class FieldMLP(nn.Module):
    """(place of a bead at rest, z) -> its displacement (DynaMight: Schwab et al. 2024).

    Neighbours move alike because the field is smooth, and the number of parameters does not grow
    with that of the beads. The last layer starts at zero.

    Parameters
    ----------
    reference_A
        (N, 3) beads at rest.
    network
        Its shape; as published eight layers of 32 with ELU.
    """

    waves: Tensor

    def __init__(
        self,
        reference_A: Tensor,
        network: LatentNetwork,
    ) -> None:
        super().__init__()
        away_A = reference_A.double() - reference_A.double().mean(0)
        radius_A = float(away_A.norm(dim=1).max().clamp_min(1.0))
        turns = away_A[:, :, None] / radius_A * 2.0 ** torch.arange(OCTAVES) * (math.pi / 2)
        waves = torch.cat([turns.sin(), turns.cos()], dim=2).flatten(1).float()
        self.register_buffer("waves", waves, persistent=False)
        first = network.widths[0] if network.widths else 3
        self.place = nn.Linear(waves.shape[1], first, bias=False)
        self.state = nn.Linear(network.latent_dim, first)
        self.hidden = HiddenLayers(
            [first, *network.widths[1:]], network.activation, network.residual
        )
        self.last = nn.Linear(self.hidden.output_count, 3)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x_A: Tensor, z: Tensor) -> Tensor:
        """(B, N, 3) beads and (B, d) latents -> (B, N, 3) deformed beads."""
        # One linear layer on both side by side, without a copy of the waves for every latent.
        first = self.place(self.waves) + self.state(z)[:, None]
        result: Tensor = x_A + self.last(self.hidden(self.hidden.activation(first)))
        return result
