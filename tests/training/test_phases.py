from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cryoscope.io.run_folder import RunFolder
from cryoscope.training.config import PhaseConfig, TrainConfig
from cryoscope.training.events import RunFinished
from cryoscope.training.phases import PhasePlan
from cryoscope.training.trainer import Trainer, train


def test_phases_follow_each_other() -> None:
    phases = (PhaseConfig(kind="zero-init", epochs=0.5), PhaseConfig(kind="warm-up", epochs=1))
    plan = PhasePlan(phases, steps_per_epoch=10)
    assert (plan.kind, plan.main_begin) == ("zero-init", 15)
    assert plan.after(3, motion_A2=1.0) is None
    assert plan.after(5, motion_A2=1.0) == "zero-init"
    assert (plan.kind, plan.main_begin) == ("warm-up", 15)
    assert plan.after(14, motion_A2=0.0) is None
    assert plan.after(15, motion_A2=0.0) == "warm-up"
    assert (plan.kind, plan.main_begin) == ("main", 15)
    assert plan.after(99, motion_A2=0.0) is None


def test_zero_init_ends_where_nothing_is_deformed() -> None:
    plan = PhasePlan((PhaseConfig(kind="zero-init", epochs=3),), steps_per_epoch=10)
    assert plan.after(2, motion_A2=1e-4) == "zero-init"
    assert plan.main_begin == 2
    back = PhasePlan((PhaseConfig(kind="zero-init", epochs=3),), steps_per_epoch=10)
    back.restore(plan.state())
    assert (back.kind, back.main_begin) == ("main", 2)


def warmed(config: TrainConfig) -> TrainConfig:
    return replace(config, phases=(PhaseConfig(kind="warm-up", epochs=2),))


def test_a_warm_up_ends_where_the_coordinates_began(
    small_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cryoscope.models.atomic_model import AtomicModel

    moved: list[float] = []
    reset = AtomicModel.reset_coordinates

    def watched(self: AtomicModel) -> None:
        z = self.noise_power.new_ones(1, self.latent_dim)
        moved.append(float((self.anchors(z) - self.reference_A).detach().abs().max()))
        reset(self)
        moved.append(float((self.anchors(z) - self.reference_A).detach().abs().max()))

    monkeypatch.setattr(AtomicModel, "reset_coordinates", watched)
    events = list(train(warmed(small_config), tmp_path / "run"))
    assert events[-1] == RunFinished(20, "completed")  # 2 epochs of 5 steps each, twice
    assert len(moved) == 2
    assert moved[0] > 1e-3
    assert moved[1] == 0


def test_a_run_stopped_in_its_warm_up_goes_on_in_it(
    small_config: TrainConfig, tmp_path: Path
) -> None:
    config = warmed(small_config)
    whole, halved = tmp_path / "whole", tmp_path / "halved"
    list(train(config, whole))
    steps = []

    def count() -> None:
        steps.append(0)
        if len(steps) == 7:
            trainer.stop()

    trainer = Trainer(config, halved, between_steps=count)
    assert list(trainer.events())[-1] == RunFinished(7, "stopped")
    assert list(train(config, halved, resume=True))[-1] == RunFinished(20, "completed")
    first, second = (RunFolder.open(path).load_latents().z for path in (whole, halved))
    assert np.array_equal(first, second)
