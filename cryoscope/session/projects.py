"""Projects: made, opened, saved."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cryoscope.data import InputError
from cryoscope.session.jobs import Job
from cryoscope.session.opening import reporting
from cryoscope.session.project_keeper import ProjectKeeper
from cryoscope.session.project_opening import (
    begin,
    close_project,
    forget_inputs,
    load_project,
    refuse_while_training,
)
from cryoscope.session.project_parts import PartWriter
from cryoscope.session.project_records import SavedSession, WindowState
from cryoscope.session.recent_projects import remember
from cryoscope.training.presets import DEFAULT_PRESET, preset

if TYPE_CHECKING:
    from cryoscope.session.state import Session


def new_project(session: Session, path: str | Path) -> None:
    """Make an empty project in a new or empty folder, in place of what is open; a job.

    It is saved by itself a moment after every change, as every open project is.
    """
    folder = _absolute(path)

    def work(_job: Job) -> None:
        refuse_while_training(session)
        _check_new(folder)
        close_project(session)
        forget_inputs(session)
        session.config = preset(DEFAULT_PRESET)
        _begin_new(session, folder, None)
        session.notify("info", f"New project: {folder}")

    session.pool.submit("New project", work, key="open", cancel_running=False)


def open_project(session: Session, path: str | Path) -> None:
    """Open a project as it was left, in place of what is open; a job.

    Its run opens without the particles' images. What is damaged or gone is said in the session's
    notice, and the rest is opened.
    """
    folder = _absolute(path)

    session.pool.submit(
        "Opening the project",
        lambda job: load_project(session, folder, job),
        key="open",
        text=f"Opening {folder.name}",
        cancel_running=False,
    )


def save_project(session: Session, path: str | Path | None = None) -> None:
    """Save the open project now, or what is open as a new project in ``path``; a job."""
    folder = None if path is None else _absolute(path)

    def work(_job: Job) -> None:
        keeper = session.keeper
        if folder is None or (keeper is not None and keeper.folder.path == folder):
            if keeper is None:
                raise InputError("no project is open", cure="Save it as a new project first.")
            keeper.save()
        else:
            _check_new(folder)
            _begin_new(session, folder, keeper)
        _say_saved(session)

    with reporting(session):
        if folder is None and session.keeper is None:
            raise InputError("no project is open", cure="Save it as a new project first.")
        session.pool.submit("Saving the project", work, key="open", cancel_running=False)


def keep_window(session: Session, state: WindowState) -> None:
    """Let the open project remember how the window looks; nothing where none is open."""
    keeper = session.keeper
    if keeper is not None:
        keeper.keep_window(state)


def _check_new(folder: Path) -> None:
    """Refuse what cannot become a project, before anything is closed."""
    from cryoscope.io.project_folder import ProjectFolder

    ProjectFolder(folder).make()


def _begin_new(session: Session, path: Path, before: ProjectKeeper | None) -> None:
    """Make the open session a project, with what the one ``before`` holds of a run that is gone."""
    from cryoscope.io.project_folder import ProjectFolder

    folder = ProjectFolder(path)
    with ExitStack() as stack:
        stack.enter_context(folder.lock())
        parts = PartWriter(session, folder)
        held = SavedSession()
        if before is not None:
            parts.window, held = before.parts.window, before.held
            parts.adopt(before.parts)
        keeper = ProjectKeeper(session, parts, stack.pop_all(), held)
        if before is not None:
            keeper.adopt_check(before)
    try:
        keeper.save()
    except BaseException:
        keeper.release()
        raise
    close_project(session)
    begin(session, keeper, parts.window)
    remember(session, path)


def _say_saved(session: Session) -> None:
    project = session.project
    if project is not None:
        session.project = replace(project, saved_s=time.time())
        session.notify("info", f"Project saved: {project.path}")


def _absolute(path: str | Path) -> Path:
    return Path(path).expanduser().absolute()
