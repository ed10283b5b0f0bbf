"""The napari plugin in a plain napari window: its manifest, its widgets, its end."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic
from extension_code import install_panels
from gestures import LEFT, Until
from npe2 import DynamicPlugin, PluginManager, PluginManifest
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QDockWidget, QLabel

from cryoscope.app import attachment
from cryoscope.app.napari_bridge import BACKBONE_LAYER, DENSITY_LAYER
from cryoscope.data import InputError, Volume
from cryoscope.data.volume import Provenance
from cryoscope.io.mrc import read_volume, write_volume
from cryoscope.session import RunStatus

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "plugins" / "napari-cryoscope"
PLUGIN = "napari-cryoscope"

pytestmark = [
    pytest.mark.gl,
    pytest.mark.skipif(not FOLDER.is_dir(), reason="plugins/ is not in this checkout"),
]


@pytest.fixture(scope="module")
def manifest() -> PluginManifest:
    """The plugin, known to napari as if it were installed (which it may be, in a fresh one)."""
    read = PluginManifest.from_file(FOLDER / "napari_cryoscope" / "napari.yaml")
    manager = PluginManager.instance()
    manager.discover()
    if PLUGIN not in manager:
        sys.path.insert(0, str(FOLDER))
        manager.register(read)  # for good: napari's commands cannot be registered twice
    return read


@pytest.fixture
def viewer(
    manifest: PluginManifest,
    make_napari_viewer: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    qtbot: Any,
) -> Iterator[Any]:
    """A plain napari window; sessions that begin in it train by a script."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(attachment, "Session", lambda: synthetic.session(tmp_path, count=1000))
    made = make_napari_viewer(show=True, title="napari")
    made.window.resize(1400, 900)
    yield made
    for one in list(attachment._attachments.values()):
        one.close()
    qtbot.wait(50)


def _training_ended() -> bool:
    return not [t for t in threading.enumerate() if t.name.startswith("cryoscope")]


def test_the_manifest_is_valid_and_complete(manifest: PluginManifest) -> None:
    manifest.validate_imports()
    contributions = manifest.contributions
    ids = {command.id for command in contributions.commands}
    titles = [command.title for command in contributions.commands]
    assert len(titles) == len(set(titles)), "the palette would show two alike"
    used = [one.command for one in (*contributions.readers, *contributions.writers)]
    used += [one.command for one in (*contributions.widgets, *contributions.sample_data)]
    used += [item.command for items in contributions.menus.values() for item in items]
    assert set(used) <= ids
    from napari._app_model.constants._menus import is_menu_contributable

    assert all(is_menu_contributable(menu) for menu in contributions.menus)


def test_no_qt_binding_is_forced() -> None:
    text = (FOLDER / "pyproject.toml").read_text("utf-8")
    code = [p.read_text("utf-8") for p in (FOLDER / "napari_cryoscope").glob("*.py")]
    code += [p.read_text("utf-8") for p in (ROOT / "cryoscope" / "app").rglob("*.py")]
    for binding in ("PySide", "PyQt", "shiboken"):
        assert binding not in text
        assert not any(f"import {binding}" in one or f"from {binding}" in one for one in code)


def test_every_widget_opens_and_closes_and_opens_again(
    viewer: Any, manifest: PluginManifest, qtbot: Any
) -> None:
    names = [widget.display_name for widget in manifest.contributions.widgets]
    for name in names:
        dock, holder = viewer.window.add_plugin_dock_widget(PLUGIN, name)
        qtbot.wait(20)
        assert holder.isVisible() or dock.isHidden() or not dock.isVisible()
    attached = attachment.attach(viewer)
    assert set(attached.view.panels) == {
        "project", "training", "latent", "selections", "state", "trajectories", "structure",
        "checking", "runs", "landscape", "log", "extensions",
    }  # fmt: skip
    panel = attached.view.panel("latent")
    dock, _holder = viewer.window.add_plugin_dock_widget(PLUGIN, "Latent space")
    dock.destroyOnClose()
    del dock, _holder
    gc.collect()
    qtbot.wait(50)
    assert not panel.isVisible()
    panel.canvas.fit()  # it lives on, with what was done in it
    dock, holder = viewer.window.add_plugin_dock_widget(PLUGIN, "Latent space")
    dock.show()
    dock.raise_()
    qtbot.wait(50)
    assert holder.isAncestorOf(panel)
    assert panel.isVisible()


def test_two_viewers_have_two_sessions(
    viewer: Any, make_napari_viewer: Callable[..., Any], qtbot: Any
) -> None:
    first = attachment.attach(viewer)
    assert attachment.attach(viewer) is first
    other = make_napari_viewer(show=True)
    assert attachment.attach(other).session is not first.session
    other.close()
    qtbot.wait(50)


def test_a_session_trains_beside_other_layers_and_ends_with_the_viewer(
    viewer: Any, until: Until, qtbot: Any
) -> None:
    from napari_cryoscope.commands import open_panels

    viewer.add_image(np.zeros((8, 8, 8)), name="somebody else's")
    attached = open_panels()
    session, panel = attached.session, attached.view.panel("training")
    docks = {d.windowTitle().split(" (")[0]: d for d in panel.window().findChildren(QDockWidget)}
    assert docks["Project and training"].x() < docks["Latent space"].x()
    QTest.mouseClick(panel.start, LEFT)
    until(lambda: session.embedding is not None and DENSITY_LAYER in viewer.layers)
    assert BACKBONE_LAYER in viewer.layers
    assert "somebody else's" in viewer.layers
    until(lambda: "decoded by the model" in viewer.canvas.overlays.text.text)
    assert viewer.canvas.overlays.text.visible
    before = set(QApplication.topLevelWidgets())
    run = session.run
    assert run is not None
    assert run.status is RunStatus.RUNNING
    viewer.close()
    until(_training_ended)
    qtbot.wait(100)
    assert session.closed
    assert not attachment._attachments
    assert not synthetic.threads_named("picture")
    left = [w for w in QApplication.topLevelWidgets() if w not in before]
    assert left == []
    names = {type(w).__name__ for w in QApplication.allWidgets()}
    assert not {"LatentPanel", "TrainingPanel", "ProjectPanel", "PanelHolder"} & names


def test_work_is_shown_in_the_status_bar_and_can_be_cancelled(
    viewer: Any, until: Until, qtbot: Any
) -> None:
    from napari_cryoscope.commands import cancel_work, open_panels

    attached = open_panels(("latent",))
    session, work = attached.session, attached.work
    assert not work.cancel.isVisible()
    begun: list[str] = []
    ended: list[str] = []

    def wait(name: str) -> Callable[[Any], None]:
        def waiting(job: Any) -> None:
            begun.append(name)
            job.wait_cancelled(30)
            ended.append(name)
            job.check()

        return waiting

    session.pool.submit("First", wait("First"), text="First work")
    until(lambda: work.cancel.isVisible() and begun)
    assert work.job_text.text() == "First work"
    QTest.mouseClick(work.cancel, LEFT)
    until(lambda: not work.cancel.isVisible())
    session.pool.submit("Second", wait("Second"), text="Second work")
    until(lambda: "Second" in begun)
    cancel_work()
    until(lambda: ended == ["First", "Second"] and not session.jobs)


def test_the_log_shows_what_has_happened(viewer: Any, until: Until, qtbot: Any) -> None:
    from napari_cryoscope.commands import open_panels, show_log

    attached = open_panels()
    attached.session.notify("warning", "The moon is full")
    show_log()
    panel = attached.view.panel("log")
    until(panel.is_seen)
    until(lambda: any(row.text == "The moon is full" for row in panel.model.rows))
    show_log()
    assert [entry.text for entry in panel.chosen()] == ["The moon is full"]


def test_panels_of_extensions_are_tabs(
    viewer: Any, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_cryoscope.commands import open_panels

    install_panels(tmp_path, monkeypatch)
    attached = open_panels(("extensions",))
    tabs = attached.view.panel("extensions").tabs
    assert [tabs.tabText(i) for i in range(tabs.count())] == ["Counting"]
    assert "1,000 of them" in {label.text() for label in tabs.widget(0).findChildren(QLabel)}
    assert "more-panels 3.0" in attached.session.notice.text


def test_a_worker_that_cannot_start_is_told_of(
    viewer: Any, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_cryoscope.commands import open_panels

    from cryoscope.session.process_runner import ProcessRunner

    attached = open_panels()
    session, panel = attached.session, attached.view.panel("training")
    session.make_runner = lambda: ProcessRunner(["no-such-program"])
    session.shown = None
    QTest.mouseClick(panel.start, LEFT)
    until(lambda: session.run is not None and session.run.status is RunStatus.FAILED)
    until(lambda: "no-such-program" in viewer.canvas.overlays.text.text)
    until(lambda: "Install Cryoscope again" in panel.status.text())
    assert "no-such-program" in attached.view.panel("latent").canvas.empty_text
    assert not panel.pause.isEnabled()
    assert panel.start.isEnabled()


def test_our_layers_have_no_unit_beside_layers_without(viewer: Any) -> None:
    from cryoscope.app.napari_bridge import units_beside

    assert units_beside(viewer) == ("angstrom",) * 3
    viewer.add_image(np.zeros((8, 8, 8)), name="somebody else's")
    assert units_beside(viewer) == ("pixel",) * 3
    assert [str(unit) for unit in viewer.open_sample(PLUGIN, "states")[0].units] == ["pixel"] * 3


def test_the_theme_of_the_viewer_is_followed(viewer: Any, qtbot: Any) -> None:
    from napari_cryoscope.commands import open_panels

    from cryoscope.app import theme

    attached = open_panels()
    viewer.theme = "light"
    qtbot.wait(50)
    assert theme.current() is theme.LIGHT
    holders = attached.view.panel("latent").window().findChildren(attachment.PanelHolder)
    assert {holder.styleSheet() for holder in holders} == {theme.STYLE}
    viewer.theme = "dark"
    qtbot.wait(50)
    assert theme.current() is theme.DARK


def test_maps_are_read_and_written(viewer: Any, tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(6, 8, 10)).astype(np.float32)
    path = tmp_path / "map.mrc"
    write_volume(path, Volume(values, 2.5, (1.0, 2.0, 3.0), Provenance("file")))
    (layer,) = viewer.open(path, plugin=PLUGIN)
    np.testing.assert_array_equal(layer.data, values)
    np.testing.assert_allclose(layer.scale, 2.5)
    np.testing.assert_allclose(layer.translate, (3.0, 2.0, 1.0))
    layer.save(str(tmp_path / "again.mrc"), plugin=PLUGIN)
    again = read_volume(tmp_path / "again.mrc")
    np.testing.assert_array_equal(again.values, values)
    assert again.origin_A == (1.0, 2.0, 3.0)
    assert again.voxel_size_A == pytest.approx(2.5)


def test_a_stack_is_read_lazily(viewer: Any, tmp_path: Path) -> None:
    import mrcfile

    with mrcfile.new(tmp_path / "some.mrcs") as file:
        file.set_data(np.arange(5 * 8 * 8, dtype=np.float32).reshape(5, 8, 8))
        file.set_image_stack()
        file.voxel_size = 1.5
    (layer,) = viewer.open(tmp_path / "some.mrcs", plugin=PLUGIN)
    assert layer.data.shape == (5, 8, 8)
    assert isinstance(layer.data, np.memmap)
    np.testing.assert_allclose(layer.scale, (1, 1.5, 1.5))


def test_another_plugin_that_reads_maps_goes_first(viewer: Any, tmp_path: Path) -> None:
    from napari_cryoscope.reading import map_reader

    path = tmp_path / "map.mrc"
    write_volume(path, Volume(np.ones((4, 4, 4), np.float32), 1.0, (0.0,) * 3, Provenance("file")))
    assert map_reader(str(path)) is not None
    with DynamicPlugin("napari-mrc-of-others") as other:

        @other.contribute.reader(filename_patterns=["*.mrc"])
        def read(path: str) -> Any:
            return None

        assert map_reader(str(path)) is None


def test_only_our_folders_are_claimed(manifest: PluginManifest, tmp_path: Path) -> None:
    from napari_cryoscope.reading import project_reader

    assert project_reader(str(tmp_path)) is None
    assert project_reader(str(tmp_path / "particles.star")) is not None
    (tmp_path / "run.json").write_text("{}")
    assert project_reader(str(tmp_path)) is not None
    assert project_reader([str(tmp_path), str(tmp_path / "cells.tif")]) is None


def test_particles_open_in_the_panels(
    viewer: Any, until: Until, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cryoscope.session import actions

    asked: list[Any] = []
    monkeypatch.setattr(actions, "open_files", lambda _session, paths: asked.extend(paths))
    (tmp_path / "particles.star").write_text("data_\n")
    assert viewer.open(tmp_path / "particles.star", plugin=PLUGIN) == []
    assert asked == [tmp_path / "particles.star"]
    assert attachment.attach(viewer).view.panel("project").isVisible()


def test_sample_data(viewer: Any) -> None:
    closed, opened = viewer.open_sample(PLUGIN, "states")
    assert "1AKE" in closed.name
    assert "4AKE" in opened.name
    assert len(closed.data[0]) > 1000


def test_a_layer_that_is_no_map_is_refused(viewer: Any, tmp_path: Path) -> None:
    from napari_cryoscope.writing import write_backbone, write_map

    with pytest.raises(InputError, match="cubic"):
        write_map(str(tmp_path / "a.mrc"), np.zeros((4, 4)), {"scale": (1, 1)})
    with pytest.raises(InputError, match="has atoms"):
        write_backbone(str(tmp_path / "a.pdb"), None, {"name": "something"})
