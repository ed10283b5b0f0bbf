"""Kept states: names, undo, contours, and what surfaces are coloured by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from cryoscope.data import InputError, Provenance, Structure, Volume
from cryoscope.session import Session, StructureView, actions
from cryoscope.session.contours import contour_of
from cryoscope.session.disagreement_file import known_disagreement_A, load_disagreement
from cryoscope.session.keeping import MOST_KEPT, relevel_kept
from cryoscope.session.residues import backbone_mesh, residue_trace
from cryoscope.session.shown import in_style, shown_structure, with_density
from cryoscope.session.surface_colours import surface_mesh, surface_scale


def blob(radius: float, scale: float = 1.0) -> Volume:
    grid = np.indices((32, 32, 32)) - 16
    ball = ((grid**2).sum(0) < radius**2).astype(np.float32) * scale
    return Volume.centred(gaussian_filter(ball, 1.0), 2.0, Provenance("decoded", run_id="r"))


def helix(count: int = 30) -> Structure:
    turn = np.arange(count) * np.deg2rad(100)
    coords = np.stack([2.3 * np.cos(turn), 2.3 * np.sin(turn), 1.5 * np.arange(count)], axis=1)
    return Structure(
        coords_A=coords - coords.mean(0),
        element=np.full(count, "C"),
        atom_name=np.full(count, "CA"),
        residue_name=np.full(count, "ALA"),
        residue_id=np.arange(1, count + 1),
        chain_id=np.full(count, "A"),
        insertion_code=np.full(count, ""),
        b_factor_A2=np.full(count, 20.0),
        occupancy=np.ones(count),
    )


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    made = Session()
    made.iso_sigma = 1.2
    made.structure = StructureView.of(tmp_path / "helix.pdb", helix())
    trace = shown_structure(helix(), tmp_path / "helix.pdb")
    made.shown = with_density(trace, blob(8), contour_of(made, "decoded"))
    yield made
    actions.close(made)


def names(session: Session) -> list[str]:
    return [one.name for one in session.kept_states]


def test_keep_rename_recolour_remove_and_undo(session: Session) -> None:
    actions.keep_state(session)
    actions.keep_state(session, "open")
    actions.keep_state(session, "open")
    assert names(session) == ["state 1", "open", "open 2"]
    assert len({one.colour for one in session.kept_states}) == 3
    assert session.kept_states[0].shown is session.shown
    actions.rename_kept(session, "open", "closed")
    actions.recolour_kept(session, "closed", "#123456")
    assert session.kept_states[1].colour == "#123456"
    actions.show_kept(session, "closed", False)
    assert not session.kept_states[1].visible
    actions.remove_kept(session, "state 1")
    assert names(session) == ["closed", "open 2"]
    actions.undo(session)
    assert names(session) == ["state 1", "closed", "open 2"]
    actions.redo(session)
    assert names(session) == ["closed", "open 2"]
    actions.rename_kept(session, "closed", "open 2")
    assert "already" in session.notice.text
    actions.remove_kept(session, "nobody")
    assert "nobody" in session.notice.text
    for _ in range(MOST_KEPT):
        actions.keep_state(session)
    assert len(session.kept_states) == MOST_KEPT


def test_nothing_to_keep() -> None:
    session = Session()
    actions.keep_state(session)
    assert session.kept_states == ()
    assert session.notice.level == "error"


def test_a_held_volume_holds_for_kept_states(session: Session) -> None:
    actions.keep_state(session)
    session.shown = with_density(session.shown, blob(11, 3.0), contour_of(session, "decoded"))
    for hold, amount in (("sigma", 2.0), ("value", 0.4), ("volume", 9000.0)):
        session.contours = {}
        actions.set_contour(session, amount, hold)
        relevel_kept(session)
        kept = session.kept_states[0].shown
        found = {"sigma": kept.sigma, "value": kept.level, "volume": kept.enclosed_A3}[hold]
        assert found == pytest.approx(amount, rel=0.02)
        assert kept.isosurface is not None


def test_surfaces_by_difference(session: Session) -> None:
    actions.colour_surface(session, "difference")
    assert "Keep" in session.notice.text
    assert session.scene.surface == "plain"
    actions.keep_state(session, "small")
    actions.colour_surface(session, "difference")
    assert session.scene.against == "small"
    same = surface_mesh(session, session.shown)
    assert np.allclose(same.values, 0.0, atol=0.05)  # a map does not differ from itself
    doubled = replace(session.shown.density, values=2 * session.shown.density.values)
    scaled = with_density(session.shown, doubled, contour_of(session, "decoded"))
    assert np.allclose(surface_mesh(session, scaled).values, 0.0, atol=0.05)
    larger = with_density(session.shown, blob(13), contour_of(session, "decoded"))
    grown = surface_mesh(session, larger)
    scale = surface_scale(session, larger)
    assert scale.low == -scale.high
    assert "small" in scale.title
    assert grown.values.min() > 0.7 * scale.high  # there is nothing there in the kept state
    actions.rename_kept(session, "small", "tiny")
    assert session.scene.against == "tiny"
    actions.remove_kept(session, "tiny")
    assert surface_mesh(session, larger).values is None
    assert surface_scale(session, larger).title == ""


def test_surfaces_by_motion(session: Session) -> None:
    moved = replace(session.shown, displacement_A=np.linspace(0, 9, 30).astype(np.float32))
    session.shown = moved
    actions.colour_surface(session, "displacement")
    mesh = surface_mesh(session, moved)
    low = mesh.vertices_A[:, 2] < -10
    high = mesh.vertices_A[:, 2] > 10
    assert mesh.values[low].mean() < 3 < 6 < mesh.values[high].mean()
    assert surface_scale(session, moved).high == pytest.approx(9.0)
    session.structure = None
    actions.colour_surface(session, "plain")
    actions.colour_surface(session, "displacement")
    assert session.scene.surface == "plain"
    assert "no atomic model" in session.notice.text


def test_ribbons_take_the_colours_of_tubes(session: Session) -> None:
    actions.draw_backbone_as(session, "ribbon")
    trace = residue_trace(session)
    ribbon = in_style(session.shown, trace, "ribbon").backbone
    assert ribbon.faces is session.shown.backbone.faces
    assert not np.allclose(ribbon.vertices_A, session.shown.backbone.vertices_A)
    for by in ("displacement", "b_factor", "chain"):
        actions.colour_backbone(session, by)
        assert np.array_equal(backbone_mesh(session, session.shown).vertices_A, ribbon.vertices_A)
    actions.draw_backbone_as(session, "cartoon")
    assert session.scene.backbone == "ribbon"
    actions.arrange_states(session, "grid")
    assert session.scene.layout == "grid"


def test_disagreement_between_half_sets(session: Session, tmp_path: Path) -> None:
    trace = residue_trace(session)
    actions.colour_backbone(session, "disagreement")
    assert "control halves" in session.notice.text
    assert session.backbone_colour == "displacement"
    run, table = tmp_path / "run-001", tmp_path / "halves" / "disagreement.csv"
    run.mkdir()
    table.parent.mkdir()
    rows = [f"A,{number},,ALA,{0.1 * number},1,0.9,1,1" for number in range(1, 30)]
    head = "chain,residue,insertion_code,name,disagreement_A,unmatched_A,correlation,m1,m2"
    table.write_text("\n".join([head, *rows]))
    values = load_disagreement(trace, run)
    assert values[:3] == pytest.approx([0.1, 0.2, 0.3])
    assert np.isnan(values[29])
    assert known_disagreement_A(trace) is values
    other = replace(trace, chain_id=np.full(len(trace), "Z"))
    with pytest.raises(InputError, match="another structure"):
        load_disagreement(other, run)
    table.write_text("chain,residue\nA,1\n")
    with pytest.raises(InputError, match="no column"):
        load_disagreement(other, run)
