"""The panel that checks a selection against the data, and the level of the surface."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic
from gestures import LEFT, Until, train
from numpy.typing import NDArray
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from scipy.spatial.transform import Rotation

from cryoscope.data import Poses, Provenance, Selection, Volume
from cryoscope.session import ParticlesView, actions
from cryoscope.session.contours import contour_of
from cryoscope.session.shown import with_density


class Blobs:
    """Noisy images of a round blob: what can be reconstructed without a file."""

    box_size_px = 64

    def __init__(self, count: int) -> None:
        axis = np.arange(64) - 32
        self.blob = np.exp(-(axis[:, None] ** 2 + axis**2) / 50).astype(np.float32)
        self.count = count

    def __len__(self) -> int:
        return self.count

    def read(self, index: NDArray[np.integer]) -> NDArray[np.float32]:
        noise = np.random.default_rng(int(index[0])).normal(size=(len(index), 64, 64))
        return (self.blob + 0.3 * noise).astype(np.float32)

    def take(self, index: NDArray[np.integer]) -> Blobs:
        return Blobs(len(index))


@pytest.fixture
def selected(window: Any, session: Any, until: Until) -> Any:
    """A window with a run, particles that can be read, and a selection of 300."""
    train(window, session, until)
    QTest.mouseClick(window.training.stop, LEFT)
    until(lambda: not session.run.status.active)
    record = session.particles.record
    count = len(record)
    turned = Poses(Rotation.random(count, random_state=0).as_matrix(), np.zeros((count, 2)))
    half_set = (np.arange(count) % 2 + 1).astype(np.int8)
    readable = replace(record, images=Blobs(count), poses=turned, half_set=half_set)
    some = Selection("far end", np.arange(count) < 300)
    session.change(
        particles=ParticlesView.of(readable), selections=(some,), active_selection="far end"
    )
    window.docks["checking"].raise_()
    return window


def test_reconstruct_says_what_came_out(
    selected: Any, session: Any, until: Until, tmp_path: Path
) -> None:
    panel = selected.checking
    until(lambda: panel.start.isEnabled())
    assert panel.choice.currentText() == "far end"
    panel._folder = tmp_path / "maps"
    QTest.mouseClick(panel.start, LEFT)
    until(lambda: session.check is not None and session.check.stage == "done", 60_000)
    until(lambda: "300 particles give" in panel.verdict.text())
    assert "as many drawn at random give" in panel.verdict.text()
    assert [line.name for line in panel.plot.lines][:2] == ["selection", "as many at random"]
    assert "far end" in selected.label.text()
    assert selected.label.text().startswith("Map reconstructed from 300 particles")
    assert "Backbone decoded by the model" in selected.label.text()
    assert panel.open_folder.isVisible()
    QTest.mouseClick(panel.show_decoded, LEFT)
    until(lambda: selected.label.text().startswith("decoded by the model"))
    QTest.mouseClick(panel.show_map, LEFT)
    until(lambda: selected.label.text().startswith("Map reconstructed"))
    panel.which.setCurrentIndex(1)
    assert not panel.views.empty_text


def test_what_is_missing_is_said(window: Any, session: Any, until: Until) -> None:
    panel = window.checking
    assert not panel.start.isEnabled()
    assert panel.verdict.text() == "Select particles in the latent space first."
    session.change(selections=(Selection("s", np.ones(2000, bool)),), active_selection="s")
    until(lambda: panel.start.isEnabled())
    session.particles = None
    until(lambda: "Open the particle file" in panel.start.toolTip())


def test_the_level_keeps_what_is_held(window: Any, session: Any, until: Until) -> None:
    coords_A = synthetic.hinge_A(0.5)
    density = Volume.centred(
        synthetic.density(coords_A), synthetic.VOXEL_A, Provenance("decoded", run_id="r", epoch=1)
    )
    session.shown = with_density(None, density, contour_of(session, "decoded"))
    control = window.state.contour
    until(lambda: control.slider.isEnabled())
    assert control.hold.currentData() == "auto"
    assert control.number.value() == pytest.approx(session.shown.sigma, abs=0.006)
    control.slider.setValue(80)
    until(lambda: session.shown.sigma == pytest.approx(4.0))
    control.hold.setFocus()
    QTest.keyClick(control.hold, Qt.Key.Key_End)
    until(lambda: actions.shown_contour(session).hold == "volume")
    enclosed_A3 = session.shown.enclosed_A3
    until(lambda: control.number.value() == pytest.approx(enclosed_A3, abs=1))
    other = replace(density, values=3 * density.values)
    session.shown = with_density(None, other, contour_of(session, "decoded"))
    assert session.shown.enclosed_A3 == pytest.approx(enclosed_A3)
    control.number.setFocus()
    control.number.selectAll()
    QTest.keyClicks(control.number, "20000")
    QTest.keyClick(control.number, Qt.Key.Key_Return)
    until(lambda: session.shown.enclosed_A3 == pytest.approx(20_000, rel=0.01))


def test_a_map_alone_is_solid_and_named_for_where_it_is_from(
    window: Any, session: Any, until: Until
) -> None:
    values = synthetic.density(synthetic.hinge_A(0.5))
    session.shown = None
    for kind, opening in (("decoded", "decoded by"), ("reconstructed", "reconstructed from")):
        density = Volume.centred(values, synthetic.VOXEL_A, Provenance(kind))  # type: ignore[arg-type]
        session.shown = with_density(None, density, contour_of(session, kind))
        until(lambda words=opening: window.label.text().startswith(words))
        layer = window.napari_bridge._density
        assert layer.opacity == 1.0
        assert layer.colormap.name == f"map {kind}"
    assert not window.state.backbone.isVisible()
