"""Training by several processes: on several GPUs, several machines, or several cores.

Every process holds the whole model and works on its part of every batch; gradients are summed, so
that all take the same step, and it is the step one process would have taken. The first process
leads: it alone writes the run folder, decides when to report, save, pause and stop, and says what
comes next; the others follow (:mod:`cryoscope.training.follower`). Of a single process
(:data:`ALONE`) all this asks nothing.

The processes are started by ``torchrun`` and meet through the environment it sets. This is the only
module that knows ``torch.distributed``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cryoscope.data import InputError
from cryoscope.models.whole_batch import Part
from cryoscope.training.starting import choose_device
from cryoscope.training.torchrun import Place

T = TypeVar("T")
Order = Literal["advance", "encode", "end"]
_ORDERS: tuple[Order, ...] = ("advance", "encode", "end")

#: How long a process may take over its part of a step, and how long the first may pause.
STEP_TIMEOUT, PAUSE_TIMEOUT = timedelta(minutes=10), timedelta(days=30)
#: Seconds between two looks at whether the first process has prepared the data.
_LOOK_S = 0.2
#: How long one that lost touch waits for the message of the one that failed.
_LAST_WORDS_S = 2.0


class PeerLost(InputError):
    """Another process of this training has ended."""


class Team:
    """The processes that train one model together; by itself, one process alone.

    Use as a context manager around all of the training: leaving it by an error tells the others.

    Parameters
    ----------
    place
        Which of the processes this is.
    """

    def __init__(self, place: Place = Place()) -> None:  # noqa: B008 (frozen)
        self.rank, self.size = place.rank, place.size
        self.local_rank, self.local_size = place.local_rank, place.local_size
        self._links: _Links | None = None
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
            self._links = _Links(self, device)

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
        if len(index) < self.size:
            return np.arange(len(index))
        by_owner = np.argsort(index % self.size, kind="stable")
        return np.sort(np.array_split(by_owner, self.size)[self.rank])

    def part(self, position: NDArray[np.int64], length: int) -> Part:
        """What of a batch of ``length`` this process works on, for the model to know."""
        copies = self.size if length < self.size else 1
        return Part(torch.from_numpy(position), length, copies, self.add)

    def add(self, values: Tensor) -> Tensor:
        """The sum of a tensor over all processes."""
        return values if self._links is None else self._links.sum(values.clone())

    def add_all(self, tensors: Sequence[Tensor]) -> None:
        """Replace every tensor by its sum over all processes, in one exchange."""
        if self._links is None or not tensors:
            return
        total = self._links.sum(torch.cat([tensor.reshape(-1) for tensor in tensors]))
        sizes = [tensor.numel() for tensor in tensors]
        for tensor, part in zip(tensors, total.split(sizes), strict=True):
            tensor.copy_(part.view_as(tensor))

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


class _Links:
    """The connections of one process to the others.

    Orders go by the CPU (gloo), whose waiting costs nothing and may take long: the first process
    may pause. Figures go from GPU to GPU (nccl) where every process has one of its own.
    """

    def __init__(self, team: Team, asked: str) -> None:
        import torch.distributed as dist
        from torch.distributed.rendezvous import rendezvous

        self.dist, self.team = dist, team
        with self._explained():
            store, rank, size = next(iter(rendezvous("env://")))
            self.store = dist.PrefixStore("cryoscope", store)  # type: ignore[attr-defined]
            if team.leads:
                self.store.set("device", asked)
            self.device = choose_device(team.device_name(self._said("device")))
            dist.init_process_group(
                "gloo",
                store=dist.PrefixStore("groups", store),  # type: ignore[attr-defined]
                rank=rank,
                world_size=size,
                timeout=PAUSE_TIMEOUT,
            )
            self.figures = dist.new_group(backend=self._backend(), timeout=STEP_TIMEOUT)

    def _backend(self) -> str:
        if self.device.type != "cuda" or torch.cuda.device_count() < self.team.local_size:
            return "gloo"
        torch.cuda.set_device(self.device)
        return "nccl" if self.dist.is_nccl_available() else "gloo"

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes, in place."""
        values = values.contiguous()
        with self._explained():
            self.dist.all_reduce(values, group=self.figures)
        return values

    def broadcast(self, values: Tensor) -> Tensor:
        """The first process's CPU tensor, in place."""
        with self._explained():
            self.dist.broadcast(values, 0)
        return values

    def copy_of_first(self, values: Tensor) -> Tensor:
        """The first process's tensor, as a new one on the same device."""
        return self.broadcast(values.cpu().contiguous().clone()).to(values.device)

    def object_from_first(self, value: Any) -> Any:
        """The first process's plain value."""
        box = [value]
        with self._explained():
            self.dist.broadcast_object_list(box, 0)
        return box[0]

    def wait_for(self, *keys: str) -> str:
        """Wait for what another process says under one of these names."""
        with self._explained():
            while True:
                for key in keys:
                    if self.store.check([key]):
                        return self._said(key)
                if self.store.check(["failed"]):
                    raise PeerLost(self._said("failed"))
                time.sleep(_LOOK_S)

    def leave(self, error: BaseException | None) -> None:
        """Say how this process ended, and close all connections."""
        with suppress(RuntimeError):
            if error is None:
                self.dist.destroy_process_group()
            elif not isinstance(error, PeerLost):  # it was said by the one that failed
                reason = str(error) if isinstance(error, InputError) else _in_one_line(error)
                self.store.set("failed", f"process {self.team.rank} failed: {reason}")

    def _said(self, key: str) -> str:
        return bytes(self.store.get(key)).decode(errors="replace")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise PeerLost(
                f"training by {self.team.size} processes has ended: {self._last_words(error)}",
                cure="Start it again with --resume: it goes on from the last checkpoint",
            ) from error

    def _last_words(self, error: RuntimeError) -> str:
        """What the process that failed said, or else how its end was noticed."""
        until = time.monotonic() + _LAST_WORDS_S
        with suppress(RuntimeError, AttributeError):
            while time.monotonic() < until:
                if self.store.check(["failed"]):
                    return self._said("failed")
                time.sleep(_LOOK_S / 4)
        return f"one of them cannot be reached any more ({_in_one_line(error)[:200]})"


def _in_one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:500]


def _usable_cores() -> int:
    affinity: Callable[[int], set[int]] | None = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1
