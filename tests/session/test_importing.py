"""Selections leave a session as any kind of file, and come back from it exactly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cryoscope.data import Latents, Selection
from cryoscope.session import ParticlesView, Session, actions
from cryoscope.session.follow import show_latents
from cryoscope.session.importing import with_imported
from tests.session.conftest import PARTICLES, eventually, fake_latents, particles
from tests.session.test_selecting import RIGHT, TOP, error

KINDS = ("star", "pkl", "txt", "json", "csv", "parquet")


@pytest.fixture
def session(quiet_session: Session) -> Session:
    show_latents(quiet_session, fake_latents("run", 1, 0))
    actions.lasso(quiet_session, RIGHT)
    return quiet_session


def export(session: Session, path: Path, columns: tuple[str, ...] = ()) -> None:
    actions.export_selection(session, session.active_selection, path, columns)
    assert actions.wait(session, 30)
    assert session.notice is not None
    assert session.notice.text.startswith("Written: "), session.notice.text


@pytest.mark.parametrize("kind", KINDS)
def test_back_from_every_kind_of_file(session: Session, tmp_path: Path, kind: str) -> None:
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    (wanted,) = session.selections
    actions.note_selection(session, wanted.name, "the open state")
    path = tmp_path / f"kept.{kind}"
    export(session, path, actions.STAR_COLUMNS[::2] if kind == "star" else ())
    assert session.notice is not None
    assert f"{len(wanted):,} of {PARTICLES:,} rows of particles.star, in its order" in (
        session.notice.text
    )
    assert "SHA-256" in session.notice.text
    actions.import_selection(session, path)
    assert actions.wait(session, 30)
    back = session.selections[-1]
    assert len(session.selections) == 2
    assert session.active_selection == back.name
    assert back.colour != wanted.colour
    np.testing.assert_array_equal(back.mask, wanted.mask)
    assert back.name == (f"{wanted.name} 2" if kind == "json" else "kept")
    assert back.note == ("the open state" if kind == "json" else "")
    actions.undo(session)
    assert len(session.selections) == 1


def test_another_order_of_the_run(session: Session, tmp_path: Path) -> None:
    export(session, tmp_path / "kept.star", ("z", "selection"))
    wanted = set(session.latents.uid[session.selections[0].mask])
    order = np.random.default_rng(0).permutation(PARTICLES)
    old = session.latents
    turned = Latents(old.z[order], None, old.uid[order], "other", 1)
    show_latents(session, turned)
    actions.import_selection(session, tmp_path / "kept.star")
    assert actions.wait(session, 30)
    assert set(turned.uid[session.selections[-1].mask]) == wanted
    export(session, tmp_path / "again.star", ("z", "selection"))
    first, again = (
        [line.split()[:11] for line in (tmp_path / f"{name}.star").read_text().splitlines()]
        for name in ("kept", "again")
    )
    rows = [[row for row in lines if "@" in "".join(row)] for lines in (first, again)]
    assert rows[0] == rows[1]  # with the latents of the right particles


def test_the_first_row_that_differs_is_named(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "kept.star"
    export(session, path)
    lines = path.read_text().splitlines(keepends=True)
    rows = [number for number, line in enumerate(lines) if "@" in line]
    name = lines[rows[2]].split()[0]
    lines[rows[2]] = lines[rows[2]].replace(name, "000099@others.mrcs")
    path.write_text("".join(lines))
    actions.import_selection(session, path)
    assert actions.wait(session, 30)
    assert "was changed after it was exported" in error(session)
    path.with_name("kept.star.json").unlink()
    actions.import_selection(session, path)
    assert actions.wait(session, 30)
    assert "kept.star, row 3: image 99 of others.mrcs is not among" in error(session)
    assert len(session.selections) == 1
    actions.import_selection(session, tmp_path / "absent.star")
    assert actions.wait(session, 30)
    assert "no such file" in error(session)


def test_several_selections_of_one_file(session: Session, tmp_path: Path) -> None:
    actions.lasso(session, TOP)
    actions.rename_selection(session, session.active_selection, "the top")
    wanted = [one.mask.copy() for one in session.selections]
    actions.export_table(session, tmp_path / "all.csv")
    assert actions.wait(session, 30)
    assert f"Table of {PARTICLES:,} particles" in session.notice.text
    head = (tmp_path / "all.csv").read_text().splitlines()[0]
    for column in ("particle", "z1", "PC1", "defocus_u_A", "tilt_deg", "half_set", "file_row"):
        assert column in head.split(",")
    actions.import_selection(session, tmp_path / "all.csv")
    assert actions.wait(session, 30)
    assert "2 selections" in error(session)
    actions.import_selection(session, tmp_path / "all.csv", "the top")
    assert actions.wait(session, 30)
    np.testing.assert_array_equal(session.selections[-1].mask, wanted[1])
    assert session.selections[-1].name == "the top 2"


def test_columns_that_are_not_there(session: Session, tmp_path: Path) -> None:
    name = session.active_selection
    for columns, words in ((("cluster",), "no clusters yet"), (("x",), "no column 'x'")):
        actions.export_selection(session, name, tmp_path / "a.star", columns)
        assert actions.wait(session, 30)
        assert words in error(session)
    actions.export_selection(session, name, tmp_path / "a.txt", ("z",))
    assert actions.wait(session, 30)
    assert ".star files only" in error(session)
    assert not list(tmp_path.glob("a.*"))
    session.clusters = np.arange(PARTICLES) % 3
    export(session, tmp_path / "a.star", ("cluster",))
    assert "_cryoscopeCluster #11" in (tmp_path / "a.star").read_text()


def test_without_particles(tmp_path: Path) -> None:
    session = Session()
    actions.import_selection(session, tmp_path / "a.star")
    eventually(lambda: session.notice is not None, "the refusal")
    assert "no particle file is open" in error(session)
    actions.export_table(session, tmp_path / "a.csv")
    assert "no latents yet" in error(session)
    actions.close(session)


def test_a_run_without_some_of_the_particles(session: Session, tmp_path: Path) -> None:
    record = particles(tmp_path)
    session.particles = ParticlesView.of(replace(record, uid=record.uid[::-1].copy()))
    (tmp_path / "a.txt").write_text("0\n")
    few = fake_latents("run", 1, 0)
    show_latents(session, Latents(few.z[:9], None, few.uid[:9], "few", 1))
    actions.import_selection(session, tmp_path / "a.txt")
    assert actions.wait(session, 30)
    assert "is not among the particles of the run" in error(session)


def test_names_and_colours_stay_apart() -> None:
    one = Selection("a", np.array([True]), "#e69f00")
    made = with_imported([one], [one, one], called="")
    assert [selection.name for selection in made] == ["a", "a 2", "a 3"]
    assert len({selection.colour for selection in made}) == 3
    assert with_imported([], [one], called=" other  name ")[0].name == "other name"
