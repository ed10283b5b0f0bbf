"""A run that another process trains, looked at and steered from a session that did not start it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cryoscope.cli.entry import run
from cryoscope.session import RunStatus, Session, actions
from cryoscope.session.attached_runner import AttachedRunner, run_writer
from tests.session.conftest import ROOT, eventually
from tests.session.test_real_worker import simulated  # noqa: F401

pytestmark = pytest.mark.slow


@pytest.fixture
def trainer(
    simulated: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[subprocess.Popen[bytes]]:
    """``cryoscope train`` in a process of its own, which knows nothing of us."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    command = [sys.executable, "-m", "cryoscope", "train", str(simulated / "particles.star")]
    command += ["--structure", str(simulated / "reference.pdb"), "--out", "run"]
    for setting in ("epochs=100000", "batch_size=50"):
        command += ["--set", f"optimiser.{setting}"]
    for setting in ("live_s=0.2", "checkpoint_s=2", "kept_checkpoints=50"):
        command += ["--set", setting]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    yield process
    process.kill()
    process.wait()


def test_follow_pause_checkpoint_resume_and_stop(
    trainer: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    eventually(lambda: (folder / "latents" / "live.npz").is_file(), "the trainer's first latents")
    session = Session()
    actions.open_run(session, folder)
    assert actions.wait(session, 60)
    assert isinstance(session.runner, AttachedRunner)
    assert session.run.status is RunStatus.RUNNING
    assert session.run.attached == run_writer(folder)
    assert session.run.attached.startswith(f"process {trainer.pid} of this computer")
    assert not session.run.trains_here

    step, seen = session.run.step, session.latents
    eventually(lambda: session.run.step > step, "its steps are followed")
    eventually(lambda: session.latents is not seen, "its latents are followed")
    eventually(lambda: len(session.run.epochs) >= 2, "its epochs are listed")
    eventually(lambda: session.run.ready and session.shown is not None, "a state by a checkpoint")

    actions.pause_training(session)
    eventually(lambda: session.run.status is RunStatus.PAUSED, "pause")
    paused_at = session.run.step
    before = {path.name for path in (folder / "checkpoints").iterdir()}
    actions.checkpoint_training(session)
    eventually(
        lambda: (
            {path.name for path in (folder / "checkpoints").glob("step*")} != before
            or f"step-{paused_at:08d}.safetensors" in before
        ),
        "a checkpoint during the pause",
    )
    _look_back(session)
    assert session.run.step == paused_at, "nothing was trained meanwhile"
    actions.resume_training(session)
    eventually(lambda: session.run.status is RunStatus.RUNNING, "resume")
    eventually(lambda: session.run.step > paused_at, "steps after the pause")
    assert np.all(np.diff(session.run.history.step) > 0)

    assert run(["ask", str(folder), "stop"]) == 0
    assert trainer.wait(60) == 130, "stopped by the user, as by Ctrl-C"
    assert run(["ask", str(folder), "pause"]) == 2
    eventually(lambda: session.run.status is RunStatus.STOPPED, "stop")
    assert run_writer(folder) is None
    session.change(notice=None)
    actions.close(session)


def _look_back(session: Session) -> None:
    """An earlier epoch is shown with its own latents and decoded by its own checkpoint."""
    (first, step), newest = session.run.epochs[0], session.latents
    actions.show_epoch(session, first)
    eventually(lambda: session.latents is not newest and session.latents.epoch == first, "epoch")
    assert session.epoch_shown.decodes
    assert session.runner.checkpoint_step == step
    eventually(lambda: session.shown.density.provenance.epoch == first, "its state")
    actions.show_epoch(session, None)
    eventually(lambda: session.latents.epoch != first, "the newest again")
    assert session.epoch_shown is None
    assert session.runner.checkpoint_step is None


def test_a_trainer_that_is_killed_is_missed_and_its_run_goes_on_here(
    trainer: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    eventually(lambda: list((folder / "checkpoints").glob("step*")), "a checkpoint")
    session = Session()
    actions.open_run(session, folder)
    assert actions.wait(session, 60)
    assert session.run.status is RunStatus.RUNNING
    trainer.kill()
    trainer.wait()
    eventually(lambda: session.run.status is RunStatus.FAILED, "its end is noticed")
    assert "Resume" in session.run.message
    actions.resume_training(session)
    eventually(lambda: session.run.status is RunStatus.RUNNING, "trained here")
    assert session.run.trains_here
    step = session.run.step
    eventually(lambda: session.run.step > step, "steps of our own")
    actions.close(session)
