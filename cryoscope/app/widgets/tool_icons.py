"""Icons of the tools above the latent plot, drawn, so that they are sharp on every screen."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QIcon, QPainter, QPainterPath, QPen, QPixmap, QPolygonF

from cryoscope.app import theme

SIDE_PX, SCALE = 18, 3
_Draw = Callable[[QPainter], None]


def tool_icon(name: str) -> QIcon:
    """The icon of a tool or of a way to combine selections."""
    icon = QIcon()
    for mode, colour in ((QIcon.Mode.Normal, theme.TEXT), (QIcon.Mode.Disabled, theme.DISABLED)):
        pixmap = QPixmap(SIDE_PX * SCALE, SIDE_PX * SCALE)
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.scale(SCALE, SCALE)
        painter.setPen(QPen(QColor(colour), 1.5, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
        _DRAWINGS[name](painter)
        painter.end()
        pixmap.setDevicePixelRatio(SCALE)
        icon.addPixmap(pixmap, mode)
    return icon


def _explore(painter: QPainter) -> None:
    painter.drawEllipse(QPointF(9, 9), 4, 4)
    for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        painter.drawLine(QPointF(9 + 4 * dx, 9 + 4 * dy), QPointF(9 + 8 * dx, 9 + 8 * dy))


def _pan(painter: QPainter) -> None:
    for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        tip = QPointF(9 + 7.5 * dx, 9 + 7.5 * dy)
        painter.drawLine(QPointF(9, 9), tip)
        back = QPointF(tip.x() - 3 * dx, tip.y() - 3 * dy)
        painter.drawLine(tip, QPointF(back.x() + 2.4 * dy, back.y() + 2.4 * dx))
        painter.drawLine(tip, QPointF(back.x() - 2.4 * dy, back.y() - 2.4 * dx))


def _lasso(painter: QPainter) -> None:
    path = QPainterPath(QPointF(5, 12))
    path.cubicTo(QPointF(-1, 5), QPointF(6, 1), QPointF(11, 2.5))
    path.cubicTo(QPointF(19, 4), QPointF(17, 13), QPointF(9, 12.5))
    path.cubicTo(QPointF(5, 12), QPointF(4, 14), QPointF(6.5, 17))
    painter.drawPath(path)


def _polygon(painter: QPainter) -> None:
    corners = [(3, 14), (5, 4), (13, 2.5), (16, 10), (10, 15.5)]
    painter.drawPolygon(QPolygonF([QPointF(x, y) for x, y in corners]))
    painter.setBrush(painter.pen().color())
    for x, y in corners:
        painter.drawEllipse(QPointF(x, y), 1.3, 1.3)


def _rectangle(painter: QPainter) -> None:
    pen = painter.pen()
    pen.setStyle(Qt.PenStyle.DashLine)
    pen.setDashPattern([2.2, 1.8])
    painter.setPen(pen)
    painter.drawRect(QRectF(2.5, 4, 13, 10))


def _brush(painter: QPainter) -> None:
    painter.drawLine(QPointF(15.5, 2.5), QPointF(9.5, 9.5))
    painter.setBrush(painter.pen().color())
    path = QPainterPath(QPointF(10, 10))
    path.cubicTo(QPointF(9, 15), QPointF(6, 16), QPointF(2, 15.5))
    path.cubicTo(QPointF(5, 14), QPointF(4, 10), QPointF(8, 8.5))
    path.closeSubpath()
    painter.drawPath(path)


def _nearest(painter: QPainter) -> None:
    painter.drawEllipse(QPointF(9, 9), 7.2, 7.2)
    painter.setBrush(painter.pen().color())
    for x, y in ((9, 9), (6, 7), (11.5, 6), (7, 12.2), (12, 11)):
        painter.drawEllipse(QPointF(x, y), 1.0, 1.0)


def _fit(painter: QPainter) -> None:
    for x, y, dx, dy in ((2, 2, 1, 1), (16, 2, -1, 1), (2, 16, 1, -1), (16, 16, -1, -1)):
        painter.drawLine(QPointF(x, y), QPointF(x + 4 * dx, y))
        painter.drawLine(QPointF(x, y), QPointF(x, y + 4 * dy))
    painter.drawEllipse(QPointF(9, 9), 2.2, 2.2)


def _squares(first: bool, second: bool, both: bool) -> _Draw:
    """Two overlapping squares with some of their three parts filled."""

    def draw(painter: QPainter) -> None:
        left, right = QPainterPath(), QPainterPath()
        left.addRect(QRectF(2, 2, 9.5, 9.5))
        right.addRect(QRectF(6.5, 6.5, 9.5, 9.5))
        parts = (
            (first, left.subtracted(right)),
            (second, right.subtracted(left)),
            (both, left.intersected(right)),
        )
        for filled, part in parts:
            if filled:
                painter.fillPath(part, painter.pen().color())
        pen = painter.pen()
        pen.setWidthF(1.1)
        painter.setPen(pen)
        painter.drawPath(left)
        painter.drawPath(right)

    return draw


def _new(painter: QPainter) -> None:
    painter.fillRect(QRectF(4, 4, 10, 10), painter.pen().color())


_DRAWINGS: dict[str, _Draw] = {
    "explore": _explore,
    "pan": _pan,
    "lasso": _lasso,
    "polygon": _polygon,
    "rectangle": _rectangle,
    "brush": _brush,
    "nearest": _nearest,
    "fit": _fit,
    "new": _new,
    "add": _squares(True, True, True),
    "subtract": _squares(True, False, False),
    "intersect": _squares(False, False, True),
}
