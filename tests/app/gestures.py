"""What a user does with the mouse, for the tests of the window."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from cryoscope.app.napari_bridge import DENSITY_LAYER
from cryoscope.session import RunStatus, actions

LEFT, NO_KEY = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
SHIFT, CTRL = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier
Until = Callable[..., None]
#: Without a change for so long, the plot has what was on its way.
STILL_S = 0.5


def drag(canvas: Any, corners: list[tuple[float, float]], keys: Any = NO_KEY) -> None:
    """Drag through data positions with the left button."""
    places = [QPoint(round(x), round(y)) for x, y in canvas.to_widget(corners)]
    QTest.mousePress(canvas, LEFT, keys, places[0])
    for place in places[1:]:
        QTest.mouseMove(canvas, place)
    QTest.mouseRelease(canvas, LEFT, keys, places[-1])


def box(canvas: Any, left: float, right: float) -> list[tuple[float, float]]:
    """A stroke about everything between two fractions of the plot's width."""
    x0, x1, y0, y1 = canvas.bounds
    a, b = x0 + left * (x1 - x0), x0 + right * (x1 - x0)
    low, high = y0 + 0.01 * (y1 - y0), y1 - 0.01 * (y1 - y0)
    return [(a, low), (b, low), (b, high), (a, high)]


def train(window: Any, session: Any, until: Until) -> None:
    """Press Start and wait for the first latents and the first state."""
    QTest.mouseClick(window.training.start, LEFT)
    until(lambda: session.embedding is not None and DENSITY_LAYER in window.viewer.layers)
    until(lambda: not window.latent.canvas.empty_text)


def pause(window: Any, session: Any, until: Until) -> None:
    """Pause, and wait until nothing that was on its way moves the plot any more."""
    actions.pause_training(session)
    until(lambda: session.run.status is RunStatus.PAUSED)
    seen: list[Any] = [None, 0.0]

    def still() -> bool:
        now = (id(session.embedding), window.latent.canvas.home)
        if now != seen[0]:
            seen[:] = [now, time.monotonic()]
        return time.monotonic() - seen[1] > STILL_S

    until(still)
