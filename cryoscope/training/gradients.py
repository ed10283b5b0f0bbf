"""The gradient of a batch's cost: at once, by several processes, or in parts for want of memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cryoscope.models.interfaces import HeterogeneityModel, Losses
from cryoscope.models.whole_batch import Part, batch_mean, working_on
from cryoscope.training.batches import TrainingSet
from cryoscope.training.distributed import Team

Means = dict[str, Tensor]
Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class BatchFigures:
    """What a step says of its whole batch; nothing here has a gradient.

    Attributes
    ----------
    means, total
        Mean loss terms by name, and the cost that was minimised.
    z
        (B, d) posterior means.
    motion_A2
        (B,) mean square deformations.
    """

    means: Means
    total: Tensor
    z: Tensor
    motion_A2: Tensor


class BatchGradients:
    """Puts the gradient of a batch's cost into the parameters.

    Parameters
    ----------
    cost
        From the mean loss terms to the cost that is minimised.

    Attributes
    ----------
    parts
        How many parts a batch is taken in, one after the other: doubled whenever the memory of the
        GPU is too small. The steps stay those of whole batches, but for figures that a model takes
        from a batch as a whole (batch normalisation, weights by signal), which are then the part's.
    """

    def __init__(
        self,
        model: HeterogeneityModel,
        data: TrainingSet,
        generator: torch.Generator,
        cost: Callable[[Means], Tensor],
        team: Team,
    ) -> None:
        self.model, self.data, self.generator = model, data, generator
        self.cost, self.team = cost, team
        self.parts = 1

    def find(self, index: Index, phase: str) -> BatchFigures:
        """Gradients of the batch of the particles at ``index``, added to those that are there.

        Raises
        ------
        torch.OutOfMemoryError
            When one particle alone is too much; or when several processes train, which must stay
            in step.
        """
        if self.team.size > 1:
            return self._together(index, phase)
        drawn, counters = self.generator.get_state(), self._counters()
        while True:
            try:
                return self._in_parts(index, phase, drawn, counters)
            except torch.OutOfMemoryError:
                if self.parts >= len(index):
                    raise
            # Outside the except clause, so that nothing of the failed attempt is held any more.
            self.parts *= 2
            self._forget()
            self._rewind(drawn, counters)

    def _losses(self, index: Index, phase: str) -> Losses:
        return self.model.losses(self.data.batch(index), self.generator, phase)

    def _together(self, index: Index, phase: str) -> BatchFigures:
        """The part of this process; then all add up what they found."""
        position, length = self.team.share(index), len(index)
        part = self.team.part(position, length)
        with working_on(part):
            losses = self._losses(index[position], phase)
            values = batch_mean(torch.stack(list(losses.terms.values()), 1))
            means = dict(zip(losses.terms, values.unbind(), strict=True))
            total = self.cost(means)
            total.backward()
        z = _spread(losses.posterior.mean, part)
        motion_A2 = _spread(losses.motion_A2, part)
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        self.team.add_all([*gradients, z, motion_A2])
        return BatchFigures(_values(means), total.detach(), z, motion_A2)

    def _in_parts(
        self, index: Index, phase: str, drawn: Tensor, counters: list[tuple[Tensor, Tensor]]
    ) -> BatchFigures:
        found: list[tuple[float, BatchFigures]] = []
        for position in np.array_split(np.arange(len(index)), min(self.parts, len(index))):
            if found:  # every part is of the same step: the same draw, the same counts
                self._rewind(drawn, counters)
            part = Part(torch.from_numpy(position), len(index)) if self.parts > 1 else None
            share = len(position) / len(index)
            with working_on(part):
                losses = self._losses(index[position], phase)
                means = {name: term.mean() for name, term in losses.terms.items()}
                total = self.cost(means)
                (total * share if part else total).backward()
            z, motion_A2 = losses.posterior.mean.detach(), losses.motion_A2
            found.append((share, BatchFigures(_values(means), total.detach(), z, motion_A2)))
        if len(found) == 1:
            return found[0][1]
        names = found[0][1].means
        return BatchFigures(
            {name: _weighted([(s, one.means[name]) for s, one in found]) for name in names},
            _weighted([(share, one.total) for share, one in found]),
            torch.cat([one.z for _, one in found]),
            torch.cat([one.motion_A2 for _, one in found]),
        )

    def _counters(self) -> list[tuple[Tensor, Tensor]]:
        """The model's counts of steps, with what they are now."""
        buffers = cast(nn.Module, self.model).buffers()
        counts = [one for one in buffers if one.dtype == torch.int64 and one.dim() == 0]
        return [(one, one.clone()) for one in counts]

    def _rewind(self, drawn: Tensor, counters: list[tuple[Tensor, Tensor]]) -> None:
        self.generator.set_state(drawn)
        for counter, value in counters:
            counter.copy_(value)

    def _forget(self) -> None:
        """Give back what a failed attempt took."""
        for parameter in self.model.parameters():
            parameter.grad = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _values(means: Means) -> Means:
    return {name: value.detach() for name, value in means.items()}


def _weighted(parts: list[tuple[float, Tensor]]) -> Tensor:
    return torch.stack([share * value for share, value in parts]).sum()


def _spread(values: Tensor, part: Part) -> Tensor:
    """(b, ...) values at their places in the whole batch, ready to be added to the others'."""
    whole = values.new_zeros(part.length, *values.shape[1:])
    whole[part.position.to(values.device)] = values.detach() / part.copies
    return whole
