"""Selections leave the window as any kind of file and come back into it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from cryoscope.app import particle_dialogs
from cryoscope.session import actions
from cryoscope.session.follow import show_latents
from tests.session.conftest import fake_latents

LEFT = Qt.MouseButton.LeftButton
Until = Callable[..., None]
pytestmark = pytest.mark.gl


def menu_action(window: Any, text: str) -> Any:
    menu = window.main.menuBar().actions()[0].menu()
    menu.aboutToShow.emit()
    return next(action for action in menu.actions() if action.text() == text)


def test_a_selection_goes_out_and_comes_back(
    window: Any, session: Any, until: Until, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = window.selections
    assert menu_action(window, "Import a selection…").isEnabled()
    assert not menu_action(window, "Export latents and covariates…").isEnabled()
    count = len(session.particles.record)
    latents = fake_latents("run", 1, 0)
    z = np.random.default_rng(0).normal(size=(count, latents.z.shape[1])).astype(np.float32)
    from cryoscope.data import Latents

    show_latents(session, Latents(z, None, session.particles.record.uid, "run", 1))
    actions.lasso(session, [(0, -99), (99, -99), (99, 99), (0, 99)])
    until(lambda: panel.export.isEnabled())
    wanted = session.selections[0].mask
    path = tmp_path / "kept.json"
    monkeypatch.setattr(particle_dialogs, "ask_export", lambda *_: (path, False))
    QTest.mouseClick(panel.export, LEFT)
    until(path.exists)
    monkeypatch.setattr(particle_dialogs, "ask_selection", lambda *_: path)
    QTest.mouseClick(panel.bring, LEFT)
    until(lambda: len(session.selections) == 2)
    assert np.array_equal(session.selections[1].mask, wanted)
    until(lambda: panel.table.rowCount() == 2)
    table = tmp_path / "all.csv"
    monkeypatch.setattr(particle_dialogs, "ask_table", lambda *_: table)
    menu_action(window, "Export latents and covariates…").trigger()
    until(table.exists)
    for button in (panel.undo, panel.redo, panel.remove, panel.change, panel.bring, panel.export):
        assert button.width() >= button.sizeHint().width() - 1, button.text()


def test_kinds_of_files_that_are_offered() -> None:
    star, cs = particle_dialogs.export_kinds(".star"), particle_dialogs.export_kinds(".cs")
    assert particle_dialogs.WITH_COLUMNS in star
    assert star[0].endswith("(*.star)")
    assert cs[0].endswith("(*.cs)")
    assert not any("*.star" in kind for kind in cs)
