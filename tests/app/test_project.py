from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic
from gestures import LEFT, Until, box, drag
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QAction
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QMenu

from cryoscope.app import console, dialogs
from cryoscope.app.widgets.latent_canvas import Tool
from cryoscope.io.run_folder import RunFolder
from cryoscope.io.structures import write_structure
from cryoscope.session import Session, actions
from cryoscope.session.thread_runner import ThreadRunner
from cryoscope.training.config import config_to_json

pytestmark = pytest.mark.gl
COUNT = 2000


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))


def fresh_session() -> Session:
    return Session(
        make_runner=lambda: ThreadRunner(lambda say: synthetic.ScriptedEngine(say, COUNT))
    )


def a_run(folder: Path) -> Path:
    """A finished run; its particles are elsewhere, as on a laptop."""
    config = config_to_json(Session().config)
    config["data"] |= {"particles": str(folder / "far-away.star")}
    run = RunFolder.create(folder / "run-001", config, {"particle_count": COUNT, "run_id": "r1"})
    run.write_reference(synthetic.structure())
    write_structure(folder / "model.pdb", synthetic.structure())
    run.save_latents(replace(synthetic.latents(COUNT, 1.0), run_id="r1"), live=False)
    run.save_checkpoint(7, {"w": np.zeros(1)}, {"epoch": 30})
    return run.path


@pytest.fixture
def windows(qtbot: Any, tmp_path: Path) -> Iterator[Callable[[], Any]]:
    """Windows, each with a session of its own; closed at the end if the test has not."""
    from cryoscope.app.window import CryoscopeWindow

    open_ones: list[Any] = []

    def make() -> Any:
        window = CryoscopeWindow(tmp_path / "demo")
        window.show()
        window.main.resize(1280, 760)
        window.fill(fresh_session())
        window.closed.connect(lambda: open_ones.remove(window))
        open_ones.append(window)
        qtbot.wait(100)
        return window

    yield make
    for window in list(open_ones):
        window.shut_down()
    qtbot.waitUntil(lambda: not open_ones, timeout=20_000)
    qtbot.wait(20)


def entry(window: Any, *names: str) -> QAction:
    """An entry of the menus, by the names on the way to it."""
    place: Any = window.main.menuBar()
    for name in names:
        found = [one for one in place.actions() if one.text().replace("&", "") == name]
        assert found, f"{name!r} is not in {[one.text() for one in place.actions()]}"
        if isinstance(found[0].menu(), QMenu):
            place = found[0].menu()
            place.aboutToShow.emit()
    return found[0]


def close(window: Any, qtbot: Any) -> None:
    with qtbot.waitSignal(window.closed, timeout=20_000):
        window.main.close()


def open_in(window: Any, until: Until, path: Path) -> Any:
    window.open_paths([path])
    until(lambda: window.session.embedding is not None and not window.session.jobs)
    until(lambda: window.session.shown is not None)
    until(lambda: not window.latent.canvas.empty_text)  # the plot has its points, and its bounds
    return window.session


def test_a_project_reopens_as_it_was(
    windows: Any, until: Until, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    monkeypatch.setattr(dialogs, "ask_new_folder", lambda *_: project)
    window = windows()
    session = open_in(window, until, a_run(tmp_path))
    entry(window, "File", "Save project").trigger()
    until(lambda: session.project is not None and not session.jobs)
    until(lambda: window.viewer.title == "project – Cryoscope")
    window.latent.choose(Tool.LASSO)
    drag(window.latent.canvas, box(window.latent.canvas, 0.1, 0.5))
    until(lambda: len(session.selections) == 1)
    actions.make_path(session, "component", frames=5)
    actions.view_latents(session, "pc", 2, 1)
    until(lambda: session.trajectories and session.latent_view.x == 2 and not session.jobs)
    window.latent.choose(Tool.EXPLORE)
    x0, x1, y0, y1 = window.latent.canvas.bounds
    drag(window.latent.canvas, [(0.0, 0.0), (0.4 * x1, 0.4 * y1)])
    window.latent.canvas._look_at((0.5 * x0, 0.5 * x1, 0.5 * y0, 0.5 * y1))
    camera = window.viewer.scene.camera
    qtbot.wait(300)
    camera.angles, camera.zoom = (11.0, -20.0, 33.0), 1.7 * camera.zoom
    window.docks["checking"].hide()
    window.docks["log"].raise_()
    qtbot.wait(50)
    want = {
        "angles": camera.angles,
        "zoom": camera.zoom,
        "cursor": session.cursor_xy,
        "bounds": window.latent.canvas.bounds,
        "mask": session.selections[0].mask,
        "xy": session.embedding.xy,
    }
    close(window, qtbot)
    again = windows()
    other = open_in(again, until, project)
    until(lambda: again.desk._applied is not None and again.desk._decoded)
    until(lambda: not again.desk._camera)
    np.testing.assert_array_equal(other.selections[0].mask, want["mask"])
    np.testing.assert_array_equal(other.embedding.xy, want["xy"])
    assert other.cursor_xy == pytest.approx(want["cursor"])
    assert [one.name for one in other.trajectories] == ["PC1"]
    assert again.viewer.scene.camera.angles == pytest.approx(want["angles"], abs=0.1)
    assert again.viewer.scene.camera.zoom == pytest.approx(want["zoom"], rel=0.01)
    assert again.latent.canvas.bounds == pytest.approx(want["bounds"])
    assert again.docks["checking"].isHidden()
    until(again.desk.log.is_seen)
    assert "far-away.star" in "".join(one.text for one in other.journal.entries())
    assert again.status.error_box is None, "missing images are no error"


def test_a_second_window_is_told_who_has_the_project(
    windows: Any, until: Until, tmp_path: Path
) -> None:
    window = windows()
    session = open_in(window, until, a_run(tmp_path))
    actions.save_project(session, tmp_path / "project")
    until(lambda: session.project is not None)
    second = windows()
    second.open_paths([tmp_path / "project"])
    until(lambda: second.status.error_box is not None)
    assert "in use" in second.status.error_box.text()
    texts = [button.text().replace("&", "") for button in second.status.error_box.buttons()]
    assert "Show log" in texts
    assert not second.desk.log.is_seen()
    button = next(one for one in second.status.error_box.buttons() if "log" in one.text())
    QTest.mouseClick(button, LEFT)
    until(second.desk.log.is_seen)
    chosen = second.desk.log.chosen()
    assert [one.level for one in chosen] == ["error"]
    assert "project.lock" in second.desk.log.details.toPlainText()


def test_recent_projects_are_listed_and_missing_ones_greyed(
    windows: Any, until: Until, tmp_path: Path
) -> None:
    window = windows()
    for name in ("one", "two"):
        actions.new_project(window.session, tmp_path / name)
        until(lambda: not window.session.jobs and window.session.project is not None)
    until(lambda: window.session.project.path.name == "two")
    for file in sorted((tmp_path / "one").glob("*.json")):
        file.unlink()
    recent = entry(window, "File", "Open recent project").menu()
    until(lambda: any("not there" in one.text() for one in recent.actions()))
    found = {one.text(): one.isEnabled() for one in recent.actions() if one.text()}
    assert found == {
        "two": True, "one (not there)": False, "Forget those that are not there": True,
    }  # fmt: skip
    entry(window, "File", "Open recent project", "Forget those that are not there").trigger()
    until(lambda: [one.text() for one in recent.actions()] == ["two"])


def test_the_last_action_is_copied(windows: Any, until: Until, tmp_path: Path) -> None:
    window = windows()
    run = a_run(tmp_path)
    session = open_in(window, until, run)
    entry(window, "Edit", "Copy last action as command").trigger()
    assert QApplication.clipboard().text() == f"cryoscope {run}"
    window.latent.choose(Tool.LASSO)
    drag(window.latent.canvas, box(window.latent.canvas, 0.1, 0.5))
    until(lambda: len(session.selections) == 1)
    assert not entry(window, "Edit", "Copy last action as command").isEnabled()
    entry(window, "Edit", "Copy last action as Python").trigger()
    line = QApplication.clipboard().text()
    assert line.startswith("actions.select(session, {'kind': 'lasso'")
    exec(line, {"actions": actions, "session": session})
    assert np.array_equal(session.selections[0].mask, session.selections[1].mask)


def test_the_log_is_filtered_copied_and_saved(
    windows: Any, until: Until, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = windows()
    session = open_in(window, until, a_run(tmp_path))
    log = window.desk.log
    assert not log.model.rows, "nobody looks: nothing is done"
    QTest.mouseClick(window.status.message, LEFT)
    until(lambda: log.is_seen() and len(log.model.rows) > 2)
    assert log.chosen()[0].level == "warning", "the last thing that went wrong"
    log.kinds.setCurrentIndex(2)
    assert {one.level for one in log.model.rows} == {"action"}
    actions.set_contour(session, 2.0)
    until(lambda: log.model.rows[-1].verb == "set_contour")
    log.table.selectRow(0)
    log.python.trigger()
    assert QApplication.clipboard().text().startswith("actions.open_files(session, [")
    log.command.trigger()
    assert QApplication.clipboard().text().startswith("cryoscope /")
    log.table.selectAll()
    log.python.trigger()
    assert "session = Session()" in QApplication.clipboard().text()
    log.table.setFocus()
    QTest.keyClick(log.table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert "actions.set_contour(session, 2)" in QApplication.clipboard().text()
    log.words.setText("contour")
    assert len(log.model.rows) == 1
    monkeypatch.setattr(dialogs, "ask_save", lambda *_: tmp_path / "log.txt")
    QTest.mouseClick(log.save, LEFT)
    until((tmp_path / "log.txt").exists)
    QTest.mouseClick(log.clear, LEFT)
    until(lambda: not log.model.rows)


def test_the_console_has_the_session(windows: Any, until: Until, tmp_path: Path) -> None:
    pytest.importorskip("napari_console")
    environment = dict(os.environ)
    window = windows()
    entry(window, "View", "Python console").trigger()
    view = window.viewer.window._qt_viewer
    until(lambda: view._console is not None and view.dockConsole.isVisible())
    names = view._console.shell.user_ns
    assert dict(os.environ) == environment  # a worker started later writes no colours
    assert names["session"] is window.session
    names["session"].notify("info", "hello from the console")
    until(lambda: "hello" in window.status.message.text())
    entry(window, "View", "Python console").trigger()
    until(lambda: not view.dockConsole.isVisible())


def test_without_the_console_it_is_said_what_to_install(
    windows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = windows()
    said: list[str] = []
    monkeypatch.setattr(console, "find_spec", lambda _name: None)
    monkeypatch.setattr(dialogs, "show_error", lambda _parent, text: said.append(text))
    entry(window, "View", "Python console").trigger()
    assert "pip install napari-console" in said[0]


def test_a_layout_that_makes_no_sense_does_no_harm(
    windows: Any, until: Until, qtbot: Any, tmp_path: Path
) -> None:
    window = windows()
    session = open_in(window, until, a_run(tmp_path))
    actions.save_project(session, tmp_path / "project")
    until(lambda: session.project is not None and session.keeper.parts.window is not None)
    close(window, qtbot)
    file = tmp_path / "project" / "project.json"
    content = json.loads(file.read_text())
    content["window_numbers"] = {
        "camera_zoom": [-1.0], "camera_angles": [1.0], "camera_perspective": [1e9],
        "latent_bounds": [3.0, 1.0, 0.0, 0.0], "surfaces": [1.0], "unheard_of": [5.0],
    }  # fmt: skip
    file.write_text(json.dumps(content))
    (tmp_path / "project" / "parts" / content["parts"]["window"]["file"]).write_bytes(b"docks")
    again = windows()
    open_in(again, until, tmp_path / "project")
    until(lambda: again.session.project is not None)
    assert again.viewer.scene.camera.zoom > 0
    assert again.latent.canvas.bounds[0] < again.latent.canvas.bounds[1]
    until(lambda: "damaged" in "".join(one.text for one in again.session.journal.entries()))
    assert again.main.grab().width() > 1000
    QTest.mouseClick(again.latent.canvas, LEFT, pos=QPoint(150, 150))
