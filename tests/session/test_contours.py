"""Contours: one for each kind of map, and what they hold from state to state."""

from __future__ import annotations

import numpy as np
import pytest

from cryoscope.analysis.isosurface import enclosed_volume_A3, mean_and_spread, volume_level
from cryoscope.data import Provenance, Volume
from cryoscope.session import Session, actions
from cryoscope.session.contours import Contour, contour_of
from cryoscope.session.shown import with_density
from tests.session.conftest import eventually


def volume(kind: str = "decoded", scale: float = 1.0) -> Volume:
    values = np.random.default_rng(0).normal(size=(16, 16, 16)).astype(np.float32)
    return Volume.centred(scale * values, 2.0, Provenance(kind))  # type: ignore[arg-type]


def show(session: Session, density: Volume) -> None:
    contour = contour_of(session, density.provenance.kind)
    session.shown = with_density(None, density, contour)


def test_levels_of_a_contour() -> None:
    one = volume()
    mean, spread = mean_and_spread(one)
    assert Contour("sigma", 2.0).level(one) == pytest.approx(mean + 2 * spread)
    assert Contour("value", 0.7).level(one) == 0.7
    level = Contour("volume", 800.0).level(one)
    assert enclosed_volume_A3(one, level) == 800.0
    assert volume_level(one, 1e12) == one.values.min()
    assert volume_level(one, 0.0) == one.values.max()


def test_each_kind_of_map_remembers_its_own(quiet_session: Session) -> None:
    session = quiet_session
    show(session, volume("decoded"))
    actions.set_iso_sigma(session, 1.0)
    eventually(lambda: session.shown.sigma == pytest.approx(1.0), "the level of the decoded map")
    show(session, volume("reconstructed", 5.0))
    assert session.shown.sigma == pytest.approx(1.0)  # as asked for last
    actions.set_contour(session, 2.5)
    eventually(lambda: session.shown.sigma == pytest.approx(2.5), "that of the reconstructed one")
    show(session, volume("decoded", 3.0))
    assert session.shown.sigma == pytest.approx(1.0)


@pytest.mark.parametrize("hold", ["value", "volume"])
def test_what_is_held_stays_while_the_slider_moves_it(quiet_session: Session, hold: str) -> None:
    session = quiet_session
    show(session, volume())
    before = session.shown
    actions.hold_contour(session, hold)  # type: ignore[arg-type]
    eventually(lambda: session.shown is not before, "the surface drawn again")
    assert session.shown.level == pytest.approx(before.level, rel=0.05)
    actions.slide_contour(session, 1.5)
    eventually(lambda: abs(session.shown.sigma - 1.5) < 0.02, "the level moved")
    contour = actions.shown_contour(session)
    assert contour.hold == hold
    level, enclosed_A3 = session.shown.level, session.shown.enclosed_A3
    show(session, volume(scale=2.0))
    if hold == "value":
        assert session.shown.level == level
    else:
        assert session.shown.enclosed_A3 == pytest.approx(enclosed_A3)


def test_levels_that_mean_nothing(quiet_session: Session) -> None:
    session = quiet_session
    show(session, volume())
    actions.set_contour(session, float("nan"))
    assert "not a number" in session.notice.text
    actions.set_contour(session, 0.0, "volume")
    assert "encloses nothing" in session.notice.text
    assert session.contours == {}
