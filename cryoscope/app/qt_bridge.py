"""From the session's events, emitted in any thread, to slots on the main thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QElapsedTimer, QObject, Qt, QTimer, Signal

INTERVAL_MS = 100


class QtBridge(QObject):
    """Calls slots on the main thread after changes of the session.

    Many changes of a field within ``INTERVAL_MS`` make one call with the newest value; a field
    watched with ``every=True`` delivers each value, in order. A field watched with ``soon=True``
    does not wait for the end of the interval: what follows the hand.
    """

    _woken, _hurried = Signal(), Signal()

    def __init__(self, session: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._lock = threading.Lock()
        self._changed: dict[str, list[Any]] = {}
        self._slots: dict[str, list[Callable[[Any], None]]] = {}
        self._every: set[str] = set()
        self._soon: set[str] = set()
        self._links: list[tuple[Any, Callable[..., None]]] = []
        self._asleep = True
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._since_flush = QElapsedTimer()
        self._timer.timeout.connect(self._flush)
        self._woken.connect(self._schedule, Qt.ConnectionType.QueuedConnection)
        self._hurried.connect(lambda: self._timer.start(0), Qt.ConnectionType.QueuedConnection)

    def watch(
        self, field: str, slot: Callable[[Any], None], *, every: bool = False, soon: bool = False
    ) -> None:
        """Call ``slot`` with ``session.<field>`` now, and after every change."""
        if field not in self._slots:
            self._slots[field] = []
            self._link(field)
        if every:
            self._every.add(field)
        if soon:
            self._soon.add(field)
        self._slots[field].append(slot)
        slot(getattr(self._session, field))

    def refresh(self) -> None:
        """Call the slots again: what they show looks different now. Notices are not repeated."""
        for field, slots in tuple(self._slots.items()):
            if field not in self._every:
                for slot in tuple(slots):
                    slot(getattr(self._session, field))

    def close(self) -> None:
        """Let go of the session: no slot is called any more."""
        for signal, callback in self._links:
            signal.disconnect(callback)
        self._links.clear()
        self._slots.clear()
        self._timer.stop()

    def _link(self, field: str) -> None:
        def changed(value: Any) -> None:
            with self._lock:
                values = self._changed.setdefault(field, [])
                if field not in self._every:
                    values.clear()
                values.append(value)
                wake, self._asleep = self._asleep, False
            if field in self._soon:
                self._hurried.emit()
            elif wake:
                self._woken.emit()

        signal = getattr(self._session.events, field)
        signal.connect(changed)
        self._links.append((signal, changed))

    def _schedule(self) -> None:
        # The first change is shown at once; those that follow closely wait and are merged.
        if not self._timer.isActive():
            passed = self._since_flush.elapsed() if self._since_flush.isValid() else INTERVAL_MS
            self._timer.start(max(0, int(INTERVAL_MS - passed)))

    def _flush(self) -> None:
        with self._lock:
            changed, self._changed = self._changed, {}
            self._asleep = True
        self._since_flush.start()
        for field, values in changed.items():
            for value in values:
                for slot in tuple(self._slots.get(field, ())):
                    slot(value)
