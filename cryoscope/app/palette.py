"""The command palette: everything that can be done, found by words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, QPoint, Qt, QTimer
from qtpy.QtGui import QBrush, QColor, QKeyEvent
from qtpy.QtWidgets import (
    QFrame,
    QHeaderView,
    QLabel,
    QLineEdit,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
)

from cryoscope.app import theme
from cryoscope.app.commands import NAPARI, PYTHON, Command, commands_of

if TYPE_CHECKING:
    from cryoscope.app.window import CryoscopeWindow

SIZE_PX = (680, 420)
TOP_PX, KEYS_PX, WHERE_PX, ROWS = 40, 120, 160, 200
RECENT = 8
# What is looked for less often, where other words fit as well.
_LATER = {NAPARI: 1, PYTHON: 2}
_MOVES = {
    Qt.Key.Key_Up: -1,
    Qt.Key.Key_Down: 1,
    Qt.Key.Key_PageUp: -10,
    Qt.Key.Key_PageDown: 10,
}


def matches(command: Command, words: list[str]) -> int | None:
    """How well words fit a command, 0 best; None if one of them is nowhere in it.

    Examples
    --------
    >>> open_files = Command("Open files…", "File", print, tip="Particles, a structure or a map")
    >>> matches(open_files, ["open"]), matches(open_files, ["map", "open"])
    (0, 3)
    >>> matches(open_files, ["umap"]) is None
    True
    """
    name = command.name.lower()
    elsewhere = f"{command.group} {command.tip} {' '.join(command.keys)}".lower()
    worst = 0
    for word in words:
        if name.startswith(word):
            rank = 0
        elif f" {word}" in name:
            rank = 1
        elif word in name:
            rank = 2
        elif word in elsewhere:
            rank = 3
        else:
            return None
        worst = max(worst, rank)
    return worst


class CommandPalette(QFrame):
    """A line to type words in, and below it what they find; Enter does the highlighted one."""

    def __init__(self, window: CryoscopeWindow) -> None:
        super().__init__(window.main, Qt.WindowType.Popup)
        self._window = window
        self._commands: list[Command] = []
        self._shown: list[Command] = []
        self._recent: list[str] = []
        self.setObjectName("palette")
        self.line = QLineEdit()
        self.line.setPlaceholderText("What do you want to do? Type a few words")
        self.line.setAccessibleName("Words to find a command by")
        self.line.textChanged.connect(self._search)
        self.line.installEventFilter(self)
        self.rows = QTreeWidget()
        self.rows.setColumnCount(3)
        self.rows.setHeaderHidden(True)
        self.rows.setRootIsDecorated(False)
        self.rows.setUniformRowHeights(True)
        self.rows.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        header = self.rows.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column, width in ((1, WHERE_PX), (2, KEYS_PX)):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Fixed)
            header.resizeSection(column, width)
        self.rows.itemClicked.connect(lambda _item, _column: self.carry_out())
        self.rows.currentItemChanged.connect(lambda _new, _old: self._explain())
        self.about = QLabel()
        self.about.setWordWrap(True)
        self.about.setProperty("role", "muted")
        self.about.setMinimumHeight(2 * self.about.fontMetrics().lineSpacing() + 6)
        self.about.setAlignment(Qt.AlignmentFlag.AlignTop)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(*(theme.MARGIN_PX,) * 4)
        layout.setSpacing(theme.SPACING_PX)
        for widget in (self.line, self.rows, self.about):
            layout.addWidget(widget)
        layout.setStretch(1, 1)

    def open(self) -> None:
        """Show it at the top of the window, with what can be done now."""
        edge = theme.current().axis
        self.setStyleSheet(
            theme.STYLE
            + f"#palette {{ background: {theme.BACKGROUND}; border: 1px solid {edge}; }}"
        )
        self._commands = commands_of(self._window)
        main = self._window.main
        width = min(SIZE_PX[0], main.width() - 40)
        self.resize(width, min(SIZE_PX[1], main.height() - 2 * TOP_PX))
        self.move(main.mapToGlobal(QPoint((main.width() - width) // 2, TOP_PX)))
        self.line.clear()
        self._search("")
        self.show()
        self.line.setFocus()

    @property
    def found(self) -> list[Command]:
        """What the words find, best first."""
        return self._shown

    def carry_out(self) -> None:
        """Do the highlighted command, if it can be done."""
        place = self.rows.indexOfTopLevelItem(self.rows.currentItem())
        if not 0 <= place < len(self._shown) or not self._shown[place].enabled:
            return
        command = self._shown[place]
        self._recent = [command.name, *(one for one in self._recent if one != command.name)]
        self.close()
        QTimer.singleShot(0, command.run)  # with the focus where it was

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Arrow keys move in the list while words are typed; Enter does what is highlighted."""
        if event.type() == QEvent.Type.KeyPress and isinstance(event, QKeyEvent):
            key = Qt.Key(event.key())
            if key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                self.carry_out()
                return True
            if key in _MOVES and self._shown:
                place = self.rows.indexOfTopLevelItem(self.rows.currentItem()) + _MOVES[key]
                self._highlight(min(max(place, 0), len(self._shown) - 1))
                return True
        return super().eventFilter(watched, event)

    def _search(self, text: str) -> None:
        words = text.lower().split()
        ranked = []
        for place, command in enumerate(self._commands):
            rank = matches(command, words)
            if rank is not None:
                recent = self._recent[:RECENT]
                use = recent.index(command.name) if command.name in recent else RECENT
                late = _LATER.get(command.group, 0) if words else 0
                ranked.append((late, not command.enabled, use == RECENT, rank, use, place))
        self._shown = [self._commands[one[-1]] for one in sorted(ranked)[:ROWS]]
        self.rows.clear()
        faint = QBrush(QColor(theme.DISABLED))
        muted = QBrush(QColor(theme.MUTED))
        for command in self._shown:
            item = QTreeWidgetItem([command.name, command.group, ", ".join(command.keys)])
            item.setToolTip(0, command.tip)
            for column in range(3):
                if not command.enabled:
                    item.setForeground(column, faint)
                elif column:
                    item.setForeground(column, muted)
            self.rows.addTopLevelItem(item)
        self._highlight(0)
        if not self._shown:
            self.about.setText("Nothing is called that. Try fewer or other words.")

    def _highlight(self, place: int) -> None:
        item = self.rows.topLevelItem(place)
        if item is not None:
            self.rows.setCurrentItem(item)

    def _explain(self) -> None:
        place = self.rows.indexOfTopLevelItem(self.rows.currentItem())
        if 0 <= place < len(self._shown):
            command = self._shown[place]
            tip = command.tip.removeprefix("Not now: ")
            self.about.setText(tip if command.enabled else f"Not now: {tip or 'it needs more'}")
