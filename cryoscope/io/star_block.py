"""One block of a STAR file, its columns parsed when they are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite, nan
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError
from cryoscope.io.star_lines import Lines, in_threads, text_from_bytes

_LONGEST_VALUE = 4096
_ROWS_AT_ONCE = 50_000
_LEAST_TEXT_BYTES = 1 << 28
_TEXT_PER_FILE = 16


@dataclass(frozen=True)
class Spans:
    """Where the values of a column are: (R,) `begin` and `length` in the bytes `byte`."""

    byte: NDArray[np.uint8]
    begin: NDArray[np.int64]
    length: NDArray[np.int32]

    def value(self, row: int) -> str:
        """One value."""
        begin = int(self.begin[row])
        return text_from_bytes(self.byte[begin : begin + int(self.length[row])].tobytes())


class StarBlock:
    """One block of a STAR file; columns are parsed when they are asked for.

    Attributes
    ----------
    name
        The word after ``data_``, possibly empty.
    kind
        ``"loop"`` for a table, ``"pairs"`` for key-value pairs (one row).
    columns
        Names as in the file, e.g. ``"_rlnImageName"``.
    rows
        Number of rows.
    """

    def __init__(
        self,
        name: str,
        kind: Literal["loop", "pairs"],
        columns: Sequence[str],
        *,
        file: Path,
        lines: Lines,
        row_lines: NDArray[np.int64],
        cells: dict[str, list[str]] | None,
    ) -> None:
        self.name, self.kind, self.columns = name, kind, tuple(columns)
        self.rows = len(row_lines) if kind == "loop" else 1
        self.row_lines = row_lines
        self._file, self._lines, self._cells = file, lines, cells
        self._spans: dict[str, Spans] = {}
        self._text: dict[str, NDArray[np.str_]] = {}
        self._numbers: dict[str, NDArray[np.float64]] = {}

    def __contains__(self, column: str) -> bool:
        return column in self.columns

    @property
    def has_words_to_split(self) -> bool:
        """Whether rows have quotes or comments, so that blanks alone do not part their values."""
        return self._cells is not None

    def text(self, column: str, row: NDArray[np.integer] | None = None) -> NDArray[np.str_]:
        """(rows,) values of a column as they stand in the file, without quotes.

        Parameters
        ----------
        row
            0-based rows to take; None takes all.
        """
        if row is not None:
            return self._as_text(column, row)
        if column not in self._text:
            self._text[column] = self._as_text(column, np.arange(self.rows))
        return self._text[column]

    def spans(self, column: str) -> Spans:
        """Where the values of a column are in the file, without making text of them."""
        self.load(text=(column,))
        return self._spans[column]

    def numbers(self, column: str) -> NDArray[np.float64]:
        """(rows,) values of a column as finite numbers.

        Raises
        ------
        InputError
            A value is not a number, or is NaN or infinite; names the row.
        """
        self.load(numbers=(column,))
        return self._numbers[column]

    def load(self, *, text: Iterable[str] = (), numbers: Iterable[str] = ()) -> None:
        """Parse several columns in one pass; `text` and `numbers` then answer at once."""
        words = [c for c in dict.fromkeys(text) if c not in self._spans]
        values = [c for c in dict.fromkeys(numbers) if c not in self._numbers]
        for column in [*words, *values]:
            if column not in self.columns:
                raise InputError(
                    f"the table data_{self.name} has no column {column}",
                    file=self._file,
                    cure="Add the column or export the file again with it",
                )
        if self._cells is not None:
            self._spans |= {c: _spans_of(self._cells[c]) for c in words}
            parsed = dict.fromkeys(values, np.full(self.rows, np.nan))
        else:
            parsed = self._scan(words, [c for c in values if c not in words])
            parsed |= self._scan([], [c for c in values if c in words])
        for column in values:
            self._numbers[column] = self._as_numbers(column, parsed[column])

    def raw_lines(self, row: NDArray[np.integer]) -> list[bytes]:
        """The lines of the given rows, byte for byte, line ends included."""
        start = self._lines.start
        first, stop = start[self.row_lines[row]].tolist(), start[self.row_lines[row] + 1].tolist()
        content = self._lines.content
        return [content[a:b] for a, b in zip(first, stop, strict=True)]

    def _scan(self, text: Sequence[str], numbers: Sequence[str]) -> dict[str, NDArray[np.float64]]:
        """Keep the places of `text`; (rows,) values of `numbers`, NaN where one is not plain."""
        if not self.rows or not (text or numbers):
            self._spans |= {c: _spans_of([]) for c in text}
            return {c: np.zeros(0) for c in numbers}
        from cryoscope.io.star_kernels import SKIP, TEXT, parse_rows

        values = np.empty((len(numbers), self.rows))
        begin = np.empty((len(text), self.rows), dtype=np.int64)
        length = np.empty((len(text), self.rows), dtype=np.int32)
        kind = np.full(len(self.columns), SKIP, dtype=np.int64)
        kind[[self.columns.index(c) for c in numbers]] = np.arange(len(numbers))
        kind[[self.columns.index(c) for c in text]] = TEXT - np.arange(len(text))
        kind = kind[: np.flatnonzero(kind != SKIP)[-1] + 1]
        start, byte, eight = self._lines.start[self.row_lines], self._lines.byte, self._lines.eight

        def parse(first: int, end: int) -> None:
            parse_rows(byte, eight, start, first, end, kind, values, begin, length)

        in_threads(parse, _pieces(self.rows))
        self._spans |= {c: Spans(byte, begin[i], length[i]) for i, c in enumerate(text)}
        return dict(zip(numbers, values, strict=True))

    def _as_text(self, column: str, row: NDArray[np.integer]) -> NDArray[np.str_]:
        spans = self.spans(column)
        begin, length = spans.begin[row], spans.length[row]
        longest = int(length.max(initial=0))
        room = max(_LEAST_TEXT_BYTES, _TEXT_PER_FILE * len(spans.byte))
        if longest > _LONGEST_VALUE or 4 * longest * len(row) > room:
            at = int(row[np.argmax(length)])
            raise self._bad(column, at, f"a value of {longest} characters")
        if longest == 0:
            return np.zeros(len(row), dtype="<U1")
        from cryoscope.io.star_kernels import copy_text

        code = np.empty((len(row), longest), dtype=np.uint32)
        plain = np.empty(len(row), dtype=bool)

        def copy(first: int, end: int) -> None:
            part = slice(first, end)
            copy_text(spans.byte, begin[part], length[part], code[part], plain[part])

        in_threads(copy, _pieces(len(row)))
        text: NDArray[np.str_] = code.view(f"<U{longest}")[:, 0]
        for place in np.flatnonzero(~plain).tolist():
            text[place] = spans.value(int(row[place]))
        return text

    def _as_numbers(self, column: str, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        odd = np.flatnonzero(~np.isfinite(numbers))
        if len(odd):
            numbers = numbers.copy()  # a column of its own: not a view of all
            spans = self.spans(column)
            for row in odd.tolist():
                numbers[row] = self._number(column, row, spans.value(row))
        return numbers

    def _number(self, column: str, row: int, cell: str) -> float:
        try:
            number = nan if "_" in cell else float(cell)  # Python reads 1_0 as 10
        except ValueError as error:
            raise self._bad(column, row, repr(cell)) from error
        if not isfinite(number):
            raise self._bad(column, row, cell)
        return number

    def _bad(self, column: str, row: int, found: str) -> InputError:
        return InputError(
            f"{column} is {found}, not a usable value",
            file=self._file,
            row=row + 1,
            cure="Correct or remove this row",
        )


def _pieces(rows: int) -> list[tuple[int, int]]:
    return list(pairwise([*range(0, rows, _ROWS_AT_ONCE), rows]))


def _spans_of(cells: Sequence[str]) -> Spans:
    """Values that were taken out of their quotes, as bytes of their own."""
    content = [cell.encode("utf-8", "surrogateescape") for cell in cells]
    length = np.fromiter(map(len, content), dtype=np.int64, count=len(content))
    # a blank that is never read: arrays of no bytes have no type of their own
    byte = np.frombuffer(b"".join(content) + b" ", dtype=np.uint8)
    return Spans(byte, np.cumsum(length) - length, length.astype(np.int32))
