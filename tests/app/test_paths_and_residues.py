"""Trajectories and residues in the window, with the mouse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gestures import LEFT, NO_KEY, drag, train
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from cryoscope.app import dialogs
from cryoscope.app.residue_marker import LAYER
from cryoscope.app.widgets.path_overlay import PathTool
from cryoscope.session import actions, path_views

pytestmark = pytest.mark.gl


@pytest.fixture
def trained(window: Any, session: Any, until: Any) -> Any:
    """The window with a run that has stopped."""
    train(window, session, until)
    actions.stop_training(session)
    until(lambda: not session.run.status.active)
    until(lambda: not session.jobs)
    return window


def click(widget: Any, x: float, y: float) -> None:
    QTest.mouseClick(widget, LEFT, NO_KEY, QPoint(round(x), round(y)))


def in_plot(canvas: Any, right: float, up: float) -> tuple[float, float]:
    x0, x1, y0, y1 = canvas.bounds
    return x0 + right * (x1 - x0), y0 + up * (y1 - y0)


def test_a_component_is_made_played_and_exported(
    trained: Any, session: Any, until: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = trained.trajectories
    trained.docks["trajectories"].raise_()
    until(lambda: panel.isVisible())
    panel.frames.setValue(6)
    QTest.mouseClick(panel.makers["PC1"], LEFT)
    until(lambda: session.active_path == "PC1" and panel.paths.count() == 1)
    assert panel.strip.counts == tuple(session.trajectories[0].count.tolist())
    place = panel.strip.bar(3).center()
    click(panel.strip, place.x(), place.y())
    until(lambda: session.path_frame == 3 and panel.player.slider.value() == 4)
    until(lambda: session.player.kept(session.trajectories[0]).all())
    assert np.allclose(session.shown.z, session.trajectories[0].frames_z[3], atol=1e-5)
    seen: set[int] = set()
    session.events.path_frame.connect(lambda frame: seen.add(frame))
    panel.player.speed.setCurrentIndex(3)
    QTest.mouseClick(panel.player.play, LEFT)
    until(lambda: seen == set(range(6)))
    QTest.mouseClick(panel.player.play, LEFT)
    frame = session.path_frame
    panel.player.step()
    assert abs(session.path_frame - frame) == 1
    folder = tmp_path / "PC1"
    monkeypatch.setattr(dialogs, "ask_new_folder", lambda *_: folder)
    QTest.mouseClick(panel.export, LEFT)
    until(lambda: (folder / "movie.gif").exists())
    assert {"states.pdb", "states.cif", "states.dcd", "series.cxc", "state-06.mrc"} <= {
        file.name for file in folder.iterdir()
    }


def test_a_path_is_drawn_on_the_scatter_and_its_way_points_dragged(
    trained: Any, session: Any, until: Any
) -> None:
    panel, canvas = trained.trajectories, trained.latent.canvas
    trained.docks["trajectories"].raise_()
    until(lambda: panel.isVisible())
    scrubs: list[tuple[float, float]] = []
    canvas.scrubbed.connect(lambda x, y: scrubs.append((x, y)))
    QTest.mouseClick(panel.makers["Draw"], LEFT)
    assert panel.overlay.tool is PathTool.DRAW
    stroke = [in_plot(canvas, right, 0.3 + 0.3 * right) for right in np.linspace(0.2, 0.8, 12)]
    drag(canvas, stroke)
    until(lambda: len(session.trajectories) == 1)
    (path,) = session.trajectories
    assert path.kind == "drawn"
    assert panel.overlay.tool is PathTool.NONE
    until(lambda: session.cursor_xy == tuple(path_views.path_xy(session, path)[0]))
    ways = path_views.way_points_xy(session, path)
    # The session knows of it before the plot does: there is nothing to take hold of till it shows.
    until(lambda: panel.ways.count() == len(ways))
    goal = in_plot(canvas, 0.25, 0.7)
    drag(canvas, [tuple(ways[0]), goal])
    until(lambda: session.trajectories[0] is not path)
    moved = path_views.way_points_xy(session, session.trajectories[0])
    step = (canvas.bounds[1] - canvas.bounds[0]) / canvas.width()
    assert np.abs(moved[0] - goal).max() < 3 * step
    assert scrubs == []  # the plot took neither gesture for its own
    QTest.mouseClick(trained.selections.undo, LEFT)
    until(lambda: session.trajectories[0] is path)


def test_marked_particles_are_joined_and_way_points_reordered(
    trained: Any, session: Any, until: Any
) -> None:
    panel, canvas = trained.trajectories, trained.latent.canvas
    assert not panel.makers["Graph"].isEnabled()
    QTest.mouseClick(panel.makers["Mark"], LEFT)
    for right in (0.2, 0.5, 0.8):
        x, y = canvas.to_widget([in_plot(canvas, right, 0.4)])[0]
        click(canvas, x, y)
    until(lambda: len(session.path_marks) == 3 and panel.makers["Graph"].isEnabled())
    rows = session.path_marks
    QTest.keyClick(canvas, Qt.Key.Key_Escape)
    assert panel.overlay.tool is PathTool.NONE
    QTest.mouseClick(panel.makers["Graph"], LEFT)
    until(lambda: panel.ways.count() == 3)
    assert session.trajectories[0].way_rows.tolist() == list(rows)
    panel.ways.insertItem(0, panel.ways.takeItem(2))
    panel.ways.tell_order()
    until(lambda: session.trajectories[0].way_rows.tolist() == [rows[2], rows[0], rows[1]])
    panel.ways.setCurrentRow(0)
    QTest.mouseClick(panel.drop, LEFT)
    until(lambda: session.trajectories[0].way_rows.tolist() == [rows[0], rows[1]])
    until(lambda: not panel.drop.isEnabled())
    panel.paths.item(0).setText("opening")
    until(lambda: session.active_path == "opening")
    QTest.mouseClick(panel.remove, LEFT)
    until(lambda: session.trajectories == () and panel.empty.isVisibleTo(panel))


def test_residues_are_linked_both_ways(trained: Any, session: Any, until: Any) -> None:
    panel, viewer = trained.structure, trained.viewer
    trained.docks["structure"].raise_()
    until(lambda: panel.strip.isVisible())
    cell = panel.strip.cell(7).center()
    click(panel.strip.viewport(), cell.x(), cell.y())
    until(lambda: session.marked_residue == 7 and LAYER in viewer.layers)
    assert "ALA 8" in session.notice.text
    centre = viewer.layers[LAYER].data[0].mean(axis=0)
    assert np.allclose(centre[::-1], session.shown.coords_A[7], atol=0.3)
    rect = panel.plot.plot_rect()
    click(panel.plot, rect.left() + 0.75 * rect.width(), rect.center().y())
    until(lambda: abs(session.marked_residue - 160) <= 2)
    until(lambda: panel.strip.marked == session.marked_residue)
    first, last = panel.strip.visible_places()
    assert first <= session.marked_residue <= last
    # Another state: the ball goes along.
    actions.move_cursor(session, in_plot(trained.latent.canvas, 0.8, 0.5))
    place = session.marked_residue
    until(
        lambda: np.allclose(
            viewer.layers[LAYER].data[0].mean(axis=0)[::-1],
            session.shown.coords_A[place],
            atol=0.3,
        )
    )


def test_a_click_on_the_backbone_marks_the_residue(trained: Any, session: Any, until: Any) -> None:
    trained.docks["structure"].raise_()
    until(lambda: trained.structure.strip.isVisible())
    native = trained.viewer.window._qt_viewer.canvas.native
    hits: list[int] = []
    trained.marker.hovered.connect(hits.append)
    middle_x, middle_y = native.width() // 2, native.height() // 2
    for dy in range(0, middle_y, 12):
        QTest.mouseMove(native, QPoint(middle_x, middle_y - dy))
        QTest.qWait(80)
        if any(place >= 0 for place in hits):
            break
    assert hits
    assert hits[-1] >= 0
    assert trained.structure.strip.pointed == hits[-1]
    click(native, middle_x, middle_y - dy)
    until(lambda: session.marked_residue == hits[-1])


def test_the_backbone_is_coloured(trained: Any, session: Any, until: Any) -> None:
    layer = trained.viewer.layers["backbone (deformed)"]
    before = layer.data[2].copy()
    panel = trained.structure
    panel.colour.setCurrentIndex(panel.colour.findData("b_factor"))
    panel.colour.activated.emit(panel.colour.currentIndex())
    until(lambda: np.allclose(layer.data[2], 30.0))
    assert layer.contrast_limits[1] == pytest.approx(30.0)
    assert "B-factor" in trained.state.colour_bar.title
    actions.colour_backbone(session, "motion")
    until(lambda: session.residue_motion is not None)
    until(lambda: "RMS" in trained.state.colour_bar.title)
    until(lambda: np.ptp(layer.data[2]) > 0)
    assert set(panel.plot._curves) == {"this state", "RMS over the run"}
    actions.colour_backbone(session, "chain")
    until(lambda: np.allclose(layer.data[2], 0.5))
    actions.colour_backbone(session, "displacement")
    until(lambda: np.allclose(layer.data[2], before))
    assert "displacement" in trained.state.colour_bar.title


def test_a_run_without_atoms_says_so(window: Any, session: Any, until: Any) -> None:
    session.structure = None
    until(lambda: window.structure.empty.isVisibleTo(window.structure))
    assert "Open a structure" in window.structure.empty.text()
