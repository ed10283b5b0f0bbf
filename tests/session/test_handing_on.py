"""What is written for other programs, by the names of particles; and why it is not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cryoscope.data import InputError, Particles, Selection
from cryoscope.session import Session, actions
from cryoscope.session.exporting import write_selection, write_table
from cryoscope.session.particle_columns import Known, places_among
from tests.session.conftest import fake_thread
from tests.session.conftest import particles as star_particles
from tests.session.fake_worker import PARTICLES, fake_latents


@pytest.fixture
def particles(tmp_path: Path) -> Particles:
    return star_particles(tmp_path)


@pytest.fixture
def empty() -> Iterator[Session]:
    made = Session(make_runner=fake_thread)
    yield made
    actions.close(made)


FIRST_TEN = Selection("ten", np.arange(PARTICLES) < 10)


def names(path: Path) -> list[str]:
    return [line.split()[0] for line in path.read_text().splitlines() if "@" in line]


def test_particles_are_written_by_name_whatever_the_order(
    particles: Particles, tmp_path: Path
) -> None:
    latents = fake_latents("r", 1, 0)
    order = np.random.default_rng(0).permutation(PARTICLES)
    turned = replace(latents, z=latents.z[order], uid=latents.uid[order])
    written = write_selection(particles, FIRST_TEN, Known(turned), tmp_path / "ten.star")
    assert "10" in written.words()
    assert set(names(tmp_path / "ten.star")) == set(turned.uid[:10])
    write_selection(particles, FIRST_TEN, Known(None), tmp_path / "first.star")
    assert names(tmp_path / "first.star") == particles.uid[:10].tolist()


def test_columns_stand_behind_those_of_the_file(particles: Particles, tmp_path: Path) -> None:
    latents = fake_latents("r", 1, 0)
    clusters = np.arange(PARTICLES) % 3
    known = Known(latents, clusters, (FIRST_TEN,))
    path = tmp_path / "more.star"
    write_selection(particles, FIRST_TEN, known, path, ("z", "cluster", "selection"))
    head = [line.split()[0] for line in path.read_text().splitlines() if line.startswith("_")]
    before = {line.split()[0] for line in (tmp_path / "particles.star").read_text().splitlines()
              if line.startswith("_rln")}  # fmt: skip
    assert before <= set(head)
    assert len(head) > len(before)
    rows = [line.split() for line in path.read_text().splitlines() if "@" in line]
    np.testing.assert_allclose([float(rows[4][i]) for i in range(10, 13)], latents.z[4], rtol=1e-5)
    with pytest.raises(InputError, match=r"added to \.star files only"):
        write_selection(particles, FIRST_TEN, known, tmp_path / "a.txt", ("z",))


def test_particles_of_others_are_refused(particles: Particles, tmp_path: Path) -> None:
    latents = fake_latents("r", 1, 0)
    others = replace(latents, uid=np.char.add("other-", latents.uid))
    with pytest.raises(InputError, match="10 of the selected particles are not in the file"):
        write_selection(particles, FIRST_TEN, Known(others), tmp_path / "a.star")
    short = Selection("short", np.ones(5, dtype=bool))
    with pytest.raises(InputError, match="for 5 particles, the file has 300"):
        write_selection(particles, short, Known(None), tmp_path / "a.star")
    with pytest.raises(InputError, match=r"000001@stack\.mrcs of the run is not in the file"):
        write_table(particles, Known(others), tmp_path / "a.csv")
    with pytest.raises(InputError, match="no latents yet"):
        write_table(particles, Known(None), tmp_path / "a.csv")
    assert not list(tmp_path.glob("a.*"))


def test_a_table_has_the_order_of_the_latents(particles: Particles, tmp_path: Path) -> None:
    latents = fake_latents("r", 1, 0)
    order = np.random.default_rng(0).permutation(PARTICLES)[:50]
    few = replace(latents, z=latents.z[order], uid=latents.uid[order])
    assert write_table(particles, Known(few), tmp_path / "a.csv") == 50
    assert write_table(None, Known(few), tmp_path / "b.csv") == 50
    for name in ("a.csv", "b.csv"):
        rows = (tmp_path / name).read_text().splitlines()[1:]
        assert [row.split(",")[0] for row in rows] == few.uid.tolist()
    more, less = ((tmp_path / name).read_text().splitlines()[0] for name in ("a.csv", "b.csv"))
    assert set(less.split(",")) < set(more.split(","))  # defocus and the like need the file


def test_names_are_found_or_not() -> None:
    known = np.array(["b", "a", "d"])
    assert places_among(known, np.array(["a", "c", "b", "e"])).tolist() == [1, -1, 0, -1]
    assert places_among(known[:0], np.array(["a"])).tolist() == [-1]


def test_what_is_missing_is_said_at_once(empty: Session, quiet_session: Session) -> None:
    for verb, words, problem in (
        (actions.export_table, ("a.csv",), "no latents yet"),
        (actions.export_trajectory, ("a.pdb",), "no latents yet"),
        (actions.export_trajectory, ("a.dcd",), "written as .pdb or .cif"),
        (actions.export_selection, ("none", "a.star"), "none"),
    ):
        empty.change(notice=None)
        verb(empty, *words)
        assert empty.notice is not None
        assert empty.notice.level == "error"
        assert problem in empty.notice.text
    quiet_session.change(particles=None, selections=(FIRST_TEN,))
    actions.export_selection(quiet_session, "ten", "a.star")
    assert "no particle file is open" in quiet_session.notice.text
