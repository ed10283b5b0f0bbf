"""Real processes under ``torchrun``: what others ask of them, and the sudden end of one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryoscope.cli.entry import run as command
from cryoscope.io.run_folder import RunFolder
from cryoscope.training.config import TrainConfig

ROOT = Path(__file__).resolve().parents[2]
#: Seconds after which two processes on a busy machine have surely hung.
TOO_LONG_S = 240

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc"),
]


def arguments(config: TrainConfig, out: Path, *more: str) -> list[str]:
    """What ``cryoscope`` is given; it trains until it is stopped."""
    data = config.data
    return [
        *("train", data.particles, "--structure", data.structure, "--out", str(out)),
        *("--box-px", "32", "--device", "cpu", "--epochs", "100000"),
        *("--set", f"data.cache_dir={data.cache_dir}", *more),
    ]


@contextmanager
def two_processes(words: list[str], said: Path) -> Iterator[subprocess.Popen[str]]:
    """``torchrun`` with two processes; ``said`` takes what all of them say."""
    one = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    with said.open("w") as file:
        process = subprocess.Popen(
            [*torchrun, "--nproc-per-node", "2", "-m", "cryoscope", *words],
            env={**os.environ, **one, "PYTHONPATH": str(ROOT)},
            stdout=file,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            # torchrun takes its children along on SIGTERM; it gives each a session of its own.
            process.terminate()
            process.wait(60)


def wait_until(process: subprocess.Popen[str], true: Callable[[], Any], what: Path) -> Any:
    """Wait for something to be true; what the processes said where it does not come."""
    until = time.monotonic() + TOO_LONG_S
    while time.monotonic() < until:
        if found := true():
            return found
        assert process.poll() is None, what.read_text()
        time.sleep(0.1)
    raise AssertionError(what.read_text())


def events(run: Path, kind: str) -> list[dict[str, Any]]:
    if not (run / "run.json").exists():
        return []
    return [event for event in RunFolder.open(run).read_events() if event["kind"] == kind]


def member(torchrun: int, rank: int) -> int:
    """The number of the process of a rank."""
    for child in Path(f"/proc/{torchrun}/task/{torchrun}/children").read_text().split():
        settings = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
        if f"RANK={rank}".encode() in settings:
            return int(child)
    raise AssertionError(f"no process of rank {rank}")


def test_two_processes_pause_save_go_on_and_stop_when_asked(
    small_config: TrainConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, said = tmp_path / "run", tmp_path / "said"
    rare = ("--set", "checkpoint_s=100000")
    with two_processes(arguments(small_config, run, *rare), said) as process:

        def asked(request: str, answer: str) -> dict[str, Any]:
            count = len(events(run, answer))
            assert command(["ask", str(run), request]) == 0
            wait_until(process, lambda: len(events(run, answer)) > count, said)
            return events(run, answer)[-1]

        wait_until(process, lambda: events(run, "step_done"), said)
        paused = asked("pause", "paused")["step"]
        assert paused > 0
        assert asked("checkpoint", "checkpoint_saved")["step"] == paused
        assert RunFolder.open(run).load_checkpoint()[1]["step"] == paused
        assert max(event["step"] for event in events(run, "step_done")) <= paused
        assert asked("resume", "resumed")["step"] == paused
        wait_until(process, lambda: events(run, "step_done")[-1]["step"] > paused, said)
        assert command(["ask", str(run), "stop"]) == 0
        # In order: torchrun must not take it for a failure, and start all again.
        assert process.wait(TOO_LONG_S) == 0, said.read_text()
    (end,) = events(run, "run_finished")
    assert end["reason"] == "stopped"
    assert RunFolder.open(run).load_checkpoint()[1]["step"] == end["step"] > paused
    assert said.read_text().count("stopped (go on with --resume)") == 1
    assert not (run / "run.lock").exists()
    assert "to save a checkpoint" in capsys.readouterr().out


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_ends_the_other_in_one_line_and_both_can_go_on(
    small_config: TrainConfig, tmp_path: Path, victim: int
) -> None:
    run, said = tmp_path / "run", tmp_path / "said"
    often = ("--set", "checkpoint_s=0.5")
    with two_processes(arguments(small_config, run, *often), said) as process:
        wait_until(process, lambda: len(events(run, "checkpoint_saved")) > 1, said)
        os.kill(member(process.pid, victim), signal.SIGKILL)
        assert process.wait(TOO_LONG_S) != 0
    # torchrun itself says a lot; of us, the one that is left says why it ends, and no more.
    lines = [one for one in said.read_text().splitlines() if one.startswith("cryoscope: ")]
    (line,) = [one for one in lines if not one.startswith("cryoscope: stopping, ")]
    assert "training by 2 processes has ended: one of them was killed" in line
    assert line.endswith("Start it again with --resume: it goes on from the last checkpoint")
    assert "/" not in line
    folder = RunFolder.open(run)
    saved = folder.load_checkpoint()[1]
    assert saved["skipped"] == []
    assert saved["step"] >= events(run, "checkpoint_saved")[-1]["step"]
    assert np.isfinite(folder.load_latents().z).all()
    again = tmp_path / "said-again"
    with two_processes([*arguments(small_config, run, *often), "--resume"], again) as process:
        wait_until(
            process, lambda: events(run, "checkpoint_saved")[-1]["step"] > saved["step"], again
        )
        assert command(["ask", str(run), "stop"]) == 0
        assert process.wait(TOO_LONG_S) == 0, again.read_text()
    assert events(run, "run_finished")[-1]["reason"] == "stopped"
