"""Following a run that another program trains: by its folder, and asking by files in it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError
from cryoscope.session.records import RunStatus, RunView
from cryoscope.session.run_history import RunPast, parse_event, read_past
from cryoscope.session.runner import Command, ObservedRunner, Runner
from cryoscope.training.events import (
    CheckpointSaved,
    Decoded,
    DecodeFailed,
    LatentsReady,
    ModelReady,
    RunFailed,
    RunStarted,
    TrainEvent,
)

if TYPE_CHECKING:
    from cryoscope.session.losses import LossRecorder
    from cryoscope.session.state import Session

#: Seconds between two looks at the folder, and until a request that nobody took is spoken of.
LOOK_EVERY_S, UNANSWERED_S, QUIET_S = 0.4, 20.0, 300.0
REQUESTED = ("pause", "resume", "checkpoint", "stop")
ENDED = "The program that trained the run has ended; Resume goes on from the last checkpoint"
Say = Callable[[Literal["info", "warning"], str], None]


def attached_run(folder: Path) -> AttachedRun | None:
    """The run in ``folder``, if another program is training it; reads its whole log.

    Raises
    ------
    InputError
        If the folder is no run, or its log is damaged.
    """
    from cryoscope.io.run_folder import RunFolder

    writer = run_writer(folder)
    return None if writer is None else AttachedRun(read_past(RunFolder(folder)), writer)


def run_writer(folder: Path) -> str | None:
    """Who trains the run in ``folder``, e.g. "process 17"; None if nobody."""
    from cryoscope.io.process_lock import lock_holder

    return lock_holder(folder / "run.lock")


class AttachedRun:
    """A run that another program trains, as it was when its folder was read."""

    def __init__(self, past: RunPast, writer: str) -> None:
        self._past, self._writer = past, writer

    def view_and_curves(self) -> tuple[RunView, LossRecorder]:
        """What is shown of it at first."""
        run = replace(self._past.run, attached=self._writer)
        if not run.status.active:  # it has the lock and has not yet said that it began
            run = replace(run, status=RunStatus.PREPARING, stage_text="by another program")
        return run, self._past.recorder

    def runner(self, session: Session) -> AttachedRunner:
        """What follows it."""
        run, _ = self.view_and_curves()
        return AttachedRunner(
            run.folder, run.status, self._past.offset_bytes, session.make_runner, session.notify
        )


class AttachedRunner(ObservedRunner):
    """Tells what another program writes into a run folder, and decodes from its checkpoints.

    Commands for the trainer become requests in the folder, which it takes between its steps.

    Parameters
    ----------
    status
        What the run is doing, by the events before ``offset_bytes`` of its log.
    make_runner
        Makes what decodes.
    say
        Tells the user one line.
    """

    def __init__(
        self,
        folder: Path,
        status: RunStatus,
        offset_bytes: int,
        make_runner: Callable[[], Runner],
        say: Say,
    ) -> None:
        from cryoscope.io.process_lock import LockWatch
        from cryoscope.io.run_folder import RunFolder

        super().__init__()
        self._status = status
        self._folder, self._offset_bytes = RunFolder(folder), offset_bytes
        self._make_runner, self._say = make_runner, say
        self._server: Runner | None = None
        self._lock = LockWatch(folder / "run.lock")
        self._log_file = _inode(folder)
        self._asked: dict[Path, float] = {}
        self._asked_lock = threading.Lock()
        self._heard_s, self._spoke_of_quiet = time.monotonic(), False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="cryoscope-attach", daemon=True)

    @property
    def ready(self) -> bool:
        """Whether states can be decoded: there is a checkpoint, and it has been loaded."""
        return self._server is not None and self._server.ready

    def start(self, command: Command) -> None:
        """Begin to follow; ``command`` is what decodes the run (``serve``)."""
        self._command = command
        self._thread.start()

    def send(self, command: Command) -> None:
        """Ask the trainer, by its folder, or have something decoded.

        Raises
        ------
        InputError
            If the folder cannot be written.
        """
        from cryoscope.io.run_requests import leave_request

        name = command.get("cmd")
        if name in REQUESTED:
            path = leave_request(self._folder.path, name)
            with self._asked_lock:
                self._asked[path] = time.monotonic()
        elif self._server is not None:
            self._server.send(command)

    def decode(
        self,
        request_id: int,
        z: NDArray[np.floating],
        *,
        volume: bool,
        path: Path,
        box_size_px: int | None = None,
    ) -> None:
        """Ask for (states, d) latents to be decoded by the newest checkpoint."""
        if self._server is not None:
            self._server.checkpoint_step = self.checkpoint_step
            self._server.decode(request_id, z, volume=volume, path=path, box_size_px=box_size_px)

    def shutdown(self, timeout_s: float = 5.0) -> None:
        """Look no more; the run itself goes on."""
        self._closing.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        if self._server is not None:
            self._server.shutdown(timeout_s)

    def _follow(self) -> None:
        try:
            self._serve()
            while not self._closing.wait(LOOK_EVERY_S):
                self._look()
        except InputError as error:
            self._say("warning", f"The run is no longer followed: {error}")

    def _look(self) -> None:
        """Tell what is new in the log; then whether anybody still writes it."""
        # One on another machine that has been silent for minutes has ended too.
        alive = self._lock.look() is not None
        events = self._fresh()
        for event in events:
            if self._closing.is_set():
                return
            self._publish(event)
        if any(isinstance(event, CheckpointSaved) for event in events):
            self._serve()
        if self._status.active and not alive:
            self._publish(RunFailed(ENDED))
        self._mind_the_quiet(bool(events), alive)

    def _fresh(self) -> list[TrainEvent]:
        """Events since the last look; of several refreshes of the latents only the last."""
        inode = _inode(self._folder.path)
        rewritten = inode != self._log_file
        if rewritten:  # by a resume, which drops what was after its checkpoint
            self._log_file, self._offset_bytes = inode, 0
        values, self._offset_bytes = self._folder.read_events_from(self._offset_bytes)
        events = [parse_event(self._folder, one) for one in values]
        if rewritten:
            starts = [n for n, event in enumerate(events) if isinstance(event, RunStarted)]
            events = events[starts[-1] if starts else 0 :]
        latents = [event for event in events if isinstance(event, LatentsReady)]
        kept: list[TrainEvent] = [
            event
            for event in events
            if not (isinstance(event, LatentsReady) and event.live and event is not latents[-1])
        ]
        return [_in_latents(one) if isinstance(one, LatentsReady) else one for one in kept]

    def _serve(self) -> None:
        """Decode by the newest checkpoint, if there is one yet."""
        if not self._folder.has_checkpoint() or self._closing.is_set():
            return
        if self._server is None:
            server = self._make_runner()
            server.events.connect(self._pass_on)
            self._server = server
            server.start(self._command)
        else:
            self._server.send(self._command)

    def _pass_on(self, event: TrainEvent) -> None:
        """Answers of what decodes; it does not speak for the run."""
        if isinstance(event, ModelReady | Decoded | DecodeFailed):
            self.events.emit(event)
        elif isinstance(event, RunFailed):
            self._say("warning", f"States cannot be decoded: {event.message}")

    def _mind_the_quiet(self, heard: bool, alive: bool) -> None:
        """Say so when a request is not taken, or when nothing is written for long."""
        now_s = time.monotonic()
        if alive and self._unanswered(now_s):
            self._say("warning", "The program that trains has not answered yet")
        if heard or self._status is not RunStatus.RUNNING:
            self._heard_s, self._spoke_of_quiet = now_s, False
        elif now_s - self._heard_s > QUIET_S and not self._spoke_of_quiet:
            self._spoke_of_quiet = True
            minutes = f"{QUIET_S / 60:.0f} minutes"
            self._say("warning", f"The run has written nothing for {minutes}; it may have died")

    def _unanswered(self, now_s: float) -> bool:
        """Whether a request has waited for long; each is spoken of once."""
        with self._asked_lock:
            for path in [path for path in self._asked if not path.exists()]:
                del self._asked[path]
            late = [path for path, when in self._asked.items() if now_s - when > UNANSWERED_S]
            for path in late:
                del self._asked[path]
        return bool(late)


def _inode(folder: Path) -> int:
    """Which file the log is: another one after it was written anew; 0 where there is none."""
    try:
        return (folder / "events.jsonl").stat().st_ino
    except OSError:
        return 0


def _in_latents(event: LatentsReady) -> LatentsReady:
    """With its path as seen from the run folder: the trainer may name it from elsewhere."""
    path: Any = PureWindowsPath(event.path) if "\\" in event.path else PurePosixPath(event.path)
    return replace(event, path=f"latents/{path.name}")
