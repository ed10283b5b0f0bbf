"""What is said where something is missing, and of a worker that cannot start."""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import Any

import pytest

from cryoscope.cli.doctor import training_process
from cryoscope.session import RunStatus, RunView, Session, actions
from cryoscope.session.child_process import cure_of_end, cure_of_start, why_not_started
from cryoscope.session.losses import LossRecorder
from cryoscope.session.opening import start_runner
from cryoscope.session.process_runner import ProcessRunner
from tests.session.conftest import eventually

BROKEN = {
    "gone": (["/nowhere/cryoscope"], "/nowhere/cryoscope: No such file", "Install Cryoscope again"),
    "module": (
        [sys.executable, "-m", "cryoscope.no_such_worker"],
        "at its start (exit code 1)",
        "`cryoscope doctor` says what is missing",
    ),
    "killed": (
        [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"],
        "killed by SIGKILL",
        "close other programs",
    ),
    "silent": (
        [sys.executable, "-c", "raise SystemExit(7)"],
        "at its start (exit code 7)",
        "`cryoscope doctor` looks at this installation",
    ),
}


def begin(session: Session, folder: Path, status: RunStatus, kind: str) -> None:
    session.run = RunView(folder, status=status)
    assert actions.why_no_state(session) == "" or "as soon as" in actions.why_no_state(session)
    command = BROKEN[kind][0]
    start_runner(session, {"cmd": kind}, LossRecorder(), ProcessRunner(command))


@pytest.mark.skipif(sys.platform == "win32", reason="signals and paths of POSIX")
@pytest.mark.parametrize("kind", BROKEN)
def test_a_worker_that_cannot_start_fails_the_run_with_reason_and_cure(
    tmp_path: Path, kind: str
) -> None:
    session, (_, reason, cure) = Session(), BROKEN[kind]
    try:
        begin(session, tmp_path, RunStatus.PREPARING, kind)
        eventually(lambda: session.run.status is RunStatus.FAILED, "failure")
        told = (session.run.message, actions.why_no_state(session), actions.why_no_latents(session))
        for text in (*told, actions.why_not_decode(session), session.notice.text):
            assert reason in text
            assert cure in text
            assert "\n" not in text
        assert session.notice.level == "error"
    finally:
        actions.close(session)


@pytest.mark.skipif(sys.platform == "win32", reason="signals and paths of POSIX")
def test_a_finished_run_stays_so_when_its_model_cannot_be_loaded(tmp_path: Path) -> None:
    session = Session()
    try:
        begin(session, tmp_path, RunStatus.FINISHED, "gone")
        eventually(lambda: bool(session.run.model_problem), "its model is gone")
        assert session.run.status is RunStatus.FINISHED
        assert "Install Cryoscope again" in actions.why_no_state(session)
        assert session.notice.text.startswith("The model cannot be loaded")
    finally:
        actions.close(session)


def test_nothing_is_said_where_nothing_is_open_or_all_is_there() -> None:
    session: Any = Session()
    try:
        assert actions.why_no_state(session) == actions.why_no_latents(session) == ""
        assert "after opening one" in actions.why_not_decode(session)
        session.run = RunView(Path("run-001"), status=RunStatus.RUNNING, ready=True)
        assert actions.why_not_decode(session) == ""
        assert actions.why_no_latents(session).startswith("Waiting")
        session.run = RunView(Path("run-001"), status=RunStatus.STOPPED)
        assert "ended before" in actions.why_no_latents(session)
    finally:
        actions.close(session)


def test_cures() -> None:
    full = OSError(errno.ENOMEM, "Cannot allocate memory")
    assert why_not_started(full) == "Cannot allocate memory"
    assert "Close other programs" in cure_of_start(full)
    assert "Install" in cure_of_start(FileNotFoundError(errno.ENOENT, "gone", "cryoscope"))
    assert "doctor" in cure_of_end(1, "libgomp.so.1: cannot open shared object file")
    assert cure_of_end(1, "RuntimeError: the disk is made of cheese") == ""


@pytest.mark.skipif(sys.platform == "win32", reason="signals and paths of POSIX")
@pytest.mark.parametrize("kind", BROKEN)
def test_the_doctor_finds_a_worker_that_cannot_start(kind: str) -> None:
    finding = training_process(BROKEN[kind][0])
    assert "start" in finding.found
    assert finding.cure


def test_the_doctor_starts_the_worker() -> None:
    assert training_process().found == "starts"
