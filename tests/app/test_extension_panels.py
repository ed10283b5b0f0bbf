"""Panels of other distributions in the window, and the About box."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from extension_code import install_panels
from qtpy.QtWidgets import QApplication, QLabel

from cryoscope import __version__
from cryoscope.app.about import show_about
from cryoscope.io import extensions

pytestmark = pytest.mark.gl


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_panels(tmp_path, monkeypatch)


def test_a_panel_is_docked_and_a_broken_one_is_told_of(installed: None, window: Any) -> None:
    dock = window.docks["extension counting"]
    assert dock.windowTitle() == "Counting"
    assert "2,000 of them" in {label.text() for label in dock.findChildren(QLabel)}
    assert dock in window.main.tabifiedDockWidgets(window.docks["project"])
    assert "extension failing" not in window.docks
    errors = {entry.extension.name: entry.error for entry in extensions.broken()}
    assert set(errors) == {"failing", "nothing"}
    assert "no such luck" in errors["failing"]
    assert "NoneType" in errors["nothing"]
    assert "more-panels 3.0" in window.session.notice.text
    assert "1 more" in window.session.notice.text


def test_about_has_versions_to_copy(window: Any, qtbot: Any) -> None:
    box = show_about(window.main)
    qtbot.wait(50)
    text = box.versions.toPlainText()
    assert f"cryoscope {__version__}" in text
    assert "napari " in text
    assert "torch " in text
    box.copy.click()
    assert QApplication.clipboard().text() == text
    box.close()
