"""Looking back: the latents, and where the checkpoint is kept the model, of an earlier epoch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryoscope.data import InputError, Latents

if TYPE_CHECKING:
    from cryoscope.session.jobs import Job
    from cryoscope.session.state import Session


@dataclass(frozen=True)
class EpochShown:
    """An earlier epoch of the run.

    Attributes
    ----------
    epoch, step
        Which, and the step that its latents are of.
    decodes
        Whether the checkpoint of that step is kept, so that its states can be decoded.
    """

    epoch: int
    step: int
    decodes: bool


def show_epoch(session: Session, epoch: int | None) -> None:
    """Show the latents of a saved epoch of the run, and decode by its model if that is kept.

    The picture is aligned with the one before, so that it can be followed by eye. None shows the
    newest epoch again, and follows the run from there on.
    """
    try:
        run = session.run
        if run is None:
            raise InputError("no run is open", cure="Open a run folder first.")
        steps = dict(run.epochs)
        if epoch is not None and epoch not in steps:
            known = ", ".join(map(str, list(steps)[-8:])) or "none"
            raise InputError(f"epoch {epoch} is not kept", cure=f"Kept are: {known}.")
    except InputError as error:
        session.report(error)
        return
    step = 0 if epoch is None else steps[epoch]
    shown = None if epoch is None else EpochShown(epoch, step, _is_kept(run.folder, step))
    _set_shown(session, shown)

    def load(job: Job) -> None:
        from cryoscope.session.follow import show_latents

        latents = _latents(run.folder, epoch, live=run.status.active)
        job.check()
        if session.epoch_shown == shown:
            show_latents(session, latents)

    session.pool.submit("Latents", load, key="latents", quiet=True, cancel_running=False)


def refresh_epoch(session: Session) -> None:
    """A checkpoint was saved, and older ones may have gone: look whether the shown one is kept."""
    shown, run = session.snapshot("epoch_shown", "run")
    if shown is not None and run is not None and shown.decodes != _is_kept(run.folder, shown.step):
        _set_shown(session, replace(shown, decodes=not shown.decodes))


def epoch_decodes(session: Session) -> bool:
    """Whether the model of what is shown is there: always so for the newest epoch."""
    return session.epoch_shown is None or session.epoch_shown.decodes


def _set_shown(session: Session, shown: EpochShown | None) -> None:
    def decide() -> dict[str, Any]:
        run, runner = session.run, session.runner
        values: dict[str, Any] = {"epoch_shown": shown}
        if runner is not None:
            runner.checkpoint_step = shown.step if shown is not None and shown.decodes else None
        if run is not None and runner is not None:
            ready = runner.ready and (shown is None or shown.decodes)
            values["run"] = replace(run, ready=ready)
        return values

    session.revise(decide)


def _is_kept(folder: Path, step: int) -> bool:
    from cryoscope.io.cryodrgn_run import CryodrgnRun

    if CryodrgnRun.is_one(folder):  # its steps are epochs, each with its weights
        return any(folder.glob(f"weights.{step}.pkl"))
    return (folder / "checkpoints" / f"step-{step:08d}.safetensors").is_file()


def _latents(folder: Path, epoch: int | None, *, live: bool) -> Latents:
    from cryoscope.io.cryodrgn_run import CryodrgnRun
    from cryoscope.io.run_folder import RunFolder

    if CryodrgnRun.is_one(folder):
        return CryodrgnRun.open(folder).latents(epoch)
    return RunFolder(folder).load_latents(epoch, live=live)
