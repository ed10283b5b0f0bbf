"""A trajectory over the latent scatter: its states, its way-points to drag, and one being drawn."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray
from qtpy.QtCore import QEvent, QObject, QPointF, QRectF, Qt, Signal
from qtpy.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QWidget

from cryoscope.app import theme
from cryoscope.app.widgets.plot_frame import PlotFrame, polygon_px, small_font

HANDLE_PX, REACH_PX = 7.0, 10.0
FEWEST_STROKE_PX = 12.0
HALO, LINE = "#000000", "#ffffff"
HINTS = {
    "draw": "Drag a curve through the particles; Esc leaves",
    "mark": "Press particles in the order to be passed; Esc leaves",
}


class PathTool(StrEnum):
    """What a plain drag on the scatter does for trajectories."""

    NONE = "none"
    DRAW = "draw"
    MARK = "mark"


class PathOverlay(QWidget):
    """Lies over a :class:`PlotFrame` and takes the gestures that are meant for trajectories.

    All other gestures go through to the plot.

    Signals
    -------
    path_drawn (points)
        (k, 2) data positions of a curve.
    marked (x, y)
        A press at a data position, to mark the particle there.
    way_point_moved (number, x, y)
        A way-point (from 0) was dragged to a data position.
    cancelled ()
        Escape: the tool is to be put away.
    """

    path_drawn = Signal(object)
    marked = Signal(float, float)
    way_point_moved = Signal(int, float, float)
    cancelled = Signal()

    def __init__(self, canvas: PlotFrame) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        self.tool = PathTool.NONE
        self.editable = False
        self._points = self._ways = self._marks = np.zeros((0, 2))
        self._stroke_px: list[QPointF] = []
        self._dragged: tuple[int, QPointF] | None = None
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        self.setGeometry(canvas.rect())
        canvas.installEventFilter(self)
        self.show()
        self.raise_()

    def set_path(self, points_xy: ArrayLike, way_xy: ArrayLike) -> None:
        """Show (F, 2) states and (W, 2) way-points at data positions; none to show nothing."""
        self._points, self._ways = _table(points_xy), _table(way_xy)
        self.update()

    def set_marks(self, marks_xy: ArrayLike) -> None:
        """Show (k, 2) marked particles."""
        self._marks = _table(marks_xy)
        self.update()

    def set_editable(self, editable: bool) -> None:
        """Whether way-points are shown, to be dragged."""
        self.editable = editable
        self.update()

    def set_tool(self, tool: PathTool) -> None:
        """What a plain drag does from now on."""
        self.tool = tool
        self._stroke_px, self._dragged = [], None
        if tool is not PathTool.NONE:
            self._canvas.setCursor(Qt.CursorShape.CrossCursor)
        self.update()

    # Gestures

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Take what is meant for trajectories before the plot sees it."""
        kind = event.type()
        if kind == QEvent.Type.Resize:
            self.setGeometry(self._canvas.rect())
        elif kind in (QEvent.Type.MouseButtonPress, QEvent.Type.MouseButtonDblClick):
            return self._press(event)  # type: ignore[arg-type]
        elif kind == QEvent.Type.MouseMove:
            return self._move(event)  # type: ignore[arg-type]
        elif kind == QEvent.Type.MouseButtonRelease:
            return self._release(event)  # type: ignore[arg-type]
        elif kind == QEvent.Type.KeyPress and self.tool is not PathTool.NONE:
            return self._key(event)  # type: ignore[arg-type]
        return super().eventFilter(watched, event)

    def _press(self, event: QMouseEvent) -> bool:
        at = event.position()
        plain = event.button() == Qt.MouseButton.LeftButton
        if not plain or self._canvas.empty_text or not self._canvas.plot_rect().contains(at):
            return False
        if self.tool is PathTool.DRAW:
            self._stroke_px = [at]
        elif self.tool is PathTool.MARK:
            self.marked.emit(*self._canvas.to_data(at))
        elif (handle := self._handle_at(at)) is not None:
            self._dragged = (handle, at)
        else:
            return False
        self._canvas.setFocus()
        self.update()
        return True

    def _move(self, event: QMouseEvent) -> bool:
        at = self._clamped(event.position())
        if self._stroke_px:
            self._stroke_px.append(at)
        elif self._dragged is not None:
            self._dragged = (self._dragged[0], at)
        else:
            return False
        self.update()
        return True

    def _release(self, event: QMouseEvent) -> bool:
        at = self._clamped(event.position())
        if self._stroke_px:
            stroke, self._stroke_px = [*self._stroke_px, at], []
            if _length_px(stroke) >= FEWEST_STROKE_PX:
                self.path_drawn.emit(np.array([self._canvas.to_data(one) for one in stroke]))
        elif self._dragged is not None:
            (number, _), self._dragged = self._dragged, None
            if _length_px([self._place_px(self._ways[number]), at]) > 3.0:
                self.way_point_moved.emit(number, *self._canvas.to_data(at))
        else:
            return self.tool is not PathTool.NONE and event.button() == Qt.MouseButton.LeftButton
        self.update()
        return True

    def _key(self, event: QKeyEvent) -> bool:
        if event.key() != Qt.Key.Key_Escape:
            return False
        self._stroke_px = []
        self.cancelled.emit()
        return True

    def _handle_at(self, at: QPointF) -> int | None:
        if not self.editable or len(self._ways) == 0:
            return None
        places = self._canvas.to_widget(self._ways)
        distance = np.hypot(places[:, 0] - at.x(), places[:, 1] - at.y())
        distance[~np.isfinite(distance)] = np.inf
        nearest = int(distance.argmin())
        return nearest if distance[nearest] <= REACH_PX else None

    def _place_px(self, xy: NDArray[np.float64]) -> QPointF:
        x, y = self._canvas.to_widget([xy])[0]
        return QPointF(float(x), float(y))

    def _clamped(self, at: QPointF) -> QPointF:
        rect = self._canvas.plot_rect()
        return QPointF(
            min(max(at.x(), rect.left()), rect.right()), min(max(at.y(), rect.top()), rect.bottom())
        )

    # Painting

    def paintEvent(self, event: QPaintEvent) -> None:
        """The path, its way-points, the marks, and what is being drawn."""
        if self._canvas.empty_text:
            return
        with theme.dark_ground():
            self._paint_all()

    def _paint_all(self) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setClipRect(self._canvas.plot_rect())
        painter.setFont(small_font(self))
        self._paint_path(painter)
        for number, xy in enumerate(self._ways if self.editable else ()):
            place = self._place_px(xy)
            if self._dragged is not None and self._dragged[0] == number:
                place = self._dragged[1]
            _paint_number(painter, place, number + 1, theme.ACCENT)
        for number, xy in enumerate(self._marks):
            _paint_number(painter, self._place_px(xy), number + 1, "#56b4e9")
        if len(self._stroke_px) > 1:
            _paint_line(painter, [(one.x(), one.y()) for one in self._stroke_px], theme.ACCENT)
        if self.tool is not PathTool.NONE:
            rect = self._canvas.plot_rect()
            box = QRectF(rect.left(), rect.top(), rect.width(), 18)
            painter.fillRect(box, QColor(0, 0, 0, 190))
            painter.setPen(QColor(theme.ACCENT))
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, HINTS[self.tool.value])
        painter.end()

    def _paint_tethers(self, painter: QPainter, places: NDArray[np.float64]) -> None:
        """From the first and last way-point to the states they belong to, where these lie apart."""
        for way, state in ((0, 0), (-1, -1)):
            handle, end = self._place_px(self._ways[way]), QPointF(*places[state])
            apart = _length_px([handle, end])
            if np.isfinite(apart) and apart > HANDLE_PX:
                _paint_tether(painter, handle, end)

    def _paint_path(self, painter: QPainter) -> None:
        if len(self._points) < 2:
            return
        places = self._canvas.to_widget(self._points)
        _paint_line(painter, places, LINE)
        if self.editable and len(self._ways) > 1:
            self._paint_tethers(painter, places)
        painter.setPen(QPen(QColor(HALO), 1.0))
        painter.setBrush(QColor(LINE))
        for x, y in places[np.isfinite(places).all(axis=1)]:
            painter.drawEllipse(QPointF(x, y), 2.4, 2.4)


def _paint_tether(painter: QPainter, begin: QPointF, end: QPointF) -> None:
    for colour in (HALO, theme.ACCENT):
        pen = QPen(QColor(colour), 3.0 if colour == HALO else 1.2, Qt.PenStyle.DotLine)
        painter.setPen(pen)
        painter.drawLine(begin, end)


def _table(xy: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(xy, dtype=np.float64).reshape(-1, 2)


def _length_px(places: Sequence[QPointF]) -> float:
    return float(sum(np.hypot(b.x() - a.x(), b.y() - a.y()) for a, b in pairwise(places)))


def _paint_line(
    painter: QPainter, places: NDArray[np.float64] | list[tuple[float, float]], colour: str
) -> None:
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for pen, width in ((HALO, 4.0), (colour, 1.8)):
        painter.setPen(QPen(QColor(pen), width))
        painter.drawPolyline(polygon_px(places))


def _paint_number(painter: QPainter, at: QPointF, number: int, colour: str) -> None:
    if not (np.isfinite(at.x()) and np.isfinite(at.y())):
        return
    painter.setPen(QPen(QColor(HALO), 1.4))
    painter.setBrush(QColor(colour))
    painter.drawEllipse(at, HANDLE_PX, HANDLE_PX)
    box = QRectF(at.x() - HANDLE_PX, at.y() - HANDLE_PX, 2 * HANDLE_PX, 2 * HANDLE_PX)
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, str(number))
