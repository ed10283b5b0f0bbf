"""A GPU that is too small or lost, a laptop that sleeps, files and disks that go: by injection."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cryoscope.data import InputError
from cryoscope.io.run_folder import RunFolder
from cryoscope.models.atomic_model import AtomicModel
from cryoscope.training import loop as loop_module
from cryoscope.training import trainer as trainer_module
from cryoscope.training.config import TrainConfig
from cryoscope.training.decoding import load_decoder
from cryoscope.training.device_faults import DeviceLost
from cryoscope.training.events import CheckpointSaved, RunFinished, StepDone
from cryoscope.training.trainer import Trainer, train


def images_at_once(monkeypatch: pytest.MonkeyPatch, most: int) -> list[int]:
    """A GPU that holds so many images; the sizes of the batches it was given."""
    given: list[int] = []
    losses = AtomicModel.losses

    def limited(self: AtomicModel, batch: Any, *rest: Any) -> Any:
        given.append(len(batch.rotation))
        found = losses(self, batch, *rest)
        if len(batch.rotation) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0")
        return found

    monkeypatch.setattr(AtomicModel, "losses", limited)
    return given


def test_a_batch_that_does_not_fit_is_taken_in_parts_and_it_is_said(
    small_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer_module, "REPORT_S", -1.0)
    whole = list(train(small_config, tmp_path / "whole"))
    given = images_at_once(monkeypatch, 10)
    events = list(train(small_config, tmp_path / "parts"))
    assert events[-1] == RunFinished(10, "completed")
    assert given[:4] == [2, 32, 16, 8]
    assert set(given[4:]) == {8}
    steps, as_whole = ([e for e in one if isinstance(e, StepDone)] for one in (events, whole))
    assert "32 images at once" in steps[0].remark
    assert "4 parts of 8" in steps[0].remark
    assert not any(step.remark for step in steps[1:])
    # Weights by signal are the part's, all else is the whole batch's, its noise included.
    for one, other in zip(steps, as_whole, strict=True):
        assert one.losses["data"] == pytest.approx(other.losses["data"], rel=0.02, abs=0.02)
        assert one.losses["kl"] == pytest.approx(other.losses["kl"], rel=0.02)
    counted = RunFolder.open(tmp_path / "parts").load_checkpoint()[0]
    steps_counted = [v for name, v in counted.items() if name.endswith(".steps")]
    assert steps_counted
    assert all(value == 10 for value in steps_counted)


def test_memory_for_not_one_image_is_an_error_with_a_cure(
    small_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Trainer(replace(small_config, checkpoint_s=1e-3), tmp_path / "run")
    events = trainer.events()
    next(event for event in events if isinstance(event, CheckpointSaved))
    images_at_once(monkeypatch, 0)
    with pytest.raises(InputError, match=r"too little memory .* smaller optimiser.batch_size"):
        list(events)
    assert RunFolder.open(tmp_path / "run").has_checkpoint()


def test_encoding_takes_fewer_images_where_memory_is_short(
    small_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode, given = AtomicModel.encode, []

    def limited(self: AtomicModel, batch: Any) -> Any:
        given.append(len(batch.rotation))
        if given[-1] > 50:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return encode(self, batch)

    monkeypatch.setattr(AtomicModel, "encode", limited)
    list(train(small_config, tmp_path / "run"))
    assert max(given) > 50
    assert np.isfinite(RunFolder.open(tmp_path / "run").load_latents().z).all()


@pytest.mark.parametrize("message", ["CUDA error: an illegal memory access", "NCCL error: remote"])
def test_a_lost_gpu_stops_the_run_and_leaves_its_checkpoint(
    small_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, message: str
) -> None:
    trainer = Trainer(replace(small_config, checkpoint_s=1e-3), tmp_path / "run")
    events = trainer.events()
    saved = next(event for event in events if isinstance(event, CheckpointSaved))

    def gone(*_: Any) -> None:
        raise RuntimeError(message)

    monkeypatch.setattr(AtomicModel, "losses", gone)
    with pytest.raises(DeviceLost, match=r"the GPU stopped working .* --resume"):
        list(events)
    monkeypatch.undo()
    run = RunFolder.open(tmp_path / "run")
    assert run.load_checkpoint()[1]["step"] == saved.step
    assert list(train(small_config, run.path, resume=True))[-1] == RunFinished(10, "completed")


def test_another_error_stays_what_it_is(
    small_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*_: Any) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(AtomicModel, "losses", wrong)
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        list(train(small_config, tmp_path / "run"))


def jumping(clock: Callable[[], float], at_call: int, by_s: float) -> Callable[[], float]:
    """A clock that goes on while the laptop sleeps."""
    calls = 0

    def read() -> float:
        nonlocal calls
        calls += 1
        return clock() + (by_s if calls >= at_call else 0.0)

    return read


def test_a_night_asleep_is_not_time_trained(
    small_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(small_config, optimiser=replace(small_config.optimiser, minutes=0.02))
    monkeypatch.setattr(loop_module.time, "perf_counter", jumping(time.perf_counter, 8, 8 * 3600.0))
    monkeypatch.setattr(trainer_module, "REPORT_S", -1.0)
    events = list(train(config, tmp_path / "run"))
    steps = [e for e in events if isinstance(e, StepDone)]
    assert len(steps) > 4, "the run ended where it slept"
    assert all(0 <= step.seconds_left <= 1.2 for step in steps)
    assert min(step.images_per_s for step in steps) > 0.01
    assert RunFolder.open(tmp_path / "run").load_checkpoint()[1]["trained_s"] < 60


def test_a_wall_clock_that_is_set_back_changes_nothing(
    small_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", jumping(time.time, 3, -1e6))
    events = list(train(replace(small_config, checkpoint_s=1e-3), tmp_path / "run"))
    assert sum(isinstance(event, CheckpointSaved) for event in events) >= 10
    assert events[-1] == RunFinished(10, "completed")


def test_particles_deleted_under_a_running_job(
    small_config: TrainConfig, small_set: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "set"
    shutil.copytree(small_set, mine)
    data = replace(small_config.data, particles=str(mine / "particles.star"))
    trainer = Trainer(replace(small_config, data=data), tmp_path / "run")
    trainer.between_steps = lambda: shutil.rmtree(mine, ignore_errors=True)
    assert list(trainer.events())[-1] == RunFinished(10, "completed")
    assert len(load_decoder(tmp_path / "run").coords_A(np.zeros((1, 8)))) == 1
    with pytest.raises(InputError, match=r"particles\.star"):
        list(train(small_config, tmp_path / "run", resume=True))


def test_a_stack_deleted_while_it_is_cached_leaves_no_cache(
    small_config: TrainConfig, small_set: Path, tmp_path: Path
) -> None:
    from cryoscope.io import particle_cache

    mine = tmp_path / "set"
    shutil.copytree(small_set, mine)
    stacks = [*mine.rglob("*.mrcs")]
    assert stacks
    data = replace(small_config.data, particles=str(mine / "particles.star"))
    prepare = particle_cache._Build._prepare

    def vanishing(self: Any, start: int) -> Any:
        for stack in stacks:
            stack.unlink(missing_ok=True)
        return prepare(self, start)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(particle_cache._Build, "_prepare", vanishing)
        with pytest.raises(InputError, match=r"\.mrcs"):
            list(train(replace(small_config, data=data), tmp_path / "run"))
    assert not (tmp_path / "run").exists()
    assert not [*(tmp_path / "cache").rglob("cache.json")]


@pytest.mark.parametrize(("code", "words"), [(13, "not writable"), (28, "the disk is full")])
def test_permission_or_space_lost_in_mid_run_keeps_the_last_checkpoint(
    small_config: TrainConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    words: str,
) -> None:
    trainer = Trainer(replace(small_config, checkpoint_s=1e-3), tmp_path / "run")
    events = trainer.events()
    saved = next(event for event in events if isinstance(event, CheckpointSaved))
    touch = Path.touch

    def refused(self: Path, *args: Any, **options: Any) -> None:
        if self.is_relative_to(tmp_path / "run"):
            raise OSError(code, "refused", str(self))
        touch(self, *args, **options)

    monkeypatch.setattr(Path, "touch", refused)
    with pytest.raises(InputError, match=words):
        list(events)
    monkeypatch.undo()
    run = RunFolder.open(tmp_path / "run")
    assert run.load_checkpoint()[1]["step"] == saved.step
    assert list(train(small_config, run.path, resume=True))[-1] == RunFinished(10, "completed")


def test_two_programs_cannot_train_in_one_folder(small_config: TrainConfig, tmp_path: Path) -> None:
    events = Trainer(small_config, tmp_path / "run").events()
    next(event for event in events if isinstance(event, StepDone))
    with pytest.raises(InputError, match=r"in use: process \d+ of this computer .*Stop that"):
        list(train(small_config, tmp_path / "run", resume=True))
    assert list(events)[-1] == RunFinished(10, "completed")
