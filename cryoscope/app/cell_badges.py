"""What each cell of the grid of kept states shows: a plate in its corner, wherever the cell is."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, QObject, QPoint, QRect, QTimer
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtWidgets import QLabel

from cryoscope.app import theme
from cryoscope.app.kept_layers import KeptLayers
from cryoscope.app.qt_bridge import QtBridge
from cryoscope.app.widgets.cell_badge import CellBadge
from cryoscope.session.places import place_of

MARGIN_PX = 6
SHOWN_TITLE = "This state"


class CellBadges(QObject):
    """Says in every cell which state it shows; the label over the whole view then is not needed.

    Parameters
    ----------
    label
        Names the shown state over the view as long as there are no cells; it lies in the widget
        that holds napari's canvas.
    """

    def __init__(self, session: Any, bridge: QtBridge, kept: KeptLayers, label: QLabel) -> None:
        super().__init__(label)
        self._session, self._kept, self._label = session, kept, label
        self._holder = label.parentWidget()
        self._canvas = self._holder.findChild(QOpenGLWidget) or self._holder
        self._canvas.installEventFilter(self)
        self.badges: list[CellBadge] = []
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self.refresh)
        kept.named_in_cells = True
        kept.arranged.connect(self._soon.start)
        grid = kept.viewer.canvas.grid
        grid.events.connect(self._grid_changed)
        for field in ("embedding", "path_frame"):
            bridge.watch(field, lambda _value: self._soon.start())

    def close(self) -> None:
        """Let go of the viewer."""
        self._kept.viewer.canvas.grid.events.disconnect(self._grid_changed)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The cells move when the canvas does."""
        if event.type() in (QEvent.Type.Resize, QEvent.Type.Move, QEvent.Type.Show):
            self._soon.start()
        return super().eventFilter(watched, event)

    def refresh(self) -> None:
        """A plate for every cell that shows a state."""
        cells = self._kept.cells()
        while len(self.badges) < len(cells):
            self.badges.append(CellBadge(self._holder))
        for badge in self.badges[len(cells) :]:
            badge.hide()
        self._label.setVisible(not cells)
        numbers = {one.name: place for place, one in enumerate(self._session.kept_states, start=1)}
        for badge, (cell, kept) in zip(self.badges, cells, strict=False):
            if kept is None:
                self._tell_shown(badge)
            else:
                badge.tell(
                    str(numbers[kept.name]), kept.colour, kept.name, _lines(kept.place, kept.shown)
                )
            badge.put_in(self._rectangle(cell), MARGIN_PX)

    def _tell_shown(self, badge: CellBadge) -> None:
        shown = self._session.shown
        kind = "decoded" if shown.density is None else shown.density.provenance.kind
        place = place_of(self._session, shown)
        badge.tell("▸", theme.MAP_COLOURS[kind], SHOWN_TITLE, _lines(place, shown))

    def _rectangle(self, cell: tuple[int, int]) -> QRect:
        """Where a cell lies, in the widget that holds the canvas."""
        rows, columns = self._kept.grid_shape
        gap = self._gap_px(rows, columns)
        width = (self._canvas.width() - (columns - 1) * gap) / columns
        height = (self._canvas.height() - (rows - 1) * gap) / rows
        at = QPoint(round(cell[1] * (width + gap)), round(cell[0] * (height + gap)))
        if self._canvas is not self._holder:
            at = self._canvas.mapTo(self._holder, at)
        return QRect(at.x(), at.y(), int(width), int(height))

    def _gap_px(self, rows: int, columns: int) -> float:
        """Space between cells: napari's setting is a share of a cell, or pixels from 1 on."""
        spacing = float(self._kept.viewer.canvas.grid.spacing)
        if spacing >= 1:
            return spacing
        return spacing * (self._canvas.width() / columns + self._canvas.height() / rows) / 2

    def _grid_changed(self, _event: Any) -> None:
        self._soon.start()


def _lines(place: str, shown: Any) -> tuple[str, ...]:
    """Where a state lies, and where it comes from."""
    source = shown.label.splitlines()[0] if shown.label else ""
    if place and place in source:
        place = ""
    return place, source, shown.box_text
