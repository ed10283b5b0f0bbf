"""``cryoscope reconstruct`` on the simulated set, and the ways to say which particles."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from cryoscope.cli.entry import run
from cryoscope.cli.particle_rows import chosen_rows, parse_rows
from cryoscope.data import InputError, Selection
from cryoscope.io.relion import export_subset, read_particles
from cryoscope.io.selections_file import write_selections


@pytest.mark.parametrize(
    ("text", "rows"),
    [("0-3", [0, 1, 2, 3]), ("5", [5]), ("7-", [7, 8, 9]), ("4, 1-2,2", [1, 2, 4])],
)
def test_rows_in_words(text: str, rows: list[int]) -> None:
    assert parse_rows(text, 10).tolist() == rows


@pytest.mark.parametrize("text", ["", "a", "3-1", "10", "0-10", "-3", "1,,2", "9" * 30])
def test_words_that_are_no_rows(text: str) -> None:
    with pytest.raises(InputError, match="--rows"):
        parse_rows(text, 10)


def test_all_kinds_of_selections(trained_set: Path, tmp_path: Path) -> None:
    particles = read_particles(trained_set / "particles.star")
    count = len(particles)
    rows = np.array([1, 4, 7])
    mask = np.zeros(count, dtype=bool)
    mask[rows] = True
    export_subset(particles, mask, tmp_path / "a.star")
    (tmp_path / "a.txt").write_text("7\n1\n4\n")
    np.save(tmp_path / "a.npy", mask)
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(rows))
    write_selections(tmp_path / "a.json", [Selection("one", mask)], uid=particles.uid)
    for kind in ("star", "txt", "npy", "pkl", "json"):
        found = chosen_rows(particles, tmp_path / f"a.{kind}", None, None)
        assert found is not None
        assert sorted(found.tolist()) == rows.tolist(), kind
    assert chosen_rows(particles, None, None, None) is None


def test_which_of_several_selections(trained_set: Path, tmp_path: Path) -> None:
    particles = read_particles(trained_set / "particles.star")
    mask = np.arange(len(particles)) < 5
    file = tmp_path / "selections.json"
    both = [Selection("few", mask), Selection("rest", ~mask)]
    write_selections(file, both)
    with pytest.raises(InputError, match="order alone may mislead"):
        chosen_rows(particles, file, "few", None)
    write_selections(file, both, uid=particles.uid)
    found = chosen_rows(particles, file, "few", None)
    assert found is not None
    assert found.tolist() == [0, 1, 2, 3, 4]
    for name, problem in ((None, "holds 2 selections"), ("x", "no selection 'x'")):
        with pytest.raises(InputError, match=f"{problem}.*'few', 'rest'"):
            chosen_rows(particles, file, name, None)


def test_selections_that_cannot_be_used(trained_set: Path, tmp_path: Path) -> None:
    particles = read_particles(trained_set / "particles.star")
    other = tmp_path / "other.star"
    text = (trained_set / "particles.star").read_text("utf-8")
    other.write_text(text.replace("@particles", "@others"))
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "a.dat").write_text("")
    for file, problem in (
        (other, "row 1: image .* is not among the particles"),
        (tmp_path / "empty.txt", "empty"),
        (tmp_path / "a.dat", "no selection"),
    ):
        with pytest.raises(InputError, match=problem):
            chosen_rows(particles, file, None, None)
    with pytest.raises(InputError, match="--name"):
        chosen_rows(particles, tmp_path / "empty.txt", "few", None)


def test_the_command(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    star = str(here / "particles.star")
    assert run(["reconstruct", star, "--rows", "0-19", "--box-px", "16", "-o", "maps"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("20 particles (")
    assert "as many drawn at random" in shown
    assert "protein was " in shown
    assert (here / "maps" / "fsc.png").is_file()
    again = ["reconstruct", star, "-o", "maps2"]
    for options, problem in (
        (["--rows", "0-3", "--selection", "a.txt"], "exclude each other"),
        (["--selection", "a.txt"], "a.txt"),
        (["--mask", "a.mrc"], "a.mrc"),
        (["--box-px", "15"], "cannot be cropped to 15 px"),
    ):
        assert run([*again, *options]) == 2
        assert problem in capsys.readouterr().err
    assert not (here / "maps2").exists()
