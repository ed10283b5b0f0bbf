"""The latent scatter: a picture of all particles to scrub, select in, pan and zoom."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QElapsedTimer, QEvent, QPointF, QRectF, Qt, QTimer, Signal
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
from cryoscope.app.widgets import strokes
from cryoscope.app.widgets.hover_card import paint_card
from cryoscope.app.widgets.plot_frame import Bounds, PlotFrame
from cryoscope.app.widgets.strokes import SIGNS, Stroke, mode_of, paint_tag

REDRAW_MS, REST_MS, LATEST_MS, HOVER_MS, REACH_PX = 30, 60, 200, 60, 9.0
ZOOM_PER_NOTCH = 1.2
NUDGE = 0.02


class Tool(StrEnum):
    """What a plain drag does."""

    EXPLORE = "explore"
    LASSO = "lasso"
    POLYGON = "polygon"
    RECTANGLE = "rectangle"
    BRUSH = "brush"
    NEAREST = "nearest"
    PAN = "pan"


STROKES: dict[Tool, type[Stroke]] = {
    Tool.LASSO: strokes.Lasso,
    Tool.POLYGON: strokes.Polygon,
    Tool.RECTANGLE: strokes.Rectangle,
    Tool.BRUSH: strokes.Brush,
    Tool.NEAREST: strokes.Nearest,
}


class LatentCanvas(PlotFrame):
    """Shows a picture of the particles; turns gestures into data positions.

    Signals
    -------
    scrubbed (x, y)
        The cursor was put at a data position (plain press or drag while exploring).
    stroke_moved (rule), stroke_finished (rule, mode)
        What the stroke selects, in data positions (see ``cryoscope.session.selection_rules``);
        mode is ``new``, ``add`` (Shift), ``subtract`` (Ctrl or Alt) or ``intersect`` (Shift and
        one of these); without a key the canvas's :attr:`mode`.
    hover_wanted (x, y, reach_x, reach_y)
        The pointer is at a data position; particles within reach are near it.
    picture_wanted (bounds, (height, width))
        The view changed and needs a picture of this data rectangle and size in pixels.
    """

    picture = True
    scrubbed = Signal(float, float)
    stroke_moved = Signal(object)
    stroke_finished = Signal(object, str)
    hover_wanted = Signal(float, float, float, float)
    picture_wanted = Signal(object, object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.tool = Tool.EXPLORE
        self.mode = "new"
        self.amounts = {Tool.BRUSH: 30, Tool.NEAREST: 200}
        self.home: Bounds = self.bounds
        self.follows_data = True
        self._picture: tuple[QImage, NDArray[np.uint8], Bounds] | None = None
        self._cursor_xy: tuple[float, float] | None = None
        self._outlines: Sequence[tuple[NDArray[np.float64], str]] = ()
        self._stroke: Stroke | None = None
        self._stroke_mode = "new"
        self._stroke_text = ""
        self._pan_from: QPointF | None = None
        self._scrubbing = False
        self._pointer: QPointF | None = None
        self._card: Any = None
        self._hover = QTimer(self)
        self._hover.setSingleShot(True)
        self._hover.setInterval(HOVER_MS)
        self._hover.timeout.connect(self._want_hover)
        self._redraw = QTimer(self)
        self._redraw.setSingleShot(True)
        self._moving = QElapsedTimer()
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
        if self.follows_data and bounds != self.bounds and self._stroke is None:
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

    def set_card(self, card: Any) -> None:
        """Show a particle beside the pointer, or None."""
        if card is None or self._hovering():
            self._card = card
            self.update()

    def set_tool(self, tool: Tool) -> None:
        """What a plain drag does from now on."""
        if tool is not self.tool:
            self._drop_stroke()
        self.tool = tool
        shapes = {
            Tool.EXPLORE: Qt.CursorShape.PointingHandCursor,
            Tool.PAN: Qt.CursorShape.OpenHandCursor,
        }
        self.setCursor(shapes.get(tool, Qt.CursorShape.CrossCursor))

    def fit(self) -> None:
        """Show all data, and keep showing all."""
        self.follows_data = True
        self.set_bounds(self.home)
        self.request_picture()

    def request_picture(self) -> None:
        """Ask for a fresh picture soon; many calls make one request."""
        if not self._redraw.isActive():
            self._redraw.start(REDRAW_MS)

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
        """The stroke being drawn with its count, or the particle under the pointer."""
        stroke = self._stroke
        painter.save()
        painter.setClipRect(rect)
        if stroke is not None:
            stroke.paint(painter)
        elif self.tool is Tool.BRUSH and self._pointer is not None:
            half = self.amounts[Tool.BRUSH] / 2
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(QColor(theme.ACCENT), 1.2))
            painter.drawEllipse(self._pointer, half, half)
        painter.restore()
        if stroke is None and self._card is not None:
            x, y = self.to_widget([self._card.xy])[0]
            if rect.contains(QPointF(x, y)):
                paint_card(painter, self._card, (x, y), rect)
        elif stroke is not None and self._stroke_text:
            at = stroke.corners()[-1] if stroke.corners() else stroke.places[-1]
            paint_tag(painter, at, SIGNS[self._stroke_mode] + self._stroke_text, rect)

    # Gestures

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin to scrub, lasso or pan."""
        if self.empty_text or not self.plot_rect().contains(event.position()):
            return
        left = event.button() == Qt.MouseButton.LeftButton
        at = (event.position().x(), event.position().y())
        self._card = None
        if not left or self.tool is Tool.PAN:
            self._pan_from = event.position()
            self.setCursor(Qt.CursorShape.ClosedHandCursor)
        elif self._stroke is not None:
            self._stroke.press(at)
            self._go_on()
        elif self.tool in STROKES:
            self._stroke = STROKES[self.tool](at, self.amounts.get(self.tool, 0))
            self._stroke_mode, self._stroke_text = mode_of(event, self.mode), ""
            self._go_on()
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
        elif self._stroke is not None:
            self._stroke.move((position.x(), position.y()))
            self._go_on()
        elif self._scrubbing:
            self.scrubbed.emit(*self.to_data(self._inside(position)))
        else:
            self._point_at(position if self.plot_rect().contains(position) else None)

    def leaveEvent(self, event: QEvent) -> None:
        """Nothing is pointed at any more."""
        super().leaveEvent(event)
        self._point_at(None)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Finish; the release position always belongs to the stroke."""
        if self._stroke is not None and self._pan_from is None:
            self._stroke.release((event.position().x(), event.position().y()))
            self._go_on()
        elif self._scrubbing:
            self.scrubbed.emit(*self.to_data(self._inside(event.position())))
        self._scrubbing, self._pan_from = False, None
        self.set_tool(self.tool)
        self.update()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Show everything (while panning), close a polygon, or act as a second press."""
        if self.tool is Tool.PAN:
            self.fit()
        elif self._stroke is not None:
            self._stroke.finish()
            self._go_on()
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
        """Escape drops a stroke, Enter ends it; arrow keys move the cursor a little."""
        steps = {
            Qt.Key.Key_Left: (-1, 0),
            Qt.Key.Key_Right: (1, 0),
            Qt.Key.Key_Up: (0, 1),
            Qt.Key.Key_Down: (0, -1),
        }
        step = steps.get(Qt.Key(event.key()))
        if event.key() == Qt.Key.Key_Escape and self._stroke is not None:
            self._drop_stroke()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self._stroke is not None:
            self._stroke.finish()
            self._go_on()
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
        stroke, places = self._stroke, []
        if stroke is not None:
            places = [self.to_data(QPointF(x, y)) for x, y in stroke.places]
        self.set_bounds(bounds)
        if stroke is not None:  # what has been drawn stays with the particles
            stroke.places = [(float(x), float(y)) for x, y in self.to_widget(places)]
        # Meanwhile the old picture moves along: making new ones all the time would hold it up.
        if not self._redraw.isActive():
            self._moving.start()
        if not self._redraw.isActive() or self._moving.elapsed() < LATEST_MS:
            self._redraw.start(REST_MS)

    def _inside(self, position: QPointF) -> QPointF:
        rect = self.plot_rect()
        x = min(max(position.x(), rect.left()), rect.right())
        return QPointF(x, min(max(position.y(), rect.top()), rect.bottom()))

    def _go_on(self) -> None:
        """The stroke has changed: tell what it selects, and end it when it is done."""
        stroke = self._stroke
        if stroke is None:
            return
        rule = stroke.rule(self.to_data)
        if stroke.done:
            self._drop_stroke()
            if rule is not None:
                self.stroke_finished.emit(rule, self._stroke_mode)
        elif rule is not None:
            self.stroke_moved.emit(rule)
        self.update()

    def _drop_stroke(self) -> None:
        self._stroke = None
        self.set_home(self.home)  # which waits while a stroke is drawn
        self.update()

    def _point_at(self, position: QPointF | None) -> None:
        self._pointer = position
        if position is None or self.empty_text:
            self._hover.stop()
            self._card = None
        elif not self._hover.isActive():
            self._hover.start()
        self.update()

    def _hovering(self) -> bool:
        busy = self._stroke is not None or self._scrubbing or self._pan_from is not None
        return self._pointer is not None and not busy

    def _want_hover(self) -> None:
        if self._hovering() and self._pointer is not None:
            rect, (x0, x1, y0, y1) = self.plot_rect(), self.bounds
            reach = REACH_PX * (x1 - x0) / rect.width(), REACH_PX * (y1 - y0) / rect.height()
            self.hover_wanted.emit(*self.to_data(self._pointer), *reach)
