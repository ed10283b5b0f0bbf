"""The way-points of a trajectory, to be dragged into another order."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QAbstractItemView, QListWidget, QListWidgetItem, QWidget

_NUMBER = Qt.ItemDataRole.UserRole


class WayPointList(QListWidget):
    """One row per way-point.

    Signals
    -------
    reordered (order)
        The rows were dragged: the present numbers (from 0) in their new order.
    """

    reordered = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setDragDropMode(QAbstractItemView.DragDropMode.InternalMove)
        self.setDefaultDropAction(Qt.DropAction.MoveAction)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setUniformItemSizes(True)

    def set_way_points(self, texts: Sequence[str]) -> None:
        """Show these, in this order."""
        row = self.currentRow()
        self.clear()
        for number, text in enumerate(texts):
            item = QListWidgetItem(text)
            item.setData(_NUMBER, number)
            self.addItem(item)
        if texts and row >= 0:
            self.setCurrentRow(min(row, len(texts) - 1))

    def order(self) -> list[int]:
        """The numbers of the rows, from top to bottom."""
        return [int(self.item(row).data(_NUMBER)) for row in range(self.count())]

    def dropEvent(self, event: QDropEvent) -> None:
        """Tell of the new order."""
        super().dropEvent(event)
        self.tell_order()

    def tell_order(self) -> None:
        """Emit the order, if it is another one."""
        order = self.order()
        if order != list(range(len(order))):
            self.reordered.emit(order)
