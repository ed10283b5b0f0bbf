"""The connections of one process of a training to the others.

This is the only module that knows ``torch.distributed``.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor

from cryoscope.data import InputError
from cryoscope.training.starting import choose_device
from cryoscope.training.torchrun import Place

#: How long a process may take over its part of a step, and how long the first may pause.
STEP_TIMEOUT, PAUSE_TIMEOUT = timedelta(minutes=10), timedelta(days=30)
#: Seconds between two looks at whether the first process has prepared the data.
_LOOK_S = 0.2
#: How long one that lost touch waits for the message of the one that failed.
_LAST_WORDS_S = 2.0


class PeerLost(InputError):
    """Another process of this training has ended."""


class Links:
    """The connections of one process to the others.

    Orders go by the CPU (gloo), whose waiting costs nothing and may take long: the first process
    may pause. Figures go from GPU to GPU (nccl) where every process has one of its own; whether
    anyone gives a step up is then asked by the CPU, so that no GPU is waited for.

    Parameters
    ----------
    place
        Which of the processes this is.
    asked
        The device that is asked for; what the first process says counts.
    device_name
        From what is asked for to the device of this process.

    Raises
    ------
    PeerLost
        In all methods but :meth:`leave`, when another process has ended.
    """

    def __init__(self, place: Place, asked: str, device_name: Callable[[str], str]) -> None:
        import torch.distributed as dist
        from torch.distributed.rendezvous import rendezvous

        self.dist, self.place = dist, place
        with self._explained():
            store, rank, size = next(iter(rendezvous("env://")))
            self.store = dist.PrefixStore("cryoscope", store)  # type: ignore[attr-defined]
            if place.leads:
                self.store.set("device", asked)
            self.device = choose_device(device_name(self._said("device")))
            dist.init_process_group(
                "gloo",
                store=dist.PrefixStore("groups", store),  # type: ignore[attr-defined]
                rank=rank,
                world_size=size,
                timeout=PAUSE_TIMEOUT,
            )
            backend = self._backend()
            self.figures = dist.new_group(backend=backend, timeout=STEP_TIMEOUT)
            self.words = None
            if backend != "gloo":
                self.words = dist.new_group(backend="gloo", timeout=STEP_TIMEOUT)

    def _backend(self) -> str:
        if self.device.type != "cuda" or torch.cuda.device_count() < self.place.local_size:
            return "gloo"
        torch.cuda.set_device(self.device)
        return "nccl" if self.dist.is_nccl_available() else "gloo"

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes, in place."""
        values = values.contiguous()
        with self._explained():
            self.dist.all_reduce(values, group=self.figures)
        return values

    def sum_unless(self, values: Tensor, refused: bool) -> Tensor | None:
        """The sum over all processes, in place; None where any of them refuses.

        The last of ``values`` is free: by the CPU the answer goes along with the figures.
        """
        if self.words is None:
            values[-1] = float(refused)
            total = self.sum(values)
            return total if float(total[-1]) == 0 else None
        flag = torch.tensor([int(refused)])
        with self._explained():
            self.dist.all_reduce(flag, group=self.words)
        return self.sum(values) if int(flag) == 0 else None

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
                self.store.set("failed", f"process {self.place.rank} failed: {reason}")

    def _said(self, key: str) -> str:
        return bytes(self.store.get(key)).decode(errors="replace")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise PeerLost(
                f"training by {self.place.size} processes has ended: {self._last_words(error)}",
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
        noticed = re.sub(r"\[/[^]]*\] ?", "", _in_one_line(error)).split(". This")[0][:200]
        return f"one of them was killed or cannot be reached any more ({noticed})"


def _in_one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:500]
