"""Keys, palette, tour, themes, drops, dialogs, small windows: what holds the whole together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gestures import CTRL, LEFT, NO_KEY, SHIFT, Until, box, drag, train
from qtpy.QtCore import QMimeData, QPoint, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractScrollArea,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QFileDialog,
    QLabel,
    QPushButton,
    QSlider,
    QToolButton,
    QWidget,
)

from cryoscope.app import dialogs, remembered, tour
from cryoscope.app.commands import NAPARI, PYTHON, commands_of
from cryoscope.app.shortcuts import ShortcutSheet, shortcuts_of
from cryoscope.app.widgets.latent_canvas import Tool
from cryoscope.session import actions

NARROWER_PX = 4  # than its hint: its text is still whole
CONTROLS = (QAbstractButton, QComboBox, QAbstractSpinBox, QSlider)


# Commands, keys, palette


def command(window: Any, name: str) -> Any:
    return next(one for one in commands_of(window) if one.name == name)


@pytest.mark.gl
def test_every_action_verb_and_preset_is_a_command(window: Any, session: Any) -> None:
    found = commands_of(window)
    names = [one.name for one in found]
    for expected in ("Open files…", "Undo", "Start training", "Lasso", "Tour of the window"):
        assert expected in names
    for preset in actions.preset_names():
        assert f"Method: {preset}" in names
    said = " ".join(one.name for one in found if one.group == PYTHON)
    for verb in ("select", "reconstruct_selection", "export_path", "view_latents"):
        assert f"actions.{verb}(" in said
    for dock in window.docks.values():
        for button in dock.widget().findChildren(QAbstractButton):
            text = button.text().strip("▸▾▶◂ ").replace("&", "")
            if sum(letter.isalpha() for letter in text) > 2 and not hasattr(button, "menu"):
                assert text in names or f"{text}" in " ".join(names), text
    closed = [one for one in found if not one.enabled and one.group != NAPARI]
    assert [one.name for one in closed if not one.tip and one.group not in ("Edit", "File")] == []
    started = command(window, "Start training")
    assert started.enabled
    command(window, "Method: cryoscope-volume").run()
    assert session.config.model != "atomic"


@pytest.mark.gl
def test_no_key_does_two_things(window: Any) -> None:
    ours = [one for one in commands_of(window) if one.group != NAPARI]
    keys = Counter(keys for one in ours for keys in one.keys)
    assert [key for key, count in keys.items() if count > 1] == []
    theirs = {keys for one in commands_of(window) if one.group == NAPARI for keys in one.keys}
    assert not set(keys) & theirs, "a key that two actions have does nothing"


def press(window: Any, qtbot: Any, key: Qt.Key, modifiers: Any = NO_KEY) -> None:
    """A key, in the window that has the keyboard: shortcuts work in no other."""
    window.main.activateWindow()
    qtbot.waitUntil(lambda: QApplication.activeWindow() is window.main, timeout=5000)
    QTest.keyClick(window.main, key, modifiers)


@pytest.mark.gl
def test_the_sheet_lists_all_keys(window: Any, qtbot: Any) -> None:
    press(window, qtbot, Qt.Key.Key_F1)
    sheet = window.main.findChild(ShortcutSheet)
    assert sheet.isVisible()
    rows = shortcuts_of(window)
    listed = {keys for _, keys, _ in rows}
    assert {"F1  or  ?", "Ctrl+Shift+P", "Ctrl+Z", "L", "Ctrl+O", "Shift + drag"} <= listed
    tops = [sheet.rows.topLevelItem(i) for i in range(sheet.rows.topLevelItemCount())]
    assert sum(top.childCount() for top in tops) == len(rows)
    sheet.line.setText("lasso")
    left = [top for top in tops if not top.isHidden()]
    assert any(top.text(0) == "Latent space" for top in left)
    assert "File" not in [top.text(0) for top in left]
    sheet.close()


@pytest.mark.gl
def test_the_palette_finds_by_words_and_does_it(
    window: Any, session: Any, until: Until, qtbot: Any
) -> None:
    train(window, session, until)
    press(window, qtbot, Qt.Key.Key_P, CTRL | SHIFT)
    palette = window.palette
    assert palette.isVisible()
    assert not window.main.findChildren(QWidget, "QCommandPalette")
    QTest.keyClicks(palette.line, "defocus colour")
    assert palette.found[0].name == "Colour particles by: Defocus"
    QTest.keyClick(palette.line, Qt.Key.Key_Return)
    assert not palette.isVisible()
    until(lambda: session.colouring is not None and session.colouring.name == "defocus")
    palette.open()
    assert palette.found[0].name == "Colour particles by: Defocus", "what was used last is first"
    assert palette.rows.currentItem().text(0) == palette.found[0].name
    QTest.keyClicks(palette.line, "zzzz")
    assert palette.found == []
    QTest.keyClick(palette.line, Qt.Key.Key_Return)
    assert palette.isVisible()
    palette.line.clear()
    QTest.keyClicks(palette.line, "actions.lasso")
    QTest.keyClick(palette.line, Qt.Key.Key_Down)
    QTest.keyClick(palette.line, Qt.Key.Key_Up)
    QTest.keyClick(palette.line, Qt.Key.Key_Return)
    until(lambda: QApplication.clipboard().text().startswith("actions.lasso(session, "))


@pytest.mark.gl
def test_what_cannot_be_done_says_why_and_is_not_done(window: Any, session: Any) -> None:
    palette = window.palette
    palette.open()
    QTest.keyClicks(palette.line, "pause")
    assert palette.found[0].name == "Pause"
    assert not palette.found[0].enabled
    assert palette.about.text().startswith("Not now")
    QTest.keyClick(palette.line, Qt.Key.Key_Return)
    assert palette.isVisible()
    palette.close()


# Tour


@pytest.mark.gl
def test_the_tour_points_at_real_widgets_and_goes_on(
    window: Any, session: Any, until: Until, qtbot: Any
) -> None:
    assert not remembered.seen(tour.SEEN)
    tour.offer_tour(window)
    shown = window.tour
    assert shown.count.text() == "1 of 7"
    QTest.mouseClick(shown.next, LEFT)
    assert shown.step.target(window) is window.training.start
    train(window, session, until)
    until(lambda: shown.number == 2, 3000)
    canvas = window.latent.canvas
    drag(canvas, box(canvas, 0.2, 0.4))
    until(lambda: shown.number == 3, 3000)
    QTest.mouseClick(window.latent.tool_row.tools[Tool.LASSO], LEFT)
    drag(canvas, box(canvas, 0.2, 0.6))
    until(lambda: shown.number == 4, 3000)
    assert window.checking.start.isVisible(), "its panel was raised"
    edges = [edge.geometry() for edge in shown._edges]
    target = window.checking.start
    place = target.mapTo(window.main, QPoint(0, 0))
    assert abs(edges[0].left() - place.x()) <= 4
    assert window.main.rect().contains(shown.geometry())
    assert not shown.geometry().contains(place), "the bubble does not cover what it is about"
    QTest.mouseClick(shown.skip, LEFT)
    assert window.tour is None
    assert remembered.seen(tour.SEEN)
    tour.offer_tour(window)
    assert window.tour is None, "only once by itself"
    command(window, "Tour of the window").run()
    assert window.tour is not None
    for _ in tour.STEPS:
        QTest.mouseClick(window.tour.next, LEFT) if window.tour else None
    assert window.tour is None


# Files


def test_dialogs_begin_where_they_were_left(tmp_path: Path, monkeypatch: Any) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    begun: list[str] = []

    def choose(answer: Any) -> Any:
        def ask(_parent: Any, _title: str, folder: str, *_more: Any) -> Any:
            begun.append(folder)
            return answer

        return ask

    monkeypatch.setattr(QFileDialog, "getSaveFileName", choose((str(here / "a.star"), "(*.star)")))
    dialogs.ask_save(None, "Export particles", "/run/a.star", dialogs.STAR_FILTER)
    dialogs.ask_save(None, "Export particles", "/run/b.star", dialogs.STAR_FILTER)
    dialogs.ask_save(None, "Export table", "/run/t.csv", dialogs.CSV_FILTER)
    assert begun == ["/run/a.star", str(here / "b.star"), "/run/t.csv"]
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", choose(([str(there / "m.pdb")], "")))
    dialogs.ask_files(None)
    dialogs.ask_files(None)
    assert begun[3:] == ["", str(there)]
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", choose(str(there)))
    assert dialogs.ask_folder(None, "Open a run") == there
    dialogs.ask_folder(None, "Open a run")
    assert begun[-1] == str(tmp_path), "runs lie beside each other"
    there.rmdir()
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", choose(([], "")))
    dialogs.ask_files(None)
    assert begun[-1] == "", "a folder that is gone is forgotten"


@pytest.mark.gl
def test_files_held_over_the_window_say_what_they_would_become(window: Any, tmp_path: Path) -> None:
    mime = QMimeData()
    names = ("particles.star", "J42.cs", "model.cif", "notes.txt")
    mime.setUrls([QUrl.fromLocalFile(str(tmp_path / name)) for name in names])
    event = QDragEnterEvent(
        QPoint(600, 300), Qt.DropAction.CopyAction, mime, LEFT, Qt.KeyboardModifier.NoModifier
    )
    QApplication.sendEvent(window.main, event)
    assert event.isAccepted()
    said = window.status.message.text()
    assert "particles.star: the particles to train on" in said
    assert "model.cif: the reference structure" in said
    assert "and 1 more" in said


# Work in the background


@pytest.mark.gl
def test_work_shows_how_long_it_takes_and_can_be_cancelled(
    window: Any, session: Any, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cryoscope.app.widgets import job_line

    monkeypatch.setattr(job_line, "PATIENCE_MS", 0)
    ended: list[str] = []

    def work(name: str) -> Any:
        def wait(job: Any) -> None:
            job.wait_cancelled(30)
            ended.append(name)
            job.check()

        return wait

    session.pool.submit("First", work("First"), text="First work")
    session.pool.submit("Second", work("Second"), text="Second work")
    status = window.status.work
    until(lambda: status.more.isVisible())
    assert (status.job_text.text(), status.more.text()) == ("First work", "+1 more")
    until(lambda: status.bar.text.endswith(" s"))
    status.menu.aboutToShow.emit()
    entries = {entry.text(): entry for entry in status.menu.actions()}
    entries["Cancel: Second work"].trigger()
    until(lambda: ended == ["Second"])
    until(lambda: not status.more.isVisible())
    QTest.mouseClick(status.cancel, LEFT)
    assert status.job_text.text() == "Cancelling: First work" or not session.jobs
    until(lambda: not session.jobs and not status.bar.isVisible())
    assert ended == ["Second", "First"]
    assert window.status.message.text() == "Cancelled: First work"


# Controls, small windows, sharp screens


def controls(window: Any) -> Iterator[tuple[str, QWidget]]:
    for name, dock in window.docks.items():
        for widget in dock.widget().findChildren(QWidget):
            inner = isinstance(widget.parentWidget(), (QAbstractSpinBox, QComboBox, QLabel))
            if isinstance(widget, CONTROLS) and not inner and "qt_" not in widget.objectName():
                yield name, widget


@pytest.mark.gl
def test_every_control_has_a_tip(window: Any, session: Any, until: Until) -> None:
    def without() -> list[str]:
        return [
            f"{name}: {type(widget).__name__} {getattr(widget, 'text', str)()}"
            for name, widget in controls(window)
            if not (widget.toolTip() or widget.parentWidget().toolTip())
            and type(widget) is not QAbstractButton  # corners of tables
            and type(widget.parentWidget()).__name__ not in ("CautionLine", "QLineEdit")
        ]

    assert without() == []
    train(window, session, until)
    assert without() == []


def cut_off(window: Any, qtbot: Any) -> list[str]:
    """Controls and lines of text that cannot be seen whole, each panel raised in turn."""
    found = []
    for name, dock in window.docks.items():
        dock.show()
        dock.raise_()
        qtbot.wait(40)
        for widget in dock.widget().findChildren(QWidget):
            if not widget.isVisible() or not isinstance(widget, (*CONTROLS, QLabel)):
                continue
            if scrolled(widget, dock):
                continue
            named = isinstance(widget, (QPushButton, QToolButton)) and widget.text()
            narrow = bool(named) and widget.width() < widget.sizeHint().width() - NARROWER_PX
            if narrow or widget.visibleRegion().boundingRect() != widget.rect():
                found.append(f"{name}: {type(widget).__name__} {getattr(widget, 'text', str)()}")
    return found


def scrolled(widget: QWidget, dock: QWidget) -> bool:
    above = widget.parentWidget()
    while above is not None and above is not dock:
        if isinstance(above, (QAbstractScrollArea, QComboBox, QAbstractSpinBox)):
            return True
        above = above.parentWidget()
    return False


@pytest.mark.gl
def test_nothing_is_cut_off_in_a_small_window(
    window: Any, session: Any, until: Until, qtbot: Any
) -> None:
    window.main.resize(1280, 720)
    window.arrange()
    qtbot.wait(50)
    assert (window.main.width(), window.main.height()) == (1280, 720), "it can be that small"
    assert cut_off(window, qtbot) == []
    train(window, session, until)
    assert cut_off(window, qtbot) == []
