"""One block of a STAR file, its columns parsed when they are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError
from cryoscope.io.star_lines import Lines

_LONGEST_VALUE = 4096


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
        self._text: dict[str, NDArray[np.str_]] = {}
        self._numbers: dict[str, NDArray[np.float64]] = {}

    def __contains__(self, column: str) -> bool:
        return column in self.columns

    def text(self, column: str) -> NDArray[np.str_]:
        """(rows,) values of a column as they stand in the file, without quotes."""
        self.load(text=(column,))
        return self._text[column]

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
        words = [c for c in dict.fromkeys(text) if c not in self._text]
        values = [c for c in dict.fromkeys(numbers) if c not in self._numbers]
        for column in [*words, *values]:
            if column not in self.columns:
                raise InputError(
                    f"the table data_{self.name} has no column {column}",
                    file=self._file,
                    cure="Add the column or export the file again with it",
                )
        if not words and not values:
            return
        parsed = self._parse(words, values)
        for column in words:
            self._text[column] = self._as_text(column, parsed[column])
        for column in values:
            self._numbers[column] = self._as_numbers(column, parsed[column])

    def raw_lines(self, row: NDArray[np.integer]) -> list[bytes]:
        """The lines of the given rows, byte for byte, line ends included."""
        start = self._lines.start
        first, stop = start[self.row_lines[row]].tolist(), start[self.row_lines[row] + 1].tolist()
        content = self._lines.content
        return [content[a:b] for a, b in zip(first, stop, strict=True)]

    def _table_bytes(self) -> bytes:
        first, last = self.row_lines[0], self.row_lines[-1]
        if last - first + 1 == len(self.row_lines):
            start = self._lines.start
            return self._lines.content[start[first] : start[last + 1]]
        return b"".join(self.raw_lines(np.arange(self.rows)))

    def _parse(
        self, text: Sequence[str], numbers: Sequence[str]
    ) -> dict[str, NDArray[np.generic] | list[str]]:
        if self._cells is not None:
            return {c: self._cells[c] for c in (*text, *numbers)}
        if self.rows == 0:
            return {c: [] for c in (*text, *numbers)}
        import pandas as pd  # here: it takes longer to import than the rest of io together

        place = {c: self.columns.index(c) for c in (*text, *numbers)}
        frame = pd.read_csv(
            BytesIO(self._table_bytes()),
            sep=r"\s+",
            header=None,
            names=list(range(len(self.columns))),
            index_col=False,
            usecols=sorted(place.values()),
            dtype={place[c]: object for c in text},
            na_filter=False,
            quoting=3,
            low_memory=False,
            encoding_errors="surrogateescape",
        )
        return {c: frame[place[c]].to_numpy() for c in place}

    def _as_text(self, column: str, values: NDArray[np.generic] | list[str]) -> NDArray[np.str_]:
        cells: list[str] = values if isinstance(values, list) else values.tolist()
        longest = max(map(len, cells), default=0)
        if longest > _LONGEST_VALUE:
            row = next(i for i, cell in enumerate(cells) if len(cell) == longest)
            raise self._bad(column, row, f"a value of {longest} characters")
        return np.array(cells, dtype=np.str_)

    def _as_numbers(
        self, column: str, values: NDArray[np.generic] | list[str]
    ) -> NDArray[np.float64]:
        if isinstance(values, np.ndarray) and values.dtype.kind in "iuf":
            numbers = values.astype(np.float64)
        else:
            cells = values if isinstance(values, list) else self.text(column).tolist()
            numbers = np.array([self._number(column, i, c) for i, c in enumerate(cells)], float)
        odd = np.flatnonzero(~np.isfinite(numbers))
        if len(odd):
            raise self._bad(column, int(odd[0]), str(self.text(column)[odd[0]]))
        return numbers

    def _number(self, column: str, row: int, cell: str) -> float:
        try:
            if "_" not in cell:  # Python would read 1_0 as 10
                return float(cell)
        except ValueError:
            pass
        raise self._bad(column, row, repr(cell))

    def _bad(self, column: str, row: int, found: str) -> InputError:
        return InputError(
            f"{column} is {found}, not a usable value",
            file=self._file,
            row=row + 1,
            cure="Correct or remove this row",
        )
