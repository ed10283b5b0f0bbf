"""Tables of particles for other programs: CSV and Parquet, one row per particle.

The first column, ``particle``, is the particle's name, by which the table is read back. A column
``selection: NAME`` holds 1 for the particles of that selection.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from cryoscope.data import InputError
from cryoscope.io.atomic import atomic_path, explain_os_errors

TABLE_SUFFIXES = (".csv", ".parquet")
NAME_COLUMN, SELECTION_COLUMN = "particle", "selection: "
_LARGEST_COLUMN_BYTES = 1 << 33
_CURE = "Give a table that Cryoscope wrote, with its column particle"


def write_particle_table(path: str | Path, columns: Mapping[str, NDArray[Any]]) -> None:
    """Write columns of one length as ``.csv`` or ``.parquet``, atomically.

    Raises
    ------
    InputError
        Another suffix, pyarrow is not there for ``.parquet``, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() == ".csv":
        _write_csv(path, columns)
        return
    if path.suffix.lower() != ".parquet":
        raise InputError(
            "tables are written as .csv or .parquet", file=path, cure="Name the output so"
        )
    require_pyarrow(path)
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pa.table(
            {
                name: pa.array(values.tolist() if values.dtype.kind == "U" else values)
                for name, values in columns.items()
            }
        )
    except UnicodeEncodeError as error:
        raise InputError(
            "a name is not UTF-8, which .parquet cannot hold", file=path, cure="Write .csv"
        ) from error
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary)


def _write_csv(path: Path, columns: Mapping[str, NDArray[Any]]) -> None:
    texts = [
        # nine digits tell all numbers of 32 bits apart
        [f"{value:.9g}" for value in values.tolist()] if values.dtype == "f4" else values.tolist()
        for values in columns.values()
    ]
    with (
        atomic_path(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream,
    ):
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*texts, strict=True))


def require_pyarrow(path: Path) -> None:
    """Refuse Parquet where the package that reads and writes it is not there."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise InputError(
            ".parquet needs the package pyarrow",
            file=path,
            cure='Install it with: pip install pyarrow (or "cryoscope[parquet]"); or use .csv',
        ) from error


def read_table_particles(path: str | Path, most_rows: int, name: str | None = None) -> list[str]:
    """Names of the particles that a table means.

    Parameters
    ----------
    most_rows
        Tables of more rows are refused.
    name
        Which of its selections; None takes the only one, or all rows where it has none.

    Raises
    ------
    InputError
        It is no such table, or does not say which selection is meant.
    """
    path = Path(path)
    read = _read_csv if path.suffix.lower() == ".csv" else _read_parquet
    columns = read(path, [], 0)
    if NAME_COLUMN not in columns:
        raise InputError(f"the table has no column {NAME_COLUMN}", file=path, cure=_CURE)
    held = [c.removeprefix(SELECTION_COLUMN) for c in columns if c.startswith(SELECTION_COLUMN)]
    if (name is None and len(held) > 1) or (name is not None and name not in held):
        problem = f"the table has {len(held)} selections"
        known = ", ".join(repr(one) for one in held[:8]) or "none: leave the name out"
        raise InputError(problem, file=path, cure=f"Choose one by its name: {known}")
    wanted = [f"{SELECTION_COLUMN}{name or held[0]}"] if held else []
    table = read(path, [NAME_COLUMN, *wanted], most_rows)
    names = [str(one) for one in table[NAME_COLUMN]]
    if not wanted:
        return names
    marks = [str(mark) for mark in table[wanted[0]]]
    odd = next((row for row, mark in enumerate(marks) if mark not in _MARKS), None)
    if odd is not None:
        problem = f"{wanted[0]!r} is {marks[odd][:40]!r}, neither 0 nor 1"
        raise InputError(problem, file=path, row=odd + 1, cure="Correct it")
    return [one for one, mark in zip(names, marks, strict=True) if _MARKS[mark]]


_MARKS = {"0": False, "1": True, "False": False, "True": True, "0.0": False, "1.0": True}
_Columns = dict[str, list[Any]]


def _read_csv(path: Path, columns: list[str], most_rows: int) -> _Columns:
    """Columns as text; without `columns` the names of all, empty."""
    found: _Columns = {}
    with (
        explain_os_errors(path, action="read"),
        path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream,
    ):
        try:
            rows = csv.reader(stream, strict=True)
            head = next(rows, [])
            if len(set(head)) != len(head) or not head:
                raise InputError("this is no table of particles", file=path, cure=_CURE)
            found = {name: [] for name in columns or head}
            if not columns:
                return found
            places = [(head.index(name), found[name]) for name in columns]
            for number, row in enumerate(filter(None, rows), start=1):
                _refuse_long(number, most_rows, path)
                if len(row) != len(head):
                    problem = f"{len(row)} values where the table has {len(head)} columns"
                    raise InputError(problem, file=path, row=number, cure="Correct this row")
                for place, values in places:
                    values.append(row[place])
        except csv.Error as error:
            raise InputError("this is no table of particles", file=path, cure=_CURE) from error
    return found


def _read_parquet(path: Path, columns: list[str], most_rows: int) -> _Columns:
    require_pyarrow(path)
    import pyarrow as pa
    import pyarrow.parquet as pq

    with explain_os_errors(path, action="read"):
        path.stat()
        try:
            with pq.ParquetFile(path) as file:
                if not columns:
                    return {name: [] for name in file.schema_arrow.names}
                # Known before anything is unpacked: a small file can stand for a huge table.
                _refuse_long(file.metadata.num_rows, most_rows, path)
                groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
                if sum(group.total_byte_size for group in groups) > _LARGEST_COLUMN_BYTES:
                    raise InputError("it unpacks to too much", file=path, cure=_CURE)
                return file.read(columns=columns).to_pydict()
        except (pa.ArrowException, ValueError, OSError) as error:
            raise InputError("this is no table of particles", file=path, cure=_CURE) from error


def _refuse_long(rows: int, most_rows: int, path: Path) -> None:
    if most_rows and rows > most_rows:
        raise InputError(
            f"it has more rows than there are particles ({most_rows:,})",
            file=path,
            row=most_rows + 1,
            cure="Give the particle file that the table was made from",
        )
