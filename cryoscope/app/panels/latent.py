"""The latent scatter with its tools, its colours, and how many particles there are."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSpinBox, QVBoxLayout, QWidget

from cryoscope.app import theme
from cryoscope.app.background import NewestWins
from cryoscope.app.qt_bridge import QtBridge
from cryoscope.app.widgets.caution_line import CautionLine
from cryoscope.app.widgets.latent_bars import ToolRow, ViewRow
from cryoscope.app.widgets.latent_canvas import LatentCanvas, Tool
from cryoscope.app.widgets.legend import Legend
from cryoscope.app.widgets.plot_frame import Bounds
from cryoscope.session import actions, scatter

SMALLEST_FILLING = 0.45
EMPTY_TEXT = (
    "Every particle becomes a point here while the network trains.\n\n"
    "Then drag over the points to see the molecule move, "
    "or draw around some to select them."
)
SUMMARY_TIP = (
    "Every particle of the run is a point of the plot. The active selection (the highlighted row "
    "below) is coloured, the others are grey; selections may share particles. Exporting writes "
    "the particles of the active selection only."
)
KEYS = "Shift adds, Ctrl takes away, Esc drops it."
HINTS = {
    Tool.EXPLORE: "Press or drag to see the state there. Wheel zooms, right button pans.",
    Tool.LASSO: f"Draw around particles. {KEYS}",
    Tool.POLYGON: "Click the corners; the first corner, Enter or a double click closes it.",
    Tool.RECTANGLE: f"Drag from corner to corner. {KEYS}",
    Tool.BRUSH: f"Paint over particles. {KEYS}",
    Tool.NEAREST: f"Click: the nearest particles are selected. {KEYS}",
    Tool.PAN: "Drag moves the plot, wheel zooms, double click shows everything.",
}
AMOUNTS = {
    Tool.BRUSH: (4, 300, 2, " px", "Width of the brush in pixels"),
    Tool.NEAREST: (1, 10_000_000, 50, "", "How many particles are selected by a click"),
}


class LatentPanel(QWidget):
    """Scatter, tools, legend, and how many particles there are."""

    def __init__(self, session: Any, bridge: QtBridge) -> None:
        super().__init__()
        self._session = session
        self.canvas, self.legend = LatentCanvas(), Legend()
        self.tool_row, self.view_row = ToolRow(), ViewRow()
        self.canvas.empty_text = EMPTY_TEXT
        self.legend.set_density(scatter.density_table())
        self._volume_axes, self._run_folder = 0, None
        self._home: Bounds | None = None
        self._home_of = ("", "")
        self.hint = QLabel(HINTS[Tool.EXPLORE])
        self.hint.setProperty("role", "muted")
        self.hint.setWordWrap(True)
        # Room for two lines (or the box beside it), always: another tool must not move the plot.
        self.hint.setFixedHeight(2 * self.hint.fontMetrics().lineSpacing() + 4)
        self.amount = QSpinBox()
        self.amount.setKeyboardTracking(False)
        self.amount.setToolTip("Width of the brush in pixels, or number of nearest particles")
        self.amount.hide()
        self.caution = CautionLine()
        self.summary = QLabel()
        self.summary.setToolTip(SUMMARY_TIP)
        self._lay_out()
        self._connect()
        self._watch(bridge)

    def close_threads(self) -> None:
        """End the threads that make pictures."""
        for worker in (self._pictures, self._counts, self._hovers):
            worker.close()

    def choose(self, tool: Tool) -> None:
        """Make a plain drag do what ``tool`` does."""
        self.canvas.set_tool(tool)
        self.tool_row.tools[tool].setChecked(True)
        self.hint.setText(HINTS[tool])
        self.amount.setVisible(tool in AMOUNTS)
        if tool in AMOUNTS:
            low, high, step, suffix, tip = AMOUNTS[tool]
            self.amount.blockSignals(True)
            self.amount.setRange(low, high)
            self.amount.setSingleStep(step)
            self.amount.setSuffix(suffix)
            self.amount.setToolTip(tip)
            self.amount.setValue(self.canvas.amounts[tool])
            self.amount.blockSignals(False)

    def choose_mode(self, mode: str) -> None:
        """How strokes without a key combine with the active selection."""
        self.canvas.mode = self.legend.mode = mode
        self.tool_row.modes[mode].setChecked(True)

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(theme.MARGIN_PX, theme.MARGIN_PX, theme.MARGIN_PX, 0)
        layout.setSpacing(theme.SPACING_PX - 2)
        layout.addWidget(self.tool_row)
        layout.addWidget(self.view_row)
        line = QHBoxLayout()
        line.addWidget(self.summary, 1)
        line.addWidget(self.view_row.clusters)
        layout.addLayout(line)
        layout.addWidget(self.caution)
        layout.addWidget(self.canvas, 1)
        layout.addWidget(self.legend)
        below = QHBoxLayout()
        below.addWidget(self.hint, 1)
        below.addWidget(self.amount)
        layout.addLayout(below)

    def _connect(self) -> None:
        session, canvas = self._session, self.canvas
        self._pictures, self._counts = NewestWins(self), NewestWins(self)
        self._hovers = NewestWins(self)
        self._pictures.answered.connect(lambda answer: canvas.set_picture(*answer))
        self._counts.answered.connect(self._show_count)
        self._hovers.answered.connect(canvas.set_card)
        canvas.picture_wanted.connect(self._want_picture)
        canvas.hover_wanted.connect(self._want_card)
        canvas.scrubbed.connect(lambda x, y: actions.move_cursor(session, (x, y)))
        for widget, moved, finished in (
            (canvas, canvas.stroke_moved, canvas.stroke_finished),
            (self.legend, self.legend.rule_moved, self.legend.rule_finished),
        ):
            moved.connect(lambda rule, where=widget: self._count(rule, where))
            finished.connect(lambda rule, mode: actions.select(session, rule, mode))
        self.tool_row.tool_chosen.connect(self.choose)
        self.tool_row.mode_chosen.connect(self.choose_mode)
        self.tool_row.fit_chosen.connect(canvas.fit)
        self.view_row.view_chosen.connect(
            lambda kind, x, y: actions.view_latents(session, kind, x, y)
        )
        self.caution.colour_wanted.connect(lambda name: actions.colour_by(session, name))
        self.view_row.colour_chosen.connect(lambda name: actions.colour_by(session, name))
        self.view_row.clusters_chosen.connect(
            lambda number: actions.cluster_particles(session, number)
        )
        self.amount.valueChanged.connect(self._set_amount)

    def _watch(self, bridge: QtBridge) -> None:
        bridge.watch("run", self._refresh_run)
        bridge.watch(
            "associations",
            lambda _found: self.caution.set_cautions(actions.axis_cautions(self._session)),
        )
        bridge.watch("embedding", self._refresh_embedding)
        bridge.watch("selections", lambda _value: self._refresh_selections())
        bridge.watch("active_selection", lambda _value: self._refresh_selections())
        bridge.watch("landscape", lambda _found: self._refresh_landscape())
        bridge.watch("cursor_xy", self.canvas.set_cursor_xy)
        bridge.watch("colouring", self._refresh_colouring)
        bridge.watch("particles", lambda _value: self._refresh_choices())
        bridge.watch("latent_view", lambda _value: self._refresh_choices())
        # A picture or a colour that was cancelled or failed: show again what there is.
        bridge.watch("jobs", lambda _value: self._refresh_choices())

    # Intentions

    def _set_amount(self, amount: int) -> None:
        self.canvas.amounts[self.canvas.tool] = amount
        self.canvas.update()

    def _count(self, rule: dict[str, Any], where: QWidget) -> None:
        self._counts.request(lambda: (actions.count_rule(self._session, rule), where))

    def _want_picture(self, bounds: Bounds, shape: tuple[int, int]) -> None:
        if self._session.embedding is not None:
            self._pictures.request(
                lambda: (scatter.scatter_picture(self._session, bounds, shape), bounds)
            )

    def _want_card(self, x: float, y: float, reach_x: float, reach_y: float) -> None:
        self._hovers.request(lambda: actions.particle_at(self._session, (x, y), (reach_x, reach_y)))

    # Showing the session

    def _show_count(self, answer: tuple[int, QWidget]) -> None:
        count, where = answer
        text = f"{count:,} particles"
        if where is self.legend:
            self.legend.set_count_text(text)
        else:
            self.canvas.set_stroke_text(text)

    def _refresh_run(self, run: Any) -> None:
        folder = None if run is None else run.folder
        if folder != self._run_folder:  # looks into the folder: not at every step
            self._run_folder = folder
            self._volume_axes = actions.view_axes(self._session, "volume")
        if self._session.embedding is None:
            self.canvas.empty_text = actions.why_no_latents(self._session) or EMPTY_TEXT
            self.canvas.update()

    def _refresh_landscape(self) -> None:
        """The components of its volumes can be axes and colours."""
        self._volume_axes = actions.view_axes(self._session, "volume")
        self._refresh_choices()

    def _refresh_choices(self) -> None:
        session = self._session
        axes = actions.view_axes(session, session.latent_view.kind)
        self.view_row.show_view(session.latent_view, axes, self._volume_axes)
        chosen = "density" if session.colouring is None else session.colouring.name
        self.view_row.show_choices(actions.covariate_choices(session), chosen)

    def _refresh_colouring(self, colouring: Any) -> None:
        self.legend.show_covariate(colouring)
        self._refresh_choices()
        self.canvas.request_picture()

    def _refresh_embedding(self, embedding: Any) -> None:
        there = embedding is not None
        self.tool_row.set_ready(there)
        self.view_row.set_ready(there)
        self._refresh_choices()
        for widget in (self.hint, self.summary, self.legend):
            widget.setVisible(there)
        if not there:
            self.canvas.clear_picture()
            self._refresh_run(self._session.run)
            return
        self.canvas.empty_text = ""
        self.canvas.x_label, self.canvas.y_label = embedding.axis_labels
        self.canvas.set_home(self._next_home())
        self._refresh_selections()

    def _next_home(self) -> Bounds:
        """Bounds that hold all points: they only grow, until the points fill too little of them.

        Another picture of the latents has bounds of its own.
        """
        session = self._session
        tight = scatter.scatter_bounds(session)
        shown = embedding_run(session), str(session.latent_view)
        if self._home is not None and self._home_of == shown:
            kept = scatter.scatter_bounds(session, self._home)
            if min(filled(tight, kept)) > SMALLEST_FILLING:
                tight = kept
        elif self._home_of[1] != shown[1]:
            self.canvas.clear_picture()
        self._home, self._home_of = tight, shown
        return tight

    def _refresh_selections(self) -> None:
        session, embedding = self._session, self._session.embedding
        self._refresh_choices()
        if embedding is None:
            return
        outlines = [
            (np.asarray(step["polygon"], dtype=np.float64), selection.colour)
            for selection in session.selections
            for step in drawn(selection.made_by, embedding.embedding_id)
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


def drawn(made_by: dict[str, Any], embedding_id: str) -> list[dict[str, Any]]:
    """The outline of a selection that is one stroke on this picture, or nothing."""
    fits = made_by.get("embedding") == embedding_id and made_by.get("polygon")
    return [made_by] if fits else []


def filled(inner: Bounds, outer: Bounds) -> tuple[float, float]:
    """Which part of ``outer`` the rectangle ``inner`` takes in x and in y."""
    return (
        (inner[1] - inner[0]) / (outer[1] - outer[0]),
        (inner[3] - inner[2]) / (outer[3] - outer[2]),
    )


def embedding_run(session: Any) -> str:
    """The run whose latents are shown."""
    return "" if session.latents is None else session.latents.run_id
