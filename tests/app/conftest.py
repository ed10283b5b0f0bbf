"""A window on a made-up session, and the event loop run until something holds."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import synthetic

pytest.importorskip("napari", reason="the window is not installed (cryoscope[app])")

# napari's own fixture for plugins wants a process in which nobody else opens a window:
# test_plain_napari.py starts one.
collect_ignore = [] if os.environ.get("CRYOSCOPE_PLAIN_NAPARI") else ["test_plugin.py"]


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path) -> None:
    """What the window remembers stays in the test's folder."""
    from qtpy.QtCore import QSettings

    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, str(tmp_path))


@pytest.fixture
def until(qtbot: Any) -> Callable[..., None]:
    """``until(condition)`` runs the event loop until it holds."""

    def wait(condition: Callable[[], Any], timeout_ms: int = 20_000) -> None:
        qtbot.waitUntil(lambda: bool(condition()), timeout=timeout_ms)

    return wait


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Any]:
    """Particles and a structure are open; the scripted engine would train on them."""
    made = synthetic.session(tmp_path, count=2000)
    yield made
    from cryoscope.session import actions

    actions.close(made)


@pytest.fixture
def window(session: Any, qtbot: Any, tmp_path: Path) -> Iterator[Any]:
    """The whole window, shown and filled; closed at the end if the test has not."""
    from cryoscope.app.window import CryoscopeWindow

    made = CryoscopeWindow(tmp_path / "demo")
    made.show()
    made.main.resize(1280, 800)
    made.fill(session)
    gone: list[bool] = []
    made.closed.connect(lambda: gone.append(True))
    qtbot.wait(150)
    yield made
    if not gone:
        made.shut_down()
        qtbot.waitUntil(lambda: bool(gone), timeout=20_000)
    qtbot.wait(20)
