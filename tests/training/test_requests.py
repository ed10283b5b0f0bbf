"""What other programs ask of a run by files in its folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cryoscope.io.run_folder import RunFolder
from cryoscope.io.run_requests import leave_request
from cryoscope.training import trainer as trainer_module
from cryoscope.training.config import TrainConfig
from cryoscope.training.events import (
    CheckpointSaved,
    Paused,
    Progress,
    Resumed,
    RunFinished,
    StepDone,
)
from cryoscope.training.trainer import Trainer


@pytest.fixture(autouse=True)
def _always_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer_module, "LOOK_S", 0.0)


def test_pause_checkpoint_resume_and_stop(small_config: TrainConfig, tmp_path: Path) -> None:
    config = replace(small_config, optimiser=replace(small_config.optimiser, epochs=100_000))
    path = tmp_path / "run"
    script = iter(["checkpoint", None, "resume"])

    def while_paused(seconds: float) -> None:
        asked = next(script, None)
        if asked is not None:
            leave_request(path, asked)

    def between_steps() -> None:
        if trainer.step == 3:
            leave_request(path, "pause")
        elif trainer.step == 6:
            leave_request(path, "stop")

    trainer = Trainer(config, path, between_steps=between_steps, idle=while_paused)
    events = [event for event in trainer.events() if not isinstance(event, Progress)]
    turning = [e for e in events if isinstance(e, Paused | CheckpointSaved | Resumed | RunFinished)]
    assert [(e.kind, e.step) for e in turning] == [
        ("paused", 3),
        ("checkpoint_saved", 3),
        ("resumed", 3),
        ("checkpoint_saved", 6),
        ("run_finished", 6),
    ]
    assert events[-1] == RunFinished(6, "stopped")
    # Whoever follows the run by its folder learns of the pause.
    assert "paused" in [event["kind"] for event in RunFolder.open(path).read_events()]
    assert list((path / "requests").iterdir()) == []


def test_what_was_asked_of_an_earlier_trainer_is_forgotten(
    small_config: TrainConfig, tmp_path: Path
) -> None:
    first = Trainer(small_config, tmp_path / "run")
    first.between_steps = lambda: first.stop() if first.step == 2 else None
    list(first.events())
    leave_request(tmp_path / "run", "stop")
    events = list(Trainer(small_config, tmp_path / "run", resume=True).events())
    assert events[-1] == RunFinished(10, "completed")
    assert all(0 <= e.viewing_share <= 1 for e in events if isinstance(e, StepDone))
