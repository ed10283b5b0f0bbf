"""The sequence as a strip of letters that scrolls."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QFont, QMouseEvent, QPainter, QPaintEvent, QPen, QResizeEvent
from qtpy.QtWidgets import QAbstractScrollArea, QToolTip, QWidget

from cryoscope.app import theme
from cryoscope.app.widgets.plot_frame import small_font

CELL_PX, LETTER_PX, RULER_PX = 13, 20, 15
EVERY = 10
_DARK_TEXT_ABOVE = 0.45


class SequenceStrip(QAbstractScrollArea):
    """One coloured letter per residue, with chains and numbers above.

    Signals
    -------
    picked (place)
        A residue (its place from 0) was pressed.
    hovered (place)
        The pointer is over a residue; -1 for none.
    scrolled (first, last)
        The residues that can be seen.
    """

    picked = Signal(int)
    hovered = Signal(int)
    scrolled = Signal(int, int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._letters: Sequence[str] = ()
        self._labels: Sequence[str] = ()
        self._ruler: dict[int, str] = {}
        self._breaks: frozenset[int] = frozenset()
        self._colours = np.zeros((0, 4), dtype=np.float32)
        self.marked, self.pointed = -1, -1
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        bar = self.horizontalScrollBar()
        self.setFixedHeight(RULER_PX + LETTER_PX + bar.sizeHint().height() + 4)
        bar.valueChanged.connect(lambda _value: self._scrolled())
        self.viewport().setMouseTracking(True)
        self.setFrameShape(QAbstractScrollArea.Shape.NoFrame)
        self.setAccessibleName("Sequence")

    def sizeHint(self) -> QSize:
        """Forty residues."""
        return QSize(40 * CELL_PX, self.height())

    def set_residues(
        self, letters: Sequence[str], chains: Sequence[str], numbers: Sequence[str],
        labels: Sequence[str],
    ) -> None:  # fmt: skip
        """Show these residues; ``labels`` name each in a tooltip."""
        self._letters, self._labels = letters, labels
        starts = [i for i in range(len(chains)) if i == 0 or chains[i] != chains[i - 1]]
        self._breaks = frozenset(starts[1:])
        self._ruler = {}
        for place, number in enumerate(numbers):
            digits = number.lstrip("-").rstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
            if digits.isdigit() and int(digits) % EVERY == 0:
                self._ruler[place] = number
        for start in starts:
            # The name of a chain needs the room of the numbers about it.
            for place in range(start - 2, start + 5):
                self._ruler.pop(place, None)
            self._ruler[start] = f"Chain {chains[start]}"
        self.marked = self.pointed = -1
        self._measure()
        self.viewport().update()

    def set_colours(self, colours: NDArray[np.float32]) -> None:
        """(n, 4) RGBA in 0..1 of the residues."""
        self._colours = colours
        self.viewport().update()

    def set_marked(self, place: int | None) -> None:
        """Point out a residue, and scroll to it where it is out of sight."""
        self.marked = -1 if place is None else place
        if place is not None:
            self.scroll_to(place)
        self.viewport().update()

    def set_pointed(self, place: int | None) -> None:
        """Frame the residue that the pointer is over elsewhere, and scroll to it."""
        pointed = -1 if place is None else place
        if pointed != self.pointed:
            self.pointed = pointed
            if pointed >= 0:
                self.scroll_to(pointed)
            self.viewport().update()

    def scroll_to(self, place: int) -> None:
        """Bring a residue into sight; one that is in sight does not move."""
        first, last = self.visible_places()
        if not first <= place <= last:
            middle = place * CELL_PX - self.viewport().width() // 2
            self.horizontalScrollBar().setValue(middle)

    def visible_places(self) -> tuple[int, int]:
        """First and last residue in sight."""
        left = self.horizontalScrollBar().value()
        first = -(-left // CELL_PX)
        last = (left + self.viewport().width()) // CELL_PX - 1
        return first, min(last, len(self._letters) - 1)

    def place_at(self, x: float) -> int:
        """The residue at a position of the viewport, or -1."""
        place = int((x + self.horizontalScrollBar().value()) // CELL_PX)
        return place if 0 <= place < len(self._letters) else -1

    def cell(self, place: int) -> QRectF:
        """Where a residue is painted in the viewport."""
        left = place * CELL_PX - self.horizontalScrollBar().value()
        return QRectF(left, RULER_PX, CELL_PX, LETTER_PX)

    def paintEvent(self, event: QPaintEvent) -> None:
        """The letters in sight, and the ruler above them."""
        painter = QPainter(self.viewport())
        painter.fillRect(self.viewport().rect(), QColor(theme.PLOT_BACKGROUND))
        first = self.horizontalScrollBar().value() // CELL_PX
        last = min(first + self.viewport().width() // CELL_PX + 2, len(self._letters))
        letters = QFont(small_font(self))
        letters.setBold(True)
        painter.setFont(letters)
        for place in range(first, last):
            self._paint_residue(painter, place)
        painter.setFont(small_font(self))
        painter.setPen(QColor(theme.MUTED))
        for place in range(max(first - 6, 0), last):
            text = self._ruler.get(place)
            if text is not None:
                box = self.cell(place)
                at = QRectF(box.left(), 0, 80, RULER_PX)
                painter.drawText(at, int(Qt.AlignmentFlag.AlignLeft), text)
        painter.end()

    def _paint_residue(self, painter: QPainter, place: int) -> None:
        box = self.cell(place)
        ink = theme.TEXT
        if place < len(self._colours):
            red, green, blue = (float(value) for value in self._colours[place][:3])
            painter.fillRect(box.adjusted(0, 0, -1, 0), QColor.fromRgbF(red, green, blue))
            light = 0.3 * red + 0.59 * green + 0.11 * blue > _DARK_TEXT_ABOVE
            ink = "#101215" if light else "#f0f1f2"
        painter.setPen(QColor(ink))
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, self._letters[place])
        if place in self._breaks:
            painter.setPen(QPen(QColor(theme.TEXT), 2))
            painter.drawLine(box.topLeft(), box.bottomLeft())
        for chosen, colour in ((self.pointed, theme.TEXT), (self.marked, theme.ACCENT)):
            if chosen == place:
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.setPen(QPen(QColor("#000000"), 4))
                painter.drawRect(box.adjusted(1, 1, -2, -1))
                painter.setPen(QPen(QColor(colour), 2))
                painter.drawRect(box.adjusted(1, 1, -2, -1))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Pick the residue."""
        place = self.place_at(event.position().x())
        if event.button() == Qt.MouseButton.LeftButton and place >= 0:
            self.picked.emit(place)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Name the residue under the pointer."""
        place = self.place_at(event.position().x())
        if place != self.pointed:
            self.pointed = place
            self.hovered.emit(place)
            self.viewport().update()
        if place >= 0:
            QToolTip.showText(event.globalPosition().toPoint(), self._labels[place], self)

    def leaveEvent(self, event: QEvent) -> None:
        """Nothing is pointed at."""
        super().leaveEvent(event)
        self.pointed = -1
        self.hovered.emit(-1)
        self.viewport().update()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Another length of the scroll bar."""
        super().resizeEvent(event)
        self._measure()

    def _measure(self) -> None:
        bar, width = self.horizontalScrollBar(), self.viewport().width()
        bar.setRange(0, max(0, len(self._letters) * CELL_PX - width))
        bar.setPageStep(width)
        bar.setSingleStep(CELL_PX)
        self._scrolled()

    def _scrolled(self) -> None:
        self.viewport().update()
        self.scrolled.emit(*self.visible_places())
