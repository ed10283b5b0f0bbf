"""Training in a thread of this process: for notebooks and tests."""

from __future__ import annotations

import queue
import threading
import traceback
from collections.abc import Callable
from typing import Protocol

from cryoscope.session.records import RunStatus
from cryoscope.session.runner import Command, ObservedRunner
from cryoscope.training.events import RunFailed, TrainEvent


class EngineLike(Protocol):
    """What hosts the training: ``cryoscope.training.engine.Engine`` is one."""

    def submit(self, command: Command) -> None:
        """Queue a command; safe from any thread."""
        ...

    def run_forever(self) -> None:
        """Carry out commands until one says ``quit``."""
        ...


Publish = Callable[[TrainEvent], None]


def training_engine(publish: Publish) -> EngineLike:
    """The engine of :mod:`cryoscope.training`; this is what imports torch."""
    from cryoscope.training.engine import Engine

    return Engine(publish)


class ThreadRunner(ObservedRunner):
    """Runs an engine in a thread of this process.

    Parameters
    ----------
    make_engine
        Makes the engine, in the thread, from the function it publishes its events with.
    """

    def __init__(self, make_engine: Callable[[Publish], EngineLike] = training_engine) -> None:
        super().__init__()
        self._make_engine = make_engine
        self._inbox: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._engine: EngineLike | None = None
        self._thread: threading.Thread | None = None
        self._closing = False

    def start(self, command: Command) -> None:
        """Make the engine in a thread and give it its first command."""
        with self._lock:
            if self._thread is not None:
                raise RuntimeError("a runner starts only once")
            if self._closing:
                return
            self._inbox.put(command)
            self._status = RunStatus.PREPARING
            self._thread = threading.Thread(target=self._host, name="cryoscope-engine", daemon=True)
            self._thread.start()

    def send(self, command: Command) -> None:
        """Pass a command to the engine, or keep it until there is one."""
        with self._lock:
            if self._engine is None:
                self._inbox.put(command)
            else:
                self._engine.submit(command)

    def shutdown(self, timeout_s: float = 5.0) -> None:
        """Stop with a checkpoint and quit; a thread that does not is no longer waited for."""
        with self._lock:
            self._closing = True
            if self._thread is None:
                return
        self.send({"cmd": "stop"})
        self.send({"cmd": "quit"})
        if self._thread is not threading.current_thread():
            self._thread.join(timeout_s)

    def _host(self) -> None:
        try:
            engine = self._make_engine(self._publish)
            with self._lock:
                while not self._inbox.empty():
                    engine.submit(self._inbox.get())
                self._engine = engine
            engine.run_forever()
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            self._ended()
            self._publish(RunFailed(f"training failed: {reason}", detail=traceback.format_exc()))
        finally:
            self._ended()
        if not self._closing and self._status.active:
            self._publish(RunFailed("the training thread ended unexpectedly"))
