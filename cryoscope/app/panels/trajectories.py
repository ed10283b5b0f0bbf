"""Trajectories: making them, their way-points, playing them, and taking them elsewhere."""

from __future__ import annotations

import re
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QHideEvent, QShowEvent
from qtpy.QtWidgets import (
    QDockWidget,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from cryoscope.app import dialogs, theme
from cryoscope.app.qt_bridge import QtBridge
from cryoscope.app.widgets.latent_canvas import LatentCanvas
from cryoscope.app.widgets.path_overlay import PathOverlay, PathTool
from cryoscope.app.widgets.player_bar import PlayerBar
from cryoscope.app.widgets.support_strip import SupportStrip
from cryoscope.app.widgets.way_point_list import WayPointList
from cryoscope.session import actions, path_views

LIST_HEIGHT_PX = 78
NAME = Qt.ItemDataRole.UserRole
EMPTY_TEXT = (
    "A trajectory is a path of states. Make one along a principal component (PC), draw one on the "
    "plot of the latents, or mark two or more particles there and join them."
)
WAITING_TEXT = "Trajectories can be made once a run has latents: train, or open a run folder."
NO_LATENTS = "Available once a run has latents"
KINDS = (
    ("straight", "Straight", "Straight lines in latent space from mark to mark"),
    ("graph", "Graph", "The shortest way from mark to mark that never leaves the particles"),
    ("ridge", "Ridge", "From mark to mark along where particles are most frequent"),
)


class TrajectoriesPanel(QWidget):
    """The list of trajectories with a player; draws on the scatter of ``canvas``."""

    def __init__(self, session: Any, bridge: QtBridge, canvas: LatentCanvas) -> None:
        super().__init__()
        self._session, self._filling = session, False
        self._watched: QDockWidget | None = None
        self._canvas, self.overlay = canvas, PathOverlay(canvas)
        self.overlay.path_drawn.connect(self._draw)
        self.overlay.marked.connect(lambda x, y: actions.mark_particle(session, (x, y)))
        self.overlay.way_point_moved.connect(self._move_way_point)
        self.overlay.cancelled.connect(lambda: self._choose(PathTool.NONE))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(
            theme.MARGIN_PX, theme.SPACING_PX, theme.MARGIN_PX, theme.SPACING_PX
        )
        layout.setSpacing(4)
        layout.addLayout(self._make_makers())
        layout.addLayout(self._make_lists(), 1)
        self.strip = SupportStrip()
        policy = self.strip.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.strip.setSizePolicy(policy)
        self.strip.frame_wanted.connect(self._show_frame)
        layout.addWidget(self.strip)
        layout.addLayout(self._make_player())
        for field in ("trajectories", "active_path", "embedding"):
            bridge.watch(field, lambda _value: self.refresh())
        bridge.watch("path_frame", lambda _value: self._refresh_frame())
        bridge.watch("path_marks", lambda _value: self._refresh_marks())
        bridge.watch("jobs", lambda _value: self._refresh_kept())
        bridge.watch("run", lambda _value: self._look_at_run())
        bridge.watch("notice", self._look_at_notice)

    # Making the widgets

    def _make_makers(self) -> QHBoxLayout:
        row, session = QHBoxLayout(), self._session
        self.frames = QSpinBox()
        self.frames.setRange(2, 200)
        self.frames.setValue(20)
        self.frames.setSuffix(" states")
        self.frames.setToolTip("States of the next trajectory; Enter: also of the one shown")
        self.frames.editingFinished.connect(self._change_frames)
        row.setSpacing(3)
        self.makers: dict[str, QToolButton] = {}
        for component in (1, 2):
            tip = f"Along principal component {component}, from its 5th to its 95th percentile"
            button = self._maker(row, f"PC{component}", tip)
            button.clicked.connect(
                lambda _on, component=component: actions.make_path(
                    session, "component", component=component, frames=self.frames.value()
                )
            )
        draw = self._maker(row, "Draw", "Drag a curve over the plot of the latents; Esc: leave")
        mark = self._maker(row, "Mark", "Press particles in the plot, in the order to be passed")
        for button, tool in ((draw, PathTool.DRAW), (mark, PathTool.MARK)):
            button.setCheckable(True)
            button.clicked.connect(
                lambda on, tool=tool: self._choose(tool if on else PathTool.NONE)
            )
        for kind, text, tip in KINDS:
            button = self._maker(row, text, tip)
            button.clicked.connect(
                lambda _on, kind=kind: actions.make_path(session, kind, frames=self.frames.value())
            )
        self.clear = self._maker(row, "✕", "Forget the marks")
        self.clear.clicked.connect(lambda: actions.clear_marks(session))
        row.addStretch(1)
        row.addWidget(self.frames)
        return row

    def _maker(self, row: QHBoxLayout, text: str, tip: str) -> QToolButton:
        button = QToolButton()
        button.setText(text)
        button.setProperty("tip", tip)
        button.setStyleSheet("padding: 4px 5px")  # eight of them beside each other at 1280 px
        self.makers[text] = button
        row.addWidget(button)
        return button

    def _make_lists(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(theme.SPACING_PX)
        self.empty = QLabel(EMPTY_TEXT)
        self.empty.setProperty("role", "muted")
        self.empty.setWordWrap(True)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.paths, self.ways = QListWidget(), WayPointList()
        self.paths.setToolTip("Trajectories. Click: look at it. Double click: rename it.")
        self.ways.setToolTip(
            "Way-points in order: drag rows to reorder them, or drag the numbers on the plot"
        )
        self.paths.currentItemChanged.connect(self._activate)
        self.paths.itemChanged.connect(self._rename)
        self.ways.reordered.connect(
            lambda order: actions.reorder_way_points(
                self._session, self._session.active_path, order
            )
        )
        for widget in (self.empty, self.paths, self.ways):
            widget.setMinimumHeight(LIST_HEIGHT_PX)
        row.addWidget(self.empty, 5)
        row.addWidget(self.paths, 3)
        row.addWidget(self.ways, 3)
        column = QVBoxLayout()
        column.setSpacing(3)
        self.add = self._side("Add point", self._add_way_point)
        self.drop = self._side("Drop point", self._drop_way_point)
        self.update_path = self._side("Refresh", self._refresh_path)
        self.remove = self._side("Remove", self._remove)
        for button in (self.add, self.drop, self.update_path, self.remove):
            column.addWidget(button)
        column.addStretch(1)
        row.addLayout(column)
        return row

    def _side(self, text: str, slot: Any) -> QToolButton:
        button = QToolButton()
        button.setText(text)
        button.setMinimumWidth(84)
        button.clicked.connect(lambda _on: slot())
        return button

    def _make_player(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(theme.SPACING_PX)
        self.player = PlayerBar()
        self.player.frame_wanted.connect(self._show_frame)
        self.export = QPushButton("Export…")
        self.export.clicked.connect(self.ask_export)
        row.addWidget(self.player, 1)
        row.addWidget(self.export)
        return row

    # Way-points can be dragged while this panel is looked at: else they would be in the way.

    def showEvent(self, event: QShowEvent) -> None:
        """Way-points can be dragged, if the panel is in sight."""
        super().showEvent(event)
        dock = self._dock()
        if dock is not None and dock is not self._watched:
            self._watched = dock
            # Qt moves a dock whose tab is not on top out of sight, and does not hide it.
            dock.visibilityChanged.connect(self.set_in_sight)
        self.set_in_sight(dock is None or not self.visibleRegion().isEmpty())

    def hideEvent(self, event: QHideEvent) -> None:
        """The plot is for other tools."""
        super().hideEvent(event)
        self.set_in_sight(False)

    def set_in_sight(self, in_sight: bool) -> None:
        """Way-points are drawn on the plot, to be dragged, or the plot is for other tools."""
        self.overlay.set_editable(in_sight)
        if not in_sight:
            self.put_away()

    def _dock(self) -> QDockWidget | None:
        widget = self.parentWidget()
        while widget is not None and not isinstance(widget, QDockWidget):
            widget = widget.parentWidget()
        return widget

    # Intentions

    def _choose(self, tool: PathTool) -> None:
        self.overlay.set_tool(tool)
        if tool is PathTool.NONE:
            self._canvas.set_tool(self._canvas.tool)  # with its own cursor
        self.makers["Draw"].setChecked(tool is PathTool.DRAW)
        self.makers["Mark"].setChecked(tool is PathTool.MARK)

    def put_away(self) -> None:
        """Draw and mark no more: a tool of the plot was chosen."""
        self._choose(PathTool.NONE)

    def _draw(self, points: Any) -> None:
        self._choose(PathTool.NONE)
        actions.make_path(self._session, "drawn", curve_xy=points, frames=self.frames.value())

    def _move_way_point(self, number: int, x: float, y: float) -> None:
        actions.move_way_point(self._session, self._session.active_path, number, (x, y))

    def _add_way_point(self) -> None:
        cursor = self._session.cursor_xy
        if cursor is not None:
            actions.add_way_point(self._session, self._session.active_path, cursor)

    def _drop_way_point(self) -> None:
        row = self.ways.currentRow()
        if row >= 0:
            actions.remove_way_point(self._session, self._session.active_path, row)

    def _refresh_path(self) -> None:
        actions.refresh_path(self._session, self._session.active_path)

    def _remove(self) -> None:
        actions.remove_path(self._session, self._session.active_path)

    def _change_frames(self) -> None:
        path = self._path()
        if path is not None and self.frames.hasFocus() and self.frames.value() != len(path):
            actions.set_path_frames(self._session, path.name, self.frames.value())

    def _rename(self, item: QListWidgetItem) -> None:
        if not self._filling and item.text() != item.data(NAME):
            actions.rename_path(self._session, item.data(NAME), item.text())
            self.refresh()

    def _activate(self, item: QListWidgetItem | None, _before: Any = None) -> None:
        if not self._filling and item is not None:
            self.player.stop()
            actions.activate_path(self._session, item.data(NAME))

    def _show_frame(self, frame: int) -> None:
        path = self._path()
        if path is not None and not self._why_not_play():
            actions.show_frame(self._session, path.name, frame)

    def ask_export(self) -> None:
        """Ask for a new folder, and write the trajectory into it."""
        path, run = self._path(), self._session.run
        if path is None:
            return
        word = re.sub(r"[^\w.+-]+", "-", path.name).strip("-") or "trajectory"
        suggestion = f"trajectory-{word}"
        if run is not None:
            suggestion = str(run.folder / suggestion)
        folder = dialogs.ask_new_folder(self, "Export trajectory into a new folder", suggestion)
        if folder is not None:
            actions.export_path(self._session, path.name, folder)

    def _look_at_notice(self, notice: Any) -> None:
        if notice is not None and notice.level == "error":
            self.player.stop()

    # Showing the session

    def refresh(self) -> None:
        """Show the trajectories there are."""
        session = self._session
        there = session.embedding is not None
        for button in self.makers.values():
            button.setEnabled(there)
            button.setToolTip(button.property("tip") if there else NO_LATENTS)
        self.frames.setEnabled(there)
        self._fill_paths()
        path = self._path()
        self.empty.setVisible(not session.trajectories)
        self.strip.setVisible(path is not None)
        self.paths.setVisible(bool(session.trajectories))
        self.ways.setVisible(bool(session.trajectories))
        self._fill_ways(path)
        self.overlay.set_path(
            [] if path is None else path_views.path_xy(session, path),
            [] if path is None else path_views.way_points_xy(session, path),
        )
        self.strip.set_support(
            () if path is None else path.count.tolist(),
            () if path is None else path.distance.tolist(),
        )
        self._refresh_side(path)
        self._refresh_marks()
        self._look_at_run()
        self._refresh_frame()
        self._refresh_kept()

    def _fill_paths(self) -> None:
        self._filling = True
        self.paths.clear()
        for path in self._session.trajectories:
            item = QListWidgetItem(path.name)
            item.setData(NAME, path.name)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable)
            item.setToolTip(f"{path.kind}, {len(path)} states, {len(path.way_z)} way-points")
            self.paths.addItem(item)
            if path.name == self._session.active_path:
                self.paths.setCurrentItem(item)
        self._filling = False

    def _fill_ways(self, path: Any) -> None:
        rows = [] if path is None else path.way_rows.tolist()
        self.ways.set_way_points(
            [f"{number}  particle {row + 1:,}" for number, row in enumerate(rows, start=1)]
        )

    def _refresh_side(self, path: Any) -> None:
        outdated = path is not None and path_views.is_outdated(self._session, path)
        for button in (self.add, self.drop, self.update_path, self.remove):
            button.setVisible(bool(self._session.trajectories))
            button.setEnabled(path is not None)
        self.drop.setEnabled(path is not None and len(path.way_z) > 2)
        self.update_path.setEnabled(outdated)
        self.add.setToolTip("Pass the particle at the cursor of the plot too")
        self.drop.setToolTip("Pass the chosen way-point no longer")
        self.update_path.setToolTip(
            f"Made in the latents of epoch {path.epoch}: find the states again in those of now"
            if outdated
            else "Its states lie in the latents of now"
        )
        self.remove.setToolTip("Remove this trajectory; undo brings it back")

    def _refresh_marks(self) -> None:
        marks = self._session.path_marks
        self.overlay.set_marks(path_views.marks_xy(self._session))
        for _kind, text, tip in KINDS:
            ready = len(marks) >= 2
            self.makers[text].setEnabled(ready)
            self.makers[text].setToolTip(
                tip if ready else f"{tip}. Press Mark and choose two or more particles first"
            )
        self.clear.setVisible(bool(marks))

    def _look_at_run(self) -> None:
        there = self._session.embedding is not None
        why = actions.why_no_latents(self._session) or WAITING_TEXT
        self.empty.setText(EMPTY_TEXT if there else why)
        self._refresh_player()

    def _refresh_player(self) -> None:
        why = self._why_not_play()
        if self._path() is None:
            why = why or "Make or choose a trajectory first"
        self.player.set_available(why)
        self.export.setEnabled(not why)
        self.export.setToolTip(
            why or "Maps, models (PDB, mmCIF, DCD), a ChimeraX script and a movie in a new folder"
        )

    def _refresh_frame(self) -> None:
        path, frame = self._path(), self._session.path_frame
        self.player.set_states(0 if path is None else len(path), frame)
        self.strip.set_frame(frame)

    def _refresh_kept(self) -> None:
        path = self._path()
        self.strip.set_kept(() if path is None else self._session.player.kept(path).tolist())

    def _path(self) -> Any:
        active = self._session.active_path
        return next((one for one in self._session.trajectories if one.name == active), None)

    def _why_not_play(self) -> str:
        why: str = actions.why_not_decode(self._session)
        return why
