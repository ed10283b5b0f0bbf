"""Other pictures of the latents: dimensions, components of the maps, axes that are not there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cryoscope.data import InputError, Optics, Selection
from cryoscope.session import ParticlesView, RunView, Session, actions
from cryoscope.session.covariates import MOST_CATEGORIES, covariate, covariate_mask
from cryoscope.session.follow import show_latents
from cryoscope.session.latent_records import LatentView
from cryoscope.session.latent_views import nearest_row, view_axes
from tests.session.conftest import PARTICLES, fake_latents


@pytest.fixture
def session(quiet_session: Session, tmp_path: Path) -> Session:
    show_latents(quiet_session, fake_latents("run", 1, 0))
    quiet_session.run = RunView(tmp_path / "run")
    return quiet_session


def look(session: Session, kind: str, x: int = 1, y: int = 2) -> None:
    session.change(notice=None)
    actions.view_latents(session, kind, x, y)  # type: ignore[arg-type]
    assert actions.wait(session, 30)


def components(session: Session, rows: list[tuple[str, float, float]]) -> Path:
    """What a landscape of the maps leaves in a run."""
    table = session.run.folder / "landscape" / "particles.csv"
    table.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{name},{a},{b},x" for name, a, b in rows]
    table.write_text("\n".join(["particle,VC1,VC2,state", *lines]) + "\n")
    return table


def test_dimensions_are_shown_as_they_are(session: Session) -> None:
    look(session, "dims", 3, 1)
    assert session.latent_view == LatentView("dims", 3, 1)
    np.testing.assert_allclose(session.embedding.xy, session.latents.z[:, [2, 0]], atol=1e-6)
    assert session.embedding.axis_labels == ("Latent dimension 3", "Latent dimension 1")
    assert view_axes(session, "dims") == view_axes(session, "pc") == 3
    assert view_axes(session, "umap") == 0
    look(session, "pc", 1, 3)
    assert session.embedding.axis_labels[1].startswith("PC3")


def test_a_view_that_cannot_be_leaves_the_one_before(session: Session) -> None:
    before = session.embedding
    for kind, x, problem in (
        ("dims", 9, "no latent dimension 9"),
        ("t-sne", 1, "there is no view 't-sne'"),
        ("volume", 1, "no components of its maps yet"),
    ):
        look(session, kind, x)
        assert session.notice is not None
        assert problem in session.notice.text
        assert session.embedding is before
        assert session.latent_view.kind == "pc"
    session.change(latents=None)
    look(session, "dims")
    assert "no latents yet" in session.notice.text


def test_the_cursor_goes_with_its_particle(session: Session) -> None:
    row = 17
    actions.move_cursor(session, tuple(float(one) for one in session.embedding.xy[row]))
    look(session, "dims", 2, 3)
    np.testing.assert_allclose(session.cursor_xy, session.latents.z[row, [1, 2]], atol=1e-6)
    xy = np.array([[np.nan, 0], [5, 5], [1, 1]], dtype=np.float32)
    assert nearest_row(xy, (0.0, 0.0)) == 2
    assert nearest_row(xy[:1], (0.0, 0.0)) is None


def test_components_of_maps_are_matched_by_name(session: Session) -> None:
    uid = session.latents.uid
    rows = [(str(name), 1.0 * n, -2.0 * n) for n, name in enumerate(uid[:100])]
    components(session, [*rows[::-1], rows[3]])  # another order, one twice
    assert view_axes(session, "volume") == 2
    look(session, "volume", 2, 1)
    xy = session.embedding.xy
    np.testing.assert_allclose(xy[:100], [(-2.0 * n, 1.0 * n) for n in range(100)])
    assert np.isnan(xy[100:]).all()
    assert session.embedding.axis_labels == ("Volume PC2", "Volume PC1")
    look(session, "volume", 1, 3)
    assert "no volume component 3" in session.notice.text


def test_tables_of_others_or_none_at_all_are_refused(session: Session) -> None:
    table = components(session, [("stranger", 1.0, 2.0)])
    look(session, "volume")
    assert "particles are not those of this run" in session.notice.text
    name = str(session.latents.uid[0])
    table.write_text(f"particle,VC1,VC2\n{name},words,2\n")
    look(session, "volume")
    assert "components of the maps cannot be read" in session.notice.text
    assert session.latent_view.kind == "pc"


def test_latents_with_fewer_dimensions_fall_back_to_components(session: Session) -> None:
    look(session, "dims", 3, 1)
    fewer = replace(session.latents, z=session.latents.z[:, :2], epoch=2)
    show_latents(session, fewer)
    assert "no latent dimension 3" in session.notice.text
    assert session.latent_view == LatentView()
    assert session.embedding.axis_labels[0].startswith("PC1")


# Colours of the picture


def test_groups_and_dimensions_as_colours(session: Session) -> None:
    z = session.latents.z
    found = covariate(session, "z2")
    np.testing.assert_array_equal(found.values, z[:, 1])
    np.testing.assert_allclose(covariate(session, "norm").values, np.linalg.norm(z, axis=1))
    actions.cluster_particles(session, 4)
    assert actions.wait(session, 30)
    assert session.colouring.categories == tuple(f"cluster {n}" for n in range(1, 5))
    np.testing.assert_array_equal(session.colouring.values, session.clusters)
    assert session.colouring.counts.sum() == PARTICLES
    many = np.arange(PARTICLES) % (MOST_CATEGORIES + 3)
    session.clusters = many.astype(np.int64)
    found = covariate(session, "cluster")  # too many for colours of their own
    assert (found.kind, found.categories) == ("continuous", ())
    np.testing.assert_array_equal(found.values, many + 1)


def test_particles_in_several_selections_have_a_colour_of_their_own(session: Session) -> None:
    masks = [np.arange(PARTICLES) < 100, np.arange(PARTICLES) % 2 == 0]
    session.selections = tuple(
        Selection(name, mask, colour=colour)
        for name, mask, colour in zip("ab", masks, ("#ff0000", "#00ff00"), strict=True)
    )
    found = covariate(session, "selection")
    assert found.categories == ("in none", "a", "b", "in several")
    assert found.values[[1, 0, 100, 101]].tolist() == [1, 3, 2, 0]
    assert found.table[1:3].tolist() == [[255, 0, 0], [0, 255, 0]]
    assert found.counts.tolist() == [100, 50, 100, 50]
    # and they follow the selections
    actions.colour_by(session, "selection")
    assert actions.wait(session, 30)
    actions.remove_selection(session, "b")
    assert actions.wait(session, 30)
    assert session.colouring.categories == ("in none", "a", "in several")


def test_uncertainty_needs_variances(session: Session) -> None:
    with pytest.raises(InputError, match="no values of 'Uncertainty of the latent'"):
        covariate(session, "uncertainty")
    log_var = np.log(np.full((PARTICLES, 3), 4.0, dtype=np.float32))
    session.latents = replace(session.latents, log_var=log_var)
    np.testing.assert_allclose(covariate(session, "uncertainty").values, 2.0, rtol=1e-6)


def test_optics_groups_by_name_and_strangers_refused(session: Session) -> None:
    record = session.particles.record
    group = (np.arange(PARTICLES) % 2).astype(np.int64)
    optics = (Optics(2.0, 16, name="krios"), Optics(2.0, 16, name="glacios"))
    record = replace(record, optics=optics, ctf=replace(record.ctf, optics_group=group))
    session.particles = ParticlesView.of(record)
    found = covariate(session, "optics_group")
    assert found.categories == ("krios", "glacios")
    np.testing.assert_array_equal(found.values, group)
    latents = session.latents
    few = np.char.add("other-", latents.uid)
    few[:10] = latents.uid[:10]
    session.latents = replace(latents, uid=few)
    values = covariate(session, "optics_group").values
    np.testing.assert_array_equal(values[:10], group[:10])
    assert np.isnan(values[10:]).all()  # not in the file that is open
    session.latents = replace(latents, uid=np.char.add("other-", latents.uid))
    with pytest.raises(InputError, match="not those of the run"):
        covariate(session, "defocus")


def test_a_range_of_values_has_open_ends_and_leaves_out_the_unknown(session: Session) -> None:
    found = replace(covariate(session, "norm"), values=np.array([1, np.nan, 2.5, 4], np.float32))
    assert covariate_mask(found, 2.5, None).tolist() == [False, False, True, True]
    assert covariate_mask(found, None, 2.5).tolist() == [True, False, True, False]
    assert covariate_mask(found, None, None).tolist() == [True, False, True, True]
