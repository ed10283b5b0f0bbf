"""The session and the worker that really trains, on a set small enough for a test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cryoscope.io.resources import resource_path
from cryoscope.io.structures import read_models
from cryoscope.session import RunStatus, Session, actions
from cryoscope.session.demo import OPEN
from cryoscope.session.process_runner import ProcessRunner
from tests.session.conftest import ROOT, eventually
from tests.session.test_selecting import RIGHT

pytestmark = pytest.mark.slow
COUNT = 300


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few particles of one rigid structure."""
    folder = tmp_path_factory.mktemp("simulated")
    command = [sys.executable, "-m", "cryoscope", "simulate", str(folder / "set")]
    command += ["--structure", str(resource_path(OPEN)), "--particles", str(COUNT)]
    command += ["--box-px", "32", "--pixel-size-A", "3.2", "--snr", "1"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder / "set"


@pytest.fixture
def session(simulated: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    made = Session()
    actions.open_files(made, [simulated / "particles.star", simulated / "reference.pdb"])
    assert actions.wait(made, 60)
    assert made.notice is not None
    assert made.notice.level == "info"
    actions.set_option(made, "optimiser.epochs", 100_000)
    actions.set_option(made, "live_s", 0.1)
    yield made
    actions.close(made)


def test_train_look_export_stop(session: Session, tmp_path: Path) -> None:
    actions.start_training(session, tmp_path / "run")
    eventually(lambda: session.run.step > 5 and session.embedding is not None, "training")
    eventually(lambda: session.shown is not None and session.shown.z.size, "a decoded state")
    assert session.run.reference is not None
    assert len(session.shown.coords_A) == len(session.run.reference)
    # After a few steps nothing has moved far, in the frame of the reference.
    assert session.shown.displacement_A.max() < 20
    assert len(session.shown.isosurface.faces) > 0
    assert {"total", "data", "kl", "bonds"} <= set(session.run.history.terms)
    actions.lasso(session, [(-1e3, -1e3), (1e3, -1e3), (1e3, 1e3), (-1e3, 1e3)])
    actions.export_selection(session, session.active_selection, tmp_path / "all.star")
    actions.export_trajectory(session, tmp_path / "pc1.pdb", frames=4)
    assert actions.wait(session, 60)
    assert (tmp_path / "all.star").is_file()
    frames = read_models(tmp_path / "pc1.pdb")
    assert frames.coords_A.shape == (4, len(session.run.reference), 3)
    actions.stop_training(session)
    eventually(lambda: session.run.status is RunStatus.STOPPED, "stop")
    assert actions.wait(session, 60)
    assert np.isfinite(session.latents.z).all()
    assert actions.count_lasso(session, RIGHT) <= COUNT
    again = Session()
    actions.open_run(again, tmp_path / "run")
    assert actions.wait(again, 60)
    eventually(lambda: again.shown is not None, "a state of the reopened run")
    assert again.notice is None
    assert again.particles.file == session.particles.file
    assert again.run.step == session.run.step
    actions.close(again)


@pytest.mark.skipif(os.name != "posix", reason="kills the POSIX way")
def test_killed_worker_is_reported_and_resumed(session: Session, tmp_path: Path) -> None:
    actions.start_training(session, tmp_path / "run")
    eventually(lambda: session.run.step > 2, "training")
    session.runner.send({"cmd": "checkpoint"})
    eventually(lambda: list((tmp_path / "run" / "checkpoints").glob("step-*.safetensors")), "saved")
    runner = session.runner
    assert isinstance(runner, ProcessRunner)
    assert runner._process is not None
    os.kill(runner._process.pid, signal.SIGKILL)
    eventually(lambda: session.run.status is RunStatus.FAILED, "failure")
    assert "SIGKILL" in session.run.message
    step = session.run.step
    actions.resume_training(session)
    eventually(lambda: session.run.status is RunStatus.RUNNING, "resumed")
    eventually(lambda: session.run.step > step, "more steps")
    assert np.all(np.diff(session.run.history.step) > 0)


def test_input_that_cannot_be_trained_on(session: Session, simulated: Path, tmp_path: Path) -> None:
    stack = simulated / "particles.mrcs"
    hidden = stack.rename(simulated / "hidden")
    try:
        actions.start_training(session, tmp_path / "run")
        eventually(lambda: session.run.status is RunStatus.FAILED, "failure")
    finally:
        hidden.rename(stack)
    assert "particles.mrcs" in session.run.message
    assert "\n" not in session.run.message
    assert not (tmp_path / "run").exists()
