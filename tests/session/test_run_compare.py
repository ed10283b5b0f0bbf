from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cryoscope.analysis.latent_agreement import latent_agreement, turned_onto
from cryoscope.data import Latents
from cryoscope.io.run_folder import RunFolder
from cryoscope.session import Session, actions
from cryoscope.training.config import TrainConfig, config_to_json
from cryoscope.training.events import (
    CheckpointSaved,
    LatentsReady,
    RunFinished,
    RunStarted,
    StepDone,
    event_to_json,
)
from cryoscope.training.presets import DEFAULT_PRESET, preset
from tests.session.conftest import eventually, fake_thread

COUNT = 200


def latents(epoch: int, *, turn: float = 0.0, order: np.ndarray | None = None) -> Latents:
    z = np.random.default_rng(1).normal(size=(COUNT, 2)) * [3.0, 1.0] * (1 + epoch)
    c, s = np.cos(turn), np.sin(turn)
    z = z @ np.array([[c, -s], [s, c]])
    rows = np.arange(COUNT) if order is None else order
    uid = np.array([f"{row:06d}@stack.mrcs" for row in rows])
    return Latents(z[rows].astype(np.float32), None, uid, "any", epoch)


def make_run(path: Path, config: TrainConfig, epochs: int = 3, **how: object) -> Path:
    """A run folder as training leaves it, with the checkpoints of the last two epochs."""
    run = RunFolder.create(path, config_to_json(config), {"particle_count": COUNT})
    said = [RunStarted(run.run_id, COUNT, 12, 30, 0, "cpu", 1, 16, 2.0)]
    for epoch in range(1, epochs + 1):
        step = 10 * epoch
        said.append(StepDone(step, epoch, {"data": 1.0 / epoch, "total": 1.0}, 0.1, 10.0, 1.0))
        saved = run.save_latents(latents(epoch, **how), live=False)
        said.append(LatentsReady(str(saved), epoch, step, live=False))
        kept = run.save_checkpoint(step, {"w": np.zeros(1)}, {"epoch": epoch})
        said.append(CheckpointSaved(str(kept), step))
    said.append(RunFinished(10 * epochs, "completed"))
    for event in said:
        run.append_event(event_to_json(event))
    run.close()
    return path


@pytest.fixture
def config() -> TrainConfig:
    found = preset(DEFAULT_PRESET)
    return replace(found, optimiser=replace(found.optimiser, batch_size=20))


@pytest.fixture
def session() -> Iterator[Session]:
    made = Session(make_runner=fake_thread)
    yield made
    actions.close(made)


def test_two_runs_beside_each_other(session: Session, config: TrainConfig, tmp_path: Path) -> None:
    first = make_run(tmp_path / "run-001", config)
    optimiser = replace(config.optimiser, batch_size=40, epochs=7)
    order = np.random.default_rng(3).permutation(COUNT)[:150]
    second = make_run(
        tmp_path / "run-002", replace(config, optimiser=optimiser), turn=1.0, order=order
    )
    actions.open_run(session, first)
    assert actions.wait(session, 30)
    assert actions.sibling_runs(session) == (second,)
    actions.add_compared_runs(session, [second])
    assert actions.wait(session, 30)
    comparison = session.comparison
    assert [one.name for one in comparison.runs] == ["run-001", "run-002"]
    assert {(row.path, row.values) for row in comparison.settings} == {
        ("optimiser.batch_size", (20, 40)),
        ("optimiser.epochs", (config.optimiser.epochs, 7)),
    }
    np.testing.assert_allclose(comparison.runs[0].passes, [1, 2, 3])
    np.testing.assert_allclose(comparison.runs[1].passes, [2, 4, 6])
    other = comparison.runs[1]
    assert other.shared == 150
    assert other.agreement.explained == pytest.approx(1, abs=1e-4)
    assert other.agreement.shared_neighbours > 0.95
    assert other.picture.shape[2] == 3
    assert comparison.runs[0].agreement is None
    assert actions.sibling_runs(session) == ()

    actions.show_compared_latents(session, second)
    shown = session.embedding
    assert shown.axis_labels[0] == "PC1 of run-002"
    assert np.isfinite(shown.xy).all(axis=1).sum() == 150
    row = int(order[0])
    np.testing.assert_allclose(shown.xy[row], other.xy[0])

    actions.stop_comparing(session, second)
    assert session.comparison is None
    actions.add_compared_runs(session, [tmp_path])
    assert actions.wait(session, 30)
    assert session.notice.level == "error"


def test_latents_that_have_nothing_in_common_do_not_agree() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 500, 3))
    found = latent_agreement(a, b)
    assert found.explained < 0.05
    assert found.shared_neighbours == pytest.approx(found.by_chance, abs=0.02)
    assert latent_agreement(a[:10], b[:10]) is None
    curved = np.stack([a[:, 0], a[:, 0] ** 2, 0.01 * a[:, 1]], axis=1)
    line = np.arcsinh(3 * a[:, :1])
    found = latent_agreement(line, curved)
    assert found.explained < 0.6
    assert found.shared_neighbours > 0.3


def test_turning_one_picture_onto_another() -> None:
    rng = np.random.default_rng(0)
    fixed = rng.normal(size=(100, 2)) * [3, 1]
    moving = (fixed @ np.array([[0.0, 1.0], [1.0, 0.0]]) + 5).astype(np.float32)
    fixed[3] = np.nan
    turned = turned_onto(moving, fixed)
    known = np.isfinite(fixed).all(axis=1)
    centred = fixed[known] - fixed[known].mean(axis=0)
    np.testing.assert_allclose(turned[known], centred, atol=1e-5)


def test_earlier_epochs_are_shown_and_decoded_where_their_checkpoint_is_kept(
    session: Session, config: TrainConfig, tmp_path: Path
) -> None:
    folder = make_run(tmp_path / "run-001", config)
    actions.open_run(session, folder)
    assert actions.wait(session, 30)
    eventually(lambda: session.run.ready, "it decodes")
    assert session.run.epochs == ((1, 10), (2, 20), (3, 30))
    actions.show_epoch(session, 2)
    assert actions.wait(session, 30)
    assert session.latents.epoch == 2
    assert (session.epoch_shown.step, session.epoch_shown.decodes) == (20, True)
    assert session.runner.checkpoint_step == 20
    assert session.run.ready
    actions.show_epoch(session, 1)
    assert actions.wait(session, 30)
    assert session.latents.epoch == 1
    assert not session.epoch_shown.decodes
    assert not session.run.ready, "another epoch's model would show wrong states"
    actions.show_epoch(session, 9)
    assert "epoch 9 is not kept" in session.notice.text
    assert session.epoch_shown.epoch == 1
    actions.show_epoch(session, None)
    assert actions.wait(session, 30)
    assert session.latents.epoch == 3
    assert session.run.ready
    assert session.epoch_shown is None
    # The pictures of the epochs are aligned with each other.
    assert session.embedding.axis_labels[0].startswith("PC1")


def test_a_clone_has_the_settings_of_the_run_and_says_what_was_changed(
    session: Session, config: TrainConfig, tmp_path: Path
) -> None:
    folder = make_run(tmp_path / "run-001", config)
    actions.set_option(session, "data.particles", "mine.star")
    actions.clone_run(session, folder)
    assert actions.wait(session, 30)
    assert session.config.optimiser.batch_size == 20
    assert session.config.data.particles == "mine.star"
    assert session.config_base.name == "run-001"
    assert actions.setting_changes(session) == ()
    actions.set_option(session, "optimiser.epochs", 77)
    actions.set_option(session, "loss.restraints.0.weight", 5.0)
    changes = {change.path: change for change in actions.setting_changes(session)}
    assert set(changes) == {"optimiser.epochs", "loss.restraints.0.weight"}
    assert changes["optimiser.epochs"].now == 77
    assert changes["loss.restraints.0.weight"].label == "Bonds: weight"
    actions.choose_preset(session, DEFAULT_PRESET)
    assert session.config_base is None
    assert actions.setting_changes(session) == ()
    actions.clone_run(session, tmp_path)
    assert actions.wait(session, 30)
    assert session.notice.level == "error"
    assert session.run is None
