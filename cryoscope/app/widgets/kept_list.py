"""The states that are kept in the 3-D view: show, name, colour, remove."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QIcon, QPainter, QPixmap
from qtpy.QtWidgets import QListWidget, QListWidgetItem, QMenu, QWidget

from cryoscope.app.widgets.cell_badge import paint_number

NAME = Qt.ItemDataRole.UserRole
SWATCH_PX, HEIGHT_PX = 14, 62


class KeptList(QListWidget):
    """One row per kept state: a tick, its colour, its name (double click to change it).

    Signals
    -------
    shown (name, visible)
        A state shall be drawn, or not.
    renamed (name, new_name), recoloured (name, colour), removed (name)
        What is asked for with the mouse.
    """

    shown = Signal(str, bool)
    renamed = Signal(str, str)
    recoloured = Signal(str, str)
    removed = Signal(str)

    def __init__(self, colours: tuple[str, ...], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._colours, self._filling = colours, False
        self.setFixedHeight(HEIGHT_PX)
        self.setAccessibleName("Kept states")
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._menu)
        self.itemChanged.connect(self._changed)

    def set_states(self, kept: Any) -> None:
        """Show these :class:`~cryoscope.session.scene.KeptState`."""
        self._filling, row = True, self.currentRow()
        self.clear()
        for number, one in enumerate(kept, start=1):
            item = QListWidgetItem(swatch(one.colour, str(number)), one.name)
            item.setData(NAME, one.name)
            item.setFlags(
                item.flags() | Qt.ItemFlag.ItemIsEditable | Qt.ItemFlag.ItemIsUserCheckable
            )
            item.setCheckState(Qt.CheckState.Checked if one.visible else Qt.CheckState.Unchecked)
            box = f", {one.shown.box_text}" if one.shown.box_text else ""
            place = f"{one.place}\n" if one.place else ""
            item.setToolTip(
                f"{place}{one.shown.label}{box}\n"
                "Tick: draw it. Double click: rename. Right click: more."
            )
            self.addItem(item)
        self.setCurrentRow(min(row, self.count() - 1))
        self._filling = False

    @property
    def current_name(self) -> str:
        """The name in the chosen row, or that of the only one; "" for none."""
        item = self.currentItem() or (self.item(0) if self.count() == 1 else None)
        return str(item.data(NAME)) if item is not None else ""

    def _changed(self, item: QListWidgetItem) -> None:
        if self._filling:
            return
        name = str(item.data(NAME))
        if item.text() != name:
            self.renamed.emit(name, item.text())
        else:
            self.shown.emit(name, item.checkState() == Qt.CheckState.Checked)

    def _menu(self, at: Any) -> None:
        item = self.itemAt(at)
        if item is not None:
            self.menu_of(item).popup(self.viewport().mapToGlobal(at))

    def menu_of(self, item: QListWidgetItem) -> QMenu:
        """What can be done with the state of a row."""
        name, menu = str(item.data(NAME)), QMenu(self)
        menu.addAction("Rename", lambda: self.editItem(item))
        colours = menu.addMenu("Colour")
        for colour in self._colours:
            colours.addAction(
                swatch(colour), colour, lambda colour=colour: self.recoloured.emit(name, colour)
            )
        menu.addAction("Remove", lambda: self.removed.emit(name))
        return menu


def swatch(colour: str, number: str = "") -> QIcon:
    """A square of a colour, with a number."""
    pixels = QPixmap(SWATCH_PX, SWATCH_PX)
    pixels.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixels)
    paint_number(painter, pixels.rect(), number, colour)
    painter.end()
    return QIcon(pixels)
