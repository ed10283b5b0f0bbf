from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gestures import LEFT, Until, train
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QDockWidget

from cryoscope.app.napari_bridge import DENSITY_LAYER
from cryoscope.session import RunStatus, actions

pytestmark = pytest.mark.gl


def test_a_finished_run_is_not_resumed_and_a_new_one_starts_with_an_empty_plot(
    window: Any, session: Any, until: Until
) -> None:
    from dataclasses import replace

    train(window, session, until)
    until(lambda: window.training.loss.term_names != ())
    assert "image fit" in window.training.terms.currentText()
    actions.stop_training(session)
    until(lambda: session.run.status is RunStatus.STOPPED and window.training.pause.isEnabled())
    session.run = replace(session.run, status=RunStatus.FINISHED)
    until(lambda: not window.training.pause.isEnabled())
    folder = session.run.folder
    QTest.mouseClick(window.training.start, LEFT)
    until(lambda: session.run.status is RunStatus.PREPARING)
    until(lambda: session.run.folder not in (folder, folder.parent))
    assert session.run.folder.parent == folder.parent, "runs of a data set lie side by side"


def test_the_run_says_where_it_trains_and_what_the_contrast_is(
    window: Any, session: Any, until: Until
) -> None:
    train(window, session, until)
    until(lambda: "protein bright, detected" in window.project.lines["Run"].text())
    assert "on CPU" in window.project.lines["Run"].text()


def test_layer_controls_are_made_when_they_are_looked_at(
    window: Any, session: Any, until: Until
) -> None:
    from napari._qt.layer_controls import QtLayerControlsContainer

    train(window, session, until)
    controls = window.main.findChild(QtLayerControlsContainer)
    assert controls.widgets == {}
    dock = controls.parent()
    while not isinstance(dock, QDockWidget):
        dock = dock.parent()
    dock.show()
    until(lambda: len(controls.widgets) == 2)
    window.viewer.layers.remove(window.viewer.layers[DENSITY_LAYER])
    assert len(controls.widgets) == 1


def test_a_new_model_may_shrink_the_range_of_the_colours(window: Any) -> None:
    bridge = window.napari_bridge
    for moved_A, model, expected_A in (
        (20.0, "epoch 1", 22.0),
        (5.0, "epoch 1", 22.0),
        (5.0, "epoch 2", 17.6),
        (9.0, "epoch 3", 17.6),
        (30.0, "epoch 3", 33.0),
        (0.1, "epoch 3", 33.0),
    ):
        bridge._set_range(np.array([moved_A]), model)
        assert bridge._maximum_A == pytest.approx(expected_A)


def test_garbage_is_collected_in_the_main_thread_only(
    qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gc
    import threading

    from qtpy.QtCore import QObject

    from cryoscope.app import startup

    monkeypatch.setattr(startup, "COLLECT_MS", 10)
    owner, seen = QObject(), []
    monkeypatch.setattr(
        gc, "collect", lambda generation: seen.append((generation, threading.current_thread()))
    )
    startup.begin()
    try:
        startup.end(owner)
        qtbot.waitUntil(lambda: len(seen) >= 10, timeout=5000)
        assert not gc.isenabled()
    finally:
        gc.unfreeze()
        gc.enable()
        owner.deleteLater()
    assert {thread for _, thread in seen} == {threading.main_thread()}
    assert [generation for generation, _ in seen[:10]] == [0] * 9 + [1]
