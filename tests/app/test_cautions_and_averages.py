"""The line of caution above the scatter, averages by view, and way-points that are out of sight."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from gestures import LEFT, NO_KEY, Until, train
from qtpy.QtCore import QPoint
from qtpy.QtTest import QTest

from cryoscope.analysis.association import Association
from cryoscope.analysis.views import ViewMap
from cryoscope.app.widgets.path_overlay import PathTool
from cryoscope.data import Provenance, Volume
from cryoscope.session import actions
from cryoscope.session.check_records import Check, Curve
from cryoscope.session.view_averages import ViewAverages


def made_up_check(views: int = 5) -> Check:
    rng = np.random.default_rng(0)
    frequency = np.linspace(0, 0.25, 17)
    curve = Curve(frequency, np.exp(-12 * frequency), 0.143, 6.0)
    images = rng.normal(size=(views, 32, 32)).astype(np.float32)
    counts = np.arange(views, 0, -1) * 10
    averages = ViewAverages(
        images,
        counts,
        counts,
        np.linspace(-150, 150, views),
        np.linspace(-60, 60, views),
        3.0,
        {"decoded": images, "reconstructed": images[:, ::-1]},
        {"decoded": np.full(views, 0.91), "reconstructed": np.full(views, 0.12)},
    )
    bins = rng.integers(0, 9, (6, 12))
    return Check(
        selection="far end",
        stage="done",
        particle_count=300,
        half_counts=(150, 150),
        map=Volume.centred(rng.normal(size=(16,) * 3).astype(np.float32), 6.0, Provenance("file")),
        fsc=curve,
        control=curve,
        decoded_fsc=curve,
        decoded=None,
        views=ViewMap(bins, 2 * bins, 0.9, 1.0, 0.3, 0.1),
        averages=averages,
        associations=(Association("PC1", "viewing direction", 0.6, 0.1),),
    )


def test_averages_are_shown_beside_the_map_that_is_chosen(
    window: Any, session: Any, until: Until
) -> None:
    panel = window.checking
    window.docks["checking"].raise_()
    session.check = made_up_check()
    until(lambda: panel.averages.isVisible())
    strip = panel.averages
    assert [tile.text for tile in strip._tiles] == ["r 0.91"] * 5
    assert panel.compared.count() == 2
    panel.compared.setCurrentIndex(1)
    assert [tile.text for tile in strip._tiles] == ["r 0.12"] * 5
    until(lambda: strip.height() >= strip.tile_rect(4).bottom())  # nothing is cut off
    assert strip.width() >= strip.tile_rect(1).right()
    assert [word for _, _, word in panel.views._marks] == ["1", "2", "3", "4", "5"]
    assert "same views" in panel.warnings.text()  # what to do, not only what is
    session.check = replace(session.check, averages=None)
    until(lambda: not panel.averages.isVisible())
    assert panel.views._marks == ()


@pytest.mark.gl
def test_a_caution_says_what_to_do_shows_it_and_can_be_hidden(
    window: Any, session: Any, until: Until
) -> None:
    train(window, session, until)
    actions.stop_training(session)
    until(lambda: not session.run.status.active and not session.jobs)
    line = window.latent.caution
    session.associations = (
        Association("PC1", "defocus", 0.5, 0.1),
        Association("PC2", "viewing direction", 0.4, 0.1),
        Association("PC2", "defocus", 0.05, 0.1),
    )
    until(line.isVisible)
    assert line.label.text().startswith("⚠ PC1 follows")
    assert "PC2 follows the viewing direction" in line.label.toolTip()
    assert "Colour by defocus" in line.label.toolTip()
    QTest.mouseClick(line.look, LEFT)
    until(lambda: session.colouring is not None and session.colouring.name == "defocus")
    QTest.mouseClick(line.hide_it, LEFT)
    assert not line.isVisible()
    session.associations = session.associations[:2]
    until(lambda: len(line._cautions) == 2)
    assert not line.isVisible()  # hidden by hand
    session.associations = ()
    until(lambda: line._cautions == ())
    session.associations = (Association("PC3", "defocus", 0.5, 0.1),)
    until(line.isVisible)  # of another run


@pytest.mark.gl
def test_way_points_are_in_the_way_only_while_their_panel_is_on_top(
    window: Any, session: Any, until: Until
) -> None:
    train(window, session, until)
    panel = window.trajectories
    assert not panel.overlay.editable  # its tab is below
    window.docks["trajectories"].raise_()
    until(lambda: panel.overlay.editable)
    QTest.mouseClick(panel.makers["Mark"], LEFT)
    assert panel.overlay.tool is PathTool.MARK
    window.docks["structure"].raise_()
    until(lambda: not panel.overlay.editable)
    assert panel.overlay.tool is PathTool.NONE
    before = session.path_marks
    rect = window.latent.canvas.plot_rect().toRect()
    QTest.mouseClick(window.latent.canvas, LEFT, NO_KEY, QPoint(rect.center()))
    assert session.path_marks == before
