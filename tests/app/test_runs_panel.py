from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic
from gestures import LEFT, Until, train
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from cryoscope.session import LossHistory, RunStatus, actions
from cryoscope.session.records import RunView
from cryoscope.session.run_compare import ComparedRun, Comparison, beside_each_other
from cryoscope.session.run_compare import SettingRow as Row
from cryoscope.session.run_epochs import EpochShown

pytestmark = pytest.mark.gl


def compared(session: Any, name: str, seed: int) -> ComparedRun:
    step = np.arange(1, 300)
    terms = {"data": 50 * np.exp(-step / 60) + seed, "total": 60 * np.exp(-step / 60)}
    run = RunView(Path("/runs") / name, run_id=name, history=LossHistory(step, terms))
    return ComparedRun(run, session.config, 500, step / 10, synthetic.latents(500, 1.0, seed))


def runs(session: Any) -> Comparison:
    pair = beside_each_other([compared(session, "run-001", 1), compared(session, "run-002", 2)])
    return Comparison(tuple(pair), (Row("optimiser.epochs", "Epochs", "", (30, 50)),))


def test_runs_beside_each_other(window: Any, session: Any, until: Until) -> None:
    panel = window.runs
    window.docks["runs"].raise_()
    assert panel.hint.isVisible()
    assert not panel.curves.isVisible()
    assert not panel.clear.isEnabled()
    session.comparison = runs(session)
    until(lambda: panel.curves.isVisible())
    assert panel.curves.names == ("run-001", "run-002")
    assert "passes" in panel.curves.x_label
    assert [panel.terms.itemData(i) for i in range(panel.terms.count())] == ["data", "total"]
    texts = [panel.table.item(0, column).text() for column in range(3)]
    assert texts == ["Epochs", "30", "50"]
    assert panel.table.horizontalHeaderItem(2).text() == "run-002"
    words = [label.text() for label in panel.gallery.findChildren(type(panel.hint))]
    assert any("neighbours" in text and "chance" in text for text in words)
    QTest.mouseClick(panel.clear, LEFT)
    until(lambda: panel.hint.isVisible())
    assert session.comparison is None


def test_epochs_are_scrubbed_with_the_keys_and_the_newest_comes_back(
    window: Any, session: Any, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int | None] = []
    monkeypatch.setattr(actions, "show_epoch", lambda _session, epoch: asked.append(epoch))
    bar = window.training.epochs
    assert not bar.slider.isEnabled()
    session.run = RunView(Path("/runs/run-001"), epochs=((2, 20), (5, 50), (9, 90)))
    until(lambda: bar.slider.isEnabled())
    assert "3 saved epochs" in bar.label.text()
    assert bar.slider.value() == bar.slider.maximum()
    bar.slider.setFocus()
    for key in (Qt.Key.Key_Home, Qt.Key.Key_Right):
        QTest.keyClick(bar.slider, key)
    assert asked == [2, 5]
    session.epoch_shown = EpochShown(5, 50, decodes=False)
    until(lambda: "not kept" in bar.label.text())
    assert bar.slider.value() == 1
    QTest.mouseClick(bar.newest, LEFT)
    assert asked[-1] is None


def test_a_run_of_another_program_is_named_and_does_not_lock_the_form(
    window: Any, session: Any, until: Until
) -> None:
    panel = window.training
    run = RunView(Path("/runs/run-001"), status=RunStatus.RUNNING, viewing_share=0.07, step=5)
    session.run = replace(run, attached="process 17")
    until(lambda: "another program (process 17)" in panel.status.text())
    assert "viewing 7 %" in panel.numbers.text()
    assert panel.pause.isEnabled()
    assert panel.everyday.isEnabled()
    session.run = run
    until(lambda: not panel.everyday.isEnabled())
    session.run = None
    until(lambda: panel.settings.isChecked())


def test_changed_settings_are_listed_and_put_back(window: Any, session: Any, until: Until) -> None:
    panel = window.training
    assert not panel.changes.isVisible()
    before = session.config.optimiser.epochs
    actions.set_option(session, "optimiser.epochs", 77)
    until(lambda: panel.changes.text() == "1 changed")
    assert f"Epochs: {before} → 77" in panel.changes.toolTip()
    assert (
        f"Default of this method: {before}" in panel.everyday.editors["optimiser.epochs"].toolTip()
    )
    entry = next(a for a in panel.changes.menu().actions() if "77" in a.text())
    entry.trigger()
    until(lambda: not panel.changes.isVisible())
    assert session.config.optimiser.epochs == before


def test_settings_make_room_for_the_losses_once_a_run_is_there(
    window: Any, session: Any, until: Until
) -> None:
    panel = window.training
    assert panel.form.isVisible()
    train(window, session, until)
    until(lambda: not panel.form.isVisible())
    assert panel.loss.isVisible()
    assert panel.epochs.isVisible()
    assert not panel.clone.isEnabled(), "another run cannot be started meanwhile"
    QTest.mouseClick(panel.settings, LEFT)
    assert panel.form.isVisible()
