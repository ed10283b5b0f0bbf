"""Figures of a whole batch of which this process works on a part.

A batch may be spread over several processes (``training.distributed``), or be taken in parts where
memory is short. What a model asks of a batch as a whole (its mean, its noise) it asks here, so that
the parts together learn what the whole batch would have taught. Outside :func:`working_on` a
batch is whole, and these are the plain functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class Part:
    """The particles of a batch that this process works on.

    Attributes
    ----------
    position
        (b,) their places in the whole batch, on the CPU.
    length
        Particles of the whole batch.
    copies
        How many processes hold each particle: more than one only where a batch has fewer particles
        than there are processes.
    add
        Sums a tensor over all processes; None where the parts are worked on one after the other,
        and each has figures of its own.
    turn
        Where several processes take a batch in turns, for want of memory: the (b,) places of these
        particles among those of all processes' turn, and how many those are. Noise is still that
        of the whole batch; figures are the turn's, the same for every process. None: one turn.
    """

    position: Tensor
    length: int
    copies: int = 1
    add: Callable[[Tensor], Tensor] | None = None
    turn: tuple[Tensor, int] | None = None

    @property
    def placed(self) -> tuple[Tensor, int]:
        """(b,) places of these particles among those that are added up, and how many those are."""
        return (self.position, self.length) if self.turn is None else self.turn

    def first(self) -> Part:
        """Only the first particle of it."""
        turn = None if self.turn is None else (self.turn[0][:1], self.turn[1])
        return replace(self, position=self.position[:1], turn=turn)

    @property
    def counted(self) -> int:
        """What a sum over all particles is divided by to be their mean."""
        return len(self.position) if self.add is None else self.placed[1] * self.copies


_PART: ContextVar[Part | None] = ContextVar("part of the batch", default=None)


@contextmanager
def working_on(part: Part | None) -> Iterator[None]:
    """The batch of what is called inside is this part of a whole one (None: whole)."""
    token = _PART.set(part)
    try:
        yield
    finally:
        _PART.reset(token)


def batch_sum(values: Tensor) -> Tensor:
    """(B, ...) -> (...) sum over the whole batch, without gradient."""
    part, total = _PART.get(), values.detach().sum(0)
    return total if part is None or part.add is None else part.add(total)


def batch_mean(values: Tensor) -> Tensor:
    """(B, ...) -> (...) mean over the whole batch.

    Its gradient is this part's share: those of all parts add up to that of the whole batch.
    """
    part = _PART.get()
    if part is None or part.add is None:
        return values.mean(0)
    share = values.sum(0) / part.counted
    return part.add(share.detach()) + (share - share.detach())


def batch_count(values: Tensor) -> int:
    """The B of a whole batch of which ``values`` (b, ...) are this process's."""
    part = _PART.get()
    return len(values) if part is None else part.counted


def whole_batch(values: Tensor) -> Tensor:
    """(b, ...) values of this part -> (B, ...) those of the whole batch, without gradient."""
    part = _PART.get()
    if part is None or part.add is None:
        return values.detach()
    position, length = part.placed
    whole = values.new_zeros(length, *values.shape[1:])
    whole[position.to(values.device)] = values.detach()
    return part.add(whole) / part.copies


def batch_noise(like: Tensor, generator: torch.Generator) -> Tensor:
    """(b, d) standard normal numbers for this part: those the whole batch would have drawn."""
    part = _PART.get()
    length = len(like) if part is None else part.length
    noise = torch.randn((length, *like.shape[1:]), generator=generator, device=generator.device)
    mine = noise if part is None else noise[part.position.to(noise.device)]
    return mine.to(like.device)


class _AddedUp(torch.autograd.Function):
    """A sum over all processes through which gradients flow: to each of them, the sum of all."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, add: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.add = add
        return add(values.clone())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.add(gradient.contiguous()), None


class WholeBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation by the statistics of the whole batch, wherever its parts are."""

    def forward(self, input: Tensor) -> Tensor:
        """(b, C, y, x) -> the same, normalised per channel."""
        part = _PART.get()
        if not self.training or part is None or part.add is None:
            return super().forward(input)
        count = part.counted * input.shape[2] * input.shape[3]
        mean = self._added_up(input.sum((0, 2, 3)), part.add) / count
        away = input - mean[:, None, None]
        variance = self._added_up(away.square().sum((0, 2, 3)), part.add) / count
        self._remember(mean.detach(), variance.detach() * (count / max(count - 1, 1)))
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return away * scale[:, None, None] + self.bias[:, None, None]

    def _added_up(self, values: Tensor, add: Callable[[Tensor], Tensor]) -> Tensor:
        total: Tensor = _AddedUp.apply(values, add)  # type: ignore[no-untyped-call]
        return total

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        """Take this batch into the running statistics, which are used outside training."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
