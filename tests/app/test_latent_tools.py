from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gestures import LEFT, NO_KEY, SHIFT, Until, drag, pause, train
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from cryoscope.app.widgets.latent_canvas import LatentCanvas, Tool
from cryoscope.session import actions

BOTH = Qt.KeyboardModifier.ShiftModifier | Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def canvas(qtbot: Any) -> LatentCanvas:
    made = LatentCanvas()
    qtbot.addWidget(made)
    made.resize(460, 500)
    made.show()
    qtbot.waitExposed(made)
    made.set_home((-2.0, 2.0, -1.0, 1.0))
    made.rules = []
    made.stroke_finished.connect(lambda rule, mode: made.rules.append((rule, mode)))
    return made


def at(canvas: LatentCanvas, x: float, y: float) -> QPoint:
    ((across, down),) = canvas.to_widget([(x, y)])
    return QPoint(round(across), round(down))


def test_a_polygon_is_clicked_and_closed(canvas: LatentCanvas) -> None:
    corners = [(-1.0, -0.5), (1.0, -0.5), (0.0, 0.5)]
    for close in ("first corner", "enter", "double click"):
        canvas.set_tool(Tool.POLYGON)
        for corner in corners:
            QTest.mouseClick(canvas, LEFT, NO_KEY, at(canvas, *corner))
        if close == "first corner":
            QTest.mouseClick(canvas, LEFT, NO_KEY, at(canvas, *corners[0]))
        elif close == "enter":
            QTest.keyClick(canvas, Qt.Key.Key_Return)
        else:
            QTest.mouseDClick(canvas, LEFT, NO_KEY, at(canvas, *corners[-1]))
        rule, _ = canvas.rules[-1]
        assert rule["kind"] == "polygon"
        np.testing.assert_allclose(rule["polygon"], corners, atol=0.02)
    assert len(canvas.rules) == 3


def test_a_polygon_stays_with_the_particles_while_the_view_moves(canvas: LatentCanvas) -> None:
    canvas.set_tool(Tool.POLYGON)
    corners = [(-1.0, -0.5), (1.0, -0.5), (0.0, 0.5)]
    for corner in corners[:2]:
        QTest.mouseClick(canvas, LEFT, NO_KEY, at(canvas, *corner))
    right = Qt.MouseButton.RightButton
    QTest.mousePress(canvas, right, NO_KEY, at(canvas, 0, 0))
    QTest.mouseMove(canvas, at(canvas, 0.3, 0.2))
    QTest.mouseRelease(canvas, right, NO_KEY, at(canvas, 0.3, 0.2))
    QTest.mouseClick(canvas, LEFT, NO_KEY, at(canvas, *corners[2]))
    QTest.keyClick(canvas, Qt.Key.Key_Return)
    np.testing.assert_allclose(canvas.rules[0][0]["polygon"], corners, atol=0.03)


def test_rectangle_brush_and_nearest(canvas: LatentCanvas) -> None:
    canvas.set_tool(Tool.RECTANGLE)
    drag(canvas, [(-1, -0.5), (0.5, 0.2), (1, 0.5)], BOTH)
    rule, mode = canvas.rules[-1]
    assert mode == "intersect"
    np.testing.assert_allclose(sorted(x for x, _ in rule["polygon"]), [-1, -1, 1, 1], atol=0.02)
    canvas.set_tool(Tool.BRUSH)
    canvas.amounts[Tool.BRUSH] = 40
    drag(canvas, [(-1, 0), (0, 0), (1, 0)])
    rule, _ = canvas.rules[-1]
    across = 4.0 / canvas.plot_rect().width()
    np.testing.assert_allclose(rule["radius"][0], 20 * across, rtol=1e-6)
    assert len(rule["path"]) == 3
    canvas.set_tool(Tool.NEAREST)
    canvas.mode = "add"
    QTest.mouseClick(canvas, LEFT, NO_KEY, at(canvas, 0.5, 0.25))
    rule, mode = canvas.rules[-1]
    assert (rule["count"], mode) == (200, "add")
    np.testing.assert_allclose(rule["xy"], (0.5, 0.25), atol=0.02)


def test_another_tool_drops_what_is_half_drawn(canvas: LatentCanvas) -> None:
    canvas.set_tool(Tool.POLYGON)
    for corner in ((-1, 0), (1, 0), (0, 0.5)):
        QTest.mouseClick(canvas, LEFT, NO_KEY, at(canvas, *corner))
    canvas.set_tool(Tool.LASSO)
    QTest.keyClick(canvas, Qt.Key.Key_Return)
    assert canvas.rules == []


@pytest.fixture
def paused(window: Any, session: Any, until: Until) -> Any:
    train(window, session, until)
    pause(window, session, until)
    until(lambda: not session.jobs)
    return window


@pytest.mark.gl
def test_the_histogram_and_the_names_select(paused: Any, session: Any, until: Until) -> None:
    latent, legend = paused.latent, paused.latent.legend
    place = latent.view_row.colour.findData("defocus")
    latent.view_row.colour.setCurrentIndex(place)
    latent.view_row.colour.activated.emit(place)
    until(lambda: legend.covariate is not None and legend.covariate.unit == "µm")
    QTest.mousePress(legend, LEFT, NO_KEY, QPoint(legend.width() // 2, 30))
    QTest.mouseMove(legend, QPoint(legend.width() - 40, 30))
    until(lambda: "particles" in legend._text)
    QTest.mouseRelease(legend, LEFT, NO_KEY, QPoint(legend.width() - 2, 30))
    (made,) = session.selections
    assert made.made_by["high"] is None, "open at the end of the histogram"
    defocus = session.colouring.values.astype(float)
    assert np.array_equal(made.mask, defocus >= made.made_by["low"])
    actions.cluster_particles(session, 3)
    until(lambda: legend.covariate.name == "cluster" and latent.view_row.clusters.isVisible())
    QTest.mouseClick(legend, LEFT, SHIFT, legend._boxes()[1].center().toPoint())
    (made,) = session.selections
    assert np.array_equal(
        made.mask, (defocus >= made.made_by["steps"][0]["low"]) | (session.clusters == 1)
    )
    paused.main.grab()


@pytest.mark.gl
def test_hovering_shows_the_particle(paused: Any, session: Any, until: Until) -> None:
    canvas = paused.latent.canvas
    x, y = canvas.to_widget([session.embedding.xy[7]])[0]
    QTest.mouseMove(canvas, QPoint(round(x) + 1, round(y)))
    QTest.mouseMove(canvas, QPoint(round(x), round(y)))
    until(lambda: canvas._card is not None)
    assert canvas._card.image.ndim == 2
    assert "particles.mrcs" in canvas._card.name
    paused.main.grab()
    QTest.mouseMove(canvas, QPoint(1, 1))
    until(lambda: canvas._card is None)


@pytest.mark.gl
def test_views_modes_and_amounts_by_their_widgets(paused: Any, session: Any, until: Until) -> None:
    latent = paused.latent
    row = latent.view_row
    index = row.view.findData("dims")
    row.view.setCurrentIndex(index)
    row.view.activated.emit(index)
    until(lambda: latent.canvas.x_label == "Latent dimension 1" and row.x.itemText(0) == "z1")
    row.y.setCurrentIndex(2)
    row.y.activated.emit(2)
    until(lambda: latent.canvas.y_label == "Latent dimension 3")
    QTest.mouseClick(latent.tool_row.modes["subtract"], LEFT)
    assert (latent.canvas.mode, latent.legend.mode) == ("subtract", "subtract")
    QTest.mouseClick(latent.tool_row.tools[Tool.NEAREST], LEFT)
    until(lambda: latent.amount.isVisible())
    latent.amount.setValue(77)
    assert latent.canvas.amounts[Tool.NEAREST] == 77
    assert not row.view.model().item(row.view.findData("volume")).isEnabled()


@pytest.mark.gl
def test_notes_and_changes_in_the_list(paused: Any, session: Any, until: Until) -> None:
    panel = paused.selections
    actions.select(session, {"kind": "nearest", "xy": [0, 0], "count": 100})
    actions.select(session, {"kind": "nearest", "xy": [0, 0], "count": 40})
    until(lambda: panel.table.rowCount() == 2)
    panel.table.item(0, 2).setText("the hinge")
    assert session.selections[0].note == "the hinge"
    panel._fill_menu()
    for action in panel.menu.actions():
        if action.text() == "Add the particles of":
            action.menu().actions()[0].trigger()
    assert len(session.selections[1]) == 100
    panel.menu.actions()[0].trigger()
    assert len(session.selections[1]) == 1900
