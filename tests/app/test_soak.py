"""Run after run in one window, by a real worker: nothing of the last one is left.

The long version, with memory: ``python -m tests.benchmarks.soak``.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from gestures import Until

from cryoscope.app.window import CryoscopeWindow
from cryoscope.session import RunStatus, Session, actions
from tests.census import census, worker

pytestmark = [pytest.mark.gl, pytest.mark.slow]

EPOCHS, RUNS = 20, 3
LONG_MS = 120_000


@pytest.fixture
def window(qtbot: Any, tmp_path: Path, here: Path, until: Until) -> Iterator[Any]:
    """A window with the small set open, and settings that refresh and save often."""
    threads = {thread.ident for thread in threading.enumerate()}
    made = CryoscopeWindow(tmp_path / "demo")
    made.threads_before = threads
    made.show()
    made.main.resize(1280, 800)
    session = Session()
    made.fill(session)
    for name, value in (
        ("optimiser.epochs", EPOCHS),
        ("checkpoint_s", 0.5),
        ("live_s", 0.1),
        ("threads", 1),
        ("device", "cpu"),
    ):
        actions.set_option(session, name, value)
    actions.open_files(session, [here / "particles.star", here / "reference.pdb"])
    until(lambda: session.particles is not None and session.structure is not None, LONG_MS)
    gone: list[bool] = []
    made.closed.connect(lambda: gone.append(True))
    made.gone = gone
    yield made
    if not gone:
        made.shut_down()
        qtbot.waitUntil(lambda: bool(gone), timeout=30_000)


def train(window: Any, folder: Path, until: Until) -> None:
    """One run from beginning to end, and a walk with the cursor through its states."""
    session = window.session
    actions.start_training(session, folder)
    over = (RunStatus.FINISHED, RunStatus.FAILED)
    until(
        lambda: session.run and session.run.folder == folder and session.run.status in over,
        LONG_MS,
    )
    assert session.run.status is RunStatus.FINISHED, session.run.message
    for row in range(4):
        before = session.shown
        actions.move_cursor(session, tuple(float(v) for v in session.embedding.xy[row]))
        until(lambda before=before: session.shown is not before)
    until(lambda: session.shown is not None and not session.jobs)


def counts(window: Any) -> dict[str, int]:
    """What is counted of the window, without what only waits to be collected."""
    gc.collect()
    counted = census(window).counts
    return {name: n for name, n in counted.items() if name.startswith("window")}


def test_runs_leave_no_thread_handle_layer_widget_or_gl_object(
    window: Any, tmp_path: Path, until: Until
) -> None:
    train(window, tmp_path / "run-0", until)
    first = worker()
    assert first is not None
    # The first run makes what is made once: layers, shaders, the threads of pools.
    train(window, tmp_path / "run-1", until)
    assert not first.is_running() or first.status() == psutil.STATUS_ZOMBIE
    allowed = counts(window)
    assert allowed["window: layers"] == 2
    assert sum(n for name, n in allowed.items() if "GL" in name) > 10
    for number in range(2, RUNS):
        train(window, tmp_path / f"run-{number}", until)
    until(lambda: not grown(allowed, counts(window)), 20_000)

    window.shut_down()
    until(lambda: bool(window.gone), 30_000)
    until(lambda: worker() is None)
    until(lambda: not threads_of(window))


def threads_of(window: Any) -> list[str]:
    """Names of our threads that were started for this window."""
    new = [one for one in threading.enumerate() if one.ident not in window.threads_before]
    return [one.name for one in new if one.name.startswith(("cryoscope", "closing"))]


def grown(before: dict[str, int], after: dict[str, int]) -> dict[str, tuple[int, int]]:
    """What there is more of: name, and how much of it was and is."""
    return {name: (before.get(name, 0), n) for name, n in after.items() if n > before.get(name, 0)}


def test_more_of_anything_is_seen() -> None:
    assert grown({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": 1}) == {"b": (2, 3), "c": (0, 1)}
