"""Weights of restraints: constant, rising, or in proportion to what the data tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cryoscope.models.whole_batch import batch_count, batch_sum

#: Steps between two measurements of the gradients, and what a new one counts in the running mean.
MEASURE_EVERY, NEWEST_COUNTS = 50, 0.2
#: Bounds of the measured ratio; a restraint that pulls less than this per structure is at rest.
LEAST_RATIO, MOST_RATIO, AT_REST = 1e-4, 1e4, 1e-6
#: Nats per image for which ``signal`` weights are given, and the least that they are scaled by:
#: what holds images without signal in place.
NOMINAL_NATS, LEAST_STRENGTH = 100.0, 0.1


class RestraintTerm(nn.Module):
    """An energy and its weight.

    Schedules:

    - ``constant``;
    - ``ramp``, rising from 0 over ``ramp_steps`` steps;
    - ``signal``, the weight for images that the model explains by 100 nats better than an empty
      image does, and in proportion for others, but at least a tenth: a weight that suits clear
      images would hold noisy ones, where the data pull less, to the reference;
    - ``gradient-ratio``, the weight times the length of the data term's gradient over that of the
      energy's, both with respect to the bead positions: a running geometric mean measured while
      training (after DynaMight, which measures once per epoch). Until the energy first pulls, it
      has no weight.

    Attributes
    ----------
    steps, ratio
        Training steps done, and the measured ratio; part of the state.
    """

    steps: Tensor
    ratio: Tensor

    def __init__(self, potential: nn.Module, settings: Any) -> None:
        super().__init__()
        self.potential = potential
        self.weight, self.schedule = float(settings.weight), settings.schedule
        self.ramp_steps = int(settings.ramp_steps)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("ratio", torch.zeros(()))

    def energy(self, positions_A: Tensor) -> Tensor:
        """(B,) energies without weight."""
        energy: Tensor = self.potential(positions_A)
        return energy

    def weigh(self, energy: Tensor, data: Tensor) -> Tensor:
        """(B,) energies with the weight of this step; counts the step while training.

        ``data`` is the data term of the whole batch (``whole_batch.whole_batch``): for ``signal``
        minus the nats gained.
        """
        if self.training:
            self.steps += 1
        if self.schedule == "ramp":
            return self.weight * (self.steps / self.ramp_steps).clamp_max(1.0) * energy
        if self.schedule == "signal":
            strength = (-data.detach().mean() / NOMINAL_NATS).clamp_min(LEAST_STRENGTH)
            return self.weight * strength * energy
        if self.schedule == "gradient-ratio":
            return self.weight * self.ratio * energy
        return self.weight * energy

    @property
    def due(self) -> bool:
        """Whether the ratio is to be measured at this step."""
        if self.schedule != "gradient-ratio":
            return False
        return int(self.steps) % MEASURE_EVERY == 0 or float(self.ratio) == 0

    def measured(self, data_pull: float, restraint_pull: float) -> None:
        """Take one measurement into the running mean."""
        if restraint_pull < AT_REST:
            return
        new = min(max(data_pull / restraint_pull, LEAST_RATIO), MOST_RATIO)
        old = float(self.ratio) or new
        self.ratio.fill_(old ** (1 - NEWEST_COUNTS) * new**NEWEST_COUNTS)


def measure_ratios(
    terms: Sequence[tuple[RestraintTerm, Tensor]],
    positions_A: Tensor,
    data: Tensor,
) -> None:
    """Measure, where due, how hard data and restraints pull on the beads.

    Parameters
    ----------
    terms
        Restraints with their (B,) energies of this step.
    positions_A
        (B, N, 3) beads the energies and the data term were computed from.
    data
        (B,) data term.
    """
    due = [(term, energy) for term, energy in terms if term.due]
    if not due or not positions_A.requires_grad:
        return
    data_pull = _pull(data, positions_A)
    for term, energy in due:
        term.measured(data_pull, _pull(energy, positions_A))


def _pull(cost: Tensor, positions_A: Tensor) -> float:
    """Length of the gradient of the summed cost per structure."""
    if not cost.requires_grad:
        return 0.0
    (gradient,) = torch.autograd.grad(cost.sum(), positions_A, retain_graph=True, allow_unused=True)
    if gradient is None:
        return 0.0
    square = batch_sum(gradient.square().flatten(1).sum(1))
    return float(square.sqrt()) / batch_count(positions_A) ** 0.5
