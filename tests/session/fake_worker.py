"""A worker that speaks the training protocol without torch: a script of events, real files.

As a program it reads commands from stdin and writes events to stdout; :class:`FakeEngine` is the
same thing in this process. What it does wrong is asked for in ``config["fake"]``:

``die`` exits in mid-run, ``crash`` is killed by a signal, ``fail`` reports an error, ``chatter``
prints what is no event, ``deaf`` ignores the end of its input, ``steps`` is how many it takes.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cryoscope.data import Latents
from cryoscope.io.run_folder import RunFolder
from cryoscope.training.events import (
    CheckpointSaved,
    Decoded,
    LatentsReady,
    ModelReady,
    Paused,
    Progress,
    Resumed,
    RunFailed,
    RunFinished,
    RunStarted,
    StepDone,
    TrainEvent,
    event_to_json,
)

PARTICLES, BEADS, DIMS = 300, 12, 3
STEP_S = 0.01


def reference_A() -> np.ndarray:
    """(12, 3) a helix of CA atoms."""
    turn = np.arange(BEADS) * np.deg2rad(100)
    return np.stack([2.3 * np.cos(turn), 2.3 * np.sin(turn), 1.5 * np.arange(BEADS)], axis=1)


def fake_latents(run_id: str, epoch: int, step: int) -> Latents:
    """Latents that spread out as training goes on; two components matter."""
    z = np.random.default_rng(1).normal(size=(PARTICLES, DIMS)) * [3.0, 1.0, 0.1]
    uid = np.array([f"{number:06d}@stack.mrcs" for number in range(1, PARTICLES + 1)])
    return Latents((z * (1 + 0.01 * step)).astype(np.float32), None, uid, run_id, epoch)


class FakeEngine:
    """Carries out commands as the training engine does."""

    def __init__(self, publish: Callable[[TrainEvent], None]) -> None:
        self.publish = publish
        self.commands: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.run: RunFolder | None = None
        self.fake: dict[str, Any] = {}
        self.step, self.paused, self.training, self.quit = 0, False, False, False

    def submit(self, command: dict[str, Any]) -> None:
        self.commands.put(command)

    def run_forever(self) -> None:
        while not self.quit:
            idle = not self.training or self.paused
            try:
                command = self.commands.get(timeout=0.5 if idle else STEP_S)
            except queue.Empty:
                if not idle:
                    self.advance()
                continue
            getattr(self, f"on_{command['cmd']}")(command)
        if self.training:
            self.checkpoint()
        if self.run is not None:
            self.run.close()

    def on_train(self, command: dict[str, Any]) -> None:
        config = command["config"]
        self.fake = json.loads(config["device"]) if config["device"].startswith("{") else {}
        if self.fake.get("fail"):
            self.publish(RunFailed("particles.star, row 3: a bad row. Mend it", user_error=True))
            return
        self.publish(Progress("preparing particles", 1, 2))
        if command["resume"]:
            self.run = RunFolder.open(command["run"])
            if self.run.has_checkpoint():
                self.step = int(self.run.load_checkpoint()[1]["step"])
        else:
            self.run = RunFolder.create(command["run"], config, {"particle_count": PARTICLES})
        self.training, self.paused = True, False
        self.say(
            RunStarted(
                run_id=self.run.run_id, particle_count=PARTICLES, bead_count=BEADS,
                total_steps=self.total, step=self.step, device="cpu", contrast=1,
                box_size_px=16, pixel_size_A=2.0,
            )
        )  # fmt: skip

    def on_serve(self, command: dict[str, Any]) -> None:
        self.run = RunFolder.open(command["run"])
        self.publish(ModelReady(self.run.run_id, 1, BEADS))

    def on_pause(self, command: dict[str, Any]) -> None:
        self.paused = True
        self.say(Paused(self.step))

    def on_resume(self, command: dict[str, Any]) -> None:
        self.paused = False
        self.say(Resumed(self.step))

    def on_stop(self, command: dict[str, Any]) -> None:
        if self.training:
            self.finish("stopped")

    def on_checkpoint(self, command: dict[str, Any]) -> None:
        self.checkpoint()

    def on_quit(self, command: dict[str, Any]) -> None:
        self.quit = True

    def on_decode(self, command: dict[str, Any]) -> None:
        z = np.asarray(command["z"], dtype=np.float32)
        coords = reference_A()[None] + z[:, :1, None] * np.linspace(0, 1, BEADS)[None, :, None]
        arrays = {"coords_A": coords.astype(np.float32), "z": z}
        if command["volume"]:
            grid = np.indices((16, 16, 16)) - 8
            arrays["volume"] = np.exp(-(grid**2).sum(0) / 18).astype(np.float32)
            arrays["voxel_size_A"] = np.array(2.0)
        path = Path(command["path"])
        temporary = path.with_suffix(".tmp.npz")
        np.savez(temporary, **arrays)
        temporary.replace(path)
        self.publish(Decoded(command["request_id"], str(path)))

    @property
    def total(self) -> int:
        return int(self.fake.get("steps", 1_000_000))

    def advance(self) -> None:
        self.step += 1
        if self.fake.get("die") == self.step:
            print("RuntimeError: the disk\nis made of cheese", file=sys.stderr)
            sys.exit(3)
        if self.fake.get("crash") == self.step:
            os.kill(os.getpid(), signal.SIGSEGV)
        if self.fake.get("chatter"):
            print("a stray print")
        losses = {"total": 1.0 / self.step, "data": 0.5 / self.step}
        self.say(StepDone(self.step, self.step // 50, losses, 0.1 * self.step, 1000.0, 9.0))
        if self.step % 5 == 1:
            self.latents(live=True)
        if self.step >= self.total:
            self.finish("completed")

    def latents(self, *, live: bool) -> None:
        assert self.run is not None
        epoch = self.step // 50
        path = self.run.save_latents(fake_latents(self.run.run_id, epoch, self.step), live=live)
        self.say(LatentsReady(str(path), epoch, self.step, live))

    def checkpoint(self) -> None:
        assert self.run is not None
        path = self.run.save_checkpoint(self.step, {"w": np.zeros(1)}, {"epoch": 0})
        self.say(CheckpointSaved(str(path), self.step))

    def finish(self, reason: Any) -> None:
        self.latents(live=False)
        self.checkpoint()
        self.training = False
        self.say(RunFinished(self.step, reason))

    def say(self, event: TrainEvent) -> None:
        assert self.run is not None
        self.run.append_event(event_to_json(event))
        self.publish(event)


def main() -> None:
    """Speak the protocol on stdin and stdout."""
    lock = threading.Lock()

    def publish(event: TrainEvent) -> None:
        with lock:
            try:
                print(json.dumps(event_to_json(event)), flush=True)
            except OSError:  # the parent is gone; so is its end of our input
                return

    engine = FakeEngine(publish)

    def read() -> None:
        deaf = False
        for line in sys.stdin:
            command = json.loads(line)
            deaf = deaf or "deaf" in str(command.get("config", ""))
            engine.submit(command)
        if deaf:
            time.sleep(3600)
        engine.submit({"cmd": "quit"})

    threading.Thread(target=read, daemon=True).start()
    engine.run_forever()


if __name__ == "__main__":
    main()
