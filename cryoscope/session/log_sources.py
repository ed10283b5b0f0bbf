"""What the journal hears besides verbs and notices: runs, jobs, the worker, Python's own log."""

from __future__ import annotations

import logging
import time
import traceback
import weakref
from typing import TYPE_CHECKING, Any

from cryoscope.session.journal import Level
from cryoscope.session.records import JobView, RunStatus, RunView

if TYPE_CHECKING:
    from cryoscope.session.state import Session

#: Lines that the training process wrote come from here.
WORKER_LOG = "cryoscope.worker"
logging.getLogger(WORKER_LOG).setLevel(logging.INFO)


class LogSources:
    """Notes in a session's journal how its runs and jobs go, and what Python's log says."""

    def __init__(self, session: Session) -> None:
        self._session = weakref.ref(session)
        self._run: tuple[Any, ...] = ()
        self._jobs: dict[str, float] = {}
        self._handler = _JournalHandler(session)
        self._log = logging.getLogger("cryoscope")
        self._log.addHandler(self._handler)
        # A session that was never closed: not from within the handler, while the log is in use.
        weakref.finalize(session, self._log.removeHandler, self._handler)
        session.events.run.connect(self._run_changed)
        session.events.jobs.connect(self._jobs_changed)

    def close(self) -> None:
        """Hear nothing more."""
        self._log.removeHandler(self._handler)

    def _run_changed(self, run: RunView | None) -> None:
        session = self._session()
        now = () if run is None else (run.folder, run.status, run.epoch, run.stage_text)
        if session is None or now == self._run:
            return
        before, self._run = self._run, now
        if run is None:
            session.journal.add("work", "The run was closed")
            return
        new_status = not before or before[:2] != now[:2]
        if new_status or run.status is RunStatus.PREPARING:
            session.journal.add("work", _words(run))
        elif run.status is RunStatus.RUNNING and before[2] != run.epoch:
            total = run.history.terms.get("total")
            loss = "" if total is None or not len(total) else f", loss {total[-1]:.5g}"
            session.journal.add(
                "work", f"{run.folder.name}: epoch {run.epoch}, step {run.step:,}{loss}"
            )

    def _jobs_changed(self, jobs: tuple[JobView, ...]) -> None:
        session = self._session()
        if session is None:
            return
        now_s = time.monotonic()
        names = {job.name: job.text for job in jobs}
        for name in [name for name in self._jobs if name not in names]:
            took_s = now_s - self._jobs.pop(name)
            session.journal.add("work", f"{name}: ended after {took_s:.1f} s")
        for name, text in names.items():
            if name not in self._jobs:
                self._jobs[name] = now_s
                session.journal.add("work", f"{name}: begun" if text == name else f"{name}: {text}")


def _words(run: RunView) -> str:
    parts = [f"{run.folder.name}: {run.status.value}"]
    if run.stage_text and run.status is RunStatus.PREPARING:
        parts.append(run.stage_text)
    if run.status is RunStatus.RUNNING and run.device_text:
        parts.append(f"on {run.device_text}")
    if run.message:
        parts.append(run.message)
    return ", ".join(parts)


class _JournalHandler(logging.Handler):
    """Hands Python's log on to a journal, for as long as its session lives."""

    def __init__(self, session: Session) -> None:
        super().__init__(logging.INFO)
        self._session = weakref.ref(session)

    def emit(self, record: logging.LogRecord) -> None:
        session = self._session()
        if session is None or (record.levelno < logging.WARNING and record.name != WORKER_LOG):
            return
        detail = "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else ""
        worker = "worker: " if record.name == WORKER_LOG else ""
        level: Level = "work" if record.levelno < logging.WARNING else "warning"
        try:
            text = f"{worker}{' '.join(record.getMessage().split())}"
        except (TypeError, ValueError):
            text = f"{worker}{record.msg}"
        session.journal.add(level, text, detail)
