"""Kept states side by side: every cell says which state it shows, and nothing lies over another."""

from __future__ import annotations

from typing import Any

import pytest
from gestures import LEFT, train
from qtpy.QtTest import QTest

from cryoscope.session import actions

pytestmark = pytest.mark.gl


@pytest.fixture
def trained(window: Any, session: Any, until: Any) -> Any:
    """The window with a run that has stopped, and a state."""
    train(window, session, until)
    actions.stop_training(session)
    until(lambda: not session.run.status.active and not session.jobs)
    until(lambda: session.shown is not None)
    return window


def plates(window: Any) -> list[Any]:
    return [one for one in window.badges.badges if one.isVisible()]


def apart(window: Any) -> None:
    """No plate lies over another, or over the edge of the view."""
    inside = window.label.parentWidget().rect()
    there = plates(window)
    for number, one in enumerate(there):
        assert inside.contains(one.geometry())
        assert not any(one.geometry().intersects(other.geometry()) for other in there[:number])


def test_every_cell_names_its_state(trained: Any, session: Any, until: Any) -> None:
    scene, label = trained.state.scene, trained.label
    actions.move_cursor(session, (1.0, 0.2))
    until(lambda: session.shown.request_id > 0)
    for name in ("open", "closed", "in between"):
        actions.keep_state(session, name)
    until(lambda: scene.list.count() == 3)
    until(lambda: "in between" in label.text())
    QTest.mouseClick(scene.beside, LEFT)
    until(lambda: len(plates(trained)) == 4)
    assert not label.isVisible()
    assert "in between" not in label.text()
    titles = [(one.number, one.title) for one in plates(trained)]
    assert titles == [("▸", "This state"), ("1", "open"), ("2", "closed"), ("3", "in between")]
    assert plates(trained)[1].colour == session.kept_states[0].colour
    assert plates(trained)[1].lines[0].startswith("PC1 ")
    assert plates(trained)[1].lines[1].startswith("decoded by the model")
    apart(trained)
    corners = [one.geometry().topLeft() for one in plates(trained)]
    middle = trained.label.parentWidget().rect().center()
    assert [(at.x() > middle.x(), at.y() > middle.y()) for at in corners] == [
        (False, False),
        (True, False),
        (False, True),
        (True, True),
    ]
    actions.rename_kept(session, "open", "wide open")
    until(lambda: plates(trained)[1].title == "wide open")
    actions.show_kept(session, "closed", False)
    until(lambda: [one.number for one in plates(trained)] == ["▸", "1", "3"])
    QTest.mouseClick(scene.beside, LEFT)
    until(lambda: not plates(trained) and label.isVisible())
    assert "wide open" in label.text()


@pytest.mark.parametrize("side", [2, 3, 4])
def test_plates_stay_apart_in_small_windows(
    trained: Any, session: Any, until: Any, side: int
) -> None:
    for number in range(8):
        actions.keep_state(session, f"a state with a rather long name, number {number}")
    trained.viewer.canvas.grid.shape = (side, side)
    actions.arrange_states(session, "grid")
    wanted = min(9, side * side)
    until(lambda: len(plates(trained)) == wanted)
    for size in ((1600, 1000), (1180, 720)):
        trained.main.resize(*size)
        QTest.qWait(200)
        until(lambda: len(plates(trained)) == wanted)
        apart(trained)
    trained.viewer.canvas.grid.shape = (-1, -1)
