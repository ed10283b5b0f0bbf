"""One line of caution with what to do about it, a button that shows it, and one that hides it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import QEvent, Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QToolButton, QWidget


class CautionLine(QWidget):
    """Hidden while there is nothing to say; what was hidden by hand stays so until it changes.

    Signals
    -------
    colour_wanted (str)
        The covariate that shows what the first caution says.
    """

    colour_wanted = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._cautions: tuple[Any, ...] = ()
        self._dismissed: frozenset[str] = frozenset()
        self.label = QLabel()
        self.label.setProperty("role", "caution")
        self.label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.look, self.hide_it = QToolButton(), QToolButton()
        self.look.setText("Show it")
        self.look.setAccessibleName("Colour the particles by it")
        self.look.clicked.connect(lambda _on: self._look())
        self.hide_it.setText("✕")
        self.hide_it.setToolTip("Hide this caution")
        self.hide_it.setAccessibleName("Hide this caution")
        self.hide_it.clicked.connect(lambda _on: self._dismiss())
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.label, 1)
        row.addWidget(self.look)
        row.addWidget(self.hide_it)
        self.hide()

    def set_cautions(self, cautions: Sequence[Any]) -> None:
        """Show these, each with ``text``, ``cure`` and ``colour``; the strongest first."""
        self._cautions = tuple(cautions)
        self.setVisible(bool(cautions) and not self._kinds() <= self._dismissed)
        if not cautions:
            self._dismissed = frozenset()
            return
        tip = "\n\n".join(f"{one.text}.\n{_folded(one.cure)}" for one in cautions)
        for widget in (self.label, self.look):
            widget.setToolTip(tip)
        self.label.setAccessibleDescription(tip)
        self._write()

    def changeEvent(self, event: QEvent) -> None:
        """Another font takes another room."""
        super().changeEvent(event)
        self._write()

    def resizeEvent(self, event: Any) -> None:
        """Leave out what there is no room for."""
        super().resizeEvent(event)
        self._write()

    def _write(self) -> None:
        if not self._cautions:
            return
        more = len(self._cautions) - 1
        text = f"⚠ {self._cautions[0].text}" + (f"; {more} more" if more else "")
        room = self.label.width()
        self.label.setText(
            self.label.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, max(room, 80))
        )

    def _look(self) -> None:
        for caution in self._cautions[:1]:
            self.colour_wanted.emit(caution.colour)

    def _kinds(self) -> frozenset[str]:
        return frozenset(one.colour for one in self._cautions)

    def _dismiss(self) -> None:
        self._dismissed = self._kinds()
        self.hide()


def _folded(text: str, width: int = 90) -> str:
    """Text in lines of about ``width`` letters, for a tooltip."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return "\n".join(lines)
