"""Undo and redo: every undoable verb leaves the way back and the way forth."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from cryoscope.session.records import UndoState

DEPTH = 50


@dataclass(frozen=True)
class Change:
    """One undoable change: its name and the functions that take it back and do it again."""

    text: str
    undo: Callable[[], None]
    redo: Callable[[], None]


class History:
    """The last :data:`DEPTH` changes. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._past: list[Change] = []
        self._future: list[Change] = []

    def push(self, change: Change) -> None:
        """Remember a change that was just made; what had been undone is forgotten."""
        with self._lock:
            self._past.append(change)
            del self._past[:-DEPTH]
            self._future.clear()

    def undo(self) -> str:
        """Take back the last change; its name, or empty if there is none."""
        return self._step(self._past, self._future, "undo")

    def redo(self) -> str:
        """Do the last undone change again; its name, or empty if there is none."""
        return self._step(self._future, self._past, "redo")

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._past.clear()
            self._future.clear()

    def state(self) -> UndoState:
        """What undo and redo would do now."""
        with self._lock:
            return UndoState(
                undo=self._past[-1].text if self._past else "",
                redo=self._future[-1].text if self._future else "",
            )

    def _step(self, source: list[Change], target: list[Change], direction: str) -> str:
        with self._lock:
            if not source:
                return ""
            change = source.pop()
            target.append(change)
        (change.undo if direction == "undo" else change.redo)()
        return change.text
