"""The work in the background in one line: the first job, how many wait, and their ends."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QElapsedTimer, QTimer, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QMenu, QToolButton, QWidget

from cryoscope.app import theme
from cryoscope.app.qt_bridge import QtBridge
from cryoscope.app.widgets.progress_bar import ProgressBar
from cryoscope.session import actions

BAR_PX, LONGEST_TEXT = 140, 64
#: Work of unknown length says how long it has taken, from then on.
PATIENCE_MS, TICK_MS = 2000, 1000


class JobLine(QWidget):
    """The first job with its progress and a button that cancels it; empty while there is none.

    Signals
    -------
    cancelled (text)
        Work that the user asked to stop has stopped.
    """

    cancelled = Signal(str)

    def __init__(self, session: Any, bridge: QtBridge) -> None:
        super().__init__()
        self._session = session
        self._job_name = ""
        self.setStyleSheet(theme.STYLE)
        self.job_text, self.bar, self.cancel = QLabel(), ProgressBar(), QToolButton()
        self.bar.setFixedWidth(BAR_PX)
        self.cancel.setText("Cancel")
        self.cancel.setToolTip("Stop this work; nothing half-written stays")
        self.cancel.clicked.connect(lambda: self._cancel(self._job_name))
        self.more = QToolButton()
        self.more.setToolTip("All work in the background; choose one to cancel it")
        self.more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.menu = QMenu(self.more)
        self.menu.aboutToShow.connect(self._fill_menu)
        self.more.setMenu(self.menu)
        self._asked_to_stop: dict[str, str] = {}
        self._since_begin = QElapsedTimer()
        self._tick = QTimer(self)
        self._tick.setInterval(TICK_MS)
        self._tick.timeout.connect(lambda: self._show_jobs(self._session.jobs))
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.SPACING_PX)
        for widget in (self.job_text, self.bar, self.cancel, self.more):
            layout.addWidget(widget)
        bridge.watch("jobs", self._show_jobs)

    def _show_jobs(self, jobs: tuple[Any, ...]) -> None:
        for name in self._asked_to_stop.keys() - {job.name for job in jobs}:
            self.cancelled.emit(self._asked_to_stop.pop(name))
        for widget in (self.job_text, self.bar, self.cancel):
            widget.setVisible(bool(jobs))
        self.more.setVisible(len(jobs) > 1)
        if not jobs:
            self._tick.stop()
            self._job_name = ""
            return
        job = jobs[0]
        if job.name != self._job_name or not self._tick.isActive():
            self._job_name = job.name
            self._since_begin.start()
            self._tick.start()
        stopping = job.name in self._asked_to_stop
        text = f"Cancelling: {job.text}" if stopping else job.text
        # Shortened, or a long one would make the window wider.
        long = len(text) > LONGEST_TEXT
        self.job_text.setText(f"{text[: LONGEST_TEXT - 1]}…" if long else text)
        self.job_text.setToolTip(text)
        self.bar.show_progress(job.done, job.total, self._progress_text(job))
        self.cancel.setVisible(job.cancellable)
        self.cancel.setEnabled(not stopping)
        self.more.setText(f"+{len(jobs) - 1} more")

    def _progress_text(self, job: Any) -> str:
        if job.total:
            return f"{100 * job.done // job.total} %"
        taken_ms = self._since_begin.elapsed()
        return f"{taken_ms // 1000} s" if taken_ms >= PATIENCE_MS else ""

    def _fill_menu(self) -> None:
        self.menu.clear()
        for job in self._session.jobs:
            entry = self.menu.addAction(f"Cancel: {job.text}")
            entry.setEnabled(job.cancellable and job.name not in self._asked_to_stop)
            entry.triggered.connect(lambda _on=False, name=job.name: self._cancel(name))

    def _cancel(self, name: str) -> None:
        texts = [job.text for job in self._session.jobs if job.name == name]
        self._asked_to_stop[name] = texts[0] if texts else name
        actions.cancel_job(self._session, name)
        self._show_jobs(self._session.jobs)
