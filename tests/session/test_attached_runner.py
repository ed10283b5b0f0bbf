"""What is told of a run that somebody else writes: by its folder alone, without any trainer."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryoscope.io import process_lock
from cryoscope.io.run_folder import RunFolder
from cryoscope.io.run_requests import take_requests
from cryoscope.session import RunStatus, attached_runner
from cryoscope.session.attached_runner import ENDED, AttachedRunner, attached_run
from cryoscope.session.runner import Command, ObservedRunner
from cryoscope.training.events import (
    CheckpointSaved,
    Decoded,
    LatentsReady,
    ModelReady,
    Paused,
    RunFailed,
    RunFinished,
    RunStarted,
    StepDone,
    TrainEvent,
    event_to_json,
)
from tests.session.conftest import eventually


class Server(ObservedRunner):
    """In place of the process that decodes: remembers what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Command] = []
        self.closed = False

    def start(self, command: Command) -> None:
        self.send(command)

    def send(self, command: Command) -> None:
        self.told.append(command)

    def shutdown(self, timeout_s: float = 5.0) -> None:
        self.closed = True

    def say(self, event: TrainEvent) -> None:
        self._publish(event)


def started(step: int = 0) -> RunStarted:
    return RunStarted("r", 3, 2, 100, step, "cpu", 1, 16, 2.0)


def done(step: int) -> StepDone:
    return StepDone(step, 1, {"total": 1.0}, 0.1, 10.0, 5.0)


class Trainer:
    """Who writes the folder, holding its lock until ``leave``."""

    def __init__(self, path: Path) -> None:
        self.run = RunFolder.create(path, {}, {"particle_count": 3})
        self._stack = ExitStack()
        self._stack.enter_context(self.run.lock())
        self.say(started())

    def say(self, *events: TrainEvent) -> None:
        for event in events:
            self.run.append_event(event_to_json(event))

    def leave(self) -> None:
        self.run.close()
        self._stack.close()


class Followed:
    """A runner that follows, and everything it says."""

    def __init__(self, trainer: Trainer, status: RunStatus = RunStatus.RUNNING) -> None:
        self.folder = trainer.run.path
        self.events: list[Any] = []
        self.said: list[str] = []
        self.servers: list[Server] = []
        _, offset = trainer.run.read_events_from(0)
        self.runner = AttachedRunner(
            self.folder, status, offset, self._server, lambda level, text: self.said.append(text)
        )
        self.runner.events.connect(self.events.append)
        self.runner.start({"cmd": "serve", "run": str(self.folder)})

    def _server(self) -> Server:
        self.servers.append(Server())
        return self.servers[-1]

    def until(self, event: TrainEvent) -> None:
        eventually(lambda: event in self.events, repr(event))


@pytest.fixture
def trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trainer]:
    monkeypatch.setattr(attached_runner, "LOOK_EVERY_S", 0.01)
    made = Trainer(tmp_path / "run")
    yield made
    made.leave()


@pytest.fixture
def followed(trainer: Trainer) -> Iterator[Followed]:
    made = Followed(trainer)
    yield made
    made.runner.shutdown()


def test_what_is_written_is_told_and_the_status_follows(
    trainer: Trainer, followed: Followed
) -> None:
    trainer.say(done(1), Paused(1))
    followed.until(Paused(1))
    assert followed.runner.status is RunStatus.PAUSED
    assert followed.events == [done(1), Paused(1)]  # not what was there before
    trainer.say(RunFinished(1, "completed"))
    followed.until(RunFinished(1, "completed"))
    trainer.leave()
    trainer.say(done(2))
    followed.until(done(2))
    assert not any(isinstance(event, RunFailed) for event in followed.events)


def test_of_several_refreshes_the_last_is_told_with_its_place_in_the_folder(
    trainer: Trainer, followed: Followed
) -> None:
    live = [LatentsReady(f"C:\\elsewhere\\live-{n}.npz", 1, n, live=True) for n in (1, 2, 3)]
    kept = LatentsReady("/elsewhere/latents/epoch-0001.npz", 1, 2, live=False)
    lines = [event_to_json(event) for event in (live[0], kept, live[1], live[2], done(4))]
    # in one write, as a look may find them
    with (followed.folder / "events.jsonl").open("ab") as log:
        log.write(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    followed.until(done(4))
    told = [event for event in followed.events if isinstance(event, LatentsReady)]
    assert [(one.path, one.live) for one in told] == [
        ("latents/epoch-0001.npz", False),
        ("latents/live-3.npz", True),
    ]


def test_a_trainer_that_is_gone_is_missed_once(trainer: Trainer, followed: Followed) -> None:
    trainer.say(done(1))
    followed.until(done(1))
    trainer.leave()
    followed.until(RunFailed(ENDED))
    assert followed.runner.status is RunStatus.FAILED
    trainer.say(done(2))
    followed.until(done(2))
    assert followed.events.count(RunFailed(ENDED)) == 1


def test_a_trainer_of_another_machine_that_falls_silent_has_ended(
    trainer: Trainer, followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_lock, "SILENT_S", 0.6)
    theirs = {"pid": 7, "host": "node7", "token": "theirs"}
    lock = followed.folder / "run.lock"
    for beat in range(10):  # it lives
        (followed.folder / "lock").write_text(json.dumps({**theirs, "beat": f"{beat:012d}"}))
        (followed.folder / "lock").replace(lock)
        time.sleep(0.1)
    assert followed.runner.status is RunStatus.RUNNING
    followed.until(RunFailed(ENDED))
    assert followed.runner.status is RunStatus.FAILED


def test_checkpoints_are_decoded_by_a_process_of_ours(trainer: Trainer, followed: Followed) -> None:
    assert followed.servers == []
    followed.runner.decode(1, np.zeros((1, 2)), volume=False, path=Path("a.npz"))  # nobody can yet
    path = trainer.run.save_checkpoint(5, {"w": np.ones(1)}, {})
    trainer.say(CheckpointSaved(str(path), 5))
    eventually(lambda: followed.servers, "somebody who decodes")
    (server,) = followed.servers
    eventually(lambda: server.told, "what shall be decoded")
    assert not followed.runner.ready
    server.say(ModelReady("r", 1, 2))
    assert followed.runner.ready
    followed.runner.checkpoint_step = 5
    z = np.array([[0.5, 1.0]])
    followed.runner.decode(7, z, volume=True, path=Path("b.npz"), box_size_px=16)
    followed.runner.send({"cmd": "forget", "request_id": 7})
    serve, decode, forget = server.told
    assert serve == {"cmd": "serve", "run": str(followed.folder)}
    assert (decode["request_id"], decode["z"], decode["step"]) == (7, z.tolist(), 5)
    assert forget == {"cmd": "forget", "request_id": 7}
    answer = Decoded(7, "b.npz")
    server.say(answer)
    # it answers, but it does not speak for the run
    server.say(RunFinished(9, "completed"))
    server.say(RunFailed("no memory"))
    assert answer in followed.events
    assert followed.runner.status is RunStatus.RUNNING
    assert not any(isinstance(event, RunFinished | RunFailed) for event in followed.events)
    assert followed.said == ["States cannot be decoded: no memory"]
    path = trainer.run.save_checkpoint(6, {"w": np.ones(1)}, {})
    trainer.say(CheckpointSaved(str(path), 6))
    eventually(lambda: server.told[-1] == serve and len(server.told) == 4, "the newer checkpoint")
    followed.runner.shutdown()
    assert server.closed


def test_requests_lie_in_the_folder_and_silence_is_spoken_of_once(
    trainer: Trainer, followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pause", "checkpoint"):
        followed.runner.send({"cmd": name})
    assert take_requests(followed.folder) == ["pause", "checkpoint"]  # taken: not spoken of
    monkeypatch.setattr(attached_runner, "UNANSWERED_S", 0.05)
    for name in ("resume", "stop"):
        followed.runner.send({"cmd": name})
    eventually(lambda: followed.said, "a word about it")
    trainer.say(done(1))
    followed.until(done(1))
    assert set(followed.said) == {"The program that trains has not answered yet"}
    assert len(followed.said) <= 2  # once for each at most


def test_a_run_that_writes_nothing_may_have_died(
    trainer: Trainer, followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attached_runner, "QUIET_S", 0.05)
    eventually(lambda: followed.said, "a word about it")
    trainer.say(Paused(1))  # a pause is silent by right
    followed.until(Paused(1))
    monkeypatch.setattr(attached_runner, "QUIET_S", 0.0)
    trainer.say(done(1))
    followed.until(done(1))
    assert len(followed.said) == 1
    assert "has written nothing for 0 minutes" in followed.said[0]


def test_a_log_that_was_written_anew_is_told_from_its_last_start(
    trainer: Trainer, followed: Followed
) -> None:
    trainer.say(done(1), done(2), done(3))
    followed.until(done(3))
    anew = trainer.run.path / "anew.jsonl"
    events = [started(), done(1), done(2), started(2), done(30)]
    other = RunFolder.create(trainer.run.path.parent / "other", {}, {"particle_count": 3})
    for event in events:
        other.append_event(event_to_json(event))
    other.close()
    (other.path / "events.jsonl").replace(anew)
    before = len(followed.events)
    anew.replace(trainer.run.path / "events.jsonl")
    followed.until(done(30))
    assert followed.events[before:] == [started(2), done(30)]


def test_a_log_that_is_damaged_ends_the_following_in_one_line(
    trainer: Trainer, followed: Followed
) -> None:
    trainer.run.append_event({"kind": "step_done", "step": "many"})
    eventually(lambda: followed.said, "a word about it")
    (line,) = followed.said
    assert line.startswith("The run is no longer followed: ")
    assert "not an event" in line
    assert "\n" not in line


def test_only_a_run_that_somebody_holds_is_followed(trainer: Trainer) -> None:
    found = attached_run(trainer.run.path)
    assert found is not None
    view, _ = found.view_and_curves()
    assert view.status is RunStatus.RUNNING
    assert view.attached.startswith(f"process {os.getpid()} ")
    trainer.say(RunFinished(1, "completed"))
    # finished, and held again: it is about to go on
    again = attached_run(trainer.run.path)
    assert again is not None
    view, _ = again.view_and_curves()
    assert (view.status, view.stage_text) == (RunStatus.PREPARING, "by another program")
    trainer.leave()
    assert attached_run(trainer.run.path) is None
