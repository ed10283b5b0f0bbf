"""A small plate on one state of several side by side: its number in its colour, and its name."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QRect, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent
from qtpy.QtWidgets import QWidget

from cryoscope.app import theme
from cryoscope.app.widgets.plot_frame import small_font

PAD_PX, GAP_PX, NUMBER_PX = 5, 6, 18
#: How much of its cell a plate may cover, and the narrowest that still says something.
MOST_HEIGHT, LEAST_WIDTH_PX = 0.3, 40
_OPACITY = 215


class CellBadge(QWidget):
    """Number and colour, a name, and lines that are left out where there is no room."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.number, self.colour, self.title = "", "", ""
        self.lines: tuple[str, ...] = ()
        self._shown_lines = 0

    def tell(self, number: str, colour: str, title: str, lines: Sequence[str]) -> None:
        """What to say."""
        said = (number, colour, title, tuple(line for line in lines if line))
        if said != (self.number, self.colour, self.title, self.lines):
            self.number, self.colour, self.title, self.lines = said
            self.setAccessibleName(" ".join([title, *self.lines]))
            self.update()

    def put_in(self, cell: QRect, margin_px: int) -> None:
        """Take the upper left corner of a cell, and not more of it than is left for a state."""
        room = QSize(cell.width() - 2 * margin_px, cell.height() - 2 * margin_px)
        if room.width() < LEAST_WIDTH_PX or room.height() < self._head_px():
            self.hide()
            return
        small = QFontMetrics(small_font(self))
        most = int((MOST_HEIGHT * cell.height() - self._head_px()) / small.height())
        self._shown_lines = max(0, min(len(self.lines), most))
        wide = [self._title_metrics().horizontalAdvance(self.title) + NUMBER_PX + GAP_PX]
        wide += [small.horizontalAdvance(line) for line in self.lines[: self._shown_lines]]
        width = min(max(wide) + 2 * PAD_PX + 2, room.width())
        height = self._head_px() + self._shown_lines * small.height() + PAD_PX // 2
        self.setGeometry(cell.left() + margin_px, cell.top() + margin_px, width, height)
        self.show()
        self.raise_()
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Plate, number, name and lines."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ground = QColor(theme.BACKGROUND)
        ground.setAlpha(_OPACITY)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(ground)
        painter.drawRoundedRect(QRectF(self.rect()), 4, 4)
        head = QRect(PAD_PX, PAD_PX, self.width() - 2 * PAD_PX, NUMBER_PX)
        square = QRect(head.left(), head.top(), NUMBER_PX, NUMBER_PX)
        paint_number(painter, square, self.number, self.colour)
        left = head.left() + NUMBER_PX + GAP_PX
        font = painter.font()
        font.setBold(True)
        painter.setFont(font)
        painter.setPen(QColor(theme.TEXT))
        self._write(
            painter, QRect(left, head.top(), head.right() - left + 1, NUMBER_PX), self.title
        )
        painter.setFont(small_font(self))
        painter.setPen(QColor(theme.MUTED))
        height = painter.fontMetrics().height()
        for row, line in enumerate(self.lines[: self._shown_lines]):
            top = self._head_px() + row * height - PAD_PX // 2
            self._write(painter, QRect(head.left(), top, head.width(), height), line)
        painter.end()

    def _write(self, painter: QPainter, box: QRect, text: str) -> None:
        middle = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        right = Qt.TextElideMode.ElideRight
        painter.drawText(box, middle, painter.fontMetrics().elidedText(text, right, box.width()))

    def _head_px(self) -> int:
        return NUMBER_PX + 2 * PAD_PX

    def _title_metrics(self) -> QFontMetrics:
        font = self.font()
        font.setBold(True)
        return QFontMetrics(font)


def paint_number(painter: QPainter, square: QRect, number: str, colour: str) -> None:
    """A square of a colour with a number that reads on it."""
    ground = QColor(colour)
    painter.save()
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(ground)
    painter.drawRoundedRect(QRectF(square), 3, 3)
    font = painter.font()
    font.setBold(True)
    font.setPixelSize(max(8, round(0.68 * square.height())))
    painter.setFont(font)
    painter.setPen(QColor("#000000" if _lightness(ground) > 0.5 else "#ffffff"))
    painter.drawText(square, Qt.AlignmentFlag.AlignCenter, number)
    painter.restore()


def _lightness(colour: QColor) -> float:
    """Perceived lightness, 0 to 1 (WCAG's relative luminance, to the power that evens it out)."""
    parts = (colour.redF(), colour.greenF(), colour.blueF())
    linear = [part**2.2 for part in parts]
    return float((0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]) ** 0.4)
