"""Opening particles, structures, maps and runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from cryoscope.data import InputError
from cryoscope.session.circumstances import circumstances
from cryoscope.session.contours import contour_of
from cryoscope.session.follow import RunFollower, run_reference, show_latents
from cryoscope.session.forms import with_option
from cryoscope.session.jobs import Job
from cryoscope.session.latent_records import LatentView
from cryoscope.session.losses import LossRecorder
from cryoscope.session.path_folder import NO_PATHS, load_trajectories, paths_that_fit
from cryoscope.session.records import ParticlesView, RunStatus, RunView, StructureView
from cryoscope.session.runner import Command, status_after
from cryoscope.session.shown import backbone_trace, shown_structure, with_density
from cryoscope.session.state import Session
from cryoscope.training.config import TrainConfig, config_from_json
from cryoscope.training.events import RunFailed, RunStarted, StepDone, TrainEvent, event_from_json

if TYPE_CHECKING:
    from cryoscope.io.run_folder import RunFolder

_PARTICLES = (".star", ".cs")
_STRUCTURES = (".pdb", ".ent", ".cif", ".mmcif")
_MAPS = (".mrc", ".map", ".ccp4")
SHUTDOWN_S = 10.0
#: Largest relative difference in width between the particles and their consensus map.
SAME_WIDTH = 5e-3


@contextmanager
def reporting(session: Session) -> Iterator[None]:
    """Show an InputError raised inside as the session's notice."""
    try:
        yield
    except InputError as error:
        session.report(error)


def open_files(session: Session, paths: Sequence[str | Path]) -> None:
    """Open particles (.star), structures (.pdb, .cif), maps (.mrc) and run folders.

    Returns at once; what cannot be opened is reported as the session's notice, the rest is opened.
    """
    targets = [Path(path) for path in paths]

    def load(job: Job) -> None:
        for number, path in enumerate(targets):
            job.progress(number, len(targets), f"Reading {path.name}")
            with reporting(session):
                load_file(session, path, job)

    session.pool.submit("Opening files", load, key="open", cancel_running=False)


def open_run(session: Session, folder: str | Path) -> None:
    """Open a run folder: its latents, curves and selections, and its model for decoding."""
    path = Path(folder)
    session.pool.submit(
        "Opening the run",
        lambda job: _load_folder(session, path.expanduser().absolute(), job),
        key="open",
        cancel_running=False,
    )


def load_file(session: Session, path: Path, job: Job) -> None:
    """Open one file or run folder; for jobs.

    Raises
    ------
    InputError
        If it is missing, of a kind that cannot be opened, or damaged.
    """
    path = path.expanduser().absolute()
    if path.is_dir():
        _load_folder(session, path, job)
        return
    if not path.exists():
        raise InputError("there is no such file", file=path, cure="Check the path.")
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    if suffix in _PARTICLES:
        load_particles(session, path)
    elif suffix in _STRUCTURES:
        load_structure(session, path)
    elif suffix in _MAPS:
        _load_map(session, path)
    elif suffix == ".mrcs":
        raise InputError(
            "an image stack alone has no poses",
            file=path,
            cure="Open its .star or .cs file instead.",
        )
    else:
        raise InputError(
            "this kind of file cannot be opened",
            file=path,
            cure="Open .star or .cs particles, a .pdb or .cif structure, an .mrc map, or a run "
            "folder.",
        )


def _load_folder(session: Session, path: Path, job: Job) -> None:
    """Open a run folder: our own, or one of cryoDRGN."""
    from cryoscope.io.cryodrgn_run import CryodrgnRun

    if CryodrgnRun.is_one(path):
        from cryoscope.session.cryodrgn_runs import load_cryodrgn_run

        load_cryodrgn_run(session, path, job)
    else:
        load_run(session, path, job)


def load_particles(session: Session, path: Path) -> None:
    """Read a particle file and make it that of the next run; for jobs.

    A run of other particles that is shown is closed.
    """
    from cryoscope.io.particles_file import read_any

    particles = read_any(path)
    latents = session.latents
    if latents is not None and not np.array_equal(latents.uid, particles.uid):
        leave_run(session)
    view = ParticlesView.of(particles)

    def decide() -> dict[str, Any]:
        config = with_option(session.config, "data.particles", str(path))
        if config.data.box_size_px > view.box_size_px:
            config = with_option(config, "data.box_size_px", view.box_size_px)
        return {"particles": view, "config": config}

    session.revise(decide)
    if not view.has_poses:
        session.notify(
            "warning", f"{path.name} has no poses: training needs a consensus refinement"
        )


def load_structure(session: Session, path: Path) -> None:
    """Read an atomic model and make it the reference of the next run; for jobs."""
    from cryoscope.io.structures import read_structure

    structure = read_structure(path)
    if len(backbone_trace(structure)) == 0:
        raise InputError(
            "no residue has a CA, P or C1' atom",
            file=path,
            cure="Open a model of protein or nucleic acid with its backbone.",
        )
    view = StructureView.of(path, structure)
    values: dict[str, Any] = {"structure": view}
    if session.run is None:
        values["shown"] = shown_structure(structure, path)
    session.revise(
        lambda: {**values, "config": with_option(session.config, "data.structure", str(path))}
    )


def _load_map(session: Session, path: Path) -> None:
    """Read a map and show it; one as wide as the particles' box is their consensus map."""
    from cryoscope.io.mrc import read_volume

    volume = read_volume(path)
    volume = replace(volume, provenance=replace(volume.provenance, detail=path.name))
    session.shown = with_density(session.shown, volume, contour_of(session, "file"))
    particles = session.particles
    if particles is None:
        return
    box_A = particles.box_size_px * particles.pixel_size_A
    width_A = volume.values.shape[-1] * volume.voxel_size_A
    if abs(width_A - box_A) <= SAME_WIDTH * box_A:
        session.revise(
            lambda: {"config": with_option(session.config, "data.consensus_map", str(path))}
        )
        session.notify(
            "info",
            f"{path.name} is taken as the consensus map: training stops at the resolution at "
            "which the structure agrees with it",
        )


def load_run(session: Session, path: Path, job: Job) -> None:
    """Open a run folder and serve its newest checkpoint for decoding; for jobs.

    Raises
    ------
    InputError
        If it is not a run, is of a newer version, or another run is being trained.
    """
    from cryoscope.io.run_folder import RunFolder

    folder = RunFolder.open(path.expanduser().absolute())
    config = config_from_json(folder.config(), file=str(folder.path / "config.json"))
    run, recorder = read_run(folder)
    run = replace(run, reference=run_reference(folder.path))
    has_latents = folder.latent_epochs() or (folder.path / "latents" / "live.npz").is_file()
    latents = folder.load_latents() if has_latents else None
    selections = folder.load_selections()
    trajectories = load_trajectories(session, folder)
    leave_run(session)
    job.check()
    session.change(config=config, run=run)
    _load_inputs(session, folder.info(), config)
    if latents is not None:
        show_latents(session, latents)
        fitting = [s for s in selections if len(s.mask) == len(latents)]
        active = fitting[-1].name if fitting else ""
        session.change(selections=tuple(fitting), active_selection=active)
        session.change(trajectories=paths_that_fit(trajectories, latents))
    if folder.has_checkpoint():
        start_runner(session, {"cmd": "serve", "run": str(folder.path)}, recorder)
    else:
        session.notify("warning", f"{path.name} has no checkpoint: states cannot be decoded")


def read_run(folder: RunFolder) -> tuple[RunView, LossRecorder]:
    """What the events of a run folder say, and its curves."""
    recorder, config = LossRecorder(), folder.config()
    run = RunView(folder.path, run_id=str(folder.info().get("run_id", "")))
    for row, values in enumerate(folder.read_events(), start=1):
        try:
            event = event_from_json(values)
        except ValidationError as error:
            raise InputError(
                "unknown event", file=folder.path / "events.jsonl", row=row, cure="Delete that line"
            ) from error
        run = _after(event, run, recorder)
        if isinstance(event, RunStarted):
            run = replace(run, **circumstances(event, config, 0))
    if run.status.active:
        message = "Training was interrupted; Resume goes on from the last checkpoint"
        run = replace(run, status=RunStatus.STOPPED, message=message)
    return replace(run, history=recorder.history()), recorder


def _after(event: TrainEvent, run: RunView, recorder: LossRecorder) -> RunView:
    run = replace(run, status=status_after(event, run.status))
    match event:
        case RunStarted():
            recorder.drop_after(event.step)
            return replace(run, step=event.step, total_steps=event.total_steps, message="")
        case StepDone():
            recorder.add(event.step, event.losses)
            return replace(run, step=event.step, epoch=event.epoch, motion_A=event.motion_A)
        case RunFailed():
            return replace(run, message=event.message)
        case _:
            return run


def _load_inputs(session: Session, info: dict[str, Any], config: TrainConfig) -> None:
    """Open the run's own particles and structure; without them it can still be looked at.

    ``info`` has whole paths, where those of the configuration may be relative.
    """
    for name, load in (("particles", load_particles), ("structure", load_structure)):
        path = str(info.get(name) or getattr(config.data, name))
        if not path:
            continue
        with reporting(session):
            if not Path(path).is_file():
                raise InputError(
                    "the run was made from this file, which is gone",
                    file=path,
                    cure="Put it back, to export particles and to train on.",
                )
            load(session, Path(path).absolute())


def leave_run(session: Session) -> None:
    """Close the run that is shown, and its runner; for jobs.

    Raises
    ------
    InputError
        If it is being trained.
    """

    def decide() -> dict[str, Any]:
        if session.run is not None and session.run.status.active:
            raise InputError("a run is being trained", cure="Stop it first.")
        return {
            "run": None,
            "latents": None,
            "embedding": None,
            "latent_view": LatentView(),
            "colouring": None,
            "clusters": None,
            "selections": (),
            "active_selection": "",
            **NO_PATHS,
            "cursor_xy": None,
            "shown": None,
            "check": None,
        }

    session.revise(decide)
    session.history.clear()
    session.refresh_undo()
    end_runner(session)


def end_runner(session: Session) -> None:
    """Shut down the session's runner; waits, so only for jobs."""
    runner = session.adopt(None, None)
    session.decoder.reset()
    if runner is not None:
        runner.shutdown(SHUTDOWN_S)


def start_runner(session: Session, command: Command, recorder: LossRecorder) -> None:
    """Start a new runner on the session's run; for jobs."""
    if session.run is None:
        raise ValueError("a runner needs a run")
    end_runner(session)
    runner = session.make_runner()
    follower = RunFollower(session, runner, session.run.folder, recorder)
    runner.events.connect(follower.handle)
    if session.adopt(runner, follower) is not runner:
        runner.start(command)
