"""Opening a project: the run, the view, the selections, as they were; what is damaged is said."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from cryoscope.data import InputError
from cryoscope.session.opening import leave_run, load_file, load_folder, reporting
from cryoscope.session.project_keeper import ProjectKeeper
from cryoscope.session.project_parts import (
    KeptArrays,
    PartWriter,
    first_that_reads,
    read_kept_arrays,
    read_layout,
)
from cryoscope.session.project_records import (
    ProjectView,
    SavedSession,
    WindowState,
    read_saved,
)
from cryoscope.session.project_state import (
    found_at,
    restore_check,
    restore_contours,
    restore_difference,
    restore_view,
    selections_that_fit,
    trajectories_that_fit,
)
from cryoscope.session.project_states import restore_states
from cryoscope.session.recent_projects import remember
from cryoscope.training.config import config_from_json

if TYPE_CHECKING:
    from cryoscope.io.project_folder import Part, ProjectFolder, Saved
    from cryoscope.session.jobs import Job
    from cryoscope.session.state import Session

PROJECT_FILES = ("project.json", "project.previous.json")


def is_project(path: Path) -> bool:
    """Whether a folder is a project."""
    from cryoscope.io.project_folder import ProjectFolder

    return ProjectFolder.is_one(path)


def load_project(session: Session, path: Path, job: Job) -> None:
    """Open a project in place of what is open; for jobs.

    Raises
    ------
    InputError
        If it cannot be read at all, is of another version, is open in another program, or a run is
        being trained.
    """
    from cryoscope.io.project_folder import ProjectFolder

    folder = ProjectFolder(path)
    saves, problems = folder.saves()
    refuse_while_training(session)
    if session.keeper is not None and session.keeper.folder.path == path:
        close_project(session)
        saves, problems = folder.saves()
    with ExitStack() as stack:
        stack.enter_context(folder.lock(_saying_so(session, job)))
        close_project(session)
        saved, damaged = read_saved(saves[0].content, path / PROJECT_FILES[0])
        problems += damaged
        _load_inputs(session, saved, path, job)
        parts = PartWriter(session, folder)
        window = _restore(session, folder, saves, saved, parts, problems, job)
        keeper = ProjectKeeper(session, parts, stack.pop_all(), saved)
    begin(session, keeper, window)
    _compare_again(session, saved, path)
    remember(session, path)
    for problem in problems:
        session.notify("warning", f"The project was opened, but: {problem}")


def _saying_so(session: Session, job: Job) -> Callable[[str, float], None]:
    """Tells the user why it takes long: another machine seems to hold the project."""
    said = False

    def waiting(what: str, left_s: float) -> None:
        nonlocal said
        if not said:
            said = True
            session.notify("info", f"For {left_s:.0f} s it is watched {what}")
        job.check()

    return waiting


def _compare_again(session: Session, saved: SavedSession, path: Path) -> None:
    """Put the runs side by side that were; those that are gone are said."""
    from cryoscope.session.run_compare import add_compared_runs

    session.comparison = None
    folders = []
    for one in saved.compared:
        try:
            folders.append(found_at(one, path))
        except InputError as error:
            session.notify("warning", str(error))
    if len(folders) > 1:
        add_compared_runs(session, folders)


def begin(session: Session, keeper: ProjectKeeper, window: WindowState | None = None) -> None:
    """Let ``keeper`` save the session from now on, unless the session has been closed."""
    if session.closed:
        keeper.close()
        return
    session.keeper = keeper
    keeper.start()
    session.project = ProjectView(keeper.folder.path, window)


def close_project(session: Session) -> None:
    """Save the open project and let go of it; what is open stays open. For jobs."""
    keeper, session.keeper = session.keeper, None
    if keeper is not None:
        keeper.close()
        session.project = None


def refuse_while_training(session: Session) -> None:
    """Raise InputError if a run is being trained."""
    if session.run is not None and session.run.status.active:
        raise InputError("a run is being trained", cure="Stop it first, then open the project.")


def forget_inputs(session: Session) -> None:
    """Close the run, the particles and the structure; for jobs."""
    leave_run(session)
    session.change(particles=None, structure=None, kept_states=())


def _load_inputs(session: Session, saved: SavedSession, path: Path, job: Job) -> None:
    """Open the run and the files that were open; what is gone is said, and the rest opened."""
    forget_inputs(session)
    if saved.run is not None:
        try:
            load_folder(session, found_at(saved.run, path), job)
        except InputError as error:
            session.notify("warning", str(error))
    present = {
        "particles": None if session.particles is None else session.particles.file,
        "structure": None if session.structure is None else session.structure.path,
        "consensus_map": None if saved.run is None else Path(),
    }
    for kind, now in present.items():
        wanted = getattr(saved.files, kind)
        if wanted is None or (now is not None and (kind == "consensus_map" or saved.run is None)):
            continue
        try:
            file = found_at(wanted, path)
            if now is None or file != now:
                load_file(session, file, job)
        except InputError as error:
            if now is None and session.run is None:
                session.notify("warning", str(error))
    if saved.config is not None:
        with reporting(session):
            session.config = config_from_json(saved.config, file=str(path / PROJECT_FILES[0]))


def _restore(
    session: Session,
    folder: ProjectFolder,
    saves: list[Saved],
    saved: SavedSession,
    parts: PartWriter,
    problems: list[InputError],
    job: Job,
) -> WindowState | None:
    """Bring back what the parts hold; the layout of the window is returned."""
    from cryoscope.io.selections_file import read_selections
    from cryoscope.io.trajectories_file import read_trajectories

    found: dict[str, Part] = {}

    def part(name: str, read: object) -> object:
        value, which = first_that_reads(folder, saves, name, read, problems)  # type: ignore[arg-type]
        if which is not None:
            found[name] = which
        return value

    selections = part("selections", read_selections)
    trajectories = part("trajectories", read_trajectories)
    arrays = part("arrays", read_kept_arrays)
    layout = part("window", read_layout)
    job.check()
    latents = session.latents
    if latents is not None:
        session.selections = selections_that_fit(session, selections or [])  # type: ignore[arg-type]
        session.trajectories = trajectories_that_fit(session, trajectories or [])  # type: ignore[arg-type]
        if isinstance(arrays, KeptArrays):
            _restore_arrays(session, arrays)
    restore_contours(session, saved.view)
    looking = False
    try:
        looking = restore_check(session, saved.check, folder.path)
    except InputError as error:
        problems.append(error)
    restore_view(session, saved.view, job, decode=not looking)
    parts.states = restore_states(session, folder, saves, problems)
    restore_difference(session, saved.view.scene.against)
    window = None
    if layout is not None or saved.window_numbers:
        try:
            window = WindowState(layout or {}, saved.window_numbers)  # type: ignore[arg-type]
        except ValueError as error:
            problems.append(InputError(str(error), file=folder.path))
    parts.window = window
    parts.settle(found)
    return window


def _restore_arrays(session: Session, arrays: KeptArrays) -> None:
    latents = session.latents
    assert latents is not None
    if arrays.clusters is not None and len(arrays.clusters) == len(latents):
        session.clusters = arrays.clusters
    same = (arrays.run_id, arrays.epoch) == (latents.run_id, latents.epoch)
    if same and arrays.umap is not None and len(arrays.umap.xy) == len(latents):
        session.kept_umap = latents, arrays.umap
