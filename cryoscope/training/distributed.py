"""Training by several processes: on several GPUs, several machines, or several cores.

Every process holds the whole model and works on its part of every batch; gradients are summed, so
that all take the same step, and it is the step one process would have taken. The first process
leads: it alone writes the run folder, decides when to report, save, pause and stop, and says what
comes next; the others follow (:mod:`cryoscope.training.follower`). Of a single process
(:data:`ALONE`) all this asks nothing.

The processes are started by ``torchrun``, meet through the environment it sets, and speak to each
other by :mod:`.links`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cryoscope.data import InputError
from cryoscope.models.whole_batch import Part
from cryoscope.training.links import Links
from cryoscope.training.torchrun import Place

T = TypeVar("T")
Order = Literal["advance", "encode", "end"]
_ORDERS: tuple[Order, ...] = ("advance", "encode", "end")


class Team:
    """The processes that train one model together; by itself, one process alone.

    Use as a context manager around all of the training: leaving it by an error tells the others.

    Parameters
    ----------
    place
        Which of the processes this is.
    """

    def __init__(self, place: Place = Place()) -> None:  # noqa: B008 (frozen)
        self.place = place
        self.rank, self.size = place.rank, place.size
        self.local_rank, self.local_size = place.local_rank, place.local_size
        self._links: Links | None = None
        self._sums = self._summed_before = 0
        self._prepared = False

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes and decides."""
        return self.rank == 0

    def device_name(self, name: str) -> str:
        """The device that this process trains on, where ``name`` is asked for: a GPU each."""
        if self.size == 1 or name not in ("auto", "cuda") or not torch.cuda.is_available():
            return name
        return f"cuda:{self.local_rank % torch.cuda.device_count()}"

    def threads(self, wanted: int) -> int:
        """CPU threads of this process where ``wanted`` are asked for (0: what its share is)."""
        if self.size == 1 or wanted > 0:
            return wanted
        return max(1, _usable_cores() // self.local_size)

    def connect(self, device: str) -> None:
        """Meet the others; called once, by all of them, with the device that is asked for.

        Raises
        ------
        PeerLost
            When they do not come.
        """
        if self.size > 1:
            self._links = Links(self.place, device, self.device_name)

    def tell_prepared(self, settings: str) -> None:
        """Say, as the first, that the data are prepared, and what is trained."""
        self._prepared = True
        if self._links is not None:
            self._links.store.set("prepared", settings)

    def wait_prepared(self) -> str:
        """Wait until the first process has prepared the data; what it trains.

        Of the other machines' processes one goes first, since each machine may need a cache of
        its own. Empty where the first process has ended in order before it came to that.

        Raises
        ------
        PeerLost
            When another process failed.
        """
        assert self._links is not None
        settings = self._links.wait_for("prepared", "ended")
        if settings and self.local_rank > 0 and self.rank != self.local_rank:
            self._links.wait_for(f"prepared on {self.rank - self.local_rank}")
        return settings

    def tell_others_here(self) -> None:
        """Say to the processes of this machine that the data are prepared for them too."""
        if self._links is not None:
            self._links.store.set(f"prepared on {self.rank}", "yes")

    def announce(self, order: Order, value: float = 0.0) -> None:
        """Say, as the first, what all do next; ``value`` is the seconds trained so far."""
        if self._links is not None and self.leads:
            self._links.broadcast(torch.tensor([_ORDERS.index(order), value], dtype=torch.float64))

    def next_order(self) -> tuple[Order, float]:
        """Wait until the first process says what to do next."""
        assert self._links is not None
        code, value = self._links.broadcast(torch.zeros(2, dtype=torch.float64)).tolist()
        return _ORDERS[int(code)], value

    def share(self, index: NDArray[np.int64]) -> NDArray[np.int64]:
        """Positions in a batch of the particles that this process works on.

        As far as shares of equal size allow, a particle is always the same process's, which keeps
        what it made of the image. A batch of fewer particles than processes is everybody's.
        """
        return self._shares(index)[self.rank]

    def _shares(self, index: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        if len(index) < self.size:
            return [np.arange(len(index))] * self.size
        by_owner = np.argsort(index % self.size, kind="stable")
        return [np.sort(share) for share in np.array_split(by_owner, self.size)]

    def most_turns(self, length: int) -> int:
        """In how many turns a batch of ``length`` can be taken: a particle each, of every share."""
        return length if length < self.size else length // self.size

    def turns(self, index: NDArray[np.int64], count: int) -> list[Part]:
        """What of a batch this process works on, in ``count`` turns where it has so many."""
        length, shares = len(index), self._shares(index)
        copies = self.size if length < self.size else 1
        count = min(count, self.most_turns(length))
        if count == 1:
            return [Part(torch.from_numpy(shares[self.rank]), length, copies, self.add)]
        found = []
        for pieces in zip(*(np.array_split(share, count) for share in shares), strict=True):
            together, mine = np.unique(np.concatenate(pieces)), pieces[self.rank]
            among = torch.from_numpy(np.searchsorted(together, mine)), len(together)
            found.append(Part(torch.from_numpy(mine), length, copies, self.add, among))
        return found

    def add(self, values: Tensor) -> Tensor:
        """The sum of a tensor over all processes, within a step."""
        if self._links is None:
            return values
        values = values.clone()
        if self._sums >= self._summed_before:
            values = self._links.sum(values)
        self._sums += 1
        return values

    def begin_step(self, *, again: bool = False) -> None:
        """Before the first sum of a step.

        Parameters
        ----------
        again
            This process gave the step up and now goes through it for the sake of the others, who
            wait for its figures: those that they have had are not exchanged a second time.
        """
        self._summed_before = self._sums if again else 0
        self._sums = 0

    def add_all(self, tensors: Sequence[Tensor], *, refused: bool = False) -> bool:
        """Replace every tensor by its sum over all processes, in one exchange.

        Returns
        -------
        Whether it was done: not where any of the processes has ``refused``.
        """
        if self._links is None or not tensors:
            return not refused
        free = tensors[0].new_zeros(1)
        joined = torch.cat([*(tensor.reshape(-1) for tensor in tensors), free])
        total = self._links.sum_unless(joined, refused)
        if total is None:
            return False
        sizes = [tensor.numel() for tensor in tensors]
        for tensor, part in zip(tensors, total[:-1].split(sizes), strict=True):
            tensor.copy_(part.view_as(tensor))
        return True

    def rows(self, count: int) -> NDArray[np.int64] | None:
        """The particles of all ``count`` that this process encodes; None: all of them."""
        return None if self.size == 1 else np.arange(self.rank, count, self.size)

    def assembled(self, rows: NDArray[np.int64], values: Tensor, count: int) -> Tensor:
        """(count, ...) the values that each process has of its ``rows``, together."""
        if self._links is None:
            return values
        whole = values.new_zeros(count, *values.shape[1:])
        whole[torch.from_numpy(rows)] = values
        return self._links.sum(whole.to(self._links.device)).cpu()

    def from_first(self, value: T | None) -> T:
        """The first process's plain value, at every process."""
        if self._links is None:
            assert value is not None
            return value
        return self._links.object_from_first(value)

    def copy_from_first(self, module: nn.Module) -> None:
        """Give all processes the first one's parameters and constants, to the last bit."""
        if self._links is None:
            return
        for tensor in (*module.parameters(), *module.buffers()):
            theirs = self._links.copy_of_first(tensor.detach())
            if not torch.equal(theirs, tensor.detach()):
                with torch.no_grad():
                    tensor.copy_(theirs)

    def require_same(self, facts: Mapping[str, Any]) -> None:
        """Refuse to train on data that are not those of the first process.

        Raises
        ------
        InputError
            Naming the first fact that differs.
        """
        if self._links is None:
            return
        theirs = self.from_first(dict(facts))
        for name, value in facts.items():
            if theirs[name] != value:
                raise InputError(
                    f"process {self.rank} has other data than the first: {name} is {value}, "
                    f"not {theirs[name]}",
                    cure="Give all machines the same files, at the same paths",
                )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._links is not None:
            if error is None and self.leads:
                if self._prepared:
                    self.announce("end")
                else:
                    self._links.store.set("ended", "")
            links, self._links = self._links, None
            links.leave(error)


#: A single process.
ALONE = Team()


def _usable_cores() -> int:
    affinity: Callable[[int], set[int]] | None = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1
