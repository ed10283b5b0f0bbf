from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cryoscope.data import InputError
from cryoscope.io.run_folder import RunFolder
from cryoscope.training.batches import epoch_order
from cryoscope.training.config import TrainConfig
from cryoscope.training.decoding import load_decoder
from cryoscope.training.events import (
    CheckpointSaved,
    LatentsReady,
    Progress,
    RunFinished,
    RunStarted,
    StepDone,
    TrainEvent,
)
from cryoscope.training.starting import choose_device
from cryoscope.training.trainer import Trainer, train


def kinds(events: list[TrainEvent]) -> list[str]:
    return [event.kind for event in events if not isinstance(event, Progress)]


def test_a_run_says_what_it_does_and_leaves_everything(
    small_config: TrainConfig, tmp_path: Path
) -> None:
    events = list(train(small_config, tmp_path / "run"))
    assert isinstance(events[0], Progress)
    said = kinds(events)
    assert said[0] == "run_started"
    assert said[-3:] == ["latents_ready", "checkpoint_saved", "run_finished"]
    started = next(e for e in events if isinstance(e, RunStarted))
    assert (started.particle_count, started.bead_count, started.total_steps) == (160, 40, 10)
    assert started.contrast == 1
    assert events[-1] == RunFinished(10, "completed")
    step = next(e for e in events if isinstance(e, StepDone))
    assert {"data", "kl", "bonds", "elastic", "clash", "total"} == set(step.losses)
    run = RunFolder.open(tmp_path / "run")
    assert run.load_latents().z.shape == (160, 8)
    assert np.isfinite(run.load_latents().z).all()
    assert [e["kind"] for e in run.read_events()] == said
    decoder = load_decoder(tmp_path / "run")
    assert decoder.coords_A(run.load_latents().z).shape == (160, 40, 3)
    volume = decoder.volume(np.zeros(8))
    assert volume.values.shape == (32, 32, 32)
    assert volume.voxel_size_A == pytest.approx(3.0)
    assert volume.provenance.kind == "decoded"


def test_training_explains_the_images_better(small_config: TrainConfig, tmp_path: Path) -> None:
    config = replace(small_config, optimiser=replace(small_config.optimiser, epochs=40))
    events = list(train(config, tmp_path / "run"))
    data = [e.losses["data"] for e in events if isinstance(e, StepDone)]
    assert data[-1] < data[0] - 1.0
    assert max(e.motion_A for e in events if isinstance(e, StepDone)) > 0.3


def run_and_abandon(trainer: Trainer, after_checkpoints: int) -> None:
    """Iterate and drop the generator as a kill would, right after a checkpoint."""
    events: Iterator[TrainEvent] = trainer.events()
    seen = 0
    for event in events:
        seen += isinstance(event, CheckpointSaved)
        if seen == after_checkpoints:
            events.close()  # type: ignore[attr-defined]
            return


def test_resume_continues_with_the_same_numbers(small_config: TrainConfig, tmp_path: Path) -> None:
    config = replace(small_config, optimiser=replace(small_config.optimiser, epochs=4))
    list(train(config, tmp_path / "whole"))
    trainer = Trainer(config, tmp_path / "broken")
    # a checkpoint in the middle of an epoch: step 7 of 5-step epochs
    trainer.between_steps = lambda: trainer.checkpoint() if trainer.step == 7 else None
    run_and_abandon(trainer, 1)
    broken = RunFolder.open(tmp_path / "broken")
    assert broken.load_checkpoint()[1]["step"] == 7
    events = list(train(TrainConfig(), tmp_path / "broken", resume=True))
    assert next(e for e in events if isinstance(e, RunStarted)).step == 7
    assert events[-1] == RunFinished(20, "completed")
    whole, arrays = (
        RunFolder.open(tmp_path / name).load_checkpoint()[0] for name in ("whole", "broken")
    )
    assert whole.keys() == arrays.keys()
    for name, value in whole.items():
        assert np.array_equal(value, arrays[name]), name
    steps = [e["step"] for e in broken.read_events() if e["kind"] == "step_done"]
    assert steps == sorted(set(steps))


def test_stop_saves_and_resume_finishes(small_config: TrainConfig, tmp_path: Path) -> None:
    trainer = Trainer(small_config, tmp_path / "run")
    trainer.between_steps = lambda: trainer.stop() if trainer.step == 3 else None
    events = list(trainer.events())
    assert events[-1] == RunFinished(3, "stopped")
    assert list(train(small_config, tmp_path / "run", resume=True))[-1].step == 10  # type: ignore[union-attr]


def test_stop_before_training_leaves_no_run(small_config: TrainConfig, tmp_path: Path) -> None:
    trainer = Trainer(small_config, tmp_path / "run")
    trainer.stop()
    assert list(trainer.events())[-1] == RunFinished(0, "stopped")


def test_live_latents_come_before_the_first_epoch_ends(
    small_config: TrainConfig, tmp_path: Path
) -> None:
    config = replace(
        small_config, live_s=0.001, optimiser=replace(small_config.optimiser, batch_size=8)
    )
    live = []
    for event in train(config, tmp_path / "run"):
        if isinstance(event, LatentsReady) and event.live and not live:
            live.append(RunFolder.open(tmp_path / "run").load_latents(live=True))
    assert live[0].z.shape == (160, 8)
    assert np.isfinite(live[0].z[:, 0]).sum() > 0


@pytest.mark.parametrize(
    ("change", "words"),
    [({"model": "x"}, "no model 'x'"), ({"device": "cuda:99"}, "no device 'cuda:99'")],
)
def test_settings_that_fit_nothing_leave_no_run(
    small_config: TrainConfig, tmp_path: Path, change: dict[str, str], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        list(train(replace(small_config, **change), tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_disk_too_small_for_checkpoints_is_said_before(
    small_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path, needed_bytes: int, what: str) -> None:
        assert needed_bytes > 10_000
        raise InputError(f"no space for {what}", file=folder)

    monkeypatch.setattr("cryoscope.training.trainer.require_free", refuse)
    with pytest.raises(InputError, match="no space for the run folder"):
        list(train(small_config, tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_run_folder_is_never_overwritten(small_config: TrainConfig, tmp_path: Path) -> None:
    list(train(small_config, tmp_path / "run"))
    with pytest.raises(InputError, match="exists here already"):
        list(train(small_config, tmp_path / "run"))


def test_a_run_of_a_newer_version_is_refused(small_config: TrainConfig, tmp_path: Path) -> None:
    list(train(small_config, tmp_path / "run"))
    record = tmp_path / "run" / "run.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "format": 99}))
    with pytest.raises(InputError, match="format 99"):
        list(train(small_config, tmp_path / "run", resume=True))


def test_divergence_is_said_with_a_cure(small_config: TrainConfig, tmp_path: Path) -> None:
    config = replace(
        small_config, optimiser=replace(small_config.optimiser, learning_rate=1e12, warmup_steps=0)
    )
    with pytest.raises(InputError, match=r"diverged at step \d+.*the particles \d+, .* lower"):
        list(train(config, tmp_path / "run"))


def test_a_run_that_diverges_keeps_its_last_good_checkpoint(
    small_config: TrainConfig, tmp_path: Path
) -> None:
    trainer = Trainer(replace(small_config, checkpoint_s=1e-3), tmp_path / "run")
    events = trainer.events()
    for _ in range(2):
        next(event for event in events if isinstance(event, CheckpointSaved))
    model = trainer.decoder.model
    good = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        next(iter(model.parameters())).fill_(float("nan"))
    with pytest.raises(InputError, match="not a number"):
        list(events)
    for name, value in model.state_dict().items():
        assert torch.equal(value, good[name]), name
    assert np.isfinite(load_decoder(tmp_path / "run").coords_A(np.zeros((1, 8)))).all()


def test_a_device_that_is_not_there_is_said() -> None:
    with pytest.raises(InputError, match="no device"):
        choose_device("cuda:99" if torch.cuda.is_available() else "cuda")


def test_the_order_of_an_epoch_is_a_fixed_permutation() -> None:
    order = epoch_order(100, 3, 5)
    assert np.array_equal(np.sort(order), np.arange(100))
    assert np.array_equal(order, epoch_order(100, 3, 5))
    assert not np.array_equal(order, epoch_order(100, 3, 6))


@pytest.mark.parametrize(
    ("field", "value"),
    [("latent", {"dim": 3, "kind": "deterministic"}), ("beads", {"centre": "CA"})],
)
def test_other_settings_train_too(
    small_config: TrainConfig, tmp_path: Path, field: str, value: dict[str, object]
) -> None:
    config = replace(small_config, **{field: replace(getattr(small_config, field), **value)})
    assert list(train(config, tmp_path / "run"))[-1] == RunFinished(10, "completed")


def test_a_damaged_checkpoint_is_passed_over_and_said(
    small_config: TrainConfig, tmp_path: Path
) -> None:
    config = replace(small_config, optimiser=replace(small_config.optimiser, epochs=4))
    trainer = Trainer(config, tmp_path / "run")
    trainer.between_steps = lambda: trainer.checkpoint() if trainer.step in (4, 8) else None
    run_and_abandon(trainer, 2)
    newest = tmp_path / "run" / "checkpoints" / "step-00000008.safetensors"
    newest.write_bytes(newest.read_bytes()[:1000])
    events = list(train(config, tmp_path / "run", resume=True))
    started = next(e for e in events if isinstance(e, RunStarted))
    assert started.step == 4
    assert "damaged checkpoint" in started.remark
    assert "step-00000008" in started.remark
    assert events[-1] == RunFinished(20, "completed")
