"""Tables of particles say which they mean; what is no such table is refused before it is read."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from cryoscope.data import InputError
from cryoscope.io.particle_tables import read_table_particles, write_particle_table

NAMES = np.array(["1@a, b.mrcs", '2@"a".mrcs', "nan", "1@caf\udce9.mrcs", "007"])
COLUMNS = {
    "particle": NAMES,
    "z1": np.array([0.5, np.nan, 1, 2, 3], dtype=np.float32),
    "selection: two words": np.array([1, 0, 1, 0, 0]),
    "selection: other": np.array([0, 1, 0, 1, 1]),
}


def test_names_and_selections_come_back(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write_particle_table(path, COLUMNS)
    assert read_table_particles(path, 5, "two words") == NAMES[[0, 2]].tolist()
    assert read_table_particles(path, 5, "other") == NAMES[[1, 3, 4]].tolist()
    write_particle_table(path, {"particle": NAMES})
    assert read_table_particles(path, 5) == NAMES.tolist()
    with pytest.raises(InputError, match="none: leave the name out"):
        read_table_particles(path, 5, "x")


def test_parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.parquet"
    plain = {name: values[[0, 1, 2, 4]] for name, values in COLUMNS.items()}
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(InputError, match=r"pip install pyarrow"):
        write_particle_table(path, plain)
    assert not list(tmp_path.iterdir())
    monkeypatch.undo()
    pytest.importorskip("pyarrow")
    write_particle_table(path, plain)
    assert read_table_particles(path, 4, "two words") == NAMES[[0, 2]].tolist()
    with pytest.raises(InputError, match="more rows than there are particles"):
        read_table_particles(path, 3, "other")
    with pytest.raises(InputError, match=r"not UTF-8.*\.csv"):
        write_particle_table(path, COLUMNS)
    content = path.read_bytes()
    for damaged in (b"", content[:-9], b"PAR1" + bytes(40) + b"PAR1", content[:50] + content[90:]):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="no table of particles"):
            read_table_particles(path, 4, "other")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no table of particles"),
        ("a,b\n1,2\n", "no column particle"),
        ("particle,particle\n1,2\n", "no table of particles"),
        ("particle,z1\n1,2\n3\n", "row 2: 1 values where the table has 2 columns"),
        ("particle\n" + "x" * 200_000, "no table of particles"),
        ("particle\n1\n2\n3\n4\n", "more rows than there are particles"),
        ("particle,selection: a\n1,maybe\n", r"row 1: 'selection: a' is 'maybe'"),
        ("particle,selection: a,selection: b\n1,1,1\n", "2 selections.*'a', 'b'"),
        ('particle\n"1\n', "no table of particles"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=problem):
        read_table_particles(path, 3)


def test_other_suffixes(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.csv or \.parquet"):
        write_particle_table(tmp_path / "a.xlsx", COLUMNS)
