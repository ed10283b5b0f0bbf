"""What of the settings is not as it was, and how to put it back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QMenu, QToolButton


class ChangesButton(QToolButton):
    """Says how many settings were changed; its menu lists them, and puts back what is chosen.

    Signals
    -------
    put_back (path, value)
        The user wants a setting as it was.
    """

    put_back = Signal(str, object)

    def __init__(self) -> None:
        super().__init__()
        self._menu = QMenu(self)
        self._menu.setToolTipsVisible(True)
        self.setMenu(self._menu)
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)

    def show_changes(self, changes: Iterable[Any], since: str) -> None:
        """List changes (``path, label, unit, before, now``) since the run or preset ``since``."""
        changes = list(changes)
        self._menu.clear()
        self._menu.addSection(f"Not as in {since}")
        lines = []
        for change in changes:
            line = change_text(change)
            lines.append(line)
            action = self._menu.addAction(line)
            action.setToolTip("Put it back")
            action.setEnabled(change.path not in ("preset", "model") and change.before is not None)
            action.triggered.connect(
                lambda _checked=False, one=change: self.put_back.emit(one.path, one.before)
            )
        count = len(changes)
        self.setText(f"{count} changed")
        self.setToolTip(f"Not as in {since}:\n" + "\n".join(lines))
        self.setVisible(count > 0)


def change_text(change: Any) -> str:
    """One line about a change: "Epochs: 30 → 50"."""
    before, now = (value_text(value, change.unit) for value in (change.before, change.now))
    return f"{change.label}: {before} → {now}"


def value_text(value: Any, unit: str = "") -> str:
    """A setting's value as one would write it down; "–" where there is none."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        text = f"{value:.6g}"
    elif isinstance(value, list | tuple):
        text = ", ".join(map(str, value)) or "none"
    else:
        text = str(value)
    return f"{text} {unit}".rstrip()
