"""What the colours of the latent plot stand for: a histogram to select in, or names."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

from cryoscope.app import theme
from cryoscope.app.widgets.plot_frame import small_font
from cryoscope.app.widgets.strokes import SIGNS, mode_of
from cryoscope.app.widgets.ticks import nice_ticks

SIDE_PX, TITLE_PX, BARS_PX, BAR_PX, TICKS_PX = 14, 16, 34, 5, 16
ROW_PX, SWATCH_PX, COLUMN_PX = 17, 11, 118
HEIGHT_PX = TITLE_PX + BARS_PX + BAR_PX + TICKS_PX
LOW_PX = TITLE_PX + 2 * BAR_PX + TICKS_PX
_GRAB_PX = 3


class Legend(QWidget):
    """Colours of a covariate.

    A drag over the histogram of a continuous one selects the particles in that range; to a side's
    end it is open. A click on the name of a category selects the particles of that category.

    Signals
    -------
    rule_moved (rule), rule_finished (rule, mode)
        As the strokes of the plot.
    """

    rule_moved = Signal(object)
    rule_finished = Signal(object, str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.covariate: Any = None
        self.mode = "new"
        self._span: tuple[float, float] | None = None
        self._drag_mode, self._text = "new", ""
        self._density: NDArray[np.uint8] | None = None
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._fit_height()

    def sizeHint(self) -> QSize:
        """Low for the density, which has nothing to select in."""
        return QSize(240, LOW_PX if self.covariate is None else HEIGHT_PX)

    def show_covariate(self, covariate: Any) -> None:
        """Explain a :class:`Covariate`, or None for nothing."""
        if covariate is not self.covariate:
            self.covariate, self._span, self._text = covariate, None, ""
            self._fit_height()
            if covariate is None:
                self.setToolTip("Colours stand for the number of particles in a pixel")
                self.unsetCursor()
                return
            discrete = covariate.kind == "discrete"
            keys = "Shift adds, Ctrl takes away, both keep what is in common"
            self.setToolTip(
                f"Click a name: select its particles. {keys}."
                if discrete
                else f"Drag: select the particles in a range. {keys}."
            )
            self.setCursor(
                Qt.CursorShape.PointingHandCursor if discrete else Qt.CursorShape.SplitHCursor
            )
        self.update()

    def set_density(self, table: NDArray[np.uint8]) -> None:
        """(n, 3) colours of the number of particles in a pixel, shown without a covariate."""
        self._density = table

    def set_count_text(self, text: str) -> None:
        """The count of the range being drawn."""
        self._text = text
        self.update()

    def _fit_height(self) -> None:
        self.setFixedHeight(self.sizeHint().height())

    # Painting

    def paintEvent(self, event: QPaintEvent) -> None:
        """Title, and the histogram or the names."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(small_font(self))
        if self.covariate is not None:
            painter.setPen(QColor(theme.TEXT))
            title = QRectF(SIDE_PX, 0, self.width() - 2 * SIDE_PX, TITLE_PX)
            text = f"{self.covariate.title}{self._span_text()}"
            text = painter.fontMetrics().elidedText(
                text, Qt.TextElideMode.ElideRight, int(title.width())
            )
            painter.drawText(title, Qt.AlignmentFlag.AlignLeft, text)
            if self.covariate.kind == "discrete":
                self._paint_names(painter)
            else:
                self._paint_histogram(painter)
        elif self._density is not None:
            self._paint_density(painter, self._density)
        painter.end()

    def _paint_density(self, painter: QPainter, table: NDArray[np.uint8]) -> None:
        bar = QRectF(SIDE_PX, TITLE_PX, max(self.width() - 2 * SIDE_PX, 1), 2 * BAR_PX)
        painter.setPen(QColor(theme.TEXT))
        title = QRectF(SIDE_PX, 0, bar.width(), TITLE_PX)
        painter.drawText(title, Qt.AlignmentFlag.AlignLeft, "Particles per pixel (logarithmic)")
        width = bar.width() / len(table)
        for i, colour in enumerate(table):
            box = QRectF(bar.left() + i * width, bar.top(), width + 0.5, bar.height())
            painter.fillRect(box, QColor(*(int(c) for c in colour)))
        painter.setPen(QColor(theme.MUTED))
        ends = QRectF(SIDE_PX, bar.bottom(), bar.width(), TICKS_PX)
        painter.drawText(ends, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, "one")
        painter.drawText(ends, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, "most")

    def _paint_histogram(self, painter: QPainter) -> None:
        shown, bars = self.covariate, self._bars()
        heights = np.sqrt(shown.counts / max(int(shown.counts.max(initial=1)), 1))
        width = bars.width() / len(heights)
        last = len(shown.table) - 1
        for i, height in enumerate(heights):
            colour = QColor(*(int(c) for c in shown.table[round(i / (len(heights) - 1) * last)]))
            left = bars.left() + i * width
            tall = height * bars.height()
            painter.fillRect(QRectF(left, bars.bottom() - tall, width + 0.5, tall), colour)
            painter.fillRect(QRectF(left, bars.bottom() + 1, width + 0.5, BAR_PX - 1), colour)
        if self._span is not None:
            a, b = sorted(self._span)
            shade = QColor(0, 0, 0, 150)
            painter.fillRect(QRectF(bars.left(), bars.top(), a - bars.left(), bars.height()), shade)
            painter.fillRect(QRectF(b, bars.top(), bars.right() - b, bars.height()), shade)
            painter.setPen(QColor(theme.ACCENT))
            for x in (a, b):
                painter.drawLine(QPointF(x, bars.top()), QPointF(x, bars.bottom() + BAR_PX))
        painter.setPen(QColor(theme.MUTED))
        low, high = shown.edges[0], shown.edges[-1]
        for value, text in nice_ticks(low, high, max(2, int(bars.width() / 60))):
            x = bars.left() + (value - low) / (high - low) * bars.width()
            half = painter.fontMetrics().horizontalAdvance(text) / 2 + 1
            x = min(max(x, half), self.width() - half)
            box = QRectF(x - 40, bars.bottom() + BAR_PX, 80, TICKS_PX)
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)

    def _paint_names(self, painter: QPainter) -> None:
        shown, metrics = self.covariate, painter.fontMetrics()
        for number, box in enumerate(self._boxes()):
            colour = QColor(*(int(c) for c in shown.table[number]))
            painter.fillRect(QRectF(box.left(), box.top() + 3, SWATCH_PX, SWATCH_PX), colour)
            count = f"  {int(shown.counts[number]):,}"
            room = int(box.width()) - SWATCH_PX - 10 - metrics.horizontalAdvance(count)
            name = metrics.elidedText(
                shown.categories[number], Qt.TextElideMode.ElideMiddle, max(room, 10)
            )
            text = box.adjusted(SWATCH_PX + 4, 0, 0, 0)
            painter.setPen(QColor(theme.TEXT))
            painter.drawText(text, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, name)
            painter.setPen(QColor(theme.MUTED))
            text.adjust(metrics.horizontalAdvance(name), 0, 0, 0)
            painter.drawText(
                text, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, count
            )

    def _bars(self) -> QRectF:
        return QRectF(SIDE_PX, TITLE_PX, max(self.width() - 2 * SIDE_PX, 1), BARS_PX)

    def _boxes(self) -> list[QRectF]:
        """Where each category is named: in columns, from left to right."""
        count = len(self.covariate.categories)
        rows = (HEIGHT_PX - TITLE_PX) // ROW_PX
        columns = max(1, -(-count // rows))
        width = min((self.width() - 2 * SIDE_PX) / columns, COLUMN_PX * 1.6)
        return [
            QRectF(SIDE_PX + (i // rows) * width, TITLE_PX + (i % rows) * ROW_PX, width - 6, ROW_PX)
            for i in range(count)
        ]

    def _span_text(self) -> str:
        if self._span is None:
            return ""
        low, high = self._ends()
        ends = f"{_number(low, '…')} to {_number(high, '…')}"
        return f":  {ends}   {SIGNS[self._drag_mode]}{self._text}"

    # Gestures

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Select a category, or begin a range."""
        if self.covariate is None or event.button() != Qt.MouseButton.LeftButton:
            return
        mode = mode_of(event, self.mode)
        if self.covariate.kind == "discrete":
            for name, box in zip(self.covariate.categories, self._boxes(), strict=True):
                if box.contains(event.position()):
                    self.rule_finished.emit(
                        {"kind": "category", "covariate": self.covariate.name, "category": name},
                        mode,
                    )
                    return
        elif event.position().y() >= TITLE_PX:
            x = self._inside(event.position().x())
            self._span, self._drag_mode, self._text = (x, x), mode, ""
            self.update()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """The range follows."""
        if self._span is not None:
            self._span = self._span[0], self._inside(event.position().x())
            self.rule_moved.emit(self._rule())
            self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Select the range; a click without a drag is nothing."""
        if self._span is not None:
            self._span = self._span[0], self._inside(event.position().x())
            rule, wide = self._rule(), abs(self._span[1] - self._span[0]) >= _GRAB_PX
            self._span = None
            if wide:
                self.rule_finished.emit(rule, self._drag_mode)
            self.update()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Escape drops the range."""
        if event.key() == Qt.Key.Key_Escape and self._span is not None:
            self._span = None
            self.update()
        else:
            super().keyPressEvent(event)

    def _inside(self, x: float) -> float:
        bars = self._bars()
        return min(max(x, bars.left()), bars.right())

    def _ends(self) -> tuple[float | None, float | None]:
        """The range in values; None at an end of the histogram, where it is open."""
        assert self._span is not None
        bars, edges = self._bars(), self.covariate.edges
        ends: list[float | None] = []
        for x, closed in zip(sorted(self._span), (bars.left(), bars.right()), strict=True):
            part = (x - bars.left()) / bars.width()
            value = float(edges[0] + part * (edges[-1] - edges[0]))
            ends.append(None if abs(x - closed) < 1 else value)
        return ends[0], ends[1]

    def _rule(self) -> dict[str, Any]:
        low, high = self._ends()
        return {
            "kind": "range",
            "covariate": self.covariate.name,
            "low": low,
            "high": high,
            "unit": self.covariate.unit,
        }


def _number(value: float | None, absent: str) -> str:
    return absent if value is None else f"{value:.4g}".replace("-", "−")
