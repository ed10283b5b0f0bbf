"""From the events of a runner to the session's fields."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoscope.data import Embedding, InputError, Latents, Structure
from cryoscope.session.associating import associate
from cryoscope.session.circumstances import circumstances
from cryoscope.session.covariates import recolour
from cryoscope.session.jobs import Job
from cryoscope.session.latent_views import embed
from cryoscope.session.losses import LossRecorder
from cryoscope.session.path_folder import paths_that_fit
from cryoscope.session.process_runner import ProcessRunner
from cryoscope.session.records import RunStatus, RunView
from cryoscope.session.run_epochs import epoch_decodes, refresh_epoch
from cryoscope.session.run_history import Epochs, epochs_up_to, with_epoch
from cryoscope.session.runner import Runner, status_after
from cryoscope.session.shown import backbone_trace
from cryoscope.training.config import config_from_json
from cryoscope.training.events import (
    FORGOTTEN,
    CheckpointSaved,
    Decoded,
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
    TrainEvent,
)

if TYPE_CHECKING:
    from cryoscope.session.state import Session


#: Weight of the newest report in the share of viewing time.
SMOOTHING = 0.15


class RunFollower:
    """Keeps ``session.run``, the latents and the shown state up to date with a runner.

    Events of a runner that is no longer the session's are left out.

    Parameters
    ----------
    recorder
        The loss curves so far.
    """

    def __init__(
        self, session: Session, runner: Runner, folder: Path, recorder: LossRecorder
    ) -> None:
        self._session, self._runner, self._folder = session, runner, folder
        self._recorder = recorder

    def handle(self, event: TrainEvent) -> None:
        """Take one event; called in a thread of the runner."""
        session = self._session
        if session.runner is not self._runner:
            return
        match event:
            case Progress():
                self._update(stage_text=event.stage, done=event.done, total=event.total)
            case RunStarted():
                self._on_started(event)
            case StepDone():
                self._on_step(event)
                if event.remark:
                    session.notify("warning", event.remark)
            case LatentsReady():
                self._on_latents(event)
            case CheckpointSaved():
                refresh_epoch(session)
            case Paused() | Resumed():
                self._update(event, step=event.step)
            case RunFinished():
                self._on_finished(event)
            case RunFailed():
                self._on_failed(event)
            case ModelReady():
                self._update(bead_count=event.bead_count)
                self._on_ready()
            case Decoded():
                session.decoder.answered(event)
            case DecodeFailed():
                session.decoder.refused(event)
                if event.message != FORGOTTEN:
                    session.notify("warning", f"A state could not be decoded: {event.message}")

    def _on_started(self, event: RunStarted) -> None:
        self._recorder.drop_after(event.step)
        self._update(
            event,
            run_id=event.run_id,
            stage_text="",
            done=0,
            total=0,
            step=event.step,
            total_steps=event.total_steps,
            history=self._recorder.history(),
            message="",
            epochs=epochs_up_to(self._epochs(), event.step),
            **self._circumstances(event),
        )
        if event.remark:
            self._session.notify("warning", event.remark)
        self._on_ready()
        save_selections(self._session)

    def _circumstances(self, event: RunStarted) -> dict[str, Any]:
        from cryoscope.io.run_folder import RunFolder

        threads = self._runner.threads if isinstance(self._runner, ProcessRunner) else 0
        try:
            return circumstances(event, RunFolder(self._folder).config(), threads)
        except InputError as error:
            self._session.report(error)
            return {}

    def _on_ready(self) -> None:
        """States can be decoded: against the reference as the run placed it."""
        try:
            reference = run_reference(self._folder)
        except InputError as error:
            self._session.report(error)
            return
        values: dict[str, Any] = {} if reference is None else {"reference": reference}
        session = self._session
        ready = self._runner.ready and epoch_decodes(session)
        self._update(ready=ready, model_problem="", **values)
        if session.cursor_xy is None or session.embedding is None:
            return
        # A map of many particles, shown again with its project, stays till one moves on.
        if not session.decoder.shows_many:
            session.decoder.show(session.cursor_xy)

    def _on_step(self, event: StepDone) -> None:
        self._update(
            step=event.step,
            epoch=event.epoch,
            history=self._recorder.add(event.step, event.losses),
            images_per_s=event.images_per_s,
            seconds_left=event.seconds_left,
            motion_A=event.motion_A,
            viewing_share=self._viewing_share(event),
        )

    def _viewing_share(self, event: StepDone) -> float:
        """The share over the last seconds: that of one report jumps about."""
        run = self._session.run
        before = 0.0 if run is None else run.viewing_share
        return before + SMOOTHING * (event.viewing_share - before)

    def _epochs(self) -> Epochs:
        run = self._session.run
        return () if run is None else run.epochs

    def _on_finished(self, event: RunFinished) -> None:
        words = "Training is complete" if event.reason == "completed" else "Training stopped"
        message = f"{words} after {event.step:,} steps"
        # A run that is stopped while it is prepared has no model yet.
        early = event.step == 0 and not self._runner.ready
        lost = "the run was stopped before it had a model" if early else ""
        self._update(event, step=event.step, message=message, seconds_left=0.0, model_problem=lost)
        self._session.notify("info", f"{message}: {self._folder}")
        associate(self._session, every_s=0.0)

    def _on_failed(self, event: RunFailed) -> None:
        session, ready = self._session, self._runner.ready
        # What failed may have been a decode request: whoever waits for an answer waits in vain.
        session.decoder.reset()
        run = session.run
        if run is not None and run.status in (RunStatus.FINISHED, RunStatus.STOPPED):
            # The run itself is safe on disk; only its model is gone.
            self._update(ready=ready, model_problem="" if ready else event.message)
            problem = "The model no longer decodes" if run.ready else "The model cannot be loaded"
            session.notify("warning", f"{problem}: {event.message}")
            return
        lost = "" if ready else event.message
        self._update(event, message=event.message, ready=ready, stage_text="", model_problem=lost)
        session.notify("error", event.message)

    def _on_latents(self, event: LatentsReady) -> None:
        path = self._folder / event.path
        if not event.live:
            self._update(epochs=with_epoch(self._epochs(), event.epoch, event.step))
        if self._session.epoch_shown is not None:
            return  # an earlier epoch is looked at

        def load(job: Job) -> None:
            from cryoscope.io.latents_file import read_latents

            latents = read_latents(path)
            job.check()
            if self._session.runner is self._runner:
                show_latents(self._session, latents)

        # Left to finish: with slow pictures, cancelling would never show one.
        self._session.pool.submit("Latents", load, key="latents", quiet=True, cancel_running=False)

    def _update(self, event: TrainEvent | None = None, **values: Any) -> None:
        """Replace fields of ``session.run``; ``event`` also decides its status."""
        session = self._session

        def decide() -> dict[str, Any]:
            run = session.run
            if run is None or run.folder != self._folder or session.runner is not self._runner:
                return {}
            status = run.status if event is None else _status(event, run)
            return {"run": replace(run, status=status, **values)}

        session.revise(decide)


def _status(event: TrainEvent, run: RunView) -> RunStatus:
    """The status after ``event``; a run that is stopping stays so until it has ended."""
    status = status_after(event, run.status)
    return run.status if run.status is RunStatus.STOPPING and status.active else status


def show_latents(session: Session, latents: Latents) -> None:
    """Show latents, in a picture aligned with the one before; slow, so only for jobs."""
    embedding = embed(session, latents)

    def decide() -> dict[str, Any]:
        values: dict[str, Any] = {"latents": latents, "embedding": embedding}
        paths = paths_that_fit(session.trajectories, latents)
        if len(paths) < len(session.trajectories):
            values["trajectories"] = paths
        if any(len(selection.mask) != len(latents) for selection in session.selections):
            values |= {"selections": (), "active_selection": ""}
        if session.cursor_xy is None and (centre := _centre(embedding)) is not None:
            values["cursor_xy"] = centre
        return values

    values = session.revise(decide)
    recolour(session)
    associate(session)
    if "selections" in values:
        session.history.clear()
        session.refresh_undo()
        session.notify("warning", "Selections of other particles were removed")
    # The model has moved on: the state under the cursor is decoded again.
    session.decoder.refresh()


def _centre(embedding: Embedding) -> tuple[float, float] | None:
    xy = embedding.xy[np.isfinite(embedding.xy).all(axis=1)]
    if len(xy) == 0:
        return None
    x, y = np.median(xy, axis=0)
    return float(x), float(y)


def run_reference(folder: Path) -> Structure | None:
    """The backbone trace of a run, or None where the run keeps no reference."""
    from cryoscope.io.run_folder import RunFolder
    from cryoscope.io.structures import read_structure

    run = RunFolder(folder)
    if not run.reference_path.is_file():
        return None
    config = config_from_json(run.config(), file=str(folder / "config.json"))
    return backbone_trace(read_structure(run.reference_path), config.beads.nucleotide)


def save_selections(session: Session) -> None:
    """Write the selections to the run folder, in the background."""
    run = session.run
    if run is None:
        return
    folder = run.folder

    def save(job: Job) -> None:
        from cryoscope.io.run_folder import RunFolder

        if (folder / "run.json").is_file():
            RunFolder.open(folder).save_selections(list(session.selections))

    session.pool.submit(
        "Saving selections", save, key="selections", quiet=True, cancel_running=False
    )
