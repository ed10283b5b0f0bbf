"""Opening particles, structures, maps and runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cryoscope.data import InputError, Particles
from cryoscope.io.reader_extensions import reader_suffixes
from cryoscope.session.associating import associate
from cryoscope.session.attached_runner import attached_run
from cryoscope.session.contours import contour_of
from cryoscope.session.follow import RunFollower, run_reference, show_latents
from cryoscope.session.forms import with_option
from cryoscope.session.jobs import Job
from cryoscope.session.landscape_reading import load_landscape
from cryoscope.session.latent_records import LatentView
from cryoscope.session.losses import LossRecorder
from cryoscope.session.opened import opening_said
from cryoscope.session.path_folder import NO_PATHS, load_trajectories, paths_that_fit
from cryoscope.session.records import ParticlesView, StructureView
from cryoscope.session.run_clones import ConfigBase
from cryoscope.session.run_history import read_run
from cryoscope.session.runner import Command, Runner
from cryoscope.session.shown import backbone_trace, shown_structure, with_density
from cryoscope.session.state import Session
from cryoscope.training.config import TrainConfig, config_from_json

_PARTICLES = (".star", ".cs", ".csg")
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
        def one(number: int, path: Path) -> None:
            job.progress(number, len(targets), f"Reading {path.name}")
            load_file(session, path, job)

        opening_said(session, targets, one)

    session.pool.submit("Opening files", load, key="open", cancel_running=False)


def open_run(session: Session, folder: str | Path) -> None:
    """Open a run folder: its latents, curves and selections, and its model for decoding."""
    path = Path(folder)
    session.pool.submit(
        "Opening the run",
        lambda job: load_folder(session, path.expanduser().absolute(), job),
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
        load_folder(session, path, job)
        return
    if not path.exists():
        raise InputError("there is no such file", file=path, cure="Check the path.")
    if path.name == "project.json":
        load_folder(session, path.parent, job)
        return
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    kind = kind_of(suffix)
    if kind == "particles":
        load_particles(session, path, job)
    elif kind == "structure":
        load_structure(session, path)
    elif kind == "map":
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


def kind_of(suffix: str) -> str:
    """Whether files so named are opened as ``particles``, ``structure`` or ``map``; "" if not."""
    for kind, suffixes in (
        ("particles", _PARTICLES),
        ("structure", _STRUCTURES),
        ("map", _MAPS),
    ):
        if suffix in suffixes:
            return kind
    return reader_suffixes().get(suffix, "")


def load_folder(session: Session, path: Path, job: Job) -> None:
    """Open a project, or a run folder: our own, or one of cryoDRGN; for jobs."""
    from cryoscope.io.cryodrgn_run import CryodrgnRun
    from cryoscope.io.project_folder import ProjectFolder

    if ProjectFolder.is_one(path):
        from cryoscope.session.project_opening import load_project

        load_project(session, path, job)
    elif CryodrgnRun.is_one(path):
        from cryoscope.session.cryodrgn_runs import load_cryodrgn_run

        load_cryodrgn_run(session, path, job)
    else:
        load_run(session, path, job)


def load_particles(session: Session, path: Path, job: Job | None = None) -> None:
    """Read a particle file and make it that of the next run; for jobs.

    A run of other particles that is shown is closed.
    """
    from cryoscope.training.given_particles import read_given_particles

    particles = read_given_particles(session.config.data, path)
    if job is not None:
        job.check()  # a large file takes seconds: somebody may have changed their mind
    show_particles(session, path, particles)


def show_particles(session: Session, path: Path, particles: Particles) -> None:
    """Make particles those of the next run; a run of others that is shown is closed. For jobs."""
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
    associate(session, every_s=0.0)
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
    attached = attached_run(folder.path)
    run, recorder = read_run(folder) if attached is None else attached.view_and_curves()
    run = replace(run, reference=run_reference(folder.path))
    has_latents = folder.latent_epochs() or (folder.path / "latents" / "live.npz").is_file()
    latents = folder.load_latents() if has_latents else None
    selections = folder.load_selections()
    trajectories = load_trajectories(session, folder)
    leave_run(session)
    job.check()
    session.change(config=config, run=run)
    load_inputs(session, folder.info(), config)
    session.revise(lambda: {"config_base": ConfigBase(path.name, session.config)})
    if latents is not None:
        show_latents(session, latents)
        load_landscape(session, folder.path)
        fitting = [s for s in selections if len(s.mask) == len(latents)]
        active = fitting[-1].name if fitting else ""
        session.change(selections=tuple(fitting), active_selection=active)
        session.change(trajectories=paths_that_fit(trajectories, latents))
    command: Command = {"cmd": "serve", "run": str(folder.path)}
    if attached is not None:
        start_runner(session, command, recorder, attached.runner(session))
    elif folder.has_checkpoint():
        start_runner(session, command, recorder)
    else:
        problem = f"{path.name} has no checkpoint"
        session.revise(lambda: {"run": session.run and replace(session.run, model_problem=problem)})
        session.notify("warning", f"{problem}: states cannot be decoded")


def load_inputs(session: Session, info: dict[str, Any], config: TrainConfig) -> None:
    """Open the run's own particles and structure; without them it can still be looked at.

    ``info`` has whole paths, where those of the configuration may be relative.
    """
    for name, load in (("particles", load_particles), ("structure", load_structure)):
        path = str(info.get(name) or getattr(config.data, name))
        if not path:
            continue
        if not Path(path).is_file():
            gone = InputError(
                "the run was made from this file, which is gone",
                file=path,
                cure="Put it back, to export particles and to train on.",
            )
            session.notify("warning", str(gone))
            continue
        try:
            load(session, Path(path).absolute())
        except InputError as error:
            if name == "structure":
                session.report(error)
            else:
                _load_without_images(session, Path(path).absolute(), info, error)


def _load_without_images(
    session: Session, path: Path, info: dict[str, Any], problem: InputError
) -> None:
    """Open the table of a run's particles, whose stacks are not there; that is said."""
    from cryoscope.io.absent_images import read_without_images

    box_px, chosen = info.get("box_size_px"), session.config.data.class_number
    try:
        particles = read_without_images(
            path,
            box_px if isinstance(box_px, int) else 0,
            problem,
            class_number=None if chosen < 0 else chosen,
        )
        show_particles(session, path, particles)
    except InputError as error:
        session.notify("warning", str(error))
        return
    session.notify(
        "warning",
        "The particles' images are missing: they cannot be trained on, reconstructed or averaged; "
        f"all else works. {problem}",
    )


def leave_run(session: Session) -> None:
    """Close the run that is shown, and its runner; for jobs.

    Raises
    ------
    InputError
        If it is being trained.
    """

    def decide() -> dict[str, Any]:
        if session.run is not None and session.run.trains_here:
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
            "epoch_shown": None,
            **NO_PATHS,
            "cursor_xy": None,
            "shown": None,
            "check": None,
            "associations": (),
            "landscape": None,
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


def start_runner(
    session: Session, command: Command, recorder: LossRecorder, runner: Runner | None = None
) -> None:
    """Start a new runner (or the one given) on the session's run; for jobs."""
    if session.run is None:
        raise ValueError("a runner needs a run")
    end_runner(session)
    runner = runner or session.make_runner()
    follower = RunFollower(session, runner, session.run.folder, recorder)
    runner.events.connect(follower.handle)
    if session.adopt(runner, follower) is not runner:
        runner.start(command)
