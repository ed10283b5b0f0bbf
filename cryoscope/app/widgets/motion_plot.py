"""How far every residue moves, along the sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QPointF, QRectF, Qt, Signal
from qtpy.QtGui import QColor, QMouseEvent, QPainter, QPen
from qtpy.QtWidgets import QWidget

from cryoscope.app import theme
from cryoscope.app.widgets.plot_frame import PlotFrame, polygon_px, small_font

ROOM = 1.08
STYLES = {
    "this state": ("#56b4e9", Qt.PenStyle.SolidLine),
    "RMS over the run": ("#e69f00", Qt.PenStyle.DashLine),
}


class MotionPlot(PlotFrame):
    """Curves in Å over the residues; press one to pick it.

    Signals
    -------
    picked (place)
        A residue (its place from 0) was pressed.
    hovered (place)
        The pointer is over a residue; -1 for none.
    """

    picked = Signal(int)
    hovered = Signal(int)
    left_px, right_px, top_px, bottom_px = 46, 8, 16, 22

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.y_label = "Å"
        self.count = 0
        self.marked, self.pointed = -1, -1
        self.note = ""
        self._curves: dict[str, NDArray[np.float64]] = {}
        self._numbers: Sequence[str] = ()
        self._breaks: tuple[tuple[int, str], ...] = ()
        self._seen = (0, -1)
        self.setMinimumSize(200, 84)
        self.setMouseTracking(True)
        self.setAccessibleName("Motion per residue")

    def set_residues(self, numbers: Sequence[str], chains: Sequence[str]) -> None:
        """The residues along the axis."""
        self.count, self._numbers = len(numbers), numbers
        self._breaks = tuple(
            (i, chains[i]) for i in range(len(chains)) if i == 0 or chains[i] != chains[i - 1]
        )
        self.marked = self.pointed = -1
        self._fit()

    def set_curves(self, curves: Mapping[str, NDArray[np.float64]]) -> None:
        """(n,) values in Å by name; see :data:`STYLES`."""
        self._curves = dict(curves)
        self._fit()

    def set_marked(self, place: int | None) -> None:
        """Point out a residue."""
        self.marked = -1 if place is None else place
        self.update()

    def set_pointed(self, place: int) -> None:
        """The residue that the pointer is over elsewhere; -1 for none."""
        if place != self.pointed:
            self.pointed = place
            self.update()

    def set_note(self, note: str) -> None:
        """One line above the curves."""
        if note != self.note:
            self.note = note
            self.update()

    def set_seen(self, first: int, last: int) -> None:
        """The residues that the sequence beside it shows."""
        self._seen = (first, last)
        self.update()

    def place_at(self, x: float) -> int:
        """The residue at a position of the widget, or -1."""
        rect = self.plot_rect()
        if not self.count or not rect.left() <= x <= rect.right():
            return -1
        place = round(self.to_data(QPointF(x, 0.0))[0])
        return min(max(place, 0), self.count - 1)

    def _fit(self) -> None:
        top = max((float(np.nanmax(curve, initial=0.0)) for curve in self._curves.values()),
                  default=0.0)  # fmt: skip
        self.set_bounds((-0.5, max(self.count, 2) - 0.5, 0.0, ROOM * max(top, 1.0)))
        self.update()

    def _ticks(self) -> tuple[list[tuple[float, str]], list[tuple[float, str]]]:
        """Residue numbers below, Å at the left."""
        across, up = super()._ticks()
        named = [
            (float(round(x)), self._numbers[round(x)])
            for x, _ in across
            if 0 <= round(x) < len(self._numbers)
        ]
        return named, up

    def paint_data(self, painter: QPainter, rect: QRectF) -> None:
        """What the sequence shows, chains, curves and the marked residue."""
        first, last = self._seen
        if last >= first and last - first + 1 < self.count:
            (left, _), (right, _) = self.to_widget([(first - 0.5, 0), (last + 0.5, 0)])
            seen = QRectF(left, rect.top(), right - left, rect.height())
            shade = QColor(theme.TEXT)
            shade.setAlpha(22)
            painter.fillRect(seen, shade)
        painter.setPen(QPen(QColor(theme.AXIS), 1, Qt.PenStyle.DotLine))
        for place, _ in self._breaks[1:]:
            x = self.to_widget([(place - 0.5, 0)])[0, 0]
            painter.drawLine(QPointF(x, rect.top()), QPointF(x, rect.bottom()))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for name, curve in self._curves.items():
            colour, dash = STYLES[name]
            painter.setPen(QPen(QColor(theme.ink(colour)), 1.6, dash))
            x = np.arange(len(curve), dtype=np.float64)
            painter.drawPolyline(polygon_px(self.to_widget(np.stack([x, curve], axis=1))))
        for place, colour in ((self.pointed, theme.TEXT), (self.marked, theme.ACCENT)):
            if 0 <= place < self.count:
                x = self.to_widget([(place, 0)])[0, 0]
                painter.setPen(QPen(QColor(colour), 1.6))
                painter.drawLine(QPointF(x, rect.top()), QPointF(x, rect.bottom()))

    def paint_overlay(self, painter: QPainter, rect: QRectF) -> None:
        """Names of the curves, above."""
        painter.setFont(small_font(self))
        x = rect.left()
        for name in self._curves:
            colour, dash = STYLES[name]
            painter.setPen(QPen(QColor(theme.ink(colour)), 2, dash))
            painter.drawLine(QPointF(x, 8), QPointF(x + 18, 8))
            painter.setPen(QColor(theme.TEXT))
            width = painter.fontMetrics().horizontalAdvance(name) + 8
            middle = Qt.AlignmentFlag.AlignVCenter
            painter.drawText(QRectF(x + 22, 0, width, 16), int(middle), name)
            x += width + 30
        room = QRectF(x, 0, rect.right() - x, 16)
        painter.setPen(QColor(theme.MUTED))
        note = painter.fontMetrics().elidedText(
            self.note, Qt.TextElideMode.ElideRight, int(room.width())
        )
        flags = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(room, int(flags), note)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Pick the residue."""
        place = self.place_at(event.position().x())
        if event.button() == Qt.MouseButton.LeftButton and place >= 0 and not self.empty_text:
            self.picked.emit(place)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Tell of the residue under the pointer."""
        place = self.place_at(event.position().x())
        if place != self.pointed:
            self.set_pointed(place)
            self.hovered.emit(place)

    def leaveEvent(self, event: QEvent) -> None:
        """Nothing is pointed at."""
        super().leaveEvent(event)
        self.set_pointed(-1)
        self.hovered.emit(-1)
