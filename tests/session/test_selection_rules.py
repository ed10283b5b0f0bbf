from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cryoscope.data import Selection
from cryoscope.io.selections_file import read_selections, write_selections
from cryoscope.session import RunView, Session, actions
from cryoscope.session.follow import show_latents
from cryoscope.session.latent_views import UMAP_JOB
from tests.session.conftest import eventually, fake_latents

RIGHT = {"kind": "lasso", "polygon": [[0, -99], [99, -99], [99, 99], [0, 99]]}
TOP = {"kind": "rectangle", "polygon": [[-99, 0], [99, 0], [99, 99], [-99, 99]]}


@pytest.fixture
def session(quiet_session: Session) -> Session:
    show_latents(quiet_session, fake_latents("run", 1, 0))
    return quiet_session


def xy(session: Session) -> np.ndarray:
    assert session.embedding is not None
    return session.embedding.xy


def active(session: Session) -> Selection:
    return next(one for one in session.selections if one.name == session.active_selection)


def error(session: Session) -> str:
    assert session.notice is not None
    assert session.notice.level == "error"
    return session.notice.text


def quiet(session: Session) -> None:
    assert session.pool.wait(60)


def test_every_kind_of_stroke_selects_all_that_it_holds(session: Session) -> None:
    points = xy(session).astype(float)
    actions.select(session, {"kind": "brush", "path": [[0, 0], [1, 0]], "radius": [0.5, 0.5]})
    along = np.clip(points[:, 0], 0, 1)
    near = np.hypot(points[:, 0] - along, points[:, 1]) <= 0.5
    assert np.array_equal(active(session).mask, near)
    actions.select(session, {"kind": "nearest", "xy": [0.0, 0.0], "count": 7})
    assert len(active(session)) == 7
    assert actions.count_rule(session, TOP) == (points[:, 1] > 0).sum()
    actions.select(session, {"kind": "brush", "path": [[0, "x"]], "radius": [1, 1]})
    assert "makes no sense" in error(session)
    actions.select(session, {"kind": "telepathy"})
    assert session.notice.level == "error"


def test_intersect_invert_and_combine_are_undoable_sets(session: Session) -> None:
    right, top = (xy(session) > 0).T
    actions.select(session, RIGHT)
    actions.select(session, TOP, "intersect")
    assert np.array_equal(active(session).mask, right & top)
    actions.invert_selection(session)
    assert np.array_equal(active(session).mask, ~(right & top))
    actions.select(session, TOP)
    actions.combine_selections(session, "selection 1", "intersect")
    assert np.array_equal(active(session).mask, top & ~(right & top))
    actions.combine_selections(session, "selection 1", "add")
    assert np.array_equal(active(session).mask, ~(right & top))
    before = session.selections
    for _ in range(6):
        actions.undo(session)
    assert session.selections == ()
    for _ in range(6):
        actions.redo(session)
    assert session.selections == before
    actions.combine_selections(session, "selection 1", "add")
    assert "changes nothing" in session.notice.text


def test_notes_and_colours_are_undoable(session: Session) -> None:
    actions.select(session, RIGHT)
    actions.note_selection(session, "selection 1", "  open arm ")
    actions.recolour_selection(session, "selection 1", "#0072b2")
    assert (active(session).note, active(session).colour) == ("open arm", "#0072b2")
    actions.recolour_selection(session, "selection 1", "blue; }")
    assert "no colour" in error(session)
    actions.undo(session)
    actions.undo(session)
    assert active(session).note == ""
    actions.note_selection(session, "nobody", "x")
    assert "there is no selection" in error(session)


def test_ranges_and_categories_of_covariates(session: Session) -> None:
    z = session.latents.z
    actions.select(session, {"kind": "range", "covariate": "z2", "low": 0.1, "high": None})
    quiet(session)
    assert np.array_equal(active(session).mask, z[:, 1].astype(float) >= 0.1)
    actions.select(
        session, {"kind": "category", "covariate": "half_set", "category": "half 1"}, "intersect"
    )
    quiet(session)
    assert session.active_selection == "selection 1"
    actions.select(session, {"kind": "category", "covariate": "half_set", "category": "third"})
    quiet(session)
    assert "has no 'third'" in error(session)


def test_a_selection_is_made_again_on_the_same_axes(session: Session, tmp_path: Path) -> None:
    actions.select(session, RIGHT)
    actions.select(session, TOP, "subtract")
    actions.invert_selection(session)
    actions.select(session, {"kind": "nearest", "xy": [0, 0], "count": 5}, "add")
    made = active(session)
    json.dumps(made.made_by)
    path = tmp_path / "selections.json"
    write_selections(path, [made])
    (read,) = read_selections(path)
    assert read.made_by == made.made_by
    session.selections = (replace(read, mask=np.zeros_like(read.mask)),)
    actions.view_latents(session, "dims", 2, 1)
    quiet(session)
    actions.replay_selection(session, read.name)
    quiet(session)
    assert np.array_equal(session.selections[0].mask, made.mask)
    actions.undo(session)
    assert not session.selections[0].mask.any()


def test_what_cannot_be_made_again_says_why(session: Session) -> None:
    actions.select(session, RIGHT)
    made = active(session)
    drawn = {k: v for k, v in made.made_by.items() if k not in ("projection", "centre")}
    session.selections = (replace(made, made_by={**drawn, "embedding": "umap-gone"}),)
    actions.replay_selection(session, made.name)
    quiet(session)
    assert "not the one shown" in error(session)
    session.selections = (replace(made, made_by={}),)
    actions.replay_selection(session, made.name)
    quiet(session)
    assert "does not say how" in error(session)


def test_old_selections_still_read(tmp_path: Path) -> None:
    old = Selection("a", np.array([True, False]), made_by={"kind": "lasso", "polygon": [[0, 0]]})
    write_selections(tmp_path / "s.json", [old])
    (read,) = read_selections(tmp_path / "s.json")
    assert read.made_by == old.made_by


def test_views_of_the_latents(session: Session) -> None:
    z = session.latents.z
    session.cursor_xy = tuple(float(v) for v in xy(session)[17])
    actions.view_latents(session, "dims", 1, 2)
    quiet(session)
    np.testing.assert_array_equal(xy(session), z[:, :2])
    assert session.embedding.axis_labels[0] == "Latent dimension 1"
    np.testing.assert_allclose(session.cursor_xy, z[17, :2], rtol=1e-5)
    show_latents(session, fake_latents("run", 2, 10))
    np.testing.assert_array_equal(xy(session), session.latents.z[:, :2])
    actions.view_latents(session, "pc", 2, 1)
    quiet(session)
    assert session.embedding.axis_labels[0].startswith("PC2")
    for kind, x in (("pc", 99), ("dims", 0), ("volume", 1)):
        actions.view_latents(session, kind, x, 1)
        quiet(session)
        assert session.notice.level == "error"
    assert session.latent_view.kind == "pc"
    assert actions.view_axes(session, "pc") == z.shape[1]
    assert actions.view_axes(session, "umap") == 0


def test_colours_follow_the_choice_and_the_latents(session: Session) -> None:
    actions.colour_by(session, "z1")
    quiet(session)
    np.testing.assert_array_equal(session.colouring.values, session.latents.z[:, 0])
    assert session.colouring.counts.sum() == len(session.latents)
    show_latents(session, fake_latents("run", 2, 10))
    quiet(session)
    np.testing.assert_array_equal(session.colouring.values, session.latents.z[:, 0])
    actions.colour_by(session, "drift")
    quiet(session)
    assert session.notice.level == "error"
    actions.cluster_particles(session, 3)
    quiet(session)
    assert session.colouring.categories == ("cluster 1", "cluster 2", "cluster 3")
    assert session.colouring.counts.sum() == len(session.latents)
    actions.colour_by(session, "density")
    assert session.colouring is None
    eventually(lambda: not session.jobs)


@pytest.mark.slow
def test_a_umap_is_made_in_a_process_and_can_be_cancelled(session: Session) -> None:
    pytest.importorskip("umap", reason="umap-learn is not installed (extra: umap)")
    actions.view_latents(session, "umap")
    eventually(lambda: any("UMAP picture of" in job.text for job in session.jobs))
    actions.cancel_job(session, UMAP_JOB)
    quiet(session)
    assert session.latent_view.kind == "pc"
    actions.view_latents(session, "umap")
    assert session.pool.wait(240)
    assert session.latent_view.kind == "umap"
    assert np.isfinite(xy(session)).all()
    actions.select(session, {"kind": "nearest", "xy": xy(session)[3].tolist(), "count": 9})
    assert "projection" not in active(session).made_by
    kept = session.embedding
    actions.view_latents(session)
    quiet(session)
    actions.view_latents(session, "umap")
    quiet(session)
    assert session.embedding is kept


def test_components_of_the_maps_by_the_name_of_each_particle(
    session: Session, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    (folder / "landscape").mkdir(parents=True)
    session.run = RunView(folder)
    assert actions.view_axes(session, "volume") == 0
    uid = session.latents.uid
    rows = [f"{name},1,{i},{2 * i},0.5" for i, name in enumerate(uid)][::-1]
    path = folder / "landscape" / "particles.csv"
    path.write_text("particle,state,VC1,VC2,VC3\n" + "\n".join(rows[:-1]) + "\n")
    assert actions.view_axes(session, "volume") == 3
    actions.view_latents(session, "volume", 2, 1)
    quiet(session)
    np.testing.assert_array_equal(xy(session)[5], [10, 5])
    assert np.isnan(xy(session)[0]).all(), "this one is not in the table"
    assert session.embedding.axis_labels == ("Volume PC2", "Volume PC1")
    path.write_text('particle,state,VC1\n"broken')
    actions.view_latents(session, "volume", 1, 1)
    quiet(session)
    assert session.notice.level == "error"
