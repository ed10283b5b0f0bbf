"""Figures of the latent scatter at a million particles; ``pytest tests/benchmarks -m gui -s``.

Numbers are printed, never asserted: the machine decides them. What is asserted is exactness.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari", reason="the window is not installed (cryoscope[app])")

from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from cryoscope.data import Latents
from cryoscope.session import Session, actions
from cryoscope.session.follow import show_latents
from cryoscope.session.selection_rules import rule_mask

pytestmark = [pytest.mark.gui, pytest.mark.gl]
COUNT, DIMS, FRAMES = 1_000_000, 8, 60


def million() -> Latents:
    rng = np.random.default_rng(0)
    z = (rng.normal(size=(COUNT, DIMS)) * np.linspace(3, 0.5, DIMS)).astype(np.float32)
    z[: COUNT // 3, 0] += 8
    uid = np.char.add(np.arange(COUNT).astype("U7"), "@a.mrcs")
    return Latents(z, None, uid, "bench", 1)


@pytest.fixture(scope="module")
def panel() -> Iterator[Any]:
    from cryoscope.app.panels.latent import LatentPanel
    from cryoscope.app.qt_bridge import QtBridge

    QApplication.instance() or QApplication([])
    session = Session()
    bridge = QtBridge(session)
    made = LatentPanel(session, bridge)
    made.resize(960, 900)
    made.show()
    show_latents(session, million())
    settle(lambda: made.canvas._picture is not None)
    yield made
    bridge.close()
    made.close_threads()
    made.close()
    actions.close(session)


def settle(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end_s
        QApplication.processEvents()
        time.sleep(0.002)


def spent_ms(work: Callable[[], Any], repeats: int) -> np.ndarray:
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        times.append((time.perf_counter() - begin) * 1e3)
    return np.array(times)


def say(name: str, times: np.ndarray) -> None:
    print(f"{name:58s} median {np.median(times):8.1f} ms   99 % {np.percentile(times, 99):8.1f} ms")


def wheel(canvas: Any, notches: int) -> None:
    centre = QPointF(canvas.plot_rect().center())
    event = QWheelEvent(
        centre,
        canvas.mapToGlobal(centre),
        QPoint(),
        QPoint(0, 120 * notches),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(canvas, event)


def frame(canvas: Any, gesture: Callable[[], None]) -> None:
    """One gesture, and what it shows painted; fresh pictures come meanwhile from their thread."""
    gesture()
    canvas.repaint()
    QApplication.processEvents()


def test_pan_and_zoom(panel: Any) -> None:
    canvas, right = panel.canvas, Qt.MouseButton.RightButton
    middle = canvas.plot_rect().center().toPoint()
    steps = iter(range(10 * FRAMES))
    QTest.mousePress(canvas, right, Qt.KeyboardModifier.NoModifier, middle)

    def pan() -> None:
        QTest.mouseMove(canvas, middle + QPoint(3 * (next(steps) % 40), 0))

    say("pan, 1 M: one frame", spent_ms(lambda: frame(canvas, pan), FRAMES))
    QTest.mouseRelease(canvas, right, Qt.KeyboardModifier.NoModifier, middle)
    zooms = iter([1] * 15 + [-1] * 15 + [1] * 15 + [-1] * 15)
    say(
        "zoom, 1 M: one frame",
        spent_ms(lambda: frame(canvas, lambda: wheel(canvas, next(zooms))), FRAMES),
    )
    shown: list[Any] = []
    canvas.fit()
    settle(lambda: not canvas._redraw.isActive())

    def redraw() -> None:
        before = canvas._picture
        canvas.request_picture()
        settle(lambda: canvas._picture is not before)
        shown.append(1)

    say("fresh picture of 1 M, from asking to shown", spent_ms(redraw, 9))


def test_pictures_by_covariate(panel: Any) -> None:
    session, canvas = panel._session, panel.canvas

    def redraw() -> None:
        before = canvas._picture
        canvas.request_picture()
        settle(lambda: canvas._picture is not before)

    for name in ("z3", "cluster"):

        def ready(name: str = name) -> bool:
            return session.colouring is not None and session.colouring.name == name

        begin = time.perf_counter()
        actions.colour_by(session, name)
        settle(ready)
        say(f"covariate {name} of 1 M", np.array([1e3 * (time.perf_counter() - begin)]))
        say(f"fresh picture of 1 M coloured by {name}", spent_ms(redraw, 5))
    actions.colour_by(session, "density")


def test_refreshed_embedding_on_the_main_thread(panel: Any) -> None:
    session = panel._session
    embedding = session.embedding
    say(
        "upload of a refreshed 1 M embedding, main thread",
        spent_ms(lambda: panel._refresh_embedding(embedding), 9),
    )


def star(corners: int) -> list[list[float]]:
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    radius = 3 + 0.6 * np.sin(9 * angle)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).tolist()


def test_exact_strokes(panel: Any) -> None:
    session = panel._session
    path = [[0.05 * i, np.sin(0.05 * i)] for i in range(60)]
    rules = {
        "lasso of 300 corners": {"kind": "lasso", "polygon": star(300)},
        "rectangle": {"kind": "rectangle", "polygon": [[-1, -1], [4, -1], [4, 2], [-1, 2]]},
        "brush of 60 places": {"kind": "brush", "path": path, "radius": [0.4, 0.3]},
        "nearest 1,000": {"kind": "nearest", "xy": [0.5, 0.5], "count": 1000},
    }
    for name, rule in rules.items():
        say(f"{name}: exact, 1 M", spent_ms(lambda r=rule: actions.count_rule(session, r), 9))
    xy = session.embedding.xy.astype(np.float64)
    low, high = np.array([-1, -1]), np.array([4, 2])
    inside = ((xy > low) & (xy < high)).all(axis=1)
    assert np.array_equal(rule_mask(session, rules["rectangle"]), inside)
    near = rule_mask(session, rules["nearest 1,000"])
    distance = ((xy - 0.5) ** 2).sum(axis=1)
    assert near.sum() == 1000
    assert distance[near].max() <= distance[~near].min()


def test_booleans_and_undo(panel: Any) -> None:
    session = panel._session
    actions.select(session, {"kind": "lasso", "polygon": star(300)})
    actions.select(session, {"kind": "nearest", "xy": [8.0, 0.0], "count": 200_000})
    name = session.selections[0].name
    say("undo, 1 M", spent_ms(lambda: actions.undo(session), 1))
    say("redo, 1 M", spent_ms(lambda: actions.redo(session), 1))
    say("invert, 1 M", spent_ms(lambda: actions.invert_selection(session), 5))
    for mode in ("add", "subtract", "intersect"):
        times = spent_ms(lambda m=mode: actions.combine_selections(session, name, m), 1)
        say(f"{mode}, 1 M", times)
        actions.undo(session)
    at, reach = (0.5, 0.5), (0.05, 0.05)
    assert actions.particle_at(session, at, reach) is not None
    say(
        "particle under the mouse, 1 M",
        spent_ms(lambda: actions.particle_at(session, at, reach), 5),
    )


def test_memory(panel: Any) -> None:
    status = Path("/proc/self/status")
    if not status.is_file():
        pytest.skip("reads /proc")
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
    print(f"{'memory of the process with 1 M x 8 latents':58s}        {lines['VmRSS'].strip()}")
