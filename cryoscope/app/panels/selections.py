"""Named selections: colours, notes, set operations, undo, and the way back to RELION."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from qtpy.QtCore import Qt
from qtpy.QtGui import QAction, QColor, QIcon, QKeySequence, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QMenu,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from cryoscope.app import particle_dialogs, theme
from cryoscope.app.qt_bridge import QtBridge
from cryoscope.session import actions

SWATCH_PX = 11
LIST_HEIGHT_PX = 96
NONE_TEXT = "No selections yet: choose the lasso above the plot and draw around some particles."
NAME, COUNT, NOTE = range(3)
COLOURS = (
    ("orange", "#e69f00"),
    ("sky blue", "#56b4e9"),
    ("green", "#009e73"),
    ("yellow", "#f0e442"),
    ("vermilion", "#d55e00"),
    ("purple", "#cc79a7"),
)
COMBINING: tuple[tuple[Literal["add", "subtract", "intersect"], str], ...] = (
    ("add", "Add the particles of"),
    ("subtract", "Take away those of"),
    ("intersect", "Keep what is also in"),
)


class SelectionsPanel(QWidget):
    """The list of selections; the highlighted row is the active one."""

    def __init__(self, session: Any, bridge: QtBridge) -> None:
        super().__init__()
        self._session = session
        self._filling = False
        self.empty = QLabel(NONE_TEXT)
        self.empty.setProperty("role", "muted")
        self.empty.setWordWrap(True)
        self.empty.setFixedHeight(LIST_HEIGHT_PX)  # the first selection must not move the plot
        self.empty.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._make_table()
        self._make_buttons()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(
            theme.MARGIN_PX, theme.SPACING_PX, theme.MARGIN_PX, theme.MARGIN_PX
        )
        layout.setSpacing(theme.SPACING_PX)
        layout.addWidget(self.empty)
        layout.addWidget(self.table)
        row = QHBoxLayout()
        row.setSpacing(theme.SPACING_PX // 2)
        for button in (self.undo, self.redo, self.remove, self.change, self.bring, self.export):
            button.setStyleSheet("padding: 5px 4px")  # six beside each other in 400 px
            row.addWidget(button)
        row.insertStretch(4, 1)
        layout.addLayout(row)
        bridge.watch("selections", lambda _value: self.refresh())
        bridge.watch("active_selection", lambda _value: self.refresh())
        bridge.watch("undo_state", self._refresh_undo)
        bridge.watch("particles", lambda _value: self._refresh_import())
        bridge.watch("latents", lambda _value: self._refresh_import())

    @property
    def can_import(self) -> bool:
        """Whether particles are open that a file could mean."""
        return self._session.particles is not None

    @property
    def can_export_table(self) -> bool:
        """Whether there are latents to be written."""
        return self._session.latents is not None

    def _make_table(self) -> None:
        self.table = QTableWidget(0, 3)
        self.table.setHorizontalHeaderLabels(["Selection", "Particles", "Note"])
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(COUNT, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(NOTE, QHeaderView.ResizeMode.Stretch)
        self.table.verticalHeader().setVisible(False)
        self.table.verticalHeader().setDefaultSectionSize(22)
        self.table.setShowGrid(False)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setFixedHeight(LIST_HEIGHT_PX)
        self.table.setToolTip(
            "Click: make it the active one. Double click: change its name or its note."
        )
        self.table.itemChanged.connect(self._rename)
        self.table.itemSelectionChanged.connect(self._activate)

    def _make_buttons(self) -> None:
        session = self._session
        self.undo, self.redo = QPushButton("Undo"), QPushButton("Redo")
        self.undo.setShortcut(QKeySequence.StandardKey.Undo)
        self.redo.setShortcut(QKeySequence.StandardKey.Redo)
        self.undo.clicked.connect(lambda: actions.undo(session))
        self.redo.clicked.connect(lambda: actions.redo(session))
        self.change = QPushButton("Change")
        self.menu = QMenu(self.change)
        self.menu.setToolTipsVisible(True)
        self.menu.aboutToShow.connect(self._fill_menu)
        self.change.setMenu(self.menu)
        self.remove = QPushButton("Remove")
        self.remove.clicked.connect(
            lambda: actions.remove_selection(session, session.active_selection)
        )
        self.bring = QPushButton("Import…")
        self.bring.setToolTip(
            "Select the particles of a file that was exported, here or by another program; they "
            "are found by their names"
        )
        self.bring.clicked.connect(self.ask_import)
        self.export = QPushButton("Export…")
        self.export.clicked.connect(self.ask_export)

    def refresh(self) -> None:
        """Show the selections there are."""
        selections, active = self._session.selections, self._session.active_selection
        self.empty.setVisible(not selections)
        self.table.setVisible(bool(selections))
        self._filling = True
        self.table.setRowCount(len(selections))
        for row, selection in enumerate(selections):
            name = QTableWidgetItem(selection.name)
            name.setData(Qt.ItemDataRole.UserRole, selection.name)
            name.setIcon(_swatch(selection.colour))
            count = QTableWidgetItem(f"{len(selection):,}")
            count.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            count.setFlags(count.flags() & ~Qt.ItemFlag.ItemIsEditable)
            note = QTableWidgetItem(selection.note)
            note.setToolTip(selection.note)
            self.table.setItem(row, NAME, name)
            self.table.setItem(row, COUNT, count)
            self.table.setItem(row, NOTE, note)
            if selection.name == active:
                self.table.selectRow(row)
        if not any(selection.name == active for selection in selections):
            self.table.clearSelection()
        self._filling = False
        self._refresh_buttons(active)

    def ask_export(self) -> None:
        """Ask where, and write the active selection's particles there."""
        session = self._session
        name, particles = session.active_selection, session.particles
        suffix = ".star" if particles is None else particles.file.suffix.lower()
        suggestion = f"{file_word(name)}{suffix}"
        if particles is not None:
            suggestion = str(particles.file.with_name(f"{particles.file.stem}-{suggestion}"))
        asked = particle_dialogs.ask_export(self, suggestion, suffix)
        if asked is not None:
            path, with_columns = asked
            columns = ("z", "selection") if session.clusters is None else actions.STAR_COLUMNS
            actions.export_selection(session, name, path, columns if with_columns else ())

    def ask_import(self) -> None:
        """Ask which file, and select its particles."""
        particles = self._session.particles
        folder = "" if particles is None else str(particles.file.parent)
        path = particle_dialogs.ask_selection(self, folder)
        if path is not None:
            actions.import_selection(self._session, path)

    def ask_table(self) -> None:
        """Ask where, and write what is known of all particles there."""
        particles = self._session.particles
        name = "particles-latents.csv"
        if particles is not None:
            name = str(particles.file.with_name(f"{particles.file.stem}-latents.csv"))
        path = particle_dialogs.ask_table(self, name)
        if path is not None:
            actions.export_table(self._session, path)

    def _refresh_buttons(self, active: str) -> None:
        self.remove.setEnabled(bool(active))
        self.change.setEnabled(bool(active))
        self.export.setEnabled(bool(active))
        why = "" if active else "Select particles with the lasso, or click a row above, first"
        self.remove.setToolTip(why or f"Remove the selection “{active}”; undo brings it back")
        self.change.setToolTip(
            why or f"Invert “{active}”, colour it, combine it with another, or make it again"
        )
        self.export.setToolTip(
            why or f"Write the particles of “{active}” for RELION, cryoSPARC, cryoDRGN, or a table"
        )

    def _refresh_import(self) -> None:
        self.bring.setEnabled(self.can_import)

    def _refresh_undo(self, state: Any) -> None:
        for button, text, word in (
            (self.undo, state.undo, "undo"),
            (self.redo, state.redo, "redo"),
        ):
            button.setEnabled(bool(text))
            button.setToolTip(f"{word.capitalize()}: {text}" if text else f"Nothing to {word}")

    def _fill_menu(self) -> None:
        session, active = self._session, self._session.active_selection
        self.menu.clear()
        self._add(
            self.menu, "Invert: all other particles", lambda: actions.invert_selection(session)
        )
        self._add(
            self.menu,
            "Make again with the latents of now",
            lambda: actions.replay_selection(session, active),
            "What was drawn on principal components or latent dimensions, on the same axes",
        )
        colours = self.menu.addMenu("Colour")
        for text, colour in COLOURS:
            recolour = self._add(
                colours,
                text,
                partial(actions.recolour_selection, session, active, colour),
            )
            recolour.setIcon(_swatch(colour))
        others = [one for one in session.selections if one.name != active]
        self.menu.addSeparator()
        for mode, text in COMBINING:
            submenu = self.menu.addMenu(text)
            submenu.setEnabled(bool(others))
            for other in others:
                combine = self._add(
                    submenu,
                    other.name,
                    partial(actions.combine_selections, session, other.name, mode),
                )
                combine.setIcon(_swatch(other.colour))

    def _add(self, menu: QMenu, text: str, slot: Callable[[], None], tip: str = "") -> QAction:
        action = menu.addAction(text)
        action.setToolTip(tip or text)
        action.triggered.connect(lambda _checked=False: slot())
        return action

    def _rename(self, item: QTableWidgetItem) -> None:
        if self._filling or item.column() == COUNT:
            return
        old = self.table.item(item.row(), NAME).data(Qt.ItemDataRole.UserRole)
        if item.column() == NOTE:
            actions.note_selection(self._session, old, item.text())
        elif old != item.text():
            actions.rename_selection(self._session, old, item.text().strip())
            # A refused name is put back; an accepted one comes with the session's event.
            self.refresh()

    def _activate(self) -> None:
        row = self.table.currentRow()
        item = self.table.item(row, 0) if row >= 0 else None
        if not self._filling and item is not None:
            name = item.data(Qt.ItemDataRole.UserRole)
            if name != self._session.active_selection:
                actions.activate_selection(self._session, name)


def _swatch(colour: str) -> QIcon:
    swatch = QPixmap(SWATCH_PX, SWATCH_PX)
    swatch.fill(QColor(colour))
    icon = QIcon(swatch)
    # Qt tints the icon of a highlighted row, which would be another colour.
    icon.addPixmap(swatch, QIcon.Mode.Selected)
    return icon


def file_word(name: str) -> str:
    """A name that can stand in a file name, for programs that take no spaces."""
    return re.sub(r"[^\w.+-]+", "-", name).strip("-") or "selection"
