"""Where particles lie among the volumes: -log of their density, with the states in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QPointF, QRectF, Qt, Signal
from qtpy.QtGui import QColor, QImage, QMouseEvent, QPainter, QPen
from qtpy.QtWidgets import QWidget

from cryoscope.app.widgets.plot_frame import Bounds, PlotFrame, small_font

RADIUS_PX, CHOSEN_PX, REACH_PX = 8.0, 10.0, 14.0
HEIGHT_PX = 250
_INK = "#101214"

#: A state: its number, its ``#rrggbb``, and where it lies.
Mark = tuple[int, str, tuple[float, float]]


class EnergyPlot(PlotFrame):
    """A picture of the plane of the first two components; its states can be pressed.

    Signals
    -------
    state_chosen (number)
        A state was pressed.
    """

    state_chosen = Signal(int)
    picture = True
    left_px, top_px = 52, 6

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setMinimumHeight(HEIGHT_PX)
        self.setMouseTracking(True)
        self.chosen = 0
        self._pixels: NDArray[np.uint8] | None = None
        self._marks: tuple[Mark, ...] = ()

    def show_picture(
        self, pixels: NDArray[np.uint8], bounds: Bounds, marks: Sequence[Mark]
    ) -> None:
        """Show (h, w, 4) pixels over ``bounds``, and the states."""
        self._pixels, self._marks = np.ascontiguousarray(pixels), tuple(marks)
        self.set_bounds(bounds)
        self.update()

    def set_chosen(self, number: int) -> None:
        """Point a state out; 0 for none."""
        if number != self.chosen:
            self.chosen = number
            self.update()

    def paint_data(self, painter: QPainter, rect: QRectF) -> None:
        """The picture, where there are particles."""
        if self._pixels is None:
            return
        height, width, _ = self._pixels.shape
        image = QImage(self._pixels.data, width, height, 4 * width, QImage.Format.Format_RGBA8888)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(rect, image)

    def paint_overlay(self, painter: QPainter, rect: QRectF) -> None:
        """The states with their numbers, the chosen one last."""
        painter.setFont(small_font(self))
        for mark in sorted(self._marks, key=lambda one: (one[0] == self.chosen, -one[0])):
            number, colour, _ = mark
            chosen = number == self.chosen
            radius = CHOSEN_PX if chosen else RADIUS_PX
            at = self._place(mark)
            painter.setPen(QPen(QColor("#ffffff" if chosen else _INK), 2.5 if chosen else 1.0))
            painter.setBrush(QColor(colour))
            painter.drawEllipse(at, radius, radius)
            painter.setPen(QColor(_INK))
            box = QRectF(at.x() - 12, at.y() - 8, 24, 16)
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, str(number))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Choose the state under the pointer."""
        number = self._under(event.position())
        if number and event.button() == Qt.MouseButton.LeftButton:
            self.state_chosen.emit(number)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """A hand over what can be pressed."""
        there = self._under(event.position())
        self.setCursor(Qt.CursorShape.PointingHandCursor if there else Qt.CursorShape.ArrowCursor)

    def leaveEvent(self, event: QEvent) -> None:
        """The pointer is elsewhere."""
        self.unsetCursor()

    def place_of(self, number: int) -> QPointF:
        """Where a state is drawn, in pixels of the widget."""
        return self._place(next(mark for mark in self._marks if mark[0] == number))

    def _place(self, mark: Mark) -> QPointF:
        x, y = self.to_widget([mark[2]])[0]
        rect = self.plot_rect().adjusted(CHOSEN_PX, CHOSEN_PX, -CHOSEN_PX, -CHOSEN_PX)
        return QPointF(
            min(max(x, rect.left()), rect.right()), min(max(y, rect.top()), rect.bottom())
        )

    def _under(self, position: QPointF) -> int:
        """The number of the state nearest to a position, within reach; 0 for none."""
        nearest, number = REACH_PX, 0
        for mark in self._marks:
            away = position - self._place(mark)
            distance = (away.x() ** 2 + away.y() ** 2) ** 0.5
            if distance < nearest:
                nearest, number = distance, mark[0]
        return number
