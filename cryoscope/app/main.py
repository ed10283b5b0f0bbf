"""Opening the window: painted first, filled next, files opened last."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cryoscope.app import startup
from cryoscope.data import InputError

if TYPE_CHECKING:
    from cryoscope.app.window import CryoscopeWindow

DEMO_FOLDER = "cryoscope-demo"
SETTLE_S = 1.5
SCREENSHOT_WAIT_S = 120.0


def open_window(
    paths: Sequence[str | Path] = (),
    *,
    demo: Path | None = None,
    demo_particles: int | None = None,
    screenshot: Path | None = None,
    exit_after_s: float | None = None,
) -> int:
    """Open the window and stay until it is closed.

    Parameters
    ----------
    paths
        Particles, structures, maps or run folders to open.
    demo
        Folder of the demo: simulate it if need be, and train on it.
    demo_particles
        Particles of a demo set that is yet to be simulated; None for the usual number.
    screenshot
        Write a picture (.png) of the window there: after ``exit_after_s``, or, without it, as soon
        as the 3-D view and the latent plot show something, and close.
    exit_after_s
        Close by itself after that time.

    Returns
    -------
    int
        Exit code: 0, or 1 if the picture could not be written.

    Raises
    ------
    InputError
        If there is no display to open a window on.
    """
    _require_display()
    startup.begin()
    from napari import run
    from qtpy.QtCore import QTimer

    from cryoscope.app.window import CryoscopeWindow

    window = CryoscopeWindow((demo or Path.cwd() / DEMO_FOLDER).absolute())
    window.show()
    exit_code = 0

    def take_and_close() -> None:
        nonlocal exit_code
        if screenshot is not None and not save_picture(window, screenshot):
            exit_code = 1
        window.shut_down()

    def fill() -> None:
        from cryoscope.app.tour import offer_tour

        _fill(window, paths, demo, demo_particles)
        if not paths and demo is None and screenshot is None and exit_after_s is None:
            offer_tour(window)
        if exit_after_s is not None:
            QTimer.singleShot(int(exit_after_s * 1000), take_and_close)
        elif screenshot is not None:
            _when_complete(window, take_and_close)

    QTimer.singleShot(0, fill)
    try:
        run()
    finally:
        # Ctrl-C in the terminal, or the end of the desktop session, ends the event loop at once.
        if window.session is not None:
            from cryoscope.session import actions

            actions.close(window.session)
    return exit_code


def _fill(
    window: CryoscopeWindow,
    paths: Sequence[str | Path],
    demo: Path | None,
    demo_particles: int | None,
) -> None:
    """Make the panels, then open what was asked for."""
    from cryoscope.session import Session, actions
    from cryoscope.session.demo import DemoSet

    window.fill(Session())
    startup.prepare_units()
    window.open_paths([Path(path) for path in paths])
    if demo is not None:
        wanted = DemoSet() if demo_particles is None else DemoSet(particles=demo_particles)
        actions.start_demo(window.session, demo, demo=wanted)
    startup.end(window)


def save_picture(window: CryoscopeWindow, path: Path) -> bool:
    """Write a picture of the whole window, atomically; False if it cannot be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    if not window.main.grab().save(str(part), "PNG"):
        print(f"{path}: the picture cannot be written. Choose another folder.", file=sys.stderr)
        return False
    part.replace(path)
    return True


def _when_complete(window: CryoscopeWindow, act: Callable[[], None]) -> None:
    """Act once the session shows latents and a state, for a moment; or after two minutes."""
    from qtpy.QtCore import QTimer

    begun_s = time.monotonic()
    timer = QTimer(window)
    complete_since_s: list[float] = []

    def look() -> None:
        now_s = time.monotonic()
        session = window.session
        if session.embedding is not None and session.shown is not None:
            complete_since_s.append(now_s)
        settled = bool(complete_since_s) and now_s - complete_since_s[0] > SETTLE_S
        if settled or now_s - begun_s > SCREENSHOT_WAIT_S:
            timer.stop()
            act()

    timer.timeout.connect(look)
    timer.start(200)


def _require_display() -> None:
    import os

    if not sys.platform.startswith("linux") or os.environ.get("QT_QPA_PLATFORM", "") == "offscreen":
        return
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise InputError(
            "there is no display to open a window on",
            cure="Work without it: `cryoscope train`, `cryoscope demo --headless`",
        )
