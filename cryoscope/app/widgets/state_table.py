"""The states of a landscape below each other: what they hold, and a button for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor, QIcon, QKeyEvent, QPainter, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QToolButton,
    QWidget,
)

from cryoscope.app import theme

HEADINGS = ("State", "Particles", "Volumes", "")
ROW_PX, MOST_ROWS, SWATCH_PX = 26, 10, 12
_KEYS = (
    Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_Home, Qt.Key.Key_End,
    Qt.Key.Key_PageUp, Qt.Key.Key_PageDown, Qt.Key.Key_Return, Qt.Key.Key_Enter,
    Qt.Key.Key_Space,
)  # fmt: skip


class StateTable(QTableWidget):
    """A row a state.

    Signals
    -------
    show_wanted (number), select_wanted (number)
        Its row, or the button in it, was pressed.
    """

    show_wanted = Signal(int)
    select_wanted = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, len(HEADINGS), parent)
        self.setHorizontalHeaderLabels(HEADINGS)
        self.verticalHeader().hide()
        self.setShowGrid(False)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTabKeyNavigation(False)
        self.setAccessibleName("States of the landscape")
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        header.setHighlightSections(False)
        self.cellClicked.connect(lambda row, _column: self.show_wanted.emit(row + 1))

    def set_states(self, states: Sequence[Any]) -> None:
        """Show states (``number, name, colour, particles, share, maps``)."""
        self.setRowCount(len(states))
        for row, one in enumerate(states):
            texts = (str(one.number), f"{one.particles:,}  ({one.share:.0%})", f"{one.maps:,}")
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                item.setToolTip(f"Click: the mean volume of {one.name} in the 3-D view")
                self.setItem(row, column, item)
            self.item(row, 0).setIcon(_swatch(one.colour))
            self.item(row, 2).setTextAlignment(Qt.AlignmentFlag.AlignCenter)
            button = QToolButton()
            button.setText("Select")
            button.setAccessibleName(f"Select {one.name}")
            button.setStyleSheet("padding: 2px 6px")
            button.setToolTip(f"Make a selection of the {one.particles:,} particles of {one.name}")
            button.clicked.connect(lambda _on, number=one.number: self.select_wanted.emit(number))
            self.setCellWidget(row, 3, button)
            self.setRowHeight(row, ROW_PX)
        rows = min(len(states), MOST_ROWS)
        self.setFixedHeight(self.horizontalHeader().sizeHint().height() + ROW_PX * rows + 2)

    def set_chosen(self, number: int) -> None:
        """Point a state out; 0 for none."""
        if number:
            self.selectRow(number - 1)
        else:
            self.clearSelection()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Arrow keys go from state to state."""
        super().keyPressEvent(event)
        if event.key() in _KEYS and self.currentRow() >= 0:
            self.show_wanted.emit(self.currentRow() + 1)


def _swatch(colour: str) -> QIcon:
    pixmap = QPixmap(SWATCH_PX, SWATCH_PX)
    pixmap.fill(QColor(colour))
    painter = QPainter(pixmap)
    painter.setPen(QColor(theme.AXIS))
    painter.drawRect(0, 0, SWATCH_PX - 1, SWATCH_PX - 1)
    painter.end()
    icon = QIcon(pixmap)
    icon.addPixmap(pixmap, QIcon.Mode.Selected)  # not tinted in a chosen row
    return icon
