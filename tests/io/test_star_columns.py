"""Columns behind the user's own: every byte of the user's stays where it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import starfile

from cryoscope.io.star import read_star, write_star_rows
from cryoscope.io.star_columns import selection_columns

HEAD = "# version 30001\n\ndata_optics\n\nloop_\n_rlnOpticsGroup #1\n1\n\ndata_particles\n\nloop_\n"
COLUMNS = "_rlnImageName #1 \n_rlnNote #2 \n"
ROWS = ("1@a.mrcs   'a b'  # best\n", "2@a.mrcs\tx \n", "3@a.mrcs it's\n")
Z = np.array([0.5, -1e-6, np.pi])


def test_rows_blocks_and_comments_stay(tmp_path: Path) -> None:
    (tmp_path / "a.star").write_text(HEAD + COLUMNS + "".join(ROWS) + "\ndata_x\n\n_rlnY 1\n")
    added = {"_cryoscopeZ1": Z[[2, 0]], "_cryoscopeSelection_a": np.array([1, 0])}
    write_star_rows(tmp_path / "a.star", [2, 0], tmp_path / "b.star", columns=added)
    assert (tmp_path / "b.star").read_text() == (
        HEAD + COLUMNS + "_cryoscopeZ1 #3\n_cryoscopeSelection_a #4\n"
        "3@a.mrcs it's 3.141592653589793 1\n1@a.mrcs   'a b' 0.5 0  # best\n\ndata_x\n\n_rlnY 1\n"
    )
    block = read_star(tmp_path / "b.star").particle_block()
    assert block.text("_rlnNote").tolist() == ["it's", "a b"]
    np.testing.assert_allclose(block.numbers("_cryoscopeZ1"), Z[[2, 0]], rtol=1e-6)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_second_time_the_first_columns_stay(tmp_path: Path, end: str) -> None:
    text = (HEAD + "_rlnImageName\n_rlnNote\n" + "".join(ROWS[1:])).replace("\n", end)
    (tmp_path / "a.star").write_bytes(text.rstrip().encode())
    for source, out in (("a", "b"), ("b", "c")):
        row = [0, 1]
        columns = {"_cryoscopeZ1": Z[:2] + (out == "c")}
        write_star_rows(tmp_path / f"{source}.star", row, tmp_path / f"{out}.star", columns=columns)
    block = read_star(tmp_path / "c.star").particle_block()
    assert block.columns[-2:] == ("_cryoscopeZ1", "_cryoscopeZ1_2")
    np.testing.assert_allclose(block.numbers("_cryoscopeZ1_2"), Z[:2] + 1)
    content = (tmp_path / "c.star").read_bytes()
    assert content.count(b"\r\n") == (content.count(b"\n") if end == "\r\n" else 0)
    frame = starfile.read(tmp_path / "c.star", always_dict=True)["particles"]
    np.testing.assert_allclose(frame["cryoscopeZ1"].to_numpy(float), Z[:2], rtol=1e-6)


def test_names_of_selections_become_words() -> None:
    names = ["open", "half open!", "half-open", "Å", "x y  z"]
    words = selection_columns(names)
    assert list(words) == names
    assert [words[name].removeprefix("_cryoscopeSelection_") for name in names] == [
        "open", "half_open", "half_open_2", "unnamed", "x_y_z",
    ]  # fmt: skip
