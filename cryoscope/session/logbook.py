"""What can be done with the journal: written to a file, copied, cleared."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from cryoscope.session.journal import as_script, as_text

if TYPE_CHECKING:
    from cryoscope.session.jobs import Job
    from cryoscope.session.state import Session


def save_log(session: Session, path: str | Path) -> None:
    """Write the whole journal: as a Python program (.py) that does it again, or as text; a job."""
    target = Path(path).expanduser().absolute()
    entries = session.journal.entries()

    def work(_job: Job) -> None:
        from cryoscope.io.atomic import write_text_atomic

        program = target.suffix.lower() == ".py"
        write_text_atomic(target, as_script(entries) if program else as_text(entries))
        session.notify("info", f"Log written to {target}")

    session.pool.submit("Writing the log", work, text=f"Writing {target.name}")


def clear_log(session: Session) -> None:
    """Forget what has happened so far."""
    session.journal.clear()


def log_as_script(session: Session, numbers: Collection[int]) -> str:
    """A Python program that does those of the actions with these numbers again."""
    return as_script([one for one in session.journal.entries() if one.number in numbers])
