from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from cryoscope.session import Session, actions, residues
from cryoscope.session.shown import shown_structure
from tests.session.conftest import eventually
from tests.session.fake_worker import BEADS


@pytest.fixture
def session(quiet_session: Session, tmp_path: Path) -> Session:
    actions.start_training(quiet_session, tmp_path / "run")
    eventually(lambda: quiet_session.embedding is not None and quiet_session.run.ready, "latents")
    actions.stop_training(quiet_session)
    eventually(lambda: not quiet_session.run.status.active, "the end of training")
    actions.wait(quiet_session)
    eventually(lambda: quiet_session.shown is not None, "a state")
    return quiet_session


def test_the_residues_have_letters_numbers_and_chains(session: Session) -> None:
    table = residues.residue_table(session)
    assert table is not None
    assert len(table) == BEADS
    assert set(table.letter) == {"A"}
    assert table.label(4) == "chain A, ALA 5"


def test_motion_is_measured_over_the_run_and_written(session: Session, tmp_path: Path) -> None:
    actions.colour_backbone(session, "motion")
    assert actions.wait(session, 60)
    motion_A = session.residue_motion
    assert motion_A is not None
    # The fake model moves bead i by z1 * i / (n - 1) along all three axes.
    assert np.allclose(motion_A / motion_A[-1], np.linspace(0, 1, BEADS), atol=1e-3)
    actions.export_residues(session, tmp_path / "residues.csv")
    assert actions.wait(session, 60)
    with (tmp_path / "residues.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["residue"]) for row in rows] == list(range(1, BEADS + 1))
    assert np.allclose([float(row["rms_motion_A"]) for row in rows], motion_A, atol=1e-3)


@pytest.mark.parametrize("by", residues.COLOURS_BY)
def test_the_backbone_takes_every_colour(session: Session, by: str) -> None:
    if by == "disagreement":
        trace = residues.residue_trace(session)
        assert trace is not None
        lines = [
            f"{chain},{number},{code},{0.1 * row}"
            for row, (chain, number, code) in enumerate(
                zip(trace.chain_id, trace.residue_id, trace.insertion_code, strict=True)
            )
        ]
        header = "chain,residue,insertion_code,disagreement_A"
        (session.run.folder / "disagreement.csv").write_text("\n".join([header, *lines]) + "\n")
    actions.colour_backbone(session, by)
    actions.wait(session, 60)
    mesh = residues.backbone_mesh(session, session.shown)
    values = residues.residue_values(session, by)
    assert mesh.faces is session.shown.backbone.faces
    assert len(mesh.values) == len(mesh.vertices_A)
    assert np.ptp(mesh.values) == pytest.approx(np.ptp(values), abs=1e-4)
    assert residues.colour_range(session, by) >= 0


def test_a_residue_is_marked_and_named(session: Session) -> None:
    actions.mark_residue(session, 4)
    assert session.marked_residue == 4
    assert session.notice.text.startswith("chain A, ALA 5; ")
    assert np.array_equal(residues.residue_place_A(session, 4), session.shown.coords_A[4])
    actions.mark_residue(session, None)
    assert session.marked_residue is None
    actions.mark_residue(session, BEADS)
    assert session.notice.level == "error"
    actions.colour_backbone(session, "mood")
    assert "mood" in session.notice.text


def test_the_residue_under_the_pointer_is_found(session: Session) -> None:
    coords = session.shown.coords_A.astype(float)
    look = np.array([0.3, -0.2, 1.0])
    away = coords[6] - 100 * look
    found = residues.residue_at_ray(session, away, look)
    assert found is not None
    assert np.linalg.norm(coords[found] - coords[6]) < 8.0
    assert residues.residue_at_ray(session, away + np.array([500, 0, 0]), look) is None


def test_without_atoms_it_says_so(tmp_path: Path) -> None:
    empty = Session()
    assert residues.residue_table(empty) is None
    actions.colour_backbone(empty, "chain")
    assert "no atomic model" in empty.notice.text
    actions.export_residues(empty, tmp_path / "residues.txt")
    assert ".csv" in empty.notice.text
    actions.export_residues(empty, tmp_path / "residues.csv")
    actions.wait(empty)
    assert "no run" in empty.notice.text
    actions.close(empty)


def test_a_structure_alone_has_residues(quiet_session: Session) -> None:
    structure = quiet_session.structure
    quiet_session.shown = shown_structure(structure.structure, structure.path)
    assert len(residues.residue_table(quiet_session)) == BEADS
    actions.mark_residue(quiet_session, 0)
    assert quiet_session.notice.text == "chain A, ALA 1"
