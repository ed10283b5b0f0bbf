"""The panel of the landscape: what it asks for, what it shows, what it says while there is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic
from gestures import LEFT, Until
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from cryoscope.analysis.landscape_map import density_grid
from cryoscope.data import Provenance, Selection, Volume
from cryoscope.session import JobView, actions
from cryoscope.session.contours import contour_of
from cryoscope.session.covariates import CATEGORY_COLOURS
from cryoscope.session.landscape_records import (
    LandscapeSettings,
    LandscapeState,
    LandscapeView,
)
from cryoscope.session.landscape_view import _detail
from cryoscope.session.latent_picture import free_energy_rgba
from cryoscope.session.records import RunStatus, RunView
from cryoscope.session.shown import with_density

pytestmark = pytest.mark.gl
COUNT, STATES = 2000, 4


def landscape(run: Path, epoch: int = 30, r2: float = 0.9) -> LandscapeView:
    rng = np.random.default_rng(0)
    state = np.sort(rng.choice(STATES, COUNT, p=(0.4, 0.3, 0.2, 0.1)))
    scores = rng.normal(size=(COUNT, 3)).astype(np.float32)
    scores[:, 0] += 6 * state
    grid = density_grid(scores[:, :2])
    held = np.bincount(state, minlength=STATES)
    states = tuple(
        LandscapeState(
            i + 1, CATEGORY_COLOURS[i], int(held[i]), held[i] / COUNT, 5 + i, i, (6.0 * i, 0)
        )
        for i in range(STATES)
    )
    return LandscapeView(
        run / "landscape", epoch, LandscapeSettings(sketch=80, states=STATES, mask="box"), 80, 64,
        2.2, 0.31, (0.62, 0.2, 0.1, 0.005), r2, "network", states, state, scores,
        free_energy_rgba(grid, (200, 200)), grid.bounds,
    )  # fmt: skip


@pytest.fixture
def opened(window: Any, session: Any, until: Until, tmp_path: Path) -> Any:
    """A run with latents and no landscape; the panel is in front."""
    window.docks["landscape"].raise_()
    latents = synthetic.latents(COUNT, 1.0)
    from cryoscope.analysis.reduce import pca_embedding

    session.change(
        run=RunView(tmp_path / "run-001", "run-001", RunStatus.FINISHED),
        latents=latents,
        embedding=pca_embedding(latents.z),
    )
    until(lambda: window.landscape.start.isEnabled())
    return window


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """What the panel asks the session for, instead of doing it."""
    said: list[tuple[str, Any]] = []
    for name in ("make_landscape", "show_landscape_state", "select_landscape_states"):
        monkeypatch.setattr(
            actions, name, lambda _session, *args, _n=name, **kw: said.append((_n, args or kw))
        )
    for name in ("cancel_job", "colour_by", "view_latents"):
        monkeypatch.setattr(actions, name, lambda _session, *args, _n=name: said.append((_n, args)))
    return said


def test_at_first_it_says_what_it_is_for_and_what_is_missing(
    window: Any, session: Any, until: Until
) -> None:
    panel = window.landscape
    window.docks["landscape"].raise_()
    until(lambda: panel.hint.isVisible())
    assert "Which states are in a run" in panel.hint.text()
    assert panel.cost.text() == "Train on particles, or open a run folder, first."
    assert not panel.start.isEnabled()
    assert panel.start.toolTip() == panel.cost.text()
    assert not panel.results.isVisible()
    assert not panel.verdict.isVisible()
    session.run = RunView(Path("run-001"))
    until(lambda: "Wait for the first latents" in panel.cost.text())


def test_analyse_asks_for_what_is_chosen(
    opened: Any, asked: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from cryoscope.app import dialogs

    panel = opened.landscape
    assert panel.sketch.value() == 500
    assert "1,000 volumes of 64³" in panel.cost.text()
    QTest.mouseClick(panel.start, LEFT)
    assert asked.pop() == (
        "make_landscape", {"sketch": 500, "states": 10, "box_size_px": 64}
    )  # fmt: skip
    panel.sketch.setValue(100)
    panel.states.setValue(4)
    assert "200 volumes" in panel.cost.text()
    mask = tmp_path / "my mask.mrc"
    monkeypatch.setattr(dialogs, "ask_map", lambda *_args: mask)
    panel.mask.setFocus()
    QTest.keyClick(panel.mask, Qt.Key.Key_End)
    panel.mask.activated.emit(panel.mask.count() - 1)
    assert panel.mask.currentText() == "my mask.mrc"
    QTest.mouseClick(panel.start, LEFT)
    assert asked.pop()[1]["mask"] == str(mask)
    panel.mask.setCurrentIndex(1)
    QTest.mouseClick(panel.start, LEFT)
    assert asked.pop()[1] == {"sketch": 100, "states": 4, "mask": "box", "box_size_px": 64}
    monkeypatch.setattr(dialogs, "ask_map", lambda *_args: None)
    panel.mask.activated.emit(panel.mask.count() - 1)
    assert panel.mask.currentText() == "Automatic"
    assert [panel.mask.itemText(i) for i in range(panel.mask.count())] == [
        "Automatic", "Whole box", "File…",
    ]  # fmt: skip


def test_work_shows_its_stage_and_can_be_cancelled(
    opened: Any, session: Any, asked: list[Any], until: Until
) -> None:
    panel = opened.landscape
    text = "Decoding sketched volumes: 12 of 500, about 3 min left"
    session.jobs = (JobView(actions.LANDSCAPE_JOB, text, 12, 1000, True),)
    until(lambda: panel.work.isVisible())
    assert panel.stage.text() == text
    assert (panel.bar.done, panel.bar.total, panel.bar.text) == (12, 1000, "1 %")
    assert not panel.start.isVisible()
    assert not panel.form.isEnabled()
    QTest.mouseClick(panel.cancel, LEFT)
    assert asked == [("cancel_job", (actions.LANDSCAPE_JOB,))]
    session.jobs = ()
    until(lambda: not panel.work.isVisible())
    assert panel.start.isVisible()
    assert panel.form.isEnabled()


def test_states_are_listed_shown_and_selected(
    opened: Any, session: Any, asked: list[Any], until: Until
) -> None:
    panel = opened.landscape
    session.landscape = landscape(session.run.folder)
    until(lambda: panel.results.isVisible())
    assert not panel.hint.isVisible()
    assert panel.start.text() == "Analyse again"
    assert panel.verdict.text() == "2,000 particles in 4 states, by 80 volumes of epoch 30"
    assert (panel.sketch.value(), panel.states.value(), panel.mask.currentData()) == (80, 4, "box")
    assert panel.table.rowCount() == STATES
    assert panel.table.item(0, 1).text() == "815  (41%)"
    assert panel.variance.shares == pytest.approx((62, 20, 10, 0.5))
    assert panel.energy.x_label == "volume PC1 (62 %)"
    assert "R² 0.90" in panel.note.text()
    assert not panel.caution.isVisible()
    place = panel.table.visualItemRect(panel.table.item(2, 1)).center()
    QTest.mouseClick(panel.table.viewport(), LEFT, pos=place)
    QTest.keyClick(panel.table, Qt.Key.Key_Up)
    QTest.mouseClick(panel.table.cellWidget(3, 3), LEFT)
    at = panel.energy.place_of(4)
    QTest.mouseClick(panel.energy, LEFT, pos=QPoint(round(at.x()), round(at.y())))
    for button in (panel.select_all, panel.colour, panel.axes):
        QTest.mouseClick(button, LEFT)
    assert asked == [
        ("show_landscape_state", (3,)),
        ("show_landscape_state", (2,)),
        ("select_landscape_states", ([4],)),
        ("show_landscape_state", (4,)),
        ("select_landscape_states", {}),
        ("colour_by", ("landscape_state",)),
        ("view_latents", ("volume", 1, 2)),
    ]


def test_the_state_in_the_view_is_pointed_out(opened: Any, session: Any, until: Until) -> None:
    panel = opened.landscape
    found = session.landscape = landscape(session.run.folder)
    values = synthetic.density(synthetic.hinge_A(0.5))
    made = Provenance("decoded", detail=_detail(found.states[1]), run_id="run-001", epoch=30)
    volume = Volume.centred(values, synthetic.VOXEL_A, made)
    session.shown = with_density(None, volume, contour_of(session, "decoded"))
    until(lambda: panel.energy.chosen == 2)
    assert panel.table.selectedItems()[0].row() == 1
    assert opened.label.text().startswith("state 2 of the landscape (mean of 6 volumes), decoded")
    session.shown = None
    until(lambda: panel.energy.chosen == 0)
    assert panel.table.selectedItems() == []


def test_an_old_or_uncertain_landscape_says_so(opened: Any, session: Any, until: Until) -> None:
    panel = opened.landscape
    session.landscape = landscape(session.run.folder, epoch=3, r2=0.2)
    until(lambda: panel.caution.isVisible())
    assert "epoch 3, and the run is at epoch 30" in panel.caution.text()
    assert "not well foretold" in panel.caution.text()
    session.landscape = replace(session.landscape, epoch=30, r2=0.9)
    until(lambda: not panel.caution.isVisible())
    session.change(landscape=None, latents=None, run=None)
    until(lambda: panel.hint.isVisible() and not panel.results.isVisible())


def test_its_components_are_axes_and_colours_of_the_plot(
    opened: Any, session: Any, until: Until
) -> None:
    combo = opened.latent.view_row.colour
    names = lambda: {combo.itemData(i): combo.model().item(i) for i in range(combo.count())}  # noqa: E731
    until(lambda: "landscape_state" in names())
    assert not names()["landscape_state"].isEnabled()
    some = Selection("some", np.arange(COUNT) < 9)
    session.change(
        landscape=landscape(session.run.folder), selections=(some,), active_selection="some"
    )
    until(lambda: "volume_pc3" in names())
    assert names()["landscape_state"].isEnabled()
    QTest.mouseClick(opened.landscape.colour, LEFT)
    until(lambda: session.colouring is not None)
    assert session.colouring.categories[:2] == ("state 1", "state 2")
    assert session.active_selection == ""
