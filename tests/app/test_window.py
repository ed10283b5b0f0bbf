from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic
from gestures import CTRL, LEFT, NO_KEY, SHIFT, Until, box, drag, pause, train
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QPushButton

from cryoscope.app import dialogs
from cryoscope.app.napari_bridge import BACKBONE_LAYER, DENSITY_LAYER
from cryoscope.app.widgets.latent_canvas import Tool
from cryoscope.session import RunStatus, actions

pytestmark = pytest.mark.gl


def test_a_new_window_says_what_to_do(qtbot: Any, tmp_path: Path) -> None:
    from cryoscope.app.window import CryoscopeWindow
    from cryoscope.session import Session

    window = CryoscopeWindow(tmp_path)
    window.show()
    window.fill(Session())
    qtbot.wait(100)
    assert "Drop" in window.project.hint.text()
    assert window.project.hint.isVisible()
    assert window.project.demo_button.isVisible()
    assert not window.training.start.isEnabled()
    assert "particles" in window.training.start.toolTip()
    disabled = [
        button
        for panel in (window.training, window.selections, window.state)
        for button in panel.findChildren(QPushButton)
        if not button.isEnabled()
    ]
    assert len(disabled) >= 6
    assert all(button.toolTip() for button in disabled), "a disabled button says why"
    with qtbot.waitSignal(window.closed, timeout=15_000):
        window.main.close()


def test_training_shows_losses_latents_and_the_state(
    window: Any, session: Any, until: Until
) -> None:
    train(window, session, until)
    layers = [layer.name for layer in window.viewer.layers]
    assert layers == [BACKBONE_LAYER, DENSITY_LAYER], "the opaque one lies below"
    until(lambda: len(window.training.loss.term_names) == 6)
    assert window.training.pause.isEnabled()
    assert window.training.stop.isEnabled()
    assert not window.training.start.isEnabled()
    assert "PC1" in window.latent.canvas.x_label
    assert "decoded by the model" in window.label.text()
    window.main.grab()


def test_the_scene_is_right_handed(window: Any, session: Any, until: Until) -> None:
    from napari.utils.camera_orientations import Handedness

    train(window, session, until)
    shown = session.shown
    window.napari_bridge.show(shown)
    vertices = window.viewer.layers[BACKBONE_LAYER].data[0]
    np.testing.assert_array_equal(vertices, shown.backbone.vertices_A[:, ::-1])
    assert window.viewer.scene.camera.handedness == Handedness.RIGHT


def test_a_live_refresh_waits_but_what_is_asked_for_does_not(
    window: Any, session: Any, until: Until, qtbot: Any
) -> None:
    from dataclasses import replace

    train(window, session, until)
    pause(window, session, until)
    until(lambda: not session.jobs)
    bridge = window.napari_bridge
    qtbot.wait(300)
    bridge._draw_offered()
    qtbot.wait(50)
    bridge._cost_ms, bridge._since_touch = 20.0, type(bridge._since_touch)()
    for i in range(3):
        bridge.offer(replace(session.shown, label=f"live {i}"))
    assert not window.label.text().startswith("live")
    until(lambda: window.label.text().startswith("live 2 "))
    bridge._cost_ms = 10_000.0
    bridge.offer(replace(session.shown, label="later"))
    assert window.label.text().startswith("live 2 ")
    bridge.touched()
    bridge.offer(replace(session.shown, label="now"))
    assert window.label.text().startswith("now ")


def test_layers_are_updated_in_place(window: Any, session: Any, until: Until) -> None:
    train(window, session, until)
    before = list(window.viewer.layers)
    angles, zoom = (5.0, 6.0, 7.0), window.viewer.scene.camera.zoom * 1.7
    window.viewer.scene.camera.angles, window.viewer.scene.camera.zoom = angles, zoom
    shown = session.shown
    x0, x1, y0, y1 = window.latent.canvas.bounds
    drag(window.latent.canvas, [(0.6 * x0, 0.5 * (y0 + y1)), (0.6 * x1, 0.5 * (y0 + y1))])
    until(lambda: session.shown is not shown)
    assert list(window.viewer.layers) == before
    assert window.viewer.scene.camera.angles == pytest.approx(angles)
    assert window.viewer.scene.camera.zoom == pytest.approx(zoom)


def test_a_new_state_compiles_no_shader(
    window: Any, session: Any, until: Until, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vispy.visuals.shaders.program import ModularProgram

    train(window, session, until)
    pause(window, session, until)
    until(lambda: not session.jobs)
    for _ in range(2):
        window.napari_bridge.show(session.shown)
        qtbot.wait(150)
    built: list[Any] = []
    build = ModularProgram._build
    monkeypatch.setattr(
        ModularProgram, "_build", lambda program: built.append(program) or build(program)
    )
    window.napari_bridge.show(session.shown)
    qtbot.wait(150)
    assert built == []
    window.viewer.layers[BACKBONE_LAYER].contrast_limits = (0.0, 77.0)
    window.napari_bridge.show(session.shown)
    qtbot.wait(150)
    assert built, "other limits are other colours"


def test_scrubbing_moves_the_molecule(window: Any, session: Any, until: Until) -> None:
    train(window, session, until)
    pause(window, session, until)
    until(lambda: not session.jobs)
    x0, x1, y0, y1 = window.latent.canvas.bounds
    middle = 0.5 * (y0 + y1)
    for edge in (x0, x1):
        coords_A = session.shown.coords_A
        drag(window.latent.canvas, [(0.0, middle), (0.8 * edge, middle)])
        np.testing.assert_allclose(session.cursor_xy, (0.8 * edge, middle), atol=0.05 * (x1 - x0))
        until(lambda before=coords_A: np.abs(session.shown.coords_A - before).max() > 0.5)


def test_lasso_add_subtract_undo_rename_remove(window: Any, session: Any, until: Until) -> None:
    train(window, session, until)
    pause(window, session, until)
    window.latent.choose(Tool.LASSO)
    canvas, panel = window.latent.canvas, window.selections
    x = session.embedding.xy[:, 0]
    drag(canvas, box(canvas, 0.02, 0.4))
    edge = canvas.bounds[0] + 0.4 * (canvas.bounds[1] - canvas.bounds[0])
    until(lambda: panel.table.rowCount() == 1)
    assert len(session.selections[0]) == pytest.approx((x < edge).sum(), abs=12)
    first = len(session.selections[0])
    drag(canvas, box(canvas, 0.35, 0.6), SHIFT)
    assert len(session.selections[0]) > first
    drag(canvas, box(canvas, 0.3, 0.99), CTRL)
    assert len(session.selections[0]) < first
    until(lambda: panel.undo.isEnabled())
    QTest.mouseClick(panel.undo, LEFT)
    QTest.mouseClick(panel.undo, LEFT)
    assert len(session.selections[0]) == first
    until(lambda: panel.table.item(0, 1).text() == f"{first:,}")
    panel.table.item(0, 0).setText("closed state")
    assert session.selections[0].name == "closed state"
    until(lambda: panel.remove.isEnabled())
    QTest.mouseClick(panel.remove, LEFT)
    assert session.selections == ()


def test_a_lasso_around_nothing_is_a_remark_not_an_error(
    window: Any, session: Any, until: Until
) -> None:
    train(window, session, until)
    window.latent.choose(Tool.LASSO)
    x0, x1, y0, y1 = window.latent.canvas.bounds
    a, b, c, d = x0, x0 + 0.01 * (x1 - x0), y0, y0 + 0.01 * (y1 - y0)
    drag(window.latent.canvas, [(a, c), (b, c), (b, d), (a, d)])
    assert session.selections == ()
    until(lambda: "no particle" in window.status.message.text())
    assert window.status.error_box is None


def test_the_plot_keeps_its_range_until_the_points_fill_too_little(
    window: Any, session: Any, until: Until
) -> None:
    from dataclasses import replace

    train(window, session, until)
    actions.stop_training(session)
    until(lambda: not session.run.status.active and not session.jobs)
    embedding = session.embedding
    homes: dict[float, Any] = {}
    window.latent._home = None
    for scale in (1.0, 0.8, 0.2, 3.0):
        session.embedding = replace(embedding, xy=embedding.xy * scale)
        until(lambda: window.bridge._asleep and not window.bridge._timer.isActive())
        homes[scale] = window.latent.canvas.home
    assert homes[0.8] == homes[1.0]
    assert homes[0.2][1] < 0.5 * homes[1.0][1]
    assert homes[3.0][1] > 2 * homes[1.0][1]


def test_a_trajectory_is_exported_from_the_window(
    window: Any, session: Any, until: Until, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "along-pc1.pdb"
    monkeypatch.setattr(dialogs, "ask_save", lambda *_: path)
    train(window, session, until)
    until(lambda: window.state.trajectory.isEnabled())
    window.state.frames.setValue(4)
    QTest.mouseClick(window.state.trajectory, LEFT)
    until(path.exists)
    assert path.read_text().count("ENDMDL") == 4
    until(lambda: "written to" in window.status.message.text())


def test_the_surface_level_is_set_by_its_slider(window: Any, session: Any, until: Until) -> None:
    train(window, session, until)
    faces = len(session.shown.isosurface.faces)
    window.state.slider.setValue(100)
    until(lambda: session.iso_sigma == 5.0)
    until(lambda: "5.00 σ  (" in window.state.slider_label.text())
    until(lambda: len(session.shown.isosurface.faces) < faces)
    window.state.density.setChecked(False)
    assert not window.viewer.layers[DENSITY_LAYER].visible


def test_the_count_follows_the_lasso(window: Any, session: Any, until: Until) -> None:
    train(window, session, until)
    actions.stop_training(session)  # particles that still move may leave the lasso
    until(lambda: not session.run.status.active and not session.jobs)
    window.latent.choose(Tool.LASSO)
    canvas = window.latent.canvas
    places = [QPoint(round(x), round(y)) for x, y in canvas.to_widget(box(canvas, 0.01, 0.99))]
    texts: list[str] = []
    window.latent._counts.answered.connect(lambda answer: texts.append(f"{answer[0]:,}"))
    QTest.mousePress(canvas, LEFT, NO_KEY, places[0])
    for place in places[1:]:
        QTest.mouseMove(canvas, place)
    until(lambda: texts and texts[-1] == "2,000")
    QTest.mouseRelease(canvas, LEFT, NO_KEY, places[-1])


def test_pause_resume_stop_by_their_buttons(window: Any, session: Any, until: Until) -> None:
    train(window, session, until)
    QTest.mouseClick(window.training.pause, LEFT)
    until(lambda: window.training.pause.text() == "Resume")
    assert session.run.status is RunStatus.PAUSED
    QTest.mouseClick(window.training.pause, LEFT)
    until(lambda: window.training.pause.text() == "Pause" and window.training.pause.isEnabled())
    QTest.mouseClick(window.training.stop, LEFT)
    until(lambda: session.run.status is RunStatus.STOPPED)
    until(lambda: window.training.start.isEnabled())
    assert not window.training.stop.isEnabled()


def test_a_refused_setting_is_put_back_and_explained(
    window: Any, session: Any, until: Until
) -> None:
    widths = window.training.advanced.editors["encoder.widths"]
    widths.setText("wide, wider")
    widths.editingFinished.emit()
    until(lambda: window.status.error_box is not None)
    assert "encoder.widths" in window.status.error_box.text()
    assert widths.text() == "512, 256, 128"
    window.status.error_box.close()


def drop(window: Any, paths: list[Path]) -> None:
    """Drop files onto the middle of the window, as a file manager does."""
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    where, copy = QPointF(640, 300), Qt.DropAction.CopyAction
    enter = QDragEnterEvent(where.toPoint(), copy, mime, LEFT, NO_KEY)
    QApplication.sendEvent(window.main, enter)
    assert enter.isAccepted()
    QApplication.sendEvent(window.main, QDropEvent(where, copy, mime, LEFT, NO_KEY))


def test_dropped_files_are_opened_by_the_session(
    window: Any, session: Any, until: Until, tmp_path: Path
) -> None:
    from cryoscope.io.structures import write_structure

    path = tmp_path / "dropped.pdb"
    write_structure(path, synthetic.structure())
    drop(window, [path])
    until(lambda: session.structure.path == path)
    until(lambda: "dropped.pdb" in window.project.lines["Structure"].text())


def test_a_bad_file_gets_one_line_in_a_dialog(
    window: Any, session: Any, until: Until, tmp_path: Path
) -> None:
    path = tmp_path / "broken.star"
    path.write_text("this is no star file\n")
    drop(window, [path])
    until(lambda: window.status.error_box is not None)
    text = window.status.error_box.text()
    assert "broken.star" in text
    assert "\n" not in text
    assert "Traceback" not in text
    window.status.error_box.close()


def test_closing_while_training_asks_then_saves(
    window: Any, session: Any, until: Until, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(window, session, until)
    asked: list[bool] = []
    monkeypatch.setattr(dialogs, "confirm_close", lambda _parent: asked.append(True) or False)
    window.main.close()
    assert asked == [True]
    assert window.main.isVisible(), "the user kept training"
    assert session.run.status is RunStatus.RUNNING
    monkeypatch.setattr(dialogs, "confirm_close", lambda _parent: True)
    with qtbot.waitSignal(window.closed, timeout=15_000):
        window.main.close()
    assert session.closed
    assert synthetic.threads_named("cryoscope-engine") == []
    assert synthetic.threads_named("picture") == []


def test_events_after_closing_do_nothing(window: Any, session: Any, qtbot: Any) -> None:
    with qtbot.waitSignal(window.closed, timeout=15_000):
        window.main.close()
    session.notify("info", "too late")
    session.cursor_xy = (1.0, 1.0)
    qtbot.wait(100)


def test_references_of_true_and_none_do_not_drain(window: Any, qtbot: Any) -> None:
    if sys.version_info >= (3, 12):
        pytest.skip("None and True are immortal here")
    before = sys.getrefcount(None), sys.getrefcount(True)
    for i in range(1000):
        window.latent.canvas.scrubbed.emit(0.001 * i, 0.0)
        QApplication.processEvents()
    assert sys.getrefcount(None) > before[0] - 500
    assert sys.getrefcount(True) > before[1] - 500


def test_the_window_comes_and_goes_by_itself_without_torch(tmp_path: Path) -> None:
    picture = tmp_path / "window.png"
    code = (
        "import sys\nfrom pathlib import Path\nfrom cryoscope.app.main import open_window\n"
        f"code = open_window([], screenshot=Path({str(picture)!r}), exit_after_s=1.0)\n"
        "assert 'torch' not in sys.modules, 'the window imported torch'\nsys.exit(code)\n"
    )
    root = Path(__file__).resolve().parents[2]
    begun_s = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=180
    )
    print(f"{time.monotonic() - begun_s:.1f} s")
    assert done.returncode == 0, done.stderr
    assert picture.stat().st_size > 10_000
    for bad in ("Fatal", "Error drawing", "Destroyed while", "Traceback"):
        assert bad not in done.stderr, done.stderr
