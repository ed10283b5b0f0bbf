"""The gradient of a batch's cost: at once, by several processes, or in parts for want of memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cryoscope.data import InputError
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


class KeptState:
    """What a model remembers from batch to batch, as it was before a step.

    That is what it saves beside its parameters: counts of steps, running figures.
    """

    def __init__(self, model: nn.Module) -> None:
        saved = model.state_dict(keep_vars=True).items()
        self._live = [one for _, one in saved if not isinstance(one, nn.Parameter)]
        self._kept = [one.clone() for one in self._live]
        self._version = [one._version for one in self._live]

    def keep(self) -> None:
        """Take what has changed since the last time."""
        for place, one in enumerate(self._live):
            if one._version != self._version[place]:
                self._kept[place].copy_(one)
                self._version[place] = one._version

    def restore(self, *, counters_only: bool = False) -> None:
        """Put it back as it was; of ``counters_only`` single numbers."""
        for place, one in enumerate(self._live):
            if one._version != self._version[place] and (one.dim() == 0 or not counters_only):
                one.copy_(self._kept[place])
                self._version[place] = one._version


@dataclass(frozen=True, eq=False)
class Before:
    """What a step begins with: the state of the random numbers, and that of the model."""

    drawn: Tensor
    state: KeptState


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
        GPU is too small; of several processes, where that of any is. The steps stay those of whole
        batches, but for figures that a model takes from a batch as a whole (batch normalisation,
        weights by signal), which are then the part's.
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
        self._state = KeptState(cast(nn.Module, model))

    def find(self, index: Index, phase: str) -> BatchFigures:
        """Gradients of the batch of the particles at ``index``, added to those that are there.

        Raises
        ------
        torch.OutOfMemoryError
            When one particle alone is too much, here or for another process.
        """
        before = Before(self.generator.get_state(), self._state)
        self._state.keep()
        attempt = self._in_parts if self.team.size == 1 else self._together
        while True:
            try:
                return attempt(index, phase, before)
            except torch.OutOfMemoryError:
                if self.parts >= self.team.most_turns(len(index)):
                    raise
            # Outside the except clause, so that nothing of the failed attempt is held any more.
            self.parts *= 2
            self._give_up(before)

    def _losses(self, index: Index, phase: str) -> Losses:
        return self.model.losses(self.data.batch(index), self.generator, phase)

    def _together(self, index: Index, phase: str, before: Before) -> BatchFigures:
        """The share of this process, in turns; then all add up what they found, or all fail."""
        self.team.begin_step()
        why = "another process has run out of it"
        try:
            found = self._turns(self.team.turns(index, self.parts), index, phase, before)
            done = self._exchange(found)
        except torch.OutOfMemoryError as error:
            why, found = str(error), None
        if found is None:
            self._give_up(before)
            found, done = self._stand_in(index, phase, before), False
        if not done:
            raise torch.OutOfMemoryError(why)
        return found

    def _exchange(self, found: BatchFigures, *, refused: bool = False) -> bool:
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        return self.team.add_all([*gradients, found.z, found.motion_A2], refused=refused)

    def _stand_in(self, index: Index, phase: str, before: Before) -> BatchFigures:
        """Go through the step with a particle each turn, for the others wait for its figures.

        What they make of it is not used by anybody.
        """
        self.team.begin_step(again=True)
        parts = [one.first() for one in self.team.turns(index, self.parts)]
        try:
            found = self._turns(parts, index, phase, before)
            self._exchange(found, refused=True)
        except torch.OutOfMemoryError as error:
            raise InputError(
                "the GPU has too little memory for a single image",
                cure="Close other programs that use it, or train with a smaller data.box_size_px",
            ) from error
        return found

    def _turns(
        self, parts: Sequence[Part], index: Index, phase: str, before: Before
    ) -> BatchFigures:
        found: list[tuple[float, BatchFigures]] = []
        for part in parts:
            if found:  # every part is of the same step: the same draw, the same counts
                self._rewind(before)
            share = part.placed[1] / len(index)
            with working_on(part):
                losses = self._losses(index[part.position.numpy()], phase)
                values = batch_mean(torch.stack(list(losses.terms.values()), 1))
                means = dict(zip(losses.terms, values.unbind(), strict=True))
                total = self.cost(means)
                (total * share if part.turn else total).backward()
            z = _spread(losses.posterior.mean, part)
            motion_A2 = _spread(losses.motion_A2, part)
            found.append((share, BatchFigures(_values(means), total.detach(), z, motion_A2)))
        return _joined(found, lambda parts: torch.stack(parts).sum(0))

    def _in_parts(self, index: Index, phase: str, before: Before) -> BatchFigures:
        found: list[tuple[float, BatchFigures]] = []
        for position in np.array_split(np.arange(len(index)), min(self.parts, len(index))):
            if found:
                self._rewind(before)
            part = Part(torch.from_numpy(position), len(index)) if self.parts > 1 else None
            share = len(position) / len(index)
            with working_on(part):
                losses = self._losses(index[position], phase)
                means = {name: term.mean() for name, term in losses.terms.items()}
                total = self.cost(means)
                (total * share if part else total).backward()
            z, motion_A2 = losses.posterior.mean.detach(), losses.motion_A2
            found.append((share, BatchFigures(_values(means), total.detach(), z, motion_A2)))
        return _joined(found, torch.cat)

    def _rewind(self, before: Before) -> None:
        self.generator.set_state(before.drawn)
        before.state.restore(counters_only=True)

    def _give_up(self, before: Before) -> None:
        """Go back to before a failed attempt, and give back what it took."""
        for parameter in self.model.parameters():
            parameter.grad = None
        self.generator.set_state(before.drawn)
        before.state.restore()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _values(means: Means) -> Means:
    return {name: value.detach() for name, value in means.items()}


def _joined(
    found: list[tuple[float, BatchFigures]], join: Callable[[list[Tensor]], Tensor]
) -> BatchFigures:
    """The figures of a batch from those of its parts and the share that each is of it."""
    if len(found) == 1:
        return found[0][1]
    names = found[0][1].means
    return BatchFigures(
        {name: _weighted([(s, one.means[name]) for s, one in found]) for name in names},
        _weighted([(share, one.total) for share, one in found]),
        join([one.z for _, one in found]),
        join([one.motion_A2 for _, one in found]),
    )


def _weighted(parts: list[tuple[float, Tensor]]) -> Tensor:
    return torch.stack([share * value for share, value in parts]).sum()


def _spread(values: Tensor, part: Part) -> Tensor:
    """(b, ...) values at their places in the whole batch, ready to be added to the others'."""
    whole = values.new_zeros(part.length, *values.shape[1:])
    whole[part.position.to(values.device)] = values.detach() / part.copies
    return whole
