"""Work for a picture, off the main thread: one piece at a time, the newest wins."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, Qt, Signal


class NewestWins(QObject):
    """Runs callables on its own thread; a waiting one is dropped when a newer one comes.

    Answers arrive by ``answered`` on the main thread. An exception in the callable is raised again
    on the main thread, where it is reported like any other.
    """

    answered = Signal(object)
    _done = Signal(object, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._wake = threading.Condition()
        self._waiting: Callable[[], Any] | None = None
        self._closed = False
        self._thread: threading.Thread | None = None
        self._done.connect(self._deliver, Qt.ConnectionType.QueuedConnection)

    def request(self, work: Callable[[], Any]) -> None:
        """Do ``work`` next, in place of any that still waits."""
        with self._wake:
            if self._closed:
                return
            self._waiting = work
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="picture", daemon=True)
                self._thread.start()
            self._wake.notify()

    def close(self, timeout_s: float = 2.0) -> None:
        """Take no more work and end the thread."""
        with self._wake:
            self._closed, self._waiting = True, None
            self._wake.notify()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            with self._wake:
                while self._waiting is None and not self._closed:
                    self._wake.wait()
                if self._closed:
                    return
                work, self._waiting = self._waiting, None
            assert work is not None
            answer: Any = None
            error: BaseException | None = None
            try:
                answer = work()
            except Exception as raised:
                error = raised
            with self._wake:
                if self._closed:
                    return
                self._done.emit(answer, error)

    def _deliver(self, answer: Any, error: BaseException | None) -> None:
        if error is not None:
            raise error
        if not self._closed:
            self.answered.emit(answer)
