"""The latent scatter with its tools."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QButtonGroup, QHBoxLayout, QLabel, QToolButton, QVBoxLayout, QWidget

from cryoscope.app import theme
from cryoscope.app.background import NewestWins
from cryoscope.app.qt_bridge import QtBridge
from cryoscope.app.widgets.latent_canvas import LatentCanvas, Tool
from cryoscope.app.widgets.plot_frame import Bounds
from cryoscope.session import actions, scatter

Mode = Literal["new", "add", "subtract"]
SMALLEST_FILLING = 0.45
EMPTY_TEXT = (
    "Every particle becomes a point here while the network trains.\n\n"
    "Then drag over the points to see the molecule move, "
    "or draw around some to select them."
)
WAITING_TEXT = "Waiting for the first latents of the run…"
SUMMARY_TIP = (
    "Every particle of the run is a point of the plot. The active selection (the highlighted row "
    "below) is coloured, the others are grey; selections may share particles. Exporting writes "
    "the particles of the active selection only."
)
TOOLS = (
    (Tool.EXPLORE, "Explore", "E", "Press or drag: the 3-D view shows the state under the pointer"),
    (Tool.LASSO, "Lasso", "L", "Draw around particles; Shift adds, Ctrl or Alt takes away"),
    (Tool.PAN, "Pan", "P", "Drag to move the plot (the right button always does)"),
)
HINTS = {
    Tool.EXPLORE: "Press or drag to see the state at that point. Wheel zooms, right button pans.",
    Tool.LASSO: "Draw around particles. Shift adds, Ctrl or Alt takes away, Esc drops the stroke.",
    Tool.PAN: "Drag moves the plot, wheel zooms, double click shows everything.",
}


class LatentPanel(QWidget):
    """Scatter, tools, and how many particles there are."""

    def __init__(self, session: Any, bridge: QtBridge) -> None:
        super().__init__()
        self._session = session
        self.canvas = LatentCanvas()
        self.canvas.empty_text = EMPTY_TEXT
        self._pictures, self._counts = NewestWins(self), NewestWins(self)
        self._pictures.answered.connect(self._show_picture)
        self._counts.answered.connect(self._show_count)
        self.canvas.picture_wanted.connect(self._want_picture)
        self.canvas.scrubbed.connect(lambda x, y: actions.move_cursor(session, (x, y)))
        self.canvas.lasso_moved.connect(self._count)
        self.canvas.lasso_finished.connect(self._lasso)
        self._home: Bounds | None = None
        self._home_run = ""
        self.buttons: dict[Tool, QToolButton] = {}
        self._tips: dict[QToolButton, str] = {}
        self.hint = QLabel(HINTS[Tool.EXPLORE])
        self.hint.setProperty("role", "muted")
        self.hint.setWordWrap(True)
        self.summary = QLabel()
        self.summary.setToolTip(SUMMARY_TIP)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(theme.MARGIN_PX, theme.MARGIN_PX, theme.MARGIN_PX, 0)
        layout.setSpacing(theme.SPACING_PX)
        layout.addLayout(self._toolbar())
        layout.addWidget(self.summary)
        layout.addWidget(self.canvas, 1)
        layout.addWidget(self.hint)
        bridge.watch("run", self._refresh_run)
        bridge.watch("embedding", self._refresh_embedding)
        bridge.watch("selections", lambda _value: self._refresh_selections())
        bridge.watch("active_selection", lambda _value: self._refresh_selections())
        bridge.watch("cursor_xy", self.canvas.set_cursor_xy)

    def close_threads(self) -> None:
        """End the threads that make pictures."""
        self._pictures.close()
        self._counts.close()

    def choose(self, tool: Tool) -> None:
        """Make a plain drag do what ``tool`` does."""
        self.canvas.set_tool(tool)
        self.buttons[tool].setChecked(True)
        self.hint.setText(HINTS[tool])

    def _toolbar(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(2)
        group = QButtonGroup(self)
        for tool, text, key, tip in TOOLS:
            button = QToolButton()
            button.setText(text)
            button.setCheckable(True)
            button.setShortcut(QKeySequence(key))
            self._tips[button] = f"{tip} [{key}]"
            button.clicked.connect(lambda _checked, tool=tool: self.choose(tool))
            group.addButton(button)
            row.addWidget(button)
            self.buttons[tool] = button
        self.buttons[Tool.EXPLORE].setChecked(True)
        self.fit = QToolButton()
        self.fit.setText("Show all")
        self._tips[self.fit] = "Zoom out to all particles [F]"
        self.fit.setShortcut(QKeySequence("F"))
        self.fit.clicked.connect(self.canvas.fit)
        row.addSpacing(theme.SPACING_PX)
        row.addWidget(self.fit)
        row.addStretch(1)
        return row

    # Intentions

    def _lasso(self, polygon: NDArray[np.float64], mode: Mode) -> None:
        actions.lasso(self._session, polygon, mode=mode)

    def _count(self, polygon: NDArray[np.float64]) -> None:
        self._counts.request(lambda: actions.count_lasso(self._session, polygon))

    def _want_picture(self, bounds: Bounds, shape: tuple[int, int]) -> None:
        if self._session.embedding is not None:
            self._pictures.request(
                lambda: (scatter.scatter_picture(self._session, bounds, shape), bounds)
            )

    # Showing the session

    def _show_picture(self, answer: Any) -> None:
        self.canvas.set_picture(*answer)

    def _show_count(self, count: int) -> None:
        self.canvas.set_stroke_text(f"{count:,} particles")

    def _refresh_run(self, run: Any) -> None:
        if self._session.embedding is None:
            waiting = run is not None and run.status.active
            self.canvas.empty_text = WAITING_TEXT if waiting else EMPTY_TEXT
            self.canvas.update()

    def _refresh_embedding(self, embedding: Any) -> None:
        there = embedding is not None
        for button, tip in self._tips.items():
            button.setEnabled(there)
            button.setToolTip(tip if there else "There are no latents yet: train, or open a run")
        self.hint.setVisible(there)
        self.summary.setVisible(there)
        if not there:
            self.canvas.clear_picture()
            self._refresh_run(self._session.run)
            return
        self.canvas.empty_text = ""
        self.canvas.x_label, self.canvas.y_label = embedding.axis_labels
        self.canvas.set_home(self._next_home())
        self._refresh_selections()

    def _next_home(self) -> Bounds:
        """Bounds that hold all points: they only grow, until the points fill too little of them."""
        session = self._session
        tight = scatter.scatter_bounds(session)
        if self._home is not None and self._home_run == embedding_run(session):
            kept = scatter.scatter_bounds(session, self._home)
            if min(filled(tight, kept)) > SMALLEST_FILLING:
                tight = kept
        self._home, self._home_run = tight, embedding_run(session)
        return tight

    def _refresh_selections(self) -> None:
        session, embedding = self._session, self._session.embedding
        if embedding is None:
            return
        outlines = [
            (np.asarray(selection.made_by["polygon"], dtype=np.float64), selection.colour)
            for selection in session.selections
            if selection.made_by.get("kind") == "lasso"
            and selection.made_by.get("embedding") == embedding.embedding_id
            and selection.made_by.get("polygon")
        ]
        self.canvas.set_outlines(outlines)
        chosen = next(
            (one for one in session.selections if one.name == session.active_selection), None
        )
        total = f"{len(embedding.xy):,} particles"
        if chosen is not None:
            total = f"{len(chosen):,} of {total} in {chosen.name}"
        self.summary.setText(total)
        self.canvas.request_picture()


def filled(inner: Bounds, outer: Bounds) -> tuple[float, float]:
    """Which part of ``outer`` the rectangle ``inner`` takes in x and in y."""
    return (
        (inner[1] - inner[0]) / (outer[1] - outer[0]),
        (inner[3] - inner[2]) / (outer[3] - outer[2]),
    )


def embedding_run(session: Any) -> str:
    """The run whose latents are shown."""
    return "" if session.latents is None else session.latents.run_id
