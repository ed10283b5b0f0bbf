from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtTest import QTest

from cryoscope.app.widgets.latent_canvas import LatentCanvas, Tool

LEFT, NO_KEY = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


@pytest.fixture
def canvas(qtbot: Any) -> LatentCanvas:
    made = LatentCanvas()
    qtbot.addWidget(made)
    made.resize(460, 500)
    made.show()
    qtbot.waitExposed(made)
    made.set_home((-2.0, 2.0, -1.0, 1.0))
    return made


def at(canvas: LatentCanvas, x: float, y: float) -> QPoint:
    ((across, down),) = canvas.to_widget([(x, y)])
    return QPoint(round(across), round(down))


def stroke(canvas: LatentCanvas, points: list[tuple[float, float]], keys: Any = NO_KEY) -> None:
    places = [at(canvas, *point) for point in points]
    QTest.mousePress(canvas, LEFT, keys, places[0])
    for place in places[1:]:
        QTest.mouseMove(canvas, place)
    QTest.mouseRelease(canvas, LEFT, keys, places[-1])


def test_positions_go_there_and_back(canvas: LatentCanvas) -> None:
    xy = np.array([[-2, -1], [2, 1], [0.3, -0.7]])
    pixels = canvas.to_widget(xy)
    back = [canvas.to_data(QPointF(x, y)) for x, y in pixels]
    np.testing.assert_allclose(back, xy, atol=1e-9)
    assert pixels[0, 1] > pixels[1, 1], "y grows upwards"


def test_pressing_and_dragging_scrubs(canvas: LatentCanvas) -> None:
    places: list[tuple[float, float]] = []
    canvas.scrubbed.connect(lambda x, y: places.append((x, y)))
    stroke(canvas, [(-1.0, 0.5), (0.0, 0.0), (1.5, -0.5)])
    np.testing.assert_allclose(places[0], (-1.0, 0.5), atol=0.02)
    np.testing.assert_allclose(places[-1], (1.5, -0.5), atol=0.02)


def test_scrubbing_outside_stays_at_the_edge(canvas: LatentCanvas) -> None:
    places: list[tuple[float, float]] = []
    canvas.scrubbed.connect(lambda x, y: places.append((x, y)))
    stroke(canvas, [(0.0, 0.0), (9.0, 9.0)])
    np.testing.assert_allclose(places[-1], (2.0, 1.0), atol=1e-6)


@pytest.mark.parametrize(
    ("keys", "mode"),
    [
        (NO_KEY, "new"),
        (Qt.KeyboardModifier.ShiftModifier, "add"),
        (Qt.KeyboardModifier.ControlModifier, "subtract"),
        (Qt.KeyboardModifier.AltModifier, "subtract"),
    ],
)
def test_a_lasso_is_the_stroke_in_data_positions(
    canvas: LatentCanvas, keys: Any, mode: str
) -> None:
    finished: list[tuple[Any, str]] = []
    canvas.stroke_finished.connect(lambda rule, how: finished.append((rule["polygon"], how)))
    canvas.set_tool(Tool.LASSO)
    corners = [(-1.0, -0.5), (1.0, -0.5), (1.0, 0.5), (-1.0, 0.5)]
    stroke(canvas, corners, keys)
    ((polygon, how),) = finished
    assert how == mode
    np.testing.assert_allclose(polygon, corners, atol=0.02)


def test_the_release_position_belongs_to_the_lasso(canvas: LatentCanvas) -> None:
    finished: list[np.ndarray] = []
    canvas.stroke_finished.connect(lambda rule, _mode: finished.append(rule["polygon"]))
    canvas.set_tool(Tool.LASSO)
    QTest.mousePress(canvas, LEFT, NO_KEY, at(canvas, -1, -0.5))
    QTest.mouseMove(canvas, at(canvas, 1, -0.5))
    QTest.mouseRelease(canvas, LEFT, NO_KEY, at(canvas, 0, 0.8))
    np.testing.assert_allclose(finished[0][-1], (0, 0.8), atol=0.02)


def test_a_click_or_escape_selects_nothing(canvas: LatentCanvas) -> None:
    finished: list[Any] = []
    canvas.stroke_finished.connect(lambda *answer: finished.append(answer))
    canvas.set_tool(Tool.LASSO)
    QTest.mouseClick(canvas, LEFT, NO_KEY, at(canvas, 0, 0))
    QTest.mousePress(canvas, LEFT, NO_KEY, at(canvas, -1, -0.5))
    QTest.mouseMove(canvas, at(canvas, 1, -0.5))
    QTest.mouseMove(canvas, at(canvas, 1, 0.5))
    QTest.keyClick(canvas, Qt.Key.Key_Escape)
    QTest.mouseRelease(canvas, LEFT, NO_KEY, at(canvas, 1, 0.5))
    assert finished == []


def test_panning_moves_the_data_with_the_pointer(canvas: LatentCanvas) -> None:
    canvas.set_tool(Tool.PAN)
    stroke(canvas, [(0.0, 0.0), (0.2, 0.1), (0.5, 0.25)])
    np.testing.assert_allclose(canvas.bounds, (-2.5, 1.5, -1.25, 0.75), atol=0.02)
    canvas.set_home((-3.0, 3.0, -1.0, 1.0))
    assert canvas.bounds[0] > -2.6, "what the user looks at does not jump with new data"
    canvas.fit()
    assert canvas.bounds == (-3.0, 3.0, -1.0, 1.0)


def test_a_change_of_the_view_asks_for_one_picture(canvas: LatentCanvas, qtbot: Any) -> None:
    qtbot.wait(80)
    wanted: list[Any] = []
    canvas.picture_wanted.connect(lambda *answer: wanted.append(answer))
    for i in range(20):
        canvas.set_home((-2.0 - i, 2.0, -1.0, 1.0))
    qtbot.wait(80)
    assert len(wanted) == 1
    bounds, (height, width) = wanted[0]
    assert bounds[0] == -21.0
    assert height == round(canvas.plot_rect().height() * canvas.devicePixelRatioF())
    assert width == round(canvas.plot_rect().width() * canvas.devicePixelRatioF())


def test_the_picture_is_drawn_where_its_bounds_say(canvas: LatentCanvas) -> None:
    picture = np.zeros((50, 50, 4), dtype=np.uint8)
    picture[:25, 25:] = (255, 0, 0, 255)  # upper right
    canvas.set_picture(picture, canvas.bounds)
    drawn = canvas.grab().toImage()
    assert drawn.pixelColor(at(canvas, 1.0, 0.5)).red() > 200
    assert drawn.pixelColor(at(canvas, -1.0, 0.5)).red() < 100
    assert drawn.pixelColor(at(canvas, 1.0, -0.5)).red() < 100


def test_arrow_keys_move_the_cursor(canvas: LatentCanvas) -> None:
    places: list[tuple[float, float]] = []
    canvas.scrubbed.connect(lambda x, y: places.append((x, y)))
    canvas.set_cursor_xy((0.0, 0.0))
    QTest.keyClick(canvas, Qt.Key.Key_Right)
    QTest.keyClick(canvas, Qt.Key.Key_Up)
    np.testing.assert_allclose(places, [(0.08, 0.0), (0.0, 0.04)], atol=1e-9)
