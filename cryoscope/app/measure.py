"""How fast the window starts and how smoothly it runs: ``cryoscope view --measure FILE``."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from qtpy.QtCore import QCoreApplication, QEvent, QEventLoop, QObject, QTimer
from qtpy.QtWidgets import QApplication

from cryoscope.app import startup

if TYPE_CHECKING:
    from cryoscope.app.window import CryoscopeWindow

TICK_MS = 10
FRAME_MS = 33
IDLE_S = 6.0
TRAINING_S = 20.0
START_LIMIT_S = 180.0


class FirstPaint(QObject):
    """Notes when the main window was painted first."""

    when_s = 0.0

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Look at every event, keep none."""
        if not self.when_s and event.type() == QEvent.Type.Paint:
            self.when_s = time.time()
        return False


class Lateness(QObject):
    """How late a 10 ms timer fires while the view is redrawn thirty times a second."""

    def __init__(self, window: CryoscopeWindow) -> None:
        super().__init__()
        self.late_ms: list[float] = []
        self._expected_s = 0.0
        self._window = window
        self._tick, self._frame = QTimer(self), QTimer(self)
        self._tick.timeout.connect(self._note)
        self._frame.timeout.connect(self._redraw)

    def watch(self, seconds: float) -> dict[str, float]:
        """Run the event loop for so long; quantiles of the lateness in ms."""
        self.late_ms.clear()
        self._expected_s = time.perf_counter() + TICK_MS / 1e3
        self._tick.start(TICK_MS)
        self._frame.start(FRAME_MS)
        run_events(lambda: False, seconds)
        self._tick.stop()
        self._frame.stop()
        late = sorted(self.late_ms)
        return {
            "p50": late[len(late) // 2],
            "p95": late[int(0.95 * len(late))],
            "p99": late[int(0.99 * len(late))],
            "max": late[-1],
        }

    def _note(self) -> None:
        now_s = time.perf_counter()
        self.late_ms.append(max(0.0, (now_s - self._expected_s) * 1e3))
        self._expected_s = now_s + TICK_MS / 1e3

    def _redraw(self) -> None:
        self._window.latent.canvas.update()


def run_events(done: Any, seconds: float) -> bool:
    """Let Qt work until ``done()`` or for so long; whether it was done."""
    loop, limit = QEventLoop(), QTimer()
    limit.setSingleShot(True)
    limit.timeout.connect(loop.quit)
    look = QTimer()
    look.timeout.connect(lambda: loop.quit() if done() else None)
    look.start(20)
    limit.start(int(seconds * 1e3))
    loop.exec()
    return bool(done())


def measure_start(started_s: float) -> tuple[CryoscopeWindow, dict[str, float]]:
    """Open the window and press one of its buttons."""
    startup.begin()
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    from cryoscope.app.window import CryoscopeWindow

    paint = FirstPaint()
    window = CryoscopeWindow(Path("cryoscope-demo").absolute())
    QApplication.instance().installEventFilter(paint)
    window.show()
    QCoreApplication.processEvents()
    run_events(lambda: paint.when_s > 0, 10)
    from cryoscope.session import Session

    window.fill(Session())
    startup.prepare_units()
    startup.end(window)
    button = window.training.more
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    run_events(button.isChecked, 10)
    reacts_s = time.time()
    QApplication.instance().removeEventFilter(paint)
    return window, {"first_paint_s": paint.when_s - started_s, "reacts_s": reacts_s - started_s}


def measure_stalls(
    window: CryoscopeWindow, paths: Sequence[Path], run_path: Path
) -> dict[str, float]:
    """Lateness of the event loop before and while training on ``paths``."""
    from cryoscope.session import actions

    session = window.session
    idle = Lateness(window).watch(IDLE_S)
    actions.open_files(session, list(paths))
    run_events(lambda: session.particles is not None and session.structure is not None, 60)
    actions.start_training(session, run_path)
    if not run_events(lambda: session.embedding is not None, START_LIMIT_S):
        raise SystemExit("training did not start in time")
    busy = Lateness(window).watch(TRAINING_S)
    rate = session.run.images_per_s
    figures = {f"stall_idle_{name}_ms": value for name, value in idle.items()}
    figures |= {f"stall_{name}_ms": value for name, value in busy.items()}
    return figures | {"images_per_s_beside_window": rate}


def run(out: Path, paths: Sequence[Path]) -> int:
    """Measure the start, and, given the files of a data set, the stalls while it trains.

    Parameters
    ----------
    out
        Where the figures are written (JSON); the run goes beside it.
    paths
        Nothing, or particles and a structure.
    """
    window, figures = measure_start(psutil.Process().create_time())
    if paths:
        figures |= measure_stalls(window, paths, out.with_suffix(".run"))
    out.write_text(json.dumps(figures))
    closed: list[bool] = []
    window.closed.connect(lambda: closed.append(True))
    window.shut_down()
    run_events(lambda: bool(closed), 20)
    return 0
