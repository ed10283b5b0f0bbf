"""States in the 3-D view: scrubbed, kept, overlaid, side by side, coloured."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gestures import LEFT, NO_KEY, box, train
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from cryoscope.analysis.reduce import nearest_state
from cryoscope.app.napari_bridge import BACKBONE_LAYER, DENSITY_LAYER
from cryoscope.session import actions

pytestmark = pytest.mark.gl


@pytest.fixture
def trained(window: Any, session: Any, until: Any) -> Any:
    """The window with a run that has stopped, and a state in full."""
    train(window, session, until)
    actions.stop_training(session)
    until(lambda: not session.run.status.active and not session.jobs)
    press(window, 0.3)
    until(lambda: session.shown.box_text.startswith("full"))
    return window


def press(window: Any, right: float) -> None:
    canvas = window.latent.canvas
    x, y = canvas.to_widget([np.mean(box(canvas, right, right), axis=0)])[0]
    QTest.mouseClick(canvas, LEFT, NO_KEY, QPoint(round(x), round(y)))


def choose(combo: Any, key: str) -> None:
    combo.setCurrentIndex(combo.findData(key))
    combo.activated.emit(combo.currentIndex())


def test_scrubbing_goes_from_coarse_to_full(trained: Any, session: Any, until: Any) -> None:
    canvas = trained.latent.canvas
    boxes: list[str] = []
    session.events.shown.connect(lambda state: boxes.append(state.box_text))
    places = canvas.to_widget([np.mean(box(canvas, r, r), axis=0) for r in (0.3, 0.5, 0.7)])
    QTest.mousePress(canvas, LEFT, NO_KEY, QPoint(*np.round(places[0]).astype(int)))
    for x, y in places:
        QTest.mouseMove(canvas, QPoint(round(x), round(y)))
    until(lambda: "32³ coarse preview of 72³" in boxes)
    QTest.mouseRelease(canvas, LEFT, NO_KEY, QPoint(*np.round(places[-1]).astype(int)))
    until(lambda: boxes[-1] == "full 72³")
    assert boxes[-2] == "48³ preview of 72³"
    until(lambda: "full 72³" in trained.label.text())
    assert session.cursor_xy[0] > 0  # seven tenths of the way across the plot
    expected, _ = nearest_state(session.latents.z, session.embedding.xy, session.cursor_xy)
    np.testing.assert_allclose(session.shown.z, expected, atol=1e-4)


def test_states_are_kept_and_compared(trained: Any, session: Any, until: Any) -> None:
    scene, layers = trained.state.scene, trained.viewer.layers
    assert not scene.beside.isEnabled()
    QTest.mouseClick(scene.keep, LEFT)
    until(lambda: "state 1 (density)" in layers and scene.list.count() == 1)
    kept = session.kept_states[0].shown
    until(lambda: "state 1" in trained.label.text())
    press(trained, 0.8)
    until(lambda: session.shown.box_text.startswith("full") and session.shown is not kept)
    assert session.kept_states[0].shown is kept
    backbone = layers["state 1 (backbone)"]
    assert backbone.visible
    order = [layers.index(name) for name in (BACKBONE_LAYER, "state 1 (backbone)", DENSITY_LAYER)]
    assert order == sorted(order)  # what is solid lies below the veils
    QTest.mouseClick(scene.beside, LEFT)
    grid = trained.viewer.canvas.grid
    until(lambda: grid.enabled)
    assert [layer.name for layer in layers[:4]] == [
        BACKBONE_LAYER,
        DENSITY_LAYER,
        "state 1 (backbone)",
        "state 1 (density)",
    ]
    assert grid.actual_shape(layers) == (1, 2)
    item = scene.list.item(0)
    item.setText("open")
    until(lambda: session.kept_states[0].name == "open" and "open (density)" in layers)
    scene.list.item(0).setCheckState(Qt.CheckState.Unchecked)
    until(lambda: not layers["open (density)"].visible)
    QTest.mouseClick(scene.remove, LEFT)
    until(lambda: not grid.enabled and "open (density)" not in layers)
    QTest.mouseClick(trained.selections.undo, LEFT)
    until(lambda: "open (density)" in layers)


def test_surface_and_backbone_change_their_look(trained: Any, session: Any, until: Any) -> None:
    scene, layers = trained.state.scene, trained.viewer.layers
    tube = layers[BACKBONE_LAYER].data[0].copy()
    choose(scene.style_choice, "ribbon")
    until(lambda: not np.allclose(layers[BACKBONE_LAYER].data[0], tube))
    choose(scene.surface, "displacement")
    until(lambda: np.ptp(layers[DENSITY_LAYER].data[2]) > 0)
    assert scene.bar.isVisible()
    QTest.mouseClick(scene.keep, LEFT)
    until(lambda: scene.list.count() == 1)
    press(trained, 0.8)
    choose(scene.surface, "difference")
    until(lambda: layers[DENSITY_LAYER].contrast_limits[0] < 0)
    assert "state 1" in scene.bar.title
    assert layers[DENSITY_LAYER].opacity == 1.0
    level = session.kept_states[0].shown.level
    actions.set_contour(session, 5.0)
    until(lambda: session.kept_states[0].shown.level > level)
    choose(scene.surface, "plain")
    until(lambda: tuple(layers[DENSITY_LAYER].contrast_limits) == (0.0, 1.0))
    assert not scene.bar.isVisible()
