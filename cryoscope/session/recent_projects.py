"""Which projects were open lately, and whether they are still there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cryoscope.data import InputError
from cryoscope.session.jobs import Job
from cryoscope.session.project_records import RecentProject

if TYPE_CHECKING:
    from cryoscope.session.state import Session


def list_recent(session: Session) -> None:
    """Look for the projects that were open lately (``session.recent_projects``); a job."""

    def work(_job: Job) -> None:
        from cryoscope.io.recent_projects import read_recent

        _show_recent(session, read_recent())

    session.pool.submit("Recent projects", work, key="recent", quiet=True)


def forget_recent(session: Session, path: str | Path) -> None:
    """Take a project off the list of those that were open lately; a job."""
    gone = Path(path)

    def work(_job: Job) -> None:
        from cryoscope.io.recent_projects import read_recent, write_recent

        left = [one for one in read_recent() if one != gone]
        write_recent(left)
        _show_recent(session, left)

    session.pool.submit("Recent projects", work, key="recent", quiet=True, cancel_running=False)


def remember(session: Session, folder: Path) -> None:
    """Put a project first on the list of those that were open lately; for jobs."""
    from cryoscope.io.recent_projects import read_recent, write_recent

    listed = [folder, *(one for one in read_recent() if one != folder)]
    try:
        write_recent(listed)
    except InputError as error:
        # The project is open all the same.
        session.notify("warning", f"The list of recent projects was not saved: {error}")
    _show_recent(session, listed)


def _show_recent(session: Session, listed: list[Path]) -> None:
    from cryoscope.io.project_folder import ProjectFolder

    session.recent_projects = tuple(
        RecentProject(path, ProjectFolder.is_one(path)) for path in listed
    )
