"""The session and a (scripted) worker together."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from cryoscope.io.run_folder import RunFolder
from cryoscope.io.structures import read_models
from cryoscope.session import RunStatus, Session, actions
from cryoscope.session.losses import ROWS_LIMIT, LossRecorder
from tests.session.conftest import BEADS, eventually, fake_process, fake_thread, with_inputs
from tests.session.test_selecting import RIGHT, error


def status(session: Session) -> RunStatus:
    assert session.run is not None
    return session.run.status


def start(session: Session, out: Path) -> None:
    actions.start_training(session, out)
    eventually(lambda: session.latents is not None and session.run.ready, "latents")


def stop(session: Session) -> None:
    actions.stop_training(session)
    eventually(lambda: status(session) is RunStatus.STOPPED, "stop")
    assert actions.wait(session, 30)


def test_live_run_from_start_to_stop(session: Session, tmp_path: Path) -> None:
    actions.start_training(session, tmp_path / "run")
    assert status(session) is RunStatus.PREPARING
    eventually(lambda: session.run.step > 3, "steps")
    run = session.run
    assert run.folder == tmp_path / "run"
    assert list(run.history.terms) == ["total", "data"]
    assert np.all(np.diff(run.history.step) > 0)
    assert run.history.terms["total"][0] == 1.0
    eventually(lambda: session.embedding is not None, "embedding")
    eventually(lambda: session.shown is not None, "a first state")
    actions.pause_training(session)
    eventually(lambda: status(session) is RunStatus.PAUSED, "pause")
    actions.resume_training(session)
    eventually(lambda: status(session) is RunStatus.RUNNING, "resume")
    stop(session)
    assert session.run.ready
    assert session.latents is not None
    assert session.notice.level == "info"


def test_default_run_folder_is_beside_the_particles(session: Session, tmp_path: Path) -> None:
    (tmp_path / "cryoscope-runs" / "run-001").mkdir(parents=True)
    actions.start_training(session)
    eventually(lambda: session.run.step > 0, "a step")
    assert session.run.folder == tmp_path / "cryoscope-runs" / "run-002"
    actions.start_training(session)
    assert "already" in error(session)


def test_cursor_shows_the_state_under_it(session: Session, tmp_path: Path) -> None:
    start(session, tmp_path / "run")
    actions.pause_training(session)
    actions.move_cursor(session, (4.0, 0.0))
    eventually(lambda: session.shown is not None and abs(session.shown.z[0]) > 2, "the state")
    shown = session.shown
    assert shown.coords_A.shape == (BEADS, 3)
    assert shown.displacement_A.shape == (BEADS,)
    assert len(shown.backbone.faces) > 0
    assert shown.backbone.values is not None
    assert shown.density is not None
    assert shown.isosurface is not None
    assert len(shown.isosurface.faces) > 0
    assert shown.label.startswith("decoded by the model (")
    faces, level = len(shown.isosurface.faces), shown.level
    actions.set_iso_sigma(session, 1.0)
    eventually(lambda: session.shown.level != level, "another level")
    assert len(session.shown.isosurface.faces) != faces
    actions.set_iso_sigma(session, float("nan"))
    assert "not a number" in error(session)


def test_newest_cursor_wins(session: Session, tmp_path: Path) -> None:
    start(session, tmp_path / "run")
    stop(session)
    ids: list[int] = []
    session.events.shown.connect(lambda shown: ids.append(shown.request_id))
    for x in np.linspace(-3, 3, 200):
        actions.move_cursor(session, (x, 0.0))
    eventually(lambda: session.shown is not None and session.shown.z[0] * 3 > 3, "the last one")
    assert ids == sorted(ids)
    assert session.cursor_xy == (3.0, 0.0)
    assert len(ids) < 200


def test_trajectory_export(session: Session, tmp_path: Path) -> None:
    start(session, tmp_path / "run")
    actions.export_trajectory(session, tmp_path / "pc1.pdb", frames=6)
    eventually(lambda: (tmp_path / "pc1.pdb").exists(), "export")
    assert actions.wait(session, 30)
    frames = read_models(tmp_path / "pc1.pdb")
    assert frames.coords_A.shape == (6, BEADS, 3)
    # The fake deformation grows along the chain, and so do the B-factors.
    b_factor = frames.structure.b_factor_A2
    assert b_factor[0] < 0.01
    assert b_factor[-1] > 1.0
    actions.export_trajectory(session, tmp_path / "pc1.xyz")
    assert ".pdb or .cif" in error(session)
    actions.export_trajectory(session, tmp_path / "pc9.pdb", component=9)
    eventually(lambda: "component 9" in session.notice.text, "refusal")
    assert not (tmp_path / "pc9.pdb").exists()


def test_selection_export_and_reopening(session: Session, tmp_path: Path) -> None:
    start(session, tmp_path / "run")
    actions.lasso(session, RIGHT)
    stop(session)
    name, wanted = session.active_selection, session.selections[0].mask
    actions.export_selection(session, name, tmp_path / "subset.star")
    assert actions.wait(session, 30)
    text = (tmp_path / "subset.star").read_text()
    for uid, inside in zip(session.latents.uid, wanted, strict=True):
        assert (f"{uid} " in text) == inside
    actions.export_selection(session, "no such", tmp_path / "x.star")
    assert "no selection" in error(session)
    actions.export_selection(session, name, tmp_path / "x.xlsx")
    assert actions.wait(session, 30)
    assert ".star" in error(session)

    again = Session(make_runner=fake_thread)
    actions.open_run(again, tmp_path / "run")
    assert actions.wait(again, 60)
    assert again.run.run_id == session.run.run_id
    assert again.run.status is RunStatus.STOPPED
    assert len(again.run.history) == len(session.run.history)
    assert np.array_equal(again.latents.z, session.latents.z)
    assert np.array_equal(again.selections[0].mask, wanted)
    eventually(lambda: again.run.ready and again.shown is not None, "serving")
    actions.close(again)


def test_resuming_a_stopped_run(session: Session, tmp_path: Path) -> None:
    start(session, tmp_path / "run")
    stop(session)
    step = session.run.step
    actions.resume_training(session)
    eventually(lambda: session.run.step > step, "more steps")
    history = session.run.history
    assert history.step[0] == 1
    assert np.all(np.diff(history.step) > 0)
    stop(session)


@pytest.mark.parametrize("fake", [{"die": 4}, {"fail": True}])
def test_failures_are_told_in_one_line(tmp_path: Path, fake: dict[str, object]) -> None:
    session = with_inputs(Session(make_runner=fake_process), tmp_path, **fake)
    actions.start_training(session, tmp_path / "run")
    eventually(lambda: status(session) is RunStatus.FAILED, "failure")
    assert session.run.message
    eventually(lambda: session.notice is not None and session.notice.level == "error", "notice")
    assert "\n" not in session.notice.text
    # The next attempt is free to start.
    with_inputs(session, tmp_path)
    start(session, tmp_path / "second")
    actions.close(session)


def test_stop_before_the_runner_is_there(session: Session, tmp_path: Path) -> None:
    go = threading.Event()
    make = session.make_runner

    def slow() -> object:
        go.wait(30)
        return make()

    session.make_runner = slow
    actions.start_training(session, tmp_path / "run")
    actions.stop_training(session)
    assert status(session) is RunStatus.STOPPING
    go.set()
    eventually(lambda: status(session) is RunStatus.STOPPED, "stop")


def test_closing_while_training_saves_a_checkpoint(session: Session, tmp_path: Path) -> None:
    start(session, tmp_path / "run")
    actions.close(session)
    assert RunFolder.open(tmp_path / "run").has_checkpoint()
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith(("cryoscope-decode", "cryoscope-eng"))]


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    session = Session(make_runner=fake_thread)
    actions.start_training(session)
    assert "no particles" in error(session)
    actions.stop_training(session)
    assert "nothing is being trained" in error(session)
    actions.pause_training(session)
    assert "cannot pause: no run" in error(session)
    actions.resume_training(session)
    assert "cannot resume: no run" in error(session)
    actions.export_trajectory(session, tmp_path / "a.pdb")
    assert "no latents" in error(session)
    actions.close(session)


def test_loss_curves_stay_bounded_and_old_views_stay_true() -> None:
    recorder = LossRecorder()
    early = recorder.add(1, {"total": 1.0})
    for step in range(2, ROWS_LIMIT + 500):
        history = recorder.add(step, {"total": 1.0 / step})
    assert len(history) <= ROWS_LIMIT
    assert history.step[-1] == ROWS_LIMIT + 499
    assert np.all(np.diff(history.step) > 0)
    later = recorder.add(100, {"total": 5.0, "kl": 2.0})  # a killed run goes on from a checkpoint
    assert later.step[-1] == 100
    assert np.isnan(later.terms["kl"][0])
    assert history.step[-1] == ROWS_LIMIT + 499
    assert early.terms["total"].tolist() == [1.0]
