"""Gestures that select particles: their places in pixels while drawn, and the rule they make."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QMouseEvent, QPainter, QPen

from cryoscope.app import theme
from cryoscope.app.widgets.plot_frame import polygon_px

Place = tuple[float, float]
Rule = dict[str, Any]
ToData = Callable[[QPointF], Place]
CLOSE_PX = 9.0
FILL_ALPHA, BRUSH_ALPHA = 40, 90
SIGNS = {"new": "", "add": "+ ", "subtract": "− ", "intersect": "∩ "}


class Stroke(ABC):
    """A gesture that began with a press at ``at``; it ends when ``done``."""

    def __init__(self, at: Place, amount: int) -> None:
        self.places: list[Place] = [at]
        self.amount, self.done = amount, False

    def move(self, at: Place) -> None:
        """The pointer moved."""
        if at != self.places[-1]:
            self.places.append(at)

    def press(self, at: Place) -> None:
        """The button was pressed once more."""
        self.move(at)

    def release(self, at: Place) -> None:
        """The button was released; that place always belongs to the stroke."""
        self.move(at)
        self.done = True

    def finish(self) -> None:
        """End here (Enter, or a double click)."""
        self.done = True

    @abstractmethod
    def rule(self, to_data: ToData) -> Rule | None:
        """What it selects as it stands, or None while that is nothing yet."""

    def paint(self, painter: QPainter) -> None:
        """The outline, filled faintly."""
        fill = QColor(theme.ACCENT)
        fill.setAlpha(FILL_ALPHA)
        painter.setBrush(fill)
        painter.setPen(QPen(QColor(theme.ACCENT), 1.6))
        painter.drawPolygon(polygon_px(self.corners()))

    def corners(self) -> list[Place]:
        """Corners of the outline in pixels."""
        return self.places

    def _outline(self, kind: str, to_data: ToData) -> Rule | None:
        corners = self.corners()
        if len(corners) < 3:
            return None
        return {"kind": kind, "polygon": [list(to_data(QPointF(x, y))) for x, y in corners]}


class Lasso(Stroke):
    """A free outline."""

    def rule(self, to_data: ToData) -> Rule | None:
        """The outline."""
        return self._outline("lasso", to_data)


class Rectangle(Stroke):
    """A box between two corners."""

    def move(self, at: Place) -> None:
        """The second corner follows."""
        self.places = [self.places[0], at]

    def corners(self) -> list[Place]:
        """Four corners, once there is a box."""
        (x0, y0), (x1, y1) = self.places[0], self.places[-1]
        return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)] if x0 != x1 and y0 != y1 else []

    def rule(self, to_data: ToData) -> Rule | None:
        """The box."""
        return self._outline("rectangle", to_data)


class Polygon(Stroke):
    """Corners by single clicks; the first corner, Enter or a double click closes it."""

    def __init__(self, at: Place, amount: int) -> None:
        super().__init__(at, amount)
        self._next = at

    def move(self, at: Place) -> None:
        """The next corner is shown where the pointer is."""
        self._next = at

    def press(self, at: Place) -> None:
        """Another corner, or the end."""
        x, y = self.places[0]
        self._next = at
        if len(self.places) >= 3 and (at[0] - x) ** 2 + (at[1] - y) ** 2 <= CLOSE_PX**2:
            self.done = True
        elif at != self.places[-1]:
            self.places.append(at)

    def release(self, at: Place) -> None:
        """Corners are set by pressing."""

    def corners(self) -> list[Place]:
        """The corners that are set, and the one under the pointer."""
        last = [] if self.done or self._next == self.places[-1] else [self._next]
        return [*self.places, *last]

    def rule(self, to_data: ToData) -> Rule | None:
        """The outline."""
        return self._outline("polygon", to_data)

    def paint(self, painter: QPainter) -> None:
        """The outline with its corners; the first one is where it closes."""
        super().paint(painter)
        painter.setBrush(QColor(theme.ACCENT))
        for x, y in self.places:
            painter.drawEllipse(QPointF(x, y), 2.5, 2.5)
        painter.setBrush(QColor(theme.PLOT_BACKGROUND))
        painter.drawEllipse(QPointF(*self.places[0]), 5.0, 5.0)


class Brush(Stroke):
    """A round brush of ``amount`` pixels across; a click is a dab."""

    def rule(self, to_data: ToData) -> Rule | None:
        """Its path, and its radius in the units of each axis."""
        x, y = self.places[0]
        half = max(self.amount, 1) / 2
        left, low = to_data(QPointF(x, y + half))
        right, high = to_data(QPointF(x + half, y))
        return {
            "kind": "brush",
            "path": [list(to_data(QPointF(*place))) for place in self.places],
            "radius": [right - left, high - low],
        }

    def paint(self, painter: QPainter) -> None:
        """What it touched."""
        colour = QColor(theme.ACCENT)
        colour.setAlpha(BRUSH_ALPHA)
        pen = QPen(colour, float(self.amount))
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        painter.setPen(pen)
        if len(self.places) == 1:
            painter.drawPoint(QPointF(*self.places[0]))
        else:
            painter.drawPolyline(polygon_px(self.places))


class Nearest(Stroke):
    """The ``amount`` particles nearest to where the button is released."""

    def move(self, at: Place) -> None:
        """The middle follows the pointer."""
        self.places = [at]

    def rule(self, to_data: ToData) -> Rule | None:
        """The place and the number."""
        return {
            "kind": "nearest",
            "xy": list(to_data(QPointF(*self.places[0]))),
            "count": self.amount,
        }

    def paint(self, painter: QPainter) -> None:
        """A cross where the middle is."""
        painter.setPen(QPen(QColor(theme.ACCENT), 1.6))
        x, y = self.places[0]
        painter.drawLine(QPointF(x - 9, y), QPointF(x + 9, y))
        painter.drawLine(QPointF(x, y - 9), QPointF(x, y + 9))


def paint_tag(painter: QPainter, at: Place, text: str, rect: QRectF) -> None:
    """A line of text beside the pointer, kept within ``rect``."""
    size = painter.fontMetrics().boundingRect(text)
    box = QRectF(at[0] + 14, at[1] - 26, size.width() + 12, size.height() + 6)
    box.moveLeft(min(max(box.left(), rect.left()), rect.right() - box.width()))
    box.moveTop(max(box.top(), rect.top()))
    painter.fillRect(box, QColor(0, 0, 0, 200))
    painter.setPen(QColor(theme.ACCENT))
    painter.drawText(box.adjusted(6, 3, -6, -3), text)


def mode_of(event: QMouseEvent, plain: str) -> str:
    """What a stroke does to the selection, by the keys that are held; ``plain`` without any."""
    keys = event.modifiers()
    less = bool(keys & (Qt.KeyboardModifier.AltModifier | Qt.KeyboardModifier.ControlModifier))
    more = bool(keys & Qt.KeyboardModifier.ShiftModifier)
    if less and more:
        return "intersect"
    return "subtract" if less else "add" if more else plain
