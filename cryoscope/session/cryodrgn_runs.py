"""Runs of cryoDRGN: opened like our own, and followed while cryoDRGN still writes them."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryoscope.data import InputError, Latents, Particles
from cryoscope.session.follow import show_latents
from cryoscope.session.jobs import Job
from cryoscope.session.losses import LossRecorder
from cryoscope.session.opening import leave_run, reporting, start_runner
from cryoscope.session.records import ParticlesView, RunStatus, RunView
from cryoscope.session.state import Session

if TYPE_CHECKING:
    from cryoscope.io.cryodrgn_run import CryodrgnRun

#: Seconds between two looks at a run that may still be written.
LOOK_EVERY_S = 5.0


def load_cryodrgn_run(session: Session, path: Path, job: Job) -> None:
    """Open a run folder of cryoDRGN, decode from it, and follow what is added to it; for jobs.

    Raises
    ------
    InputError
        If it is damaged, of a network that is not known, or another run is being trained.
    """
    from cryoscope.io.cryodrgn_run import CryodrgnRun

    run = CryodrgnRun.open(path)
    epoch = run.newest_epoch()
    latents = run.latents(epoch) if epoch is not None and run.settings.latent_dim else None
    leave_run(session)
    job.check()
    session.change(run=_view(run, epoch))
    with reporting(session):
        particles = _particles(run)
        session.change(particles=ParticlesView.of(particles))
    if latents is not None:
        show_latents(session, latents)
    if epoch is None:
        session.notify("info", f"{path.name} has no finished epoch yet: waiting for its first")
    else:
        start_runner(session, _serve(run), LossRecorder())
    threading.Thread(
        target=_follow, args=(session, run, epoch), name="cryoscope-cryodrgn", daemon=True
    ).start()


def _view(run: CryodrgnRun, epoch: int | None) -> RunView:
    return RunView(
        run.path,
        run_id=run.run_id,
        status=RunStatus.FINISHED,
        epoch=max(epoch or 0, 0),
        message="A run of cryoDRGN; new epochs are shown as they come",
        epochs=_epochs(run),
    )


def _epochs(run: CryodrgnRun) -> tuple[tuple[int, int], ...]:
    """Epochs with latents; as step stands the epoch itself, which names the weights."""
    known = run.epochs() if run.settings.latent_dim else []
    return tuple((epoch, epoch) for epoch in known if epoch >= 0)


def _serve(run: CryodrgnRun) -> dict[str, Any]:
    return {"cmd": "serve", "run": str(run.path)}


def _particles(run: CryodrgnRun) -> Particles:
    """The particles the run was trained on, with its poses and CTF."""
    from cryoscope.io.particles_file import read_any

    return read_any(**run.inputs())


def _follow(session: Session, run: CryodrgnRun, shown: int | None) -> None:
    """Look for new epochs until another run, or none, is open; a thread's whole work."""
    wait = threading.Event()
    while not wait.wait(LOOK_EVERY_S):
        view = session.run
        if session.closed or view is None or view.folder != run.path:
            return
        try:
            newest = run.newest_epoch()
            if newest is None or newest == shown:
                continue
            latents = run.latents(newest) if run.settings.latent_dim else None
        except InputError as error:
            session.report(error)
            return
        _show(session, run, newest, latents, first=shown is None)
        shown = newest


def _show(
    session: Session, run: CryodrgnRun, epoch: int, latents: Latents | None, *, first: bool
) -> None:
    """Let a new epoch take the place of the one before."""
    epochs = _epochs(run)

    def decide() -> dict[str, Any]:
        view = session.run
        if view is None or view.folder != run.path:
            return {}
        return {"run": replace(view, epoch=epoch, epochs=epochs)}

    if not session.revise(decide):
        return

    def load(job: Job) -> None:
        if latents is not None and session.epoch_shown is None:
            show_latents(session, latents)
        if first:
            start_runner(session, _serve(run), LossRecorder())
        elif session.runner is not None:
            session.runner.send(_serve(run))

    session.pool.submit("Latents", load, key="latents", quiet=True, cancel_running=False)
