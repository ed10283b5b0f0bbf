"""What becomes of every event of a runner, without any training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cryoscope.data import Selection
from cryoscope.io.run_folder import RunFolder
from cryoscope.session import RunStatus, RunView, Session, actions
from cryoscope.session.losses import LossRecorder
from cryoscope.session.opening import start_runner
from cryoscope.training.config import TrainConfig, config_to_json
from cryoscope.training.events import (
    FORGOTTEN,
    DecodeFailed,
    LatentsReady,
    ModelReady,
    Paused,
    Progress,
    Resumed,
    RunFailed,
    RunFinished,
    RunStarted,
    StepDone,
)
from tests.session.conftest import PARTICLES, fake_latents
from tests.session.test_attached_runner import Server


def started(step: int = 0, remark: str = "") -> RunStarted:
    return RunStarted("r", PARTICLES, 12, 100, step, "cpu", 1, 16, 2.0, remark)


def done(step: int, remark: str = "", share: float = 0.0) -> StepDone:
    losses = {"total": 1.0 / step}
    return StepDone(step, step // 10, losses, 0.5, 800.0, 30.0, share, remark)


@pytest.fixture
def session(quiet_session: Session, tmp_path: Path) -> Session:
    """On a run that a runner of ours begins to prepare."""
    folder = RunFolder.create(
        tmp_path / "run", config_to_json(TrainConfig()), {"particle_count": PARTICLES}
    )
    folder.close()
    quiet_session.run = RunView(folder.path, status=RunStatus.PREPARING)
    return quiet_session


@pytest.fixture
def server(session: Session) -> Server:
    made = Server()
    start_runner(session, {"cmd": "train"}, LossRecorder(), made)
    assert made.told == [{"cmd": "train"}]
    return made


def notices(session: Session) -> list[tuple[str, str]]:
    return [(entry.level, entry.text) for entry in session.journal.entries()
            if entry.level in ("info", "warning", "error")]  # fmt: skip


def test_a_run_from_preparing_to_its_end(session: Session, server: Server) -> None:
    server.say(Progress("reading images", 3, 9))
    assert (session.run.stage_text, session.run.done, session.run.total) == ("reading images", 3, 9)
    server.say(started(remark="2 residues are not modelled"))
    assert session.run.status is RunStatus.RUNNING
    assert session.run.stage_text == ""
    assert session.run.ready
    server.say(done(1))
    server.say(done(2, remark="in two parts from now on", share=1.0))
    run = session.run
    assert (run.step, run.images_per_s, run.seconds_left, run.motion_A) == (2, 800.0, 30.0, 0.5)
    assert run.history.terms["total"].tolist() == [1.0, 0.5]
    assert 0 < run.viewing_share < 0.5  # smoothed
    server.say(Paused(2))
    assert session.run.status is RunStatus.PAUSED
    server.say(Resumed(2))
    server.say(RunFinished(2, "completed"))
    assert session.run.status is RunStatus.FINISHED
    assert session.run.message == "Training is complete after 2 steps"
    assert session.run.seconds_left == 0.0
    assert [text for level, text in notices(session) if level == "warning"] == [
        "2 residues are not modelled",
        "in two parts from now on",
    ]


def test_a_resumed_run_forgets_what_came_after_its_checkpoint(
    session: Session, server: Server
) -> None:
    server.say(started())
    for step in (1, 2, 3):
        server.say(done(step))
    server.say(started(step=2))
    assert session.run.history.step.tolist() == [1, 2]
    assert session.run.step == 2


def test_a_run_that_is_stopping_stays_so_until_it_has_ended(
    session: Session, server: Server
) -> None:
    server.say(started())
    actions.stop_training(session)
    assert server.told[-1] == {"cmd": "stop"}
    server.say(Resumed(1))
    assert session.run.status is RunStatus.STOPPING
    server.say(RunFinished(1, "stopped"))
    assert session.run.status is RunStatus.STOPPED
    assert "Training stopped after 1 steps" in session.notice.text


def test_a_failure_is_that_of_the_run_or_of_its_model_alone(
    session: Session, server: Server
) -> None:
    server.say(started())
    server._ended()
    server.say(RunFailed("the disk is full"))
    assert session.run.status is RunStatus.FAILED
    assert (session.run.message, session.run.model_problem) == ("the disk is full",) * 2
    assert notices(session)[-1] == ("error", "the disk is full")


@pytest.mark.parametrize("ready", [True, False])
def test_a_finished_run_is_not_failed_by_its_model(
    session: Session, server: Server, ready: bool
) -> None:
    if ready:
        server.say(started())
    server.say(RunFinished(5, "completed"))
    server._ended()
    server.say(RunFailed("out of memory"))
    assert session.run.status is RunStatus.FINISHED
    assert session.run.model_problem == "out of memory"
    word = "no longer decodes" if ready else "cannot be loaded"
    assert notices(session)[-1] == ("warning", f"The model {word}: out of memory")


def test_a_run_stopped_while_it_is_prepared_has_no_model(session: Session, server: Server) -> None:
    server.say(RunFinished(0, "stopped"))
    assert session.run.model_problem == "the run was stopped before it had a model"
    assert not session.run.ready


def test_only_an_answer_that_is_missed_is_spoken_of(session: Session, server: Server) -> None:
    server.say(ModelReady("r", 3, 12))
    assert session.run.bead_count == 12
    before = notices(session)
    server.say(DecodeFailed(1, FORGOTTEN))
    assert notices(session) == before
    server.say(DecodeFailed(2, "no such step"))
    assert notices(session)[-1] == ("warning", "A state could not be decoded: no such step")


def test_settings_that_cannot_be_read_are_told_and_the_run_goes_on(
    session: Session, server: Server
) -> None:
    (session.run.folder / "config.json").write_text("{")
    server.say(started())
    assert session.run.status is RunStatus.RUNNING
    assert "config.json" in session.notice.text
    (session.run.folder / "reference.pdb").write_text("no atoms")
    RunFolder(session.run.folder).reference_path.write_text("no atoms")
    server.say(ModelReady("r", 3, 12))
    assert session.notice.level == "error"


def test_latents_are_shown_unless_an_earlier_epoch_is_looked_at(
    session: Session, server: Server
) -> None:
    folder = RunFolder(session.run.folder)
    server.say(started())
    session.selections = (Selection("other", np.ones(7, dtype=bool)),)
    path = folder.save_latents(fake_latents("r", 1, 10), live=False)
    server.say(LatentsReady(str(path), 1, 10, live=False))
    assert actions.wait(session, 30)
    assert session.latents.epoch == 1
    assert session.run.epochs == ((1, 10),)
    assert session.cursor_xy is not None  # begins in the middle of the cloud
    assert session.selections == ()
    assert ("warning", "Selections of other particles were removed") in notices(session)


def test_what_an_earlier_runner_says_is_not_heard(session: Session, server: Server) -> None:
    server.say(started())
    newer = Server()
    start_runner(session, {"cmd": "serve"}, LossRecorder(), newer)
    assert server.closed
    before = session.run
    server.say(done(50))
    server.say(RunFailed("too late"))
    assert session.run is before
