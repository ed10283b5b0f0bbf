"""The latent scatter: a picture of all particles to scrub, lasso, pan and zoom."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, Qt, QTimer, Signal
from qtpy.QtGui import (
    QColor,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPen,
    QResizeEvent,
    QShowEvent,
    QWheelEvent,
)
from qtpy.QtWidgets import QWidget

from cryoscope.app import theme
from cryoscope.app.widgets.plot_frame import Bounds, PlotFrame, polygon_px

REDRAW_MS = 30
ZOOM_PER_NOTCH = 1.2
NUDGE = 0.02


class Tool(StrEnum):
    """What a plain drag does."""

    EXPLORE = "explore"
    LASSO = "lasso"
    PAN = "pan"


class LatentCanvas(PlotFrame):
    """Shows a picture of the particles; turns gestures into data positions.

    Signals
    -------
    scrubbed (x, y)
        The cursor was put at a data position (plain press or drag while exploring).
    lasso_moved (polygon), lasso_finished (polygon, mode)
        (n, 2) data positions of the stroke; mode is ``new``, ``add`` (Shift) or ``subtract``
        (Ctrl or Alt).
    picture_wanted (bounds, (height, width))
        The view changed and needs a picture of this data rectangle and size in pixels.
    """

    scrubbed = Signal(float, float)
    lasso_moved = Signal(object)
    lasso_finished = Signal(object, str)
    picture_wanted = Signal(object, object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.tool = Tool.EXPLORE
        self.home: Bounds = self.bounds
        self.follows_data = True
        self._picture: tuple[QImage, NDArray[np.uint8], Bounds] | None = None
        self._cursor_xy: tuple[float, float] | None = None
        self._outlines: Sequence[tuple[NDArray[np.float64], str]] = ()
        self._stroke_px: list[tuple[float, float]] = []
        self._stroke_mode = "new"
        self._stroke_text = ""
        self._pan_from: QPointF | None = None
        self._scrubbing = False
        self._redraw = QTimer(self)
        self._redraw.setSingleShot(True)
        self._redraw.setInterval(REDRAW_MS)
        self._redraw.timeout.connect(self._want_picture)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.set_tool(Tool.EXPLORE)

    # What is shown

    def set_picture(self, rgba: NDArray[np.uint8], bounds: Bounds) -> None:
        """Show ``rgba`` (h, w, 4), row 0 on top, over the data rectangle ``bounds``."""
        pixels = np.ascontiguousarray(rgba)
        height, width = pixels.shape[:2]
        image = QImage(
            pixels.data, width, height, 4 * width, QImage.Format.Format_RGBA8888
        )  # shares memory: the array is kept beside it
        self._picture = (image, pixels, bounds)
        self.update()

    def clear_picture(self) -> None:
        """Forget the picture, and follow the data again."""
        self._picture, self.follows_data = None, True
        self.update()

    def set_home(self, bounds: Bounds) -> None:
        """The rectangle that holds all data; shown at once unless the user zoomed elsewhere."""
        self.home = bounds
        if self.follows_data and bounds != self.bounds:
            self.set_bounds(bounds)
        self.request_picture()

    def set_cursor_xy(self, xy: tuple[float, float] | None) -> None:
        """Where the state on display lies, or None."""
        self._cursor_xy = xy
        self.update()

    def set_outlines(self, outlines: Sequence[tuple[NDArray[np.float64], str]]) -> None:
        """Polygons (n, 2) in data positions with their colours."""
        self._outlines = outlines
        self.update()

    def set_stroke_text(self, text: str) -> None:
        """What is written beside the stroke being drawn (its particle count)."""
        self._stroke_text = text
        self.update()

    def set_tool(self, tool: Tool) -> None:
        """What a plain drag does from now on."""
        self.tool = tool
        shape = {
            Tool.EXPLORE: Qt.CursorShape.PointingHandCursor,
            Tool.LASSO: Qt.CursorShape.CrossCursor,
            Tool.PAN: Qt.CursorShape.OpenHandCursor,
        }[tool]
        self.setCursor(shape)

    def fit(self) -> None:
        """Show all data, and keep showing all."""
        self.follows_data = True
        self.set_bounds(self.home)
        self.request_picture()

    def request_picture(self) -> None:
        """Ask for a fresh picture soon; many calls make one request."""
        if not self._redraw.isActive():
            self._redraw.start()

    def _want_picture(self) -> None:
        rect, scale = self.plot_rect(), self.devicePixelRatioF()
        shape = (max(2, round(rect.height() * scale)), max(2, round(rect.width() * scale)))
        if self.isVisible() and not self.empty_text:
            self.picture_wanted.emit(self.bounds, shape)

    # Painting

    def paint_data(self, painter: QPainter, rect: QRectF) -> None:
        """The picture, the outlines of selections, and the cursor."""
        if self._picture is not None:
            image, _, (x0, x1, y0, y1) = self._picture
            (left, bottom), (right, top) = self.to_widget([(x0, y0), (x1, y1)])
            painter.drawImage(QRectF(QPointF(left, top), QPointF(right, bottom)), image)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for polygon, colour in self._outlines:
            painter.setPen(QPen(QColor(colour), 1.5))
            painter.drawPolygon(self.polygon(polygon))
        if self._cursor_xy is not None:
            self._paint_cursor(painter, self._cursor_xy)

    def _paint_cursor(self, painter: QPainter, xy: tuple[float, float]) -> None:
        x, y = self.to_widget([xy])[0]
        for colour, width in (("#000000", 4.0), (theme.CURSOR, 1.8)):
            painter.setPen(QPen(QColor(colour), width))
            painter.drawEllipse(QPointF(x, y), 7, 7)
            for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                painter.drawLine(QPointF(x + 7 * dx, y + 7 * dy), QPointF(x + 13 * dx, y + 13 * dy))

    def paint_overlay(self, painter: QPainter, rect: QRectF) -> None:
        """The stroke being drawn, with its count at the pointer."""
        if len(self._stroke_px) < 2:
            return
        painter.save()
        painter.setClipRect(rect)
        fill = QColor(theme.ACCENT)
        fill.setAlpha(40)
        painter.setBrush(fill)
        painter.setPen(QPen(QColor(theme.ACCENT), 1.6))
        painter.drawPolygon(polygon_px(self._stroke_px))
        painter.restore()
        sign = {"new": "", "add": "+ ", "subtract": "− "}[self._stroke_mode]
        text = sign + self._stroke_text
        if not text.strip():
            return
        x, y = self._stroke_px[-1]
        size = painter.fontMetrics().boundingRect(text)
        box = QRectF(x + 14, y - 26, size.width() + 12, size.height() + 6)
        box.moveLeft(min(max(box.left(), rect.left()), rect.right() - box.width()))
        box.moveTop(max(box.top(), rect.top()))
        painter.fillRect(box, QColor(0, 0, 0, 200))
        painter.setPen(QColor(theme.ACCENT))
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)

    # Gestures

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin to scrub, lasso or pan."""
        if self.empty_text or not self.plot_rect().contains(event.position()):
            return
        left = event.button() == Qt.MouseButton.LeftButton
        if not left or self.tool is Tool.PAN:
            self._pan_from = event.position()
            self.setCursor(Qt.CursorShape.ClosedHandCursor)
        elif self.tool is Tool.LASSO:
            self._stroke_px = [(event.position().x(), event.position().y())]
            self._stroke_mode, self._stroke_text = _mode(event), ""
        else:
            self._scrubbing = True
            self.scrubbed.emit(*self.to_data(event.position()))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Go on with what the press began."""
        position = event.position()
        if self._pan_from is not None:
            x0, y0 = self.to_data(self._pan_from)
            x1, y1 = self.to_data(position)
            left, right, low, high = self.bounds
            self._pan_from = position
            self._look_at((left + x0 - x1, right + x0 - x1, low + y0 - y1, high + y0 - y1))
        elif self._stroke_px:
            self._extend_stroke(position)
            self.lasso_moved.emit(self._stroke())
        elif self._scrubbing:
            self.scrubbed.emit(*self.to_data(self._inside(position)))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Finish; the release position always belongs to the stroke."""
        if self._stroke_px:
            self._extend_stroke(event.position())
            stroke, self._stroke_px = self._stroke(), []
            if len(stroke) >= 3:
                self.lasso_finished.emit(stroke, self._stroke_mode)
        elif self._scrubbing:
            self.scrubbed.emit(*self.to_data(self._inside(event.position())))
        self._scrubbing, self._pan_from = False, None
        self.set_tool(self.tool)
        self.update()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Show everything (while panning), or act as a second press."""
        if self.tool is Tool.PAN:
            self.fit()
        else:
            self.mousePressEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom about the pointer."""
        notches = event.angleDelta().y() / 120
        if self.empty_text or not notches:
            return
        x, y = self.to_data(event.position())
        factor = ZOOM_PER_NOTCH**-notches
        left, right, low, high = self.bounds
        self._look_at(
            (
                x + (left - x) * factor,
                x + (right - x) * factor,
                y + (low - y) * factor,
                y + (high - y) * factor,
            )
        )
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Escape drops a stroke; arrow keys move the cursor by a fiftieth of the view."""
        steps = {
            Qt.Key.Key_Left: (-1, 0),
            Qt.Key.Key_Right: (1, 0),
            Qt.Key.Key_Up: (0, 1),
            Qt.Key.Key_Down: (0, -1),
        }
        step = steps.get(Qt.Key(event.key()))
        if event.key() == Qt.Key.Key_Escape and self._stroke_px:
            self._stroke_px = []
            self.update()
        elif step is not None and self._cursor_xy is not None:
            left, right, low, high = self.bounds
            x, y = self._cursor_xy
            self.scrubbed.emit(
                x + step[0] * NUDGE * (right - left), y + step[1] * NUDGE * (high - low)
            )
        else:
            super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """A new size needs a new picture."""
        super().resizeEvent(event)
        self.request_picture()

    def showEvent(self, event: QShowEvent) -> None:
        """Pictures are asked for only while the canvas can be seen."""
        super().showEvent(event)
        self.request_picture()

    def _look_at(self, bounds: Bounds) -> None:
        self.follows_data = False
        self.set_bounds(bounds)
        self.request_picture()

    def _inside(self, position: QPointF) -> QPointF:
        rect = self.plot_rect()
        x = min(max(position.x(), rect.left()), rect.right())
        return QPointF(x, min(max(position.y(), rect.top()), rect.bottom()))

    def _extend_stroke(self, position: QPointF) -> None:
        point = (position.x(), position.y())
        if point != self._stroke_px[-1]:
            self._stroke_px.append(point)
        self.update()

    def _stroke(self) -> NDArray[np.float64]:
        return np.array([self.to_data(QPointF(x, y)) for x, y in self._stroke_px])


def _mode(event: QMouseEvent) -> str:
    keys = event.modifiers()
    if keys & (Qt.KeyboardModifier.AltModifier | Qt.KeyboardModifier.ControlModifier):
        return "subtract"
    return "add" if keys & Qt.KeyboardModifier.ShiftModifier else "new"
