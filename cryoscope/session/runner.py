"""What carries out training, wherever it does: one interface, one set of statuses."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal, SignalInstance

from cryoscope.session.records import RunStatus
from cryoscope.training.events import (
    ModelReady,
    Paused,
    Progress,
    Resumed,
    RunFailed,
    RunFinished,
    RunStarted,
    TrainEvent,
)

_log = logging.getLogger(__name__)

Command = dict[str, Any]


class Runner(Protocol):
    """Carries out one run, or serves one finished run for decoding.

    ``start`` is called once. No method but ``shutdown`` waits for anything. ``events`` emits every
    :data:`~cryoscope.training.events.TrainEvent`, in order, in a thread of the runner.
    """

    #: Decode by the checkpoint of that step, which is kept; None: by the model as it is now.
    checkpoint_step: int | None

    @property
    def events(self) -> SignalInstance:
        """Emits the events of the run."""
        ...

    @property
    def status(self) -> RunStatus:
        """What the run is doing, by its last event."""
        ...

    @property
    def ready(self) -> bool:
        """Whether states can be decoded."""
        ...

    def start(self, command: Command) -> None:
        """Start with a ``train`` or ``serve`` command."""
        ...

    def send(self, command: Command) -> None:
        """Pass a command on (``pause``, ``resume``, ``stop``, ``checkpoint``)."""
        ...

    def decode(
        self,
        request_id: int,
        z: NDArray[np.floating],
        *,
        volume: bool,
        path: Path,
        box_size_px: int | None = None,
    ) -> None:
        """Ask for (states, d) latents to be decoded into ``path``; answered by ``Decoded``.

        The map, that of the first state, has a box of ``box_size_px``; 0 is the run's own, None one
        that is decoded quickly.
        """
        ...

    def shutdown(self, timeout_s: float = 5.0) -> None:
        """Save a checkpoint and end; what has not ended after ``timeout_s`` is killed."""
        ...


def decode_command(
    request_id: int,
    z: NDArray[np.floating],
    *,
    volume: bool,
    path: Path,
    box_size_px: int | None = None,
    step: int | None = None,
) -> Command:
    """The command that asks for (states, d) latents ``z`` to be decoded into ``path``."""
    wanted = {"box_size_px": box_size_px, "step": step}
    return {
        **{name: value for name, value in wanted.items() if value is not None},
        "cmd": "decode",
        "request_id": request_id,
        "z": np.asarray(z, dtype=np.float64).tolist(),
        "volume": volume,
        "path": str(path),
    }


class ObservedRunner(ABC):
    """What all runners share: publishing events and reading the status off them."""

    events = Signal(object)

    def __init__(self) -> None:
        self._status = RunStatus.IDLE
        self._ready = False
        self.checkpoint_step: int | None = None

    @property
    def status(self) -> RunStatus:
        """What the run is doing, by its last event."""
        return self._status

    @property
    def ready(self) -> bool:
        """Whether states can be decoded."""
        return self._ready

    @abstractmethod
    def send(self, command: Command) -> None:
        """Pass a command on."""

    def decode(
        self,
        request_id: int,
        z: NDArray[np.floating],
        *,
        volume: bool,
        path: Path,
        box_size_px: int | None = None,
    ) -> None:
        """Ask for (states, d) latents to be decoded into ``path``."""
        self.send(
            decode_command(
                request_id,
                z,
                volume=volume,
                path=path,
                box_size_px=box_size_px,
                step=self.checkpoint_step,
            )
        )

    def _publish(self, event: TrainEvent) -> None:
        self._status = status_after(event, self._status)
        if isinstance(event, RunStarted | ModelReady):
            self._ready = True
        try:
            self.events.emit(event)
        except Exception:
            # A listener's mistake must not end the run that it listens to.
            _log.exception("a listener failed on %s", type(event).__name__)

    def _ended(self) -> None:
        self._ready = False


def status_after(event: TrainEvent, status: RunStatus) -> RunStatus:
    """The status of a run that was in ``status`` when ``event`` came."""
    match event:
        case Progress():
            return RunStatus.PREPARING if status is RunStatus.IDLE else status
        case RunStarted() | Resumed():
            return RunStatus.RUNNING
        case Paused():
            return RunStatus.PAUSED
        case RunFailed():
            return RunStatus.FAILED
        case RunFinished():
            return RunStatus.STOPPED if event.reason == "stopped" else RunStatus.FINISHED
        case ModelReady():
            return RunStatus.IDLE
        case _:
            return status
