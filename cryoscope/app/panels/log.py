"""What has happened: actions, warnings, errors and work, to be filtered, copied and saved."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt, Signal
from qtpy.QtGui import QColor, QKeyEvent, QKeySequence, QShowEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QMenu,
    QPlainTextEdit,
    QPushButton,
    QSplitter,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from cryoscope.app import dialogs, theme
from cryoscope.app.qt_bridge import QtBridge
from cryoscope.session import actions

KINDS = {"action": "Action", "work": "Work", "info": "Note", "warning": "Warning", "error": "Error"}
FILTERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Everything", tuple(KINDS)),
    ("No background work", ("action", "info", "warning", "error")),
    ("Actions", ("action",)),
    ("Warnings and errors", ("warning", "error")),
)
COLUMNS = ("Time", "Kind", "What")
LOG_FILTER = "Text (*.txt);;Python program (*.py)"
ROW_PX = 20


class LogModel(QAbstractTableModel):
    """Entries of the journal as rows; kept rows stay when others come or go."""

    def __init__(self, parent: Any) -> None:
        super().__init__(parent)
        self.rows: list[Any] = []

    def show(self, entries: list[Any]) -> None:
        """Show these entries, in place of those that were shown."""
        gone = 0
        while gone < len(self.rows) and (not entries or self.rows[gone] is not entries[0]):
            gone += 1
        self._remove(0, gone)
        same = 0
        for old, new in zip(self.rows, entries, strict=False):
            if old is not new:
                break
            same += 1
        self._remove(same, len(self.rows))
        if len(entries) > same:
            self.beginInsertRows(QModelIndex(), same, len(entries) - 1)
            self.rows += entries[same:]
            self.endInsertRows()

    def _remove(self, first: int, end: int) -> None:
        if end > first:
            self.beginRemoveRows(QModelIndex(), first, end - 1)
            del self.rows[first:end]
            self.endRemoveRows()

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008
        """How many entries are shown."""
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008
        """Time, kind and text."""
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = 0) -> Any:
        """The names of the columns."""
        across = orientation == Qt.Orientation.Horizontal
        return COLUMNS[section] if across and role == Qt.ItemDataRole.DisplayRole else None

    def data(self, index: QModelIndex, role: int = 0) -> Any:
        """What stands in a cell, its colour, and the whole text as its tip."""
        entry = self.rows[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            when = time.strftime("%H:%M:%S", time.localtime(entry.when))
            return (when, KINDS[entry.level], entry.text)[index.column()]
        if role == Qt.ItemDataRole.ToolTipRole:
            return entry.text
        if role == Qt.ItemDataRole.ForegroundRole:
            colours = {"error": theme.ERROR, "warning": theme.ACCENT, "work": theme.MUTED}
            return QColor(colours.get(entry.level, theme.TEXT))
        return None


class LogTable(QTableView):
    """A table whose key for copying copies whole rows.

    Signals
    -------
    copy_asked ()
        The key was pressed.
    """

    copy_asked = Signal()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt's own table would copy one cell."""
        if event.matches(QKeySequence.StandardKey.Copy):
            self.copy_asked.emit()
        else:
            super().keyPressEvent(event)


class LogPanel(QWidget):
    """The journal of the session, newest last; what is chosen can be copied."""

    def __init__(self, session: Any, bridge: QtBridge) -> None:
        super().__init__()
        self._session = session
        self.model = LogModel(self)
        self.table = LogTable()
        self.details = QPlainTextEdit()
        self.words, self.kinds = QLineEdit(), QComboBox()
        self.count = QLabel()
        self._make_table()
        self._make_details()
        split = QSplitter(Qt.Orientation.Horizontal)
        split.addWidget(self.table)
        split.addWidget(self.details)
        split.setStretchFactor(0, 2)
        split.setStretchFactor(1, 1)
        split.setSizes([660, 340])
        for part in (self.table, self.details):
            part.setMinimumWidth(120)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(
            theme.MARGIN_PX, theme.SPACING_PX, theme.MARGIN_PX, theme.SPACING_PX
        )
        layout.setSpacing(theme.SPACING_PX)
        layout.addLayout(self._make_bar())
        layout.addWidget(split, 1)
        self._choice_changed()
        bridge.watch("logged", lambda _number: self.refresh())

    def showEvent(self, event: QShowEvent) -> None:
        """Catch up with what has happened while nobody looked."""
        super().showEvent(event)
        self.refresh()

    def is_seen(self) -> bool:
        """Whether anybody looks: a panel behind another tab has nothing to show."""
        return self.isVisible() and not self.visibleRegion().isEmpty()

    def refresh(self) -> None:
        """Show what has happened until now, if anybody looks."""
        if not self.is_seen():
            return
        levels = FILTERS[self.kinds.currentIndex()][1]
        words = self.words.text().lower().split()
        everything = self._session.journal.entries()
        shown = [
            entry
            for entry in everything
            if entry.level in levels and all(word in entry.text.lower() for word in words)
        ]
        bar = self.table.verticalScrollBar()
        at_end = bar.value() >= bar.maximum()
        self.model.show(shown)
        if at_end:
            self.table.scrollToBottom()
        total = f" of {len(everything):,}" if len(shown) < len(everything) else ""
        self.count.setText(f"{len(shown):,}{total}")

    def show_last_problem(self) -> None:
        """Point at the last warning or error."""
        self.kinds.setCurrentIndex(0)
        self.words.clear()
        self.refresh()
        for row in range(len(self.model.rows) - 1, -1, -1):
            if self.model.rows[row].level in ("warning", "error"):
                self.table.selectRow(row)
                self.table.scrollTo(self.model.index(row, 0))
                return

    def chosen(self) -> list[Any]:
        """The entries that are selected, oldest first."""
        rows = sorted({index.row() for index in self.table.selectedIndexes()})
        return [self.model.rows[row] for row in rows]

    def copy_text(self) -> None:
        """Copy the selected entries, or all that are shown, as text."""
        from cryoscope.session.journal import as_text

        self._copy(as_text(self.chosen() or self.model.rows).rstrip("\n"), "text")

    def copy_python(self) -> None:
        """Copy one action as a line of Python, several as a program."""
        found = [entry for entry in self.chosen() if entry.python]
        if len(found) == 1:
            self._copy(found[0].python, "Python")
        elif found:
            numbers = {entry.number for entry in found}
            self._copy(actions.log_as_script(self._session, numbers), "a Python program")

    def copy_command(self) -> None:
        """Copy the selected actions as lines for a terminal."""
        self._copy("\n".join(one.command for one in self.chosen() if one.command), "commands")

    def ask_save(self) -> None:
        """Let the user choose a file, and write the whole log."""
        path = dialogs.ask_save(self, "Save the log", "cryoscope-log.txt", LOG_FILTER)
        if path is not None:
            actions.save_log(self._session, path)

    def _make_table(self) -> None:
        table = self.table
        table.setModel(self.model)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        table.setShowGrid(False)
        table.setWordWrap(False)
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(ROW_PX)
        header = table.horizontalHeader()
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        for column, width in ((0, 78), (1, 62)):
            header.resizeSection(column, width)
        header.setSectionResizeMode(2, QHeaderView.ResizeMode.Stretch)
        table.setAccessibleName("What has happened")
        table.selectionModel().selectionChanged.connect(lambda *_: self._choice_changed())
        table.copy_asked.connect(self.copy_text)

    def _make_details(self) -> None:
        self.details.setReadOnly(True)
        self.details.setPlaceholderText("Click an entry to read all of it")
        self.details.setAccessibleName("The whole entry")

    def _make_bar(self) -> QHBoxLayout:
        bar = QHBoxLayout()
        bar.setSpacing(theme.SPACING_PX)
        self.words.setPlaceholderText("Filter by words")
        self.words.setClearButtonEnabled(True)
        self.words.setMinimumWidth(100)
        self.words.setMaximumWidth(180)
        self.words.textChanged.connect(lambda _text: self.refresh())
        self.kinds.addItems([name for name, _ in FILTERS])
        self.kinds.setToolTip("Which kinds of entries are shown")
        self.kinds.currentIndexChanged.connect(lambda _index: self.refresh())
        self.count.setProperty("role", "muted")
        for widget in (self.words, self.kinds, self.count):
            bar.addWidget(widget)
        bar.addStretch(1)
        self.copy = QPushButton("Copy")
        self.copy.setToolTip("Copy the selected entries: as text, as Python or as commands")
        choices = QMenu(self.copy)
        choices.setToolTipsVisible(True)
        self.text = choices.addAction("Copy as text", self.copy_text)
        self.python = choices.addAction("Copy as Python", self.copy_python)
        self.command = choices.addAction("Copy as command", self.copy_command)
        self.copy.setMenu(choices)
        self.save = self._button(
            "Save…", "Write the whole log: .txt, or .py to do it again", self.ask_save
        )
        self.clear = self._button(
            "Clear", "Forget the entries so far", lambda: actions.clear_log(self._session)
        )
        for button in (self.copy, self.save, self.clear):
            bar.addWidget(button)
        return bar

    def _button(self, text: str, tip: str, slot: Callable[[], None]) -> QPushButton:
        button = QPushButton(text)
        button.setToolTip(tip)
        button.clicked.connect(lambda _checked=False: slot())
        return button

    def _choice_changed(self) -> None:
        chosen = self.chosen()
        python = [entry for entry in chosen if entry.python]
        command = [entry for entry in chosen if entry.command]
        self.python.setEnabled(bool(python))
        self.python.setToolTip(
            "Copy what does this again in the console, a script or a notebook"
            if python
            else "Select an action first: its call as Python is copied"
        )
        self.command.setEnabled(bool(command))
        self.command.setToolTip(
            "Copy what does this in a terminal"
            if command
            else "Select an action that the command line has too, e.g. an export or a training"
        )
        if len(chosen) == 1:
            entry = chosen[0]
            parts = (entry.text, entry.python, entry.command and f"$ {entry.command}", entry.detail)
            self.details.setPlainText("\n\n".join(part for part in parts if part))
        else:
            self.details.setPlainText(f"{len(chosen)} entries are selected" if chosen else "")

    def _copy(self, text: str, what: str) -> None:
        if text:
            QApplication.clipboard().setText(text)
            self.count.setText(f"Copied as {what}")
