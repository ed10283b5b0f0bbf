"""The line at the bottom of the window: the last message and the work in the background."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QHBoxLayout, QLabel, QWidget

from cryoscope.app import dialogs, theme
from cryoscope.app.qt_bridge import QtBridge
from cryoscope.app.widgets.job_line import JobLine

HEIGHT_PX = 32
READ_MS = 30_000


class StatusLine(QWidget):
    """Shows notices, the first job and how many wait; an error opens a dialog besides."""

    def __init__(self, session: Any, bridge: QtBridge) -> None:
        super().__init__()
        self._session = session
        self.setStyleSheet(theme.STYLE)
        self.message = QLabel()
        self._read = QTimer(self)
        self._read.setSingleShot(True)
        self._read.setInterval(READ_MS)
        self._read.timeout.connect(self._rest)
        self.setFixedHeight(HEIGHT_PX)  # a job that comes must not move the panels
        self.work = JobLine(session, bridge)
        self.work.cancelled.connect(lambda text: self.say(f"Cancelled: {text}"))
        self.error_box: Any = None
        layout = QHBoxLayout(self)
        layout.setContentsMargins(theme.MARGIN_PX, 1, theme.MARGIN_PX, 1)
        layout.setSpacing(theme.SPACING_PX)
        layout.addWidget(self.message, 1)
        layout.addWidget(self.work)
        self._folder: Any = None
        bridge.watch("run", self._look_at_run)
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
