"""The worker process: protocol, control, and what happens when either side dies."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryoscope.io.run_folder import RunFolder
from cryoscope.training.config import TrainConfig, config_to_json
from cryoscope.training.engine import Engine
from cryoscope.training.events import (
    Decoded,
    DecodeFailed,
    ModelReady,
    RunFinished,
    event_from_json,
)


class Worker:
    """A worker and its two pipes."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cryoscope.training.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def send(self, **command: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    def until(self, kind: str) -> list[dict[str, Any]]:
        """Events up to and with the first of ``kind``; each must be one of ours."""
        assert self.process.stdout is not None
        seen = []
        for line in self.process.stdout:
            seen.append(json.loads(line))
            event_from_json(seen[-1])
            if seen[-1]["kind"] == kind:
                return seen
        raise AssertionError(f"no {kind} among {[e['kind'] for e in seen]}")


@pytest.fixture
def worker() -> Iterator[Worker]:
    started = Worker()
    yield started
    started.process.kill()
    started.process.wait()


@pytest.fixture
def long_config(small_config: TrainConfig) -> TrainConfig:
    return replace(small_config, optimiser=replace(small_config.optimiser, epochs=100_000))


def test_pause_decode_resume_stop(worker: Worker, long_config: TrainConfig, tmp_path: Path) -> None:
    worker.send(cmd="train", run=str(tmp_path / "run"), config=config_to_json(long_config))
    worker.until("step_done")
    worker.send(cmd="pause")
    paused = worker.until("paused")[-1]["step"]
    answer = tmp_path / "decoded.npz"
    worker.send(cmd="decode", request_id=7, z=[[0.0] * 8], volume=True, path=str(answer))
    said = worker.until("decoded")
    assert said[-1] == {"request_id": 7, "path": str(answer), "kind": "decoded"}
    assert not any(e["kind"] == "step_done" and e["step"] > paused for e in said)
    with np.load(answer, allow_pickle=False) as arrays:
        assert arrays["coords_A"].shape == (1, 40, 3)
        assert arrays["volume"].shape == (32, 32, 32)
    worker.send(cmd="decode", request_id=9, z=[[0.0] * 3], path=str(answer))
    assert worker.until("decode_failed")[-1]["request_id"] == 9
    request = {"cmd": "decode", "z": [[0.0] * 8], "volume": True, "path": str(answer)}
    worker.send(**request, request_id=10, box_size_px=16)
    worker.until("decoded")
    with np.load(answer, allow_pickle=False) as arrays:
        assert arrays["volume"].shape == (16, 16, 16)
    worker.send(**request, request_id=11, box_size_px=1_000_000)
    assert "8 to 32" in worker.until("decode_failed")[-1]["message"]
    worker.send(cmd="resume")
    worker.until("resumed")
    worker.until("step_done")
    worker.send(cmd="stop")
    assert worker.until("run_finished")[-1]["reason"] == "stopped"
    worker.send(cmd="decode", request_id=8, z=[[0.0] * 8] * 3, path=str(answer))
    worker.until("decoded")
    worker.send(cmd="quit")
    assert worker.process.wait(20) == 0


def test_a_parent_that_goes_leaves_a_checkpoint_and_no_orphan(
    worker: Worker, long_config: TrainConfig, tmp_path: Path
) -> None:
    worker.send(cmd="train", run=str(tmp_path / "run"), config=config_to_json(long_config))
    worker.until("step_done")
    assert worker.process.stdout is not None
    assert worker.process.stdin is not None
    worker.process.stdout.close()  # both ends of the protocol go, as when the window is killed
    worker.process.stdin.close()
    assert worker.process.wait(30) == 0
    assert RunFolder.open(tmp_path / "run").has_checkpoint()


def test_bad_input_is_one_line_and_the_worker_lives(worker: Worker, tmp_path: Path) -> None:
    config = config_to_json(TrainConfig())
    config["data"]["particles"] = str(tmp_path / "absent.star")
    config["data"]["structure"] = str(tmp_path / "absent.pdb")
    worker.send(cmd="train", run=str(tmp_path / "run"), config=config)
    failed = worker.until("run_failed")[-1]
    assert failed["user_error"]
    assert "absent.star" in failed["message"]
    assert "\n" not in failed["message"]
    assert not (tmp_path / "run").exists()
    worker.send(cmd="serve", run=str(tmp_path / "run"))
    assert worker.until("run_failed")[-1]["user_error"]


def test_noise_on_stdin_is_not_a_command(worker: Worker) -> None:
    assert worker.process.stdin is not None
    worker.process.stdin.write("hello\n[1, 2]\n{}\n")
    worker.send(cmd="quit")
    assert worker.process.wait(20) == 0


def test_the_engine_serves_a_finished_run(small_config: TrainConfig, tmp_path: Path) -> None:
    def quit_when_done(event: Any) -> None:
        if isinstance(event, RunFinished):
            engine.submit({"cmd": "quit"})

    engine = Engine(quit_when_done)
    config = config_to_json(small_config)
    engine.submit({"cmd": "train", "run": str(tmp_path / "run"), "config": config})
    engine.run_forever()
    assert RunFolder.open(tmp_path / "run").has_checkpoint()
    again: list[Any] = []
    engine = Engine(again.append)
    engine.submit({"cmd": "serve", "run": str(tmp_path / "run")})
    z = np.full((2, 8), 0.1)
    engine.submit({"cmd": "decode", "request_id": 1, "z": z, "path": str(tmp_path / "a.npz")})
    engine.submit(
        {"cmd": "decode", "request_id": 2, "z": z[:, :3], "path": str(tmp_path / "b.npz")}
    )
    engine.submit({"cmd": "quit"})
    engine.run_forever()
    assert isinstance(again[0], ModelReady)
    assert isinstance(again[1], Decoded)
    assert isinstance(again[2], DecodeFailed)
    assert again[2].request_id == 2


def test_a_state_of_a_checkpoint_that_is_kept_is_decoded_while_training(
    worker: Worker, long_config: TrainConfig, tmp_path: Path
) -> None:
    worker.send(cmd="train", run=str(tmp_path / "run"), config=config_to_json(long_config))
    worker.until("step_done")
    worker.send(cmd="checkpoint")
    step = worker.until("checkpoint_saved")[-1]["step"]
    worker.until("step_done")
    request = {"cmd": "decode", "z": [[0.0] * 8], "volume": False, "path": str(tmp_path / "d.npz")}
    worker.send(**request, request_id=1, step=step)
    said = worker.until("decoded")
    with np.load(tmp_path / "d.npz", allow_pickle=False) as arrays:
        assert int(arrays["epoch"]) == step // 5
    while not any(event.get("viewing_share") for event in said):
        said = worker.until("step_done")
    worker.send(**request, request_id=2, step=step + 1)
    assert "step-" in worker.until("decode_failed")[-1]["message"]
    worker.send(cmd="quit")
    assert worker.process.wait(30) == 0
