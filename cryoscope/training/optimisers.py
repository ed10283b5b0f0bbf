"""What an optimiser moves, and how fast."""

from __future__ import annotations

from typing import Any

import torch

from cryoscope.models.interfaces import HeterogeneityModel
from cryoscope.training.config import TrainConfig

_OPTIMISERS = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}


def make_optimiser(model: HeterogeneityModel, config: TrainConfig) -> torch.optim.Optimizer:
    """The optimiser of a configuration; every group has a ``rate``, times the common one.

    A table of latents moves at ``latent.table_rate`` times the rate of the networks (a particle is
    seen once an epoch) and does not decay.
    """
    settings = config.optimiser
    trained = [part for part in model.parameters() if part.requires_grad]
    table = getattr(model, "latent_table", None)
    groups: list[dict[str, Any]] = [
        {"params": [part for part in trained if part is not table], "rate": 1.0}
    ]
    if isinstance(table, torch.nn.Parameter):
        groups.append({"params": [table], "rate": config.latent.table_rate, "weight_decay": 0.0})
    return _OPTIMISERS[settings.kind](
        groups, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
