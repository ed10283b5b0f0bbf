"""Choosing what to train, and starting, pausing and stopping it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryoscope.data import InputError
from cryoscope.session.forms import with_option
from cryoscope.session.losses import LossRecorder
from cryoscope.session.opening import end_runner, reporting, start_runner
from cryoscope.session.path_folder import NO_PATHS
from cryoscope.session.records import RunStatus, RunView
from cryoscope.session.run_history import read_run
from cryoscope.session.runner import Command
from cryoscope.session.shown import backbone_trace
from cryoscope.session.state import Session, close_session
from cryoscope.training.config import config_to_json
from cryoscope.training.presets import preset


def choose_preset(session: Session, name: str) -> None:
    """Take the settings of a preset; the opened files stay."""
    with reporting(session):
        chosen = preset(name)

        def decide() -> dict[str, Any]:
            data = session.config.data
            kept = replace(
                chosen.data,
                particles=data.particles,
                structure=data.structure,
                consensus_map=data.consensus_map,
            )
            return {"config": replace(chosen, data=kept), "config_base": None}

        session.revise(decide)


def set_option(session: Session, path: str, value: Any) -> None:
    """Set one setting of the next run, e.g. ``set_option(session, "optimiser.epochs", 30)``."""
    with reporting(session):
        session.revise(lambda: {"config": with_option(session.config, path, value)})


def start_training(session: Session, out: str | Path | None = None) -> None:
    """Train on the open particles and structure with the session's configuration.

    Returns at once; ``session.run`` says how it goes.

    Parameters
    ----------
    out
        New run folder; by default the next free ``run-001``, ``run-002``... beside the run that is
        shown, if that lies with the particles, else in ``cryoscope-runs`` beside them.
    """
    with reporting(session):
        _claim(session, None if out is None else Path(out).expanduser().absolute())
        session.pool.submit(
            "Starting training",
            lambda job: _launching(session, lambda: _train(session, out)),
            key="run",
            cancellable=False,
            cancel_running=False,
        )


def pause_training(session: Session) -> None:
    """Let training wait; the model still decodes."""
    _command(session, "pause", (RunStatus.RUNNING, RunStatus.PREPARING))


def resume_training(session: Session) -> None:
    """Go on after a pause; or, from its last checkpoint, with a run that was stopped or failed."""
    run = session.run
    if run is None or run.status.active:
        _command(session, "resume", (RunStatus.PAUSED,))
        return
    with reporting(session):

        def decide() -> dict[str, Any]:
            if session.run is not run:
                raise InputError("the run has just changed", cure="Try again.")
            if run.status is RunStatus.FINISHED:
                raise InputError("the run is complete", cure="Start a new one to train longer.")
            begun = replace(run, status=RunStatus.PREPARING, message="", ready=False, attached="")
            begun = replace(begun, model_problem="")
            return {"run": begun, "epoch_shown": None}

        session.revise(decide)
        session.pool.submit(
            "Resuming training",
            lambda job: _launching(session, lambda: _train_on(session, run)),
            key="run",
            cancellable=False,
            cancel_running=False,
        )


def stop_training(session: Session) -> None:
    """Stop training after saving a checkpoint; the model goes on decoding."""
    before = RunStatus.RUNNING if session.run is None else session.run.status

    def decide() -> dict[str, Any]:
        run = session.run
        if run is None or not run.status.active:
            raise InputError("nothing is being trained", cure="Start training first.")
        return {"run": replace(run, status=RunStatus.STOPPING)}

    with reporting(session):
        session.revise(decide)
        try:
            _send(session, {"cmd": "stop"})
        except InputError:  # another program trains, and its folder cannot be written
            session.revise(lambda: {"run": session.run and replace(session.run, status=before)})
            raise


def checkpoint_training(session: Session) -> None:
    """Have the state of training saved now, besides the checkpoints at regular times."""
    _command(session, "checkpoint", (RunStatus.RUNNING, RunStatus.PAUSED))


def cancel_job(session: Session, name: str) -> None:
    """Ask the background jobs of that name to stop."""
    session.pool.cancel(name)


def wait(session: Session, timeout_s: float | None = None) -> bool:
    """Wait until no background job is left (training is none); False after ``timeout_s``.

    For scripts: a window never calls it.
    """
    return session.pool.wait(timeout_s)


def close(session: Session, timeout_s: float = 10.0) -> None:
    """Save a checkpoint, end training and everything else in the background.

    The one verb that waits: until the runner has ended, at most about ``timeout_s``.
    """
    close_session(session, timeout_s)


def next_run_folder(parent: Path) -> Path:
    """The first of ``run-001, run-002...`` in ``parent`` that does not exist."""
    number = 1
    while (folder := parent / f"run-{number:03d}").exists():
        number += 1
    return folder


def why_not_train(session: Session) -> str:
    """What is missing before training can start, and what to do; empty if nothing is."""
    return " ".join(f"{part[0].upper()}{part[1:]}." for part in _missing(session) if part)


def _missing(session: Session) -> tuple[str, str]:
    """What is missing before training can start, and the cure; empty if nothing is."""
    if session.particles is None:
        return "there are no particles to train on", "open a .star file first"
    if session.particles.missing_images:
        return (
            "the images of these particles are missing",
            "put their stacks back, and open the particles again",
        )
    if session.structure is None and session.config.model == "atomic":
        return (
            "there is no reference structure",
            "open a .pdb or .cif model, or choose the preset cryoscope-volume, which needs none",
        )
    if not session.particles.has_poses:
        return "these particles have no poses", "refine them and open that .star file"
    return "", ""


def _claim(session: Session, out: Path | None) -> None:
    """Make the session's run a new one; nobody else can from here on."""

    def decide() -> dict[str, Any]:
        if session.run is not None and session.run.trains_here:
            raise InputError("a run is being trained already", cure="Stop it first.")
        problem, cure = _missing(session)
        if problem:
            raise InputError(problem, cure=cure)
        assert session.particles is not None
        folder = out or _runs_folder(session.run, session.particles.file.parent)
        nucleotide = session.config.beads.nucleotide
        reference = None
        if session.structure is not None and session.config.model == "atomic":
            reference = backbone_trace(session.structure.structure, nucleotide)
        run = RunView(
            folder, status=RunStatus.PREPARING, stage_text="starting", reference=reference
        )
        of_a_run = ("latents", "embedding", "cursor_xy", "check", "epoch_shown", "landscape")
        return {"run": run, **dict.fromkeys(of_a_run), **NO_PATHS, "associations": ()}

    session.revise(decide)


def _runs_folder(run: RunView | None, particles: Path) -> Path:
    """Where a new run goes: one folder of runs per data set, so that each has its own name."""
    if run is not None and run.folder.parent.is_relative_to(particles):
        return run.folder.parent
    return particles / "cryoscope-runs"


def _launching(session: Session, launch: Callable[[], None]) -> None:
    """Launch, and let the run have failed if that fails."""
    try:
        launch()
    except InputError as error:
        message = str(error)
        session.revise(lambda: _failed(session, message))
        raise
    run = session.run
    if run is not None and run.status is RunStatus.STOPPING:
        _send(session, {"cmd": "stop"})  # it was stopped before there was a runner to tell


def _failed(session: Session, message: str) -> dict[str, Any]:
    run = session.run
    if run is None:
        return {}
    failed = replace(run, status=RunStatus.FAILED, message=message, model_problem=message)
    return {"run": replace(failed, stage_text="")}


def _train(session: Session, out: str | Path | None) -> None:
    run = session.run
    assert run is not None
    folder = next_run_folder(run.folder) if out is None else run.folder
    # The status may have become "stopping" meanwhile: only the folder is replaced.
    session.revise(lambda: {"run": session.run and replace(session.run, folder=folder)})
    config = config_to_json(session.config)
    command: Command = {"cmd": "train", "run": str(folder), "config": config, "resume": False}
    start_runner(session, command, LossRecorder())


def _train_on(session: Session, run: RunView) -> None:
    from cryoscope.io.run_folder import RunFolder

    folder = RunFolder.open(run.folder)
    command: Command = {
        "cmd": "train",
        "run": str(run.folder),
        "config": folder.config(),
        "resume": True,
    }
    _, recorder = read_run(folder)
    end_runner(session)
    start_runner(session, command, recorder)


def _command(session: Session, name: str, allowed: tuple[RunStatus, ...]) -> None:
    run = session.run
    with reporting(session):
        if run is None or run.status not in allowed:
            state = "no run" if run is None else f"the run is {run.status.value}"
            raise InputError(f"cannot {name}: {state}")
        _send(session, {"cmd": name})


def _send(session: Session, command: Command) -> None:
    runner = session.runner
    if runner is not None and runner.status is not RunStatus.IDLE:
        runner.send(command)
