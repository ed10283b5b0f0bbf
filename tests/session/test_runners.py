"""One contract for all runners, against a scripted worker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryoscope.session.process_runner import ProcessRunner, worker_environment
from cryoscope.session.records import RunStatus
from cryoscope.session.thread_runner import ThreadRunner
from cryoscope.training.config import TrainConfig, config_to_json
from cryoscope.training.events import (
    Decoded,
    Paused,
    Resumed,
    RunFailed,
    RunFinished,
    RunStarted,
    StepDone,
)
from tests.session.conftest import ROOT, RUNNERS, eventually, fake_process

AnyRunner = ProcessRunner | ThreadRunner


def train(folder: Path, *, resume: bool = False, **fake: object) -> dict[str, Any]:
    config = {**config_to_json(TrainConfig()), "device": json.dumps(fake)}
    return {"cmd": "train", "run": str(folder / "run"), "config": config, "resume": resume}


def listen(runner: AnyRunner) -> list[Any]:
    events: list[Any] = []
    runner.events.connect(events.append)
    return events


def kinds(events: list[Any]) -> list[str]:
    return [event.kind for event in events]


@pytest.fixture(params=["process", "thread"])
def runner(request: pytest.FixtureRequest) -> Iterator[AnyRunner]:
    made = RUNNERS[request.param]()
    yield made
    made.shutdown()


def test_trains_pauses_resumes_and_stops(runner: AnyRunner, tmp_path: Path) -> None:
    events = listen(runner)
    assert runner.status is RunStatus.IDLE
    runner.start(train(tmp_path))
    assert runner.status is RunStatus.PREPARING
    eventually(lambda: "step_done" in kinds(events), "a step")
    assert runner.status is RunStatus.RUNNING
    assert runner.ready
    runner.send({"cmd": "pause"})
    eventually(lambda: runner.status is RunStatus.PAUSED, "pause")
    runner.send({"cmd": "resume"})
    eventually(lambda: runner.status is RunStatus.RUNNING, "resume")
    runner.send({"cmd": "stop"})
    eventually(lambda: runner.status is RunStatus.STOPPED, "stop")
    assert [type(e) for e in events if isinstance(e, Paused | Resumed)] == [Paused, Resumed]
    assert isinstance(events[-1], RunFinished)
    assert kinds(events)[:2] == ["progress", "run_started"]
    steps = [event.step for event in events if isinstance(event, StepDone)]
    assert steps == sorted(steps)


def test_decodes_while_training_while_paused_and_after(runner: AnyRunner, tmp_path: Path) -> None:
    events = listen(runner)
    runner.start(train(tmp_path))
    eventually(lambda: runner.ready, "ready")
    for number, command in enumerate(("checkpoint", "pause", "stop")):
        runner.send({"cmd": command})
        path = tmp_path / f"{number}.npz"
        runner.decode(number, np.zeros((2, 3)), volume=False, path=path)
        eventually(lambda n=number: Decoded(n, str(tmp_path / f"{n}.npz")) in events, "decoded")
        with np.load(path) as file:
            assert file["coords_A"].shape[0] == 2


def test_bad_input_is_one_line(runner: AnyRunner, tmp_path: Path) -> None:
    events = listen(runner)
    runner.start(train(tmp_path, fail=True))
    eventually(lambda: runner.status is RunStatus.FAILED, "failure")
    runner.shutdown()
    (failed,) = [event for event in events if isinstance(event, RunFailed)]
    assert failed.user_error
    assert "\n" not in failed.message


def test_shutdown_leaves_a_checkpoint_and_no_event_behind(
    runner: AnyRunner, tmp_path: Path
) -> None:
    events = listen(runner)
    runner.start(train(tmp_path))
    eventually(lambda: "step_done" in kinds(events), "a step")
    runner.shutdown()
    assert list((tmp_path / "run" / "checkpoints").iterdir())
    assert "run_failed" not in kinds(events)
    assert not runner.ready
    runner.send({"cmd": "pause"})  # nobody reads it, nothing breaks
    runner.shutdown()


def test_shutdown_before_start(runner: AnyRunner, tmp_path: Path) -> None:
    runner.shutdown()
    runner.start(train(tmp_path))
    assert runner.status is RunStatus.IDLE
    assert not (tmp_path / "run").exists()


def test_a_listener_that_fails_does_not_end_the_run(runner: AnyRunner, tmp_path: Path) -> None:
    def broken(event: object) -> None:
        raise ValueError("a broken panel")

    runner.events.connect(broken)
    events = listen(runner)
    runner.start(train(tmp_path, steps=3))
    eventually(lambda: runner.status is RunStatus.FINISHED, "finish")
    assert "run_failed" not in kinds(events)


def test_serves_a_finished_run(runner: AnyRunner, tmp_path: Path) -> None:
    first = RUNNERS["thread"]()
    first.start(train(tmp_path, steps=3))
    eventually(lambda: first.status is RunStatus.FINISHED, "finish")
    first.shutdown()
    events = listen(runner)
    runner.start({"cmd": "serve", "run": str(tmp_path / "run")})
    eventually(lambda: runner.ready, "ready")
    runner.decode(5, np.ones((1, 3)), volume=True, path=tmp_path / "x.npz")
    eventually(lambda: "decoded" in kinds(events), "decoded")


@pytest.mark.parametrize(("fake", "how"), [("die", "exit code 3"), ("crash", "SIGSEGV")])
def test_a_child_that_dies_is_reported_once(tmp_path: Path, fake: str, how: str) -> None:
    if fake == "crash" and os.name != "posix":
        pytest.skip("signals kill processes on POSIX only")
    runner = fake_process()
    events = listen(runner)
    runner.start(train(tmp_path, **{fake: 4}))
    eventually(lambda: runner.status is RunStatus.FAILED, "failure")
    runner.shutdown()
    (failed,) = [event for event in events if isinstance(event, RunFailed)]
    assert how in failed.message
    assert "\n" not in failed.message
    if fake == "die":
        assert failed.message.endswith("is made of cheese")
        assert "RuntimeError: the disk" in failed.detail


def test_stray_prints_do_not_disturb(tmp_path: Path) -> None:
    runner = fake_process()
    runner.start(train(tmp_path, chatter=True, steps=5))
    eventually(lambda: runner.status is RunStatus.FINISHED, "finish")
    runner.shutdown()
    assert "unexpected output: a stray print" in runner.log_tail


def test_a_child_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    runner = fake_process()
    events = listen(runner)
    runner.start(train(tmp_path, deaf=True))
    eventually(lambda: "run_started" in kinds(events), "start")
    child = runner._process
    assert child is not None
    runner.shutdown(timeout_s=0.2)
    assert child.poll() is not None


def test_a_worker_that_cannot_be_started(tmp_path: Path) -> None:
    runner = ProcessRunner([str(tmp_path / "no-such-python")])
    events = listen(runner)
    runner.start(train(tmp_path))
    eventually(lambda: runner.status is RunStatus.FAILED, "failure")
    assert "could not be started" in events[0].message
    runner.shutdown()


def test_one_core_is_left_to_the_window() -> None:
    chosen = worker_environment({})
    assert int(chosen["OMP_NUM_THREADS"]) >= 1
    assert worker_environment({"OMP_NUM_THREADS": "7"})["OMP_NUM_THREADS"] == "7"


PARENT = """
import json, os, signal, sys, time
from pathlib import Path
from tests.session.conftest import fake_process, eventually
from tests.session.test_runners import train
runner = fake_process()
runner.start(train(Path(sys.argv[1])))
eventually(lambda: runner.ready)
print(runner._process.pid, flush=True)
if sys.argv[2] == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(os.name != "posix", reason="looks for the child's process the POSIX way")
@pytest.mark.parametrize("how", ["exit", "kill"])
def test_the_child_does_not_outlive_its_parent(tmp_path: Path, how: str) -> None:
    parent = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PARENT), str(tmp_path), how],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=120,
        check=False,
    )
    child = int(parent.stdout)
    eventually(lambda: _is_gone(child), "the child's end")
    assert list((tmp_path / "run" / "checkpoints").iterdir())


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # Without an init process that reaps them, orphans stay behind as zombies.
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z"


def test_started_once_only(runner: AnyRunner, tmp_path: Path) -> None:
    events = listen(runner)
    runner.start(train(tmp_path))
    with pytest.raises(RuntimeError, match="once"):
        runner.start(train(tmp_path))
    eventually(lambda: any(isinstance(e, RunStarted) for e in events), "start")
