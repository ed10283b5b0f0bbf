"""Hosts a trainer and answers commands between its steps; no window, no transport."""

from __future__ import annotations

import queue
import sys
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from cryoscope.data import InputError
from cryoscope.io.atomic import atomic_path
from cryoscope.training.config import config_from_json
from cryoscope.training.decoding import Decoder, load_decoder
from cryoscope.training.events import (
    FORGOTTEN,
    Decoded,
    DecodeFailed,
    ModelReady,
    RunFailed,
    TrainEvent,
)
from cryoscope.training.trainer import Trainer

Command = dict[str, Any]

#: States decoded at most in one request.
MOST_STATES = 100_000


class Engine:
    """Trains, pauses, stops and decodes on command.

    Commands are plain dictionaries with a ``cmd``: ``train`` (run, config, resume), ``serve``
    (run), ``pause``, ``resume``, ``stop``, ``checkpoint``, ``decode`` (request_id, z, volume,
    path, and maybe step: that of a checkpoint that is kept), ``forget`` (request_id: leave that
    decoding, even half done), ``quit``. All work happens in the thread that calls
    :meth:`run_forever`.

    Parameters
    ----------
    publish
        Called with every event, in that thread.
    """

    def __init__(self, publish: Callable[[TrainEvent], None]) -> None:
        self._publish = publish
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        # Commands that were taken from the queue while a map was made, for their turn.
        self._ahead: deque[Command] = deque()
        self._trainer: Trainer | None = None
        self._decoder: Decoder | None = None
        self._waiting: list[Command] = []
        self._next: Command | None = None
        self._quit = False
        self._run = ""
        self._past: tuple[int, Decoder] | None = None

    def submit(self, command: Command) -> None:
        """Hand over a command; from any thread."""
        self._commands.put(command)

    def run_forever(self) -> None:
        """Carry out commands until ``quit``."""
        while not self._quit:
            command = self._next or self._take(block=True)
            self._next = None
            try:
                self._carry_out(command)
            except InputError as error:
                self._publish(RunFailed(str(error), user_error=True))
            except Exception as error:  # the last line of defence: whatever it is, the user is told
                detail = traceback.format_exc()
                print(detail, file=sys.stderr, flush=True)
                self._publish(RunFailed(f"{type(error).__name__}: {error}"[:500], detail=detail))

    def _take(self, *, block: bool, timeout: float | None = None) -> Command:
        """The next command; queue.Empty if there is none (in time)."""
        if self._ahead:
            return self._ahead.popleft()
        return self._commands.get(block=block, timeout=timeout)

    def _carry_out(self, command: Command) -> None:
        """A command while nothing trains."""
        name = command.get("cmd")
        if name == "train":
            self._train(command)
        elif name == "serve":
            self._serving(str(command["run"]))
            self._decoder = load_decoder(command["run"])
            self._publish(
                ModelReady(self._decoder.run_id, self._decoder.epoch, self._decoder.bead_count)
            )
            self._serve_waiting()
        elif name == "decode":
            self._waiting.append(command)
            self._serve_waiting()
        elif name == "quit":
            self._quit = True

    def _train(self, command: Command) -> None:
        self._decoder, self._waiting = None, []
        self._serving(str(command["run"]))
        trainer = Trainer(
            config_from_json(command.get("config", {})),
            command["run"],
            resume=bool(command.get("resume", False)),
            between_steps=self._between_steps,
            idle=self._between_steps,
        )
        self._trainer = trainer
        try:
            for event in trainer.events():
                self._publish(event)
                self._between_steps()
        finally:
            self._decoder = trainer.decoder
            self._trainer = None

    def _between_steps(self, wait_s: float = 0.0) -> None:
        """Commands while training; with ``wait_s`` it waits that long for the first."""
        self._adopt_decoder()
        while True:
            try:
                command = self._take(block=wait_s > 0, timeout=wait_s or None)
            except queue.Empty:
                return
            self._while_training(command)
            wait_s = 0.0

    def _while_training(self, command: Command) -> None:
        assert self._trainer is not None
        name = command.get("cmd")
        if name == "pause":
            self._trainer.pause()
        elif name == "resume":
            self._trainer.go_on()
        elif name == "checkpoint":
            self._trainer.checkpoint()
        elif name == "decode":
            self._waiting.append(command)
            self._serve_waiting()
        elif name in ("stop", "quit", "train", "serve"):
            self._trainer.stop()
            if name != "stop":
                self._next = command

    def _adopt_decoder(self) -> None:
        if self._trainer is not None and self._trainer.decoder is not self._decoder:
            self._decoder = self._trainer.decoder
            self._serve_waiting()

    def _serve_waiting(self) -> None:
        if self._decoder is None:
            return
        waiting, self._waiting = self._waiting, []
        for command in waiting:
            try:
                with nullcontext() if self._trainer is None else self._trainer.viewing.measured():
                    self._decode(self._decoder_for(command), command)
            except _Forgotten:
                self._publish(DecodeFailed(int(command["request_id"]), FORGOTTEN))
            except InputError as error:  # a bad request must not end the training it interrupts
                self._publish(DecodeFailed(int(command.get("request_id", -1)), str(error)[:500]))

    def _serving(self, run: str) -> None:
        """From now on states are of that run."""
        self._run, self._past = run, None

    def _decoder_for(self, command: Command) -> Decoder:
        """The model as it is now, or as a checkpoint that is kept has it."""
        assert self._decoder is not None
        step = command.get("step")
        if step is None:
            return self._decoder
        if not isinstance(step, int):
            raise InputError(f"{step!r} is no step", cure="Name one whose checkpoint is kept")
        if self._past is None or self._past[0] != step:
            self._past = (step, load_decoder(self._run, step))
        return self._past[1]

    def _decode(self, decoder: Decoder, command: Command) -> None:
        try:
            z = np.atleast_2d(np.asarray(command["z"], dtype=np.float32))
            target = Path(command["path"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"not a decode request: {error!r}") from error
        if len(z) > MOST_STATES:
            raise InputError(
                f"{len(z):,} states asked for at once", cure=f"Ask for {MOST_STATES:,} at most"
            )
        arrays: dict[str, Any] = {"coords_A": decoder.coords_A(z), "z": z, "epoch": decoder.epoch}
        if command.get("volume"):
            request_id, box_px = int(command["request_id"]), _box_px(command, decoder)
            volume = decoder.volume(z[0], box_px, lambda: self._leave_if_forgotten(request_id))
            arrays |= {"volume": volume.values, "voxel_size_A": volume.voxel_size_A}
            arrays |= {"full_box_px": decoder.optics.box_size_px}
            arrays |= {"preview_box_px": decoder.preview_box_px}
        with atomic_path(target) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)
        self._publish(Decoded(int(command["request_id"]), str(target)))

    def _leave_if_forgotten(self, request_id: int) -> None:
        """Look at what has been asked for meanwhile; _Forgotten if it is to leave this request."""
        while True:
            try:
                self._ahead.append(self._commands.get_nowait())
            except queue.Empty:
                break
        wanted = {"cmd": "forget", "request_id": request_id}
        if any(wanted.items() <= command.items() for command in self._ahead):
            raise _Forgotten


class _Forgotten(Exception):
    """Nobody waits for the map that is being made."""


def _box_px(command: Command, decoder: Decoder) -> int:
    """The box of the map that is asked for: the preview's, the run's own (0), or a smaller one."""
    box_px = command.get("box_size_px")
    if box_px is None:
        return decoder.preview_box_px
    own_px = decoder.optics.box_size_px
    if not isinstance(box_px, int) or not (box_px == 0 or 8 <= box_px <= own_px) or box_px % 2:
        raise InputError(
            f"a map in a box of {box_px} px", cure=f"Choose an even number from 8 to {own_px} px"
        )
    return box_px
