"""The line at the bottom of the window: the last message and the work in the background."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QElapsedTimer, QTimer
from qtpy.QtWidgets import QHBoxLayout, QLabel, QMenu, QToolButton, QWidget

from cryoscope.app import dialogs, theme
from cryoscope.app.qt_bridge import QtBridge
from cryoscope.app.widgets.progress_bar import ProgressBar
from cryoscope.session import actions

HEIGHT_PX = 32
READ_MS = 30_000
#: Work of unknown length says how long it has taken, from then on.
PATIENCE_MS, TICK_MS = 2000, 1000


class StatusLine(QWidget):
    """Shows notices, the first job and how many wait; an error opens a dialog besides."""

    def __init__(self, session: Any, bridge: QtBridge) -> None:
        super().__init__()
        self._session = session
        self._job_name = ""
        self.setStyleSheet(theme.STYLE)
        self.message = QLabel()
        self._read = QTimer(self)
        self._read.setSingleShot(True)
        self._read.setInterval(READ_MS)
        self._read.timeout.connect(self._rest)
        self.job_text, self.bar, self.cancel = QLabel(), ProgressBar(), QToolButton()
        self.setFixedHeight(HEIGHT_PX)  # a job that comes must not move the panels
        self.bar.setFixedWidth(140)
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
        self.error_box: Any = None
        layout = QHBoxLayout(self)
        layout.setContentsMargins(theme.MARGIN_PX, 1, theme.MARGIN_PX, 1)
        layout.setSpacing(theme.SPACING_PX)
        layout.addWidget(self.message, 1)
        for widget in (self.job_text, self.bar, self.cancel, self.more):
            layout.addWidget(widget)
        self._folder: Any = None
        bridge.watch("run", self._look_at_run)
        bridge.watch("jobs", self._show_jobs)
        bridge.watch("notice", self._show_notice, every=True)

    def say(self, text: str, *, problem: bool = False) -> None:
        """Show one line, until it has been read."""
        self._read.start()
        self._write(text, problem)

    def _rest(self) -> None:
        """What is said when there is nothing to say."""
        run = self._session.run
        if run is None:
            self._write("Ready", False)
            return
        self._write(f"Run folder: …/{run.folder.parent.name}/{run.folder.name}", False)
        self.message.setToolTip(str(run.folder))

    def _look_at_run(self, run: Any) -> None:
        folder = None if run is None else run.folder
        if folder != self._folder or not self.message.text():
            self._folder = folder
            if not self._read.isActive():
                self._rest()

    def _write(self, text: str, problem: bool) -> None:
        self.message.setText(text)
        self.message.setToolTip(text)
        theme.set_role(self.message, "problem" if problem else "")

    def _show_notice(self, notice: Any) -> None:
        if notice is None:
            return
        self.say(notice.text, problem=notice.level != "info")
        if notice.level == "error":
            self.error_box = dialogs.show_error(self.window(), notice.text)

    def _show_jobs(self, jobs: tuple[Any, ...]) -> None:
        for name in self._asked_to_stop.keys() - {job.name for job in jobs}:
            self.say(f"Cancelled: {self._asked_to_stop.pop(name)}")
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
        self.job_text.setText(f"Cancelling: {job.text}" if stopping else job.text)
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
