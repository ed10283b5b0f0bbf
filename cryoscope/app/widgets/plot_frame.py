"""A plot area with axes, ticks and labels, drawn by Qt's painter.

The pictures shown are images made elsewhere, so a painter draws them as fast as OpenGL would, with
sharper text, and without a second OpenGL context beside napari's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext

import numpy as np
from numpy.typing import ArrayLike, NDArray
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QWidget

from cryoscope.app import theme
from cryoscope.app.widgets.ticks import log_ticks, nice_ticks

Bounds = tuple[float, float, float, float]
#: Widths of the vertical label, and between the numbers and their axis.
_LABEL_PX, _GAP_PX = 15, 5


class PlotFrame(QWidget):
    """Axes around a data rectangle ``(x_min, x_max, y_min, y_max)``; subclasses paint the data."""

    left_px, right_px, top_px, bottom_px = 58, 12, 10, 38
    #: Whether the data are a picture that goes from black to bright, in the light theme too.
    picture = False

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.bounds: Bounds = (-1.0, 1.0, -1.0, 1.0)
        self.x_label, self.y_label = "", ""
        self.log_y = False
        self.empty_text = ""
        self.setMinimumSize(200, 130)

    def plot_rect(self) -> QRectF:
        """The data rectangle in widget pixels."""
        width = self.width() - self.left_px - self.right_px
        height = self.height() - self.top_px - self.bottom_px
        return QRectF(self.left_px, self.top_px, max(width, 1), max(height, 1))

    def to_widget(self, xy: ArrayLike) -> NDArray[np.float64]:
        """(n, 2) widget positions in pixels of (n, 2) data positions."""
        points = np.asarray(xy, dtype=np.float64).reshape(-1, 2)
        rect, (x0, x1, y0, y1) = self.plot_rect(), self.bounds
        x = rect.left() + (points[:, 0] - x0) / (x1 - x0) * rect.width()
        y = rect.bottom() - (points[:, 1] - y0) / (y1 - y0) * rect.height()
        return np.stack([x, y], axis=1)

    def to_data(self, position: QPointF) -> tuple[float, float]:
        """Data position of a widget position in pixels."""
        rect, (x0, x1, y0, y1) = self.plot_rect(), self.bounds
        x = x0 + (position.x() - rect.left()) / rect.width() * (x1 - x0)
        y = y0 + (rect.bottom() - position.y()) / rect.height() * (y1 - y0)
        return float(x), float(y)

    def set_bounds(self, bounds: Bounds) -> None:
        """Show the data rectangle ``bounds``; ignored when it is empty or not finite."""
        x0, x1, y0, y1 = (float(value) for value in bounds)
        if np.isfinite([x0, x1, y0, y1]).all() and x1 > x0 and y1 > y0:
            self.bounds = (x0, x1, y0, y1)
            self.update()

    def make_room_for_ticks(self) -> None:
        """Widen the left margin where the numbers beside the axis would meet its label."""
        metrics = QFontMetricsF(small_font(self))
        widest = max((metrics.horizontalAdvance(text) for _, text in self._ticks()[1]), default=0)
        self.left_px = max(type(self).left_px, math.ceil(widest) + _LABEL_PX + _GAP_PX + 2)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Background, grid, data, axes, and what lies on top."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        rect = self.plot_rect()
        if self.empty_text:
            self._paint_empty(painter)
        else:
            with theme.dark_ground() if self.picture else nullcontext():
                painter.fillRect(rect, QColor(theme.PLOT_BACKGROUND))
                self._paint_grid(painter, rect)
                painter.save()
                painter.setClipRect(rect)
                self.paint_data(painter, rect)
                painter.restore()
            self._paint_labels(painter, rect)
            with theme.dark_ground() if self.picture else nullcontext():
                self.paint_overlay(painter, rect)
        painter.end()

    def paint_data(self, painter: QPainter, rect: QRectF) -> None:
        """Paint the data, clipped to ``rect``."""

    def paint_overlay(self, painter: QPainter, rect: QRectF) -> None:
        """Paint what lies above the axes."""

    def polygon(self, xy: ArrayLike) -> QPolygonF:
        """Widget polygon through data positions."""
        return polygon_px(self.to_widget(xy))

    def _ticks(self) -> tuple[list[tuple[float, str]], list[tuple[float, str]]]:
        rect, (x0, x1, y0, y1) = self.plot_rect(), self.bounds
        across = nice_ticks(x0, x1, max(2, int(rect.width() / 80)))
        count = max(2, int(rect.height() / 60))
        up = log_ticks(y0, y1, count) if self.log_y else nice_ticks(y0, y1, count)
        return across, up

    def _paint_grid(self, painter: QPainter, rect: QRectF) -> None:
        across, up = self._ticks()
        painter.setPen(QPen(QColor(theme.GRID), 1))
        for value, _ in across:
            x = self.to_widget([(value, self.bounds[2])])[0, 0]
            painter.drawLine(QPointF(x, rect.top()), QPointF(x, rect.bottom()))
        for value, _ in up:
            y = self.to_widget([(self.bounds[0], value)])[0, 1]
            painter.drawLine(QPointF(rect.left(), y), QPointF(rect.right(), y))

    def _paint_labels(self, painter: QPainter, rect: QRectF) -> None:
        across, up = self._ticks()
        painter.setPen(QPen(QColor(theme.AXIS), 1))
        painter.drawLine(rect.bottomLeft(), rect.bottomRight())
        painter.drawLine(rect.bottomLeft(), rect.topLeft())
        painter.setFont(small_font(self))
        painter.setPen(QColor(theme.MUTED))
        middle = Qt.AlignmentFlag.AlignCenter
        for value, text in across:
            x = self.to_widget([(value, self.bounds[2])])[0, 0]
            half = painter.fontMetrics().horizontalAdvance(text) / 2 + 1
            centre = min(max(x, half), self.width() - half)
            painter.drawText(QRectF(centre - 40, rect.bottom() + 2, 80, 15), middle, text)
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        for value, text in up:
            y = self.to_widget([(self.bounds[0], value)])[0, 1]
            beside = QRectF(_LABEL_PX, y - 8, self.left_px - _LABEL_PX - _GAP_PX, 16)
            painter.drawText(beside, right, text)
        painter.setPen(QColor(theme.TEXT))
        below = QRectF(rect.left(), rect.bottom() + 17, rect.width(), 18)
        painter.drawText(below, middle, self.x_label)
        painter.save()
        # The label may be longer than the axis, but not than the widget.
        half = painter.fontMetrics().horizontalAdvance(self.y_label) / 2 + 1
        painter.translate(1, min(max(rect.center().y(), half), self.height() - half))
        painter.rotate(-90)
        painter.drawText(QRectF(-half, 0, 2 * half, 15), middle, self.y_label)
        painter.restore()

    def _paint_empty(self, painter: QPainter) -> None:
        painter.fillRect(self.rect(), QColor(theme.PLOT_BACKGROUND))
        painter.setPen(QColor(theme.MUTED))
        flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
        painter.drawText(self.rect().adjusted(16, 8, -16, -8), int(flags), self.empty_text)


def polygon_px(points_px: Sequence[Sequence[float]] | NDArray[np.float64]) -> QPolygonF:
    """Qt polygon through (n, 2) pixel positions; rows that are not finite are left out."""
    return QPolygonF([QPointF(x, y) for x, y in points_px if np.isfinite(x) and np.isfinite(y)])


def small_font(widget: QWidget) -> QFont:
    """The widget's font at the size of tick labels."""
    font = QFont(widget.font())
    font.setPointSizeF(theme.SMALL_FONT_PT)
    return font
