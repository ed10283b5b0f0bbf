"""The sheet of keyboard shortcuts, and what the mouse does where."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QHeaderView,
    QLineEdit,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
)

from cryoscope.app import theme
from cryoscope.app.commands import NAPARI, commands_of

if TYPE_CHECKING:
    from cryoscope.app.window import CryoscopeWindow

SIZE_PX = (640, 620)
KEYS_PX = 210
PLOT, VIEW, CURVES = "Mouse: latent plot", "Mouse: 3-D view", "Mouse: sequence and states"
#: (where, keys or gesture, what it does). Keys of actions are not here: those are looked up.
GESTURES = (
    (PLOT, "Drag (Explore)", "The 3-D view follows the pointer through the states"),
    (PLOT, "Arrow keys", "Move the cursor a little (click the plot first)"),
    (PLOT, "Drag (Lasso, Rectangle, Brush)", "Select particles; the count follows"),
    (PLOT, "Shift + drag", "Add to the active selection"),
    (PLOT, "Ctrl or Alt + drag", "Take away from the active selection"),
    (PLOT, "Shift + Ctrl + drag", "Keep what both have in common"),
    (PLOT, "Esc", "Drop what is being drawn"),
    (PLOT, "Enter or double click", "Close a polygon"),
    (PLOT, "Wheel", "Zoom about the pointer"),
    (PLOT, "Right or middle drag", "Move the plot"),
    (PLOT, "Rest the pointer", "Show the particle under it"),
    (VIEW, "Drag", "Turn the molecule"),
    (VIEW, "Shift + drag", "Move the molecule"),
    (VIEW, "Wheel", "Zoom"),
    (VIEW, "Click the backbone", "Mark the residue there"),
    (CURVES, "Click a residue", "Mark it in the 3-D view and in the plot of motion"),
    (CURVES, "Drag over the bars of states", "Go through the states of a trajectory"),
)


def shortcuts_of(window: CryoscopeWindow) -> list[tuple[str, str, str]]:
    """(group, keys, what they do) of every action that has keys, then of the mouse.

    Keys of napari come last: they work when the 3-D view has the focus.
    """
    keyed = [
        (one.group, "  or  ".join(one.keys), one.name.rstrip("…"), one.tip)
        for one in commands_of(window)
        if one.keys
    ]
    ours = [(group, keys, _said(name, tip)) for group, keys, name, tip in keyed if group != NAPARI]
    ours = [(group, keys, what.replace("Go to panel › ", "Go to: ")) for group, keys, what in ours]
    theirs = [(group, keys, name) for group, keys, name, _ in keyed if group == NAPARI]
    return [*sorted(ours, key=lambda row: row[0]), *GESTURES, *theirs]


def _said(name: str, tip: str) -> str:
    """What a tool does is in its tip, after its name."""
    about = tip.partition("[")[0].strip()
    return about if about.startswith(name) else name


class ShortcutSheet(QDialog):
    """All keys in one list, with a line to find some."""

    def __init__(self, window: CryoscopeWindow) -> None:
        super().__init__(window.main)
        self.setWindowTitle("Keyboard shortcuts")
        self.setStyleSheet(theme.STYLE)
        self.line = QLineEdit()
        self.line.setPlaceholderText("Find a key or what it does")
        self.line.setClearButtonEnabled(True)
        self.line.textChanged.connect(self._search)
        self.rows = QTreeWidget()
        self.rows.setHeaderLabels(["Keys", "What they do"])
        self.rows.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Fixed)
        self.rows.header().resizeSection(0, KEYS_PX)
        self.rows.setSelectionMode(QTreeWidget.SelectionMode.NoSelection)
        self.rows.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._fill(shortcuts_of(window))
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        for widget in (self.line, self.rows, buttons):
            layout.addWidget(widget)
        room = window.main.size()
        self.resize(min(SIZE_PX[0], room.width() - 80), min(SIZE_PX[1], room.height() - 80))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)

    def _fill(self, rows: Iterable[tuple[str, str, str]]) -> None:
        for group, members in groupby(rows, key=lambda row: row[0]):
            top = QTreeWidgetItem([group])
            font = top.font(0)
            font.setBold(True)
            top.setFont(0, font)
            self.rows.addTopLevelItem(top)
            top.setFirstColumnSpanned(True)
            for _, keys, what in members:
                item = QTreeWidgetItem([keys, what])
                item.setToolTip(1, what)
                top.addChild(item)
            top.setExpanded(group != NAPARI)

    def _search(self, text: str) -> None:
        words = text.lower().split()
        for place in range(self.rows.topLevelItemCount()):
            top = self.rows.topLevelItem(place)
            left = 0
            for number in range(top.childCount()):
                item = top.child(number)
                said = f"{top.text(0)} {item.text(0)} {item.text(1)}".lower()
                item.setHidden(not all(word in said for word in words))
                left += not item.isHidden()
            top.setHidden(not left)
            if words:
                top.setExpanded(True)
