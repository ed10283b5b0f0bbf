"""Surfaces of large maps: coarse first, then in full; dropped when nobody looks any more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from cryoscope.analysis.isosurface import isosurface
from cryoscope.data import Provenance, Volume
from cryoscope.session import Session, actions, refining
from cryoscope.session.contours import Contour, contour_of
from cryoscope.session.shown import with_density
from tests.session.conftest import eventually


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """Maps of 32 voxels a side are large."""
    monkeypatch.setattr(refining, "MOST_VOXELS", 24**3)
    monkeypatch.setattr(refining, "COARSE_PX", 16)
    monkeypatch.setattr("cryoscope.analysis.isosurface.SLAB_CELLS", 2000)
    made = Session()
    yield made
    actions.close(made)


def a_map(seed: int = 0, px: int = 32) -> Volume:
    values = np.random.default_rng(seed).normal(size=(px,) * 3).astype(np.float32)
    return Volume.centred(gaussian_filter(values, 2.0), 2.0, Provenance("decoded", run_id="r"))


def test_coarse_first_then_in_full(session: Session) -> None:
    volume = a_map()
    first = with_density(None, volume, Contour("sigma", 2.0))
    assert first.surface_step == 2
    assert first.box_text == "surface of every 2nd voxel"
    whole = isosurface(volume, first.level)
    assert 0 < len(first.isosurface.faces) < 0.5 * len(whole.faces)
    session.shown = first
    eventually(lambda: session.shown.surface_step == 1, "the surface in full")
    assert len(session.shown.isosurface.faces) == len(whole.faces)
    assert session.shown.box_text == ""
    assert session.shown.density is volume
    small = with_density(None, a_map(px=20), Contour("sigma", 2.0))
    assert small.surface_step == 1


def test_kept_states_come_after_the_shown_one(session: Session) -> None:
    first, second = (with_density(None, a_map(seed), Contour("sigma", 2.0)) for seed in (1, 2))
    session.shown = first
    actions.keep_state(session, "one")
    session.shown = second
    actions.keep_state(session, "two")
    done = lambda: [one.shown.surface_step for one in session.kept_states] == [1, 1]  # noqa: E731
    eventually(done, "kept states in full")
    eventually(lambda: session.shown.surface_step == 1, "the shown one too")
    assert session.kept_states[1].shown is session.shown
    actions.set_contour(session, 1.0)
    eventually(lambda: abs(session.kept_states[0].shown.sigma - 1.0) < 1e-3 and done(), "redrawn")


def test_what_is_no_longer_shown_is_left(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    from cryoscope.analysis.isosurface import SurfaceInPieces

    made: list[int] = []
    pieces = SurfaceInPieces.pieces

    def slowly(self: SurfaceInPieces):  # type: ignore[no-untyped-def]
        for count in pieces(self):
            made.append(count)
            if self._step == 1:
                session.shown = with_density(None, second, Contour("sigma", 2.0))
            yield count

    first, second = a_map(3), a_map(4)
    session.shown = with_density(None, first, Contour("sigma", 2.0))
    monkeypatch.setattr(SurfaceInPieces, "pieces", slowly)
    eventually(lambda: session.shown.density is second, "the other map")
    monkeypatch.undo()
    eventually(lambda: session.shown.surface_step == 1, "the surface in full")
    assert session.shown.density is second


def test_a_surface_that_is_too_large_stays_coarse(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = a_map()
    whole = len(isosurface(volume, 0.0).faces)
    monkeypatch.setattr(refining, "MOST_TRIANGLES", whole // 2)
    state = with_density(None, volume, Contour("value", 0.0))
    assert state.surface_step >= 2
    session.shown = state
    refiner = session.decoder._surfaces
    eventually(lambda: state in refiner._too_large, "given up")
    assert session.shown is state
    monkeypatch.setattr(refining, "MOST_TRIANGLES", 100)
    least = with_density(None, volume, Contour("value", 0.0))
    assert len(least.isosurface.faces) <= 100


def test_maps_have_a_contour_before_one_is_chosen(session: Session) -> None:
    assert contour_of(session, "decoded") == Contour("auto", 0.0)
    session.shown = with_density(None, a_map(), contour_of(session, "decoded"))
    high = float(np.percentile(session.shown.density.values, 99.99))
    assert session.shown.level == pytest.approx(high / 2)
    actions.slide_contour(session, 2.0)
    assert contour_of(session, "decoded") == Contour("sigma", 2.0)
    assert contour_of(session, "file") == Contour("sigma", 2.0)  # as asked for last
    actions.hold_contour(session, "value")
    assert contour_of(session, "decoded").hold == "value"
    actions.hold_contour(session, "auto")
    assert contour_of(session, "decoded").hold == contour_of(session, "file").hold == "auto"
    eventually(lambda: session.shown.level == pytest.approx(high / 2), "its own level again")


def test_the_contour_encloses_the_molecule_that_is_open(session: Session) -> None:
    from cryoscope.session import StructureView
    from tests.session.test_keeping import helix

    session.structure = StructureView.of(None, helix(60))  # type: ignore[arg-type]
    contour = contour_of(session, "decoded")
    assert contour == Contour("auto", 60 * 135.0)
    state = with_density(None, a_map(), contour)
    assert state.enclosed_A3 == pytest.approx(60 * 135.0, rel=0.01)
    assert replace(state, surface_step=3).box_text == "surface of every 3rd voxel"
