"""What RELION expects of a particle file, checked by a reader of its own, simple and slow."""

from __future__ import annotations

import shlex
from pathlib import Path

Tables = dict[str, tuple[list[str], list[list[str]]]]


def tables_of(path: Path) -> Tables:
    """Column names and rows of every table, as RELION's reader goes through a file."""
    found: Tables = {}
    name, columns, rows, in_table = "", [], [], False
    for line in path.read_text("utf-8", "surrogateescape").splitlines():
        text = line.strip()
        if text.startswith("data_"):
            name, columns, rows, in_table = text.split()[0], [], [], False
        elif text == "loop_":
            in_table = True
            found[name] = (columns, rows)
        elif text and not text.startswith("#") and in_table:
            if text.startswith("_") and not rows:
                words = text.split()
                if len(words) == 2 and words[1] != f"#{len(columns) + 1}":
                    raise AssertionError(f"{path.name}: {text} is column {len(columns) + 1}")
                columns.append(words[0])
            elif "'" in text or '"' in text:
                rows.append(shlex.split(text, comments=True))
            else:
                rows.append(text.split())
    return found


def check_relion(path: Path) -> Tables:
    """Fail where RELION would: rows of another length, groups without optics, images from 0."""
    tables = tables_of(path)
    for name, (columns, rows) in tables.items():
        assert len(set(columns)) == len(columns), name
        assert all(column.startswith("_") for column in columns), columns
        for number, row in enumerate(rows, start=1):
            assert len(row) == len(columns), f"{name}, row {number}: {row}"
    columns, rows = next(t for t in tables.values() if "_rlnImageName" in t[0])
    for row in rows:
        number, _, stack = row[columns.index("_rlnImageName")].partition("@")
        assert int(number) >= 1
        assert stack
    if "data_optics" in tables and "_rlnOpticsGroup" in columns:
        names, groups = tables["data_optics"]
        known = {row[names.index("_rlnOpticsGroup")] for row in groups}
        assert {row[columns.index("_rlnOpticsGroup")] for row in rows} <= known
    return tables
