"""STAR files: every value exactly as it stands, a million rows in seconds, rows copied unchanged.

A STAR file is a list of blocks ``data_<name>``, each either a table (``loop_``, column names, one
row per line) or key-value pairs. Values are words without spaces, or are quoted. Bytes above 127
are kept as they are; comments are lines that begin with ``#``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryoscope.data import InputError
from cryoscope.io.atomic import atomic_path, explain_os_errors, write_text_atomic
from cryoscope.io.star_block import StarBlock
from cryoscope.io.star_columns import header_with_columns, rows_with_values
from cryoscope.io.star_lines import (
    Lines,
    index_lines,
    read_content,
    split_values,
    text_from_bytes,
)

_COLUMN = re.compile(rb"(_\S+)(?:\s+#.*)?\s*$", re.DOTALL)


class StarFile:
    """A parsed STAR file: its `path`, its `lines`, and `blocks` by name (without ``data_``)."""

    def __init__(self, path: Path, lines: Lines, blocks: dict[str, StarBlock]) -> None:
        self.path, self.lines, self.blocks = path, lines, blocks

    def particle_block(self) -> StarBlock:
        """The table of particles: the one with ``_rlnImageName``.

        Where several have it, ``data_particles`` or ``data_images``, else the longest.

        Raises
        ------
        InputError
            There is none.
        """
        found = [b for b in self.blocks.values() if b.kind == "loop" and "_rlnImageName" in b]
        if not found:
            raise InputError(
                "no table of particles (no column _rlnImageName)",
                file=self.path,
                cure="Give the particles file of a job, e.g. run_data.star or particles.star",
            )
        return max(found, key=lambda b: (b.name in ("particles", "images"), b.rows))


def read_star(path: str | Path) -> StarFile:
    """Read a STAR file: structure now, values when a column is asked for.

    Any order of blocks, comments, quoted values, CRLF line ends and a missing final newline are
    understood. ``data_x.mrc``, ``_x``, ``a#b`` and ``it's`` are values where a row begins.

    Raises
    ------
    InputError
        The file cannot be read, is not a STAR file, or a row has too few or too many values.
    """
    path = Path(path)
    with explain_os_errors(path, action="read"):
        content = read_content(path)
    return StarFile(path, *_Reader(path, index_lines(content, path)).read())


class _Reader:
    """One pass over the lines that are not rows; rows are found by their counts of words."""

    def __init__(self, path: Path, lines: Lines) -> None:
        self.path, self.lines = path, lines
        self.blocks: dict[str, StarBlock] = {}
        self.headers = lines.starting_with(b"data_")
        self.loops = lines.starting_with(b"loop_")

    def read(self) -> tuple[Lines, dict[str, StarBlock]]:
        at = self.lines.next_significant(0)
        while at < len(self.lines):
            name = self.lines.header_name(at)
            if name is None:
                raise self._error("text outside of any data_ block", at)
            if name in self.blocks:
                raise self._error(f"a second block data_{name}", at)
            at = self._read_block(name, self.lines.next_significant(at + 1))
        if not self.blocks:
            raise InputError(
                "this is not a STAR file (no data_ block)",
                file=self.path,
                cure="Give a .star file written by RELION",
            )
        return self.lines, self.blocks

    def _read_block(self, name: str, at: int) -> int:
        if at < len(self.lines) and self.lines.word(at).lower() == b"loop_":
            return self._read_loop(name, self.lines.next_significant(at + 1))
        return self._read_pairs(name, at)

    def _read_pairs(self, name: str, at: int) -> int:
        cells: dict[str, list[str]] = {}
        while at < len(self.lines) and self.lines.word(at).startswith(b"_"):
            values = split_values(self.lines.line(at), 2)
            if len(values) != 2 or values[0] in cells:
                raise self._error(f"{values[0]} does not have exactly one value", at)
            cells[values[0]] = [values[1]]
            at = self.lines.next_significant(at + 1)
        if at < len(self.lines) and self.lines.header_name(at) is None:
            raise self._error(f"text in block data_{name} that is neither table nor pair", at)
        none = np.zeros(0, dtype=np.int64)
        self._add(name, "pairs", list(cells), none, cells)
        return at

    def _read_columns(self, at: int) -> tuple[list[str], int]:
        columns: list[str] = []
        numbered, first_row = False, at
        while at < len(self.lines):
            line = self.lines.line(at).strip()
            match = _COLUMN.match(line)
            # a lone _x under one column "_name #1" is that column's first value
            if match is None or (len(columns) == 1 and numbered and b"#" not in line):
                break
            columns.append(text_from_bytes(match[1]))
            numbered, first_row = b"#" in line, at + 1
            at = self.lines.next_significant(first_row)
        return columns, first_row

    def _read_loop(self, name: str, at: int) -> int:
        columns, first = self._read_columns(at)
        if not columns or len(set(columns)) != len(columns):
            raise self._error("a table without column names, or with one name twice", at)
        end = self._end_of_rows(first, len(columns))
        rows = self.lines.rows(first, end, len(columns))
        cells = None
        wrong = np.flatnonzero(self.lines.words[rows] != len(columns))
        quoted = self.lines.has_quotes(first, end)
        if quoted or len(wrong):
            cells = self._split_rows(columns, rows, range(len(rows)) if quoted else wrong)
        self._add(name, "loop", columns, rows, cells)
        if end < len(self.lines) and self.lines.header_name(end) is None:
            raise self._error(f"a second table in block data_{name}", end)
        return end

    def _end_of_rows(self, first: int, column_count: int) -> int:
        ends = []
        for candidates, is_header in ((self.headers, True), (self.loops, False)):
            for at in candidates[np.searchsorted(candidates, first) :].tolist():
                if column_count == 1 and not self._opens_block(at, is_header):
                    continue
                ends.append(at)
                break
        return min(ends, default=len(self.lines))

    def _opens_block(self, at: int, is_header: bool) -> bool:
        following = self.lines.next_significant(at + 1)
        if following >= len(self.lines):
            return False
        word = self.lines.word(following)
        return word.startswith(b"_") or (is_header and word.lower() == b"loop_")

    def _split_rows(
        self, columns: list[str], rows: NDArray[np.int64], suspects: Iterable[int]
    ) -> dict[str, list[str]]:
        for row in suspects:
            found = len(split_values(self.lines.line(int(rows[row])), len(columns)))
            if found != len(columns):
                raise InputError(
                    f"{found} values where the table has {len(columns)} columns "
                    f"(line {rows[row] + 1})",
                    file=self.path,
                    row=int(row) + 1,
                    cure="Correct or remove this row; quote values that contain spaces",
                )
        cells = [split_values(self.lines.line(at), len(columns)) for at in rows.tolist()]
        by_column = zip(*cells, strict=True) if cells else [[] for _ in columns]
        return {c: list(values) for c, values in zip(columns, by_column, strict=True)}

    def _add(
        self,
        name: str,
        kind: Literal["loop", "pairs"],
        columns: list[str],
        rows: NDArray[np.int64],
        cells: dict[str, list[str]] | None,
    ) -> None:
        self.blocks[name] = StarBlock(
            name, kind, columns, file=self.path, lines=self.lines, row_lines=rows, cells=cells
        )

    def _error(self, problem: str, at: int) -> InputError:
        return InputError(
            f"{problem} (line {at + 1})",
            file=self.path,
            cure="Correct the line or export the file again",
        )


def write_star_rows(
    source: str | Path | StarFile,
    row: ArrayLike,
    out: str | Path,
    *,
    columns: Mapping[str, ArrayLike] | None = None,
) -> None:
    """Copy a STAR file with only some rows of its particle table, in the given order.

    Rows keep their bytes, and so does everything else: other blocks, comments, unknown columns.

    Parameters
    ----------
    source
        The file, or what `read_star` made of it.
    row
        0-based rows of the particle table.
    out
        File to write (atomically).
    columns
        Columns to add behind those of the table: name with ``_`` -> one number for each of `row`.

    Raises
    ------
    InputError
        `row` is empty or beyond the table, or `out` is `source` itself or cannot be written.
    """
    star = source if isinstance(source, StarFile) else read_star(source)
    out, block = Path(out), star.particle_block()
    row = np.asarray(row, dtype=np.int64).reshape(-1)
    if len(row) == 0:
        raise InputError(
            "the selection is empty: there is nothing to write",
            file=out,
            cure="Select at least one particle",
        )
    outside = row[(row < 0) | (row >= block.rows)]
    if len(outside):
        raise InputError(
            f"there is no such row: the file has {block.rows} particles",
            file=star.path,
            row=int(outside[0]) + 1,
            cure="Read the particles again: the file has changed",
        )
    if out.exists() and out.samefile(star.path):
        raise InputError(
            "this is the file the particles came from", file=out, cure="Choose another name"
        )
    start, rows, content = star.lines.start, block.row_lines, star.lines.content
    other = np.ones(rows[-1] + 1 - rows[0], dtype=bool)
    other[rows - rows[0]] = False
    between = np.flatnonzero(other) + rows[0]
    head, body = content[: start[rows[0]]], block.raw_lines(row)
    if columns:
        place, lines, _ = header_with_columns(star.lines, block, list(columns))
        head = content[:place] + lines + content[place : start[rows[0]]]
        body = rows_with_values(block, row, columns)
    end_of_line = b"\r\n" if b"\r\n" in content[:4096] else b"\n"
    body = [line if line.endswith(b"\n") else line + end_of_line for line in body]
    if content[-1:] != b"\n" and rows[-1] == len(star.lines) - 1 and not len(between):
        body[-1] = body[-1].rstrip(b"\r\n")
    with atomic_path(out) as temporary, temporary.open("wb") as stream:
        stream.write(head)
        stream.writelines(body)
        stream.writelines(content[start[i] : start[i + 1]] for i in between.tolist())
        stream.write(content[start[rows[-1] + 1] :])


def write_star(path: str | Path, blocks: Mapping[str, Mapping[str, ArrayLike]]) -> None:
    """Write a new STAR file (atomically).

    Parameters
    ----------
    path
        File to write.
    blocks
        Block name (without ``data_``) -> column name (without ``_``) -> values. A block whose
        values are all scalars is written as pairs, any other as a table. Numbers that are not
        integers are written with six decimals, as RELION does, or with as many as they need.

    Raises
    ------
    InputError
        A text value contains quotes, tabs or line ends, or begins with ``#``; columns of a table
        differ in length; the file cannot be written.
    """
    import pandas as pd
    import starfile

    tables: dict[str, object] = {}
    for name, columns in blocks.items():
        arrays = {c: np.asarray(values) for c, values in columns.items()}
        for column, values in arrays.items():
            if values.dtype.kind == "U":
                _refuse_odd_text(Path(path), column, values)
            elif values.dtype.kind == "f":
                arrays[column] = _exact_text(values)
        if all(values.ndim == 0 for values in arrays.values()):
            tables[name] = {c: values.item() for c, values in arrays.items()}
            continue
        if len({values.shape for values in arrays.values()}) != 1:
            raise InputError(f"columns of data_{name} differ in length", file=path)
        tables[name] = pd.DataFrame(arrays)
    write_text_atomic(path, starfile.to_string(tables))


def _exact_text(values: NDArray[np.floating]) -> NDArray[np.str_]:
    """Six decimals where these are the number, else the fewest digits that are."""
    exact = values.reshape(-1).tolist()
    texts = [f"{value:.6f}" for value in exact]
    made = [
        text if float(text) == value else str(one)
        for text, value, one in zip(texts, exact, values.reshape(-1), strict=True)
    ]
    return np.array(made, dtype=np.str_).reshape(values.shape)


def _refuse_odd_text(path: Path, column: str, values: NDArray[np.str_]) -> None:
    odd = re.compile(r"[\x00-\x1f\x7f\"]|^[#']")
    for row, value in enumerate(values.reshape(-1).tolist()):
        if odd.search(value):
            raise InputError(
                f"{column} is {value!r}, which a STAR file cannot hold",
                file=path,
                row=row + 1,
                cure="Rename it without quotes, tabs and line ends",
            )
