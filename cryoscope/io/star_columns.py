"""Columns of ours behind those of the user's own rows: latents, clusters, selections."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryoscope.io.star_block import StarBlock
from cryoscope.io.star_lines import Lines, end_of_values

#: Begins the names of our columns; RELION keeps columns that it does not know.
PREFIX = "_cryoscope"
_SELECTION = f"{PREFIX}Selection_"


def selection_columns(names: Sequence[str]) -> dict[str, str]:
    """Name of a selection -> name of its column, of letters and digits, each another."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        word = column = f"{_SELECTION}{re.sub(r'[^A-Za-z0-9]+', '_', name).strip('_') or 'unnamed'}"
        number = 1
        while column in taken:
            number += 1
            column = f"{word}_{number}"
        taken.add(column)
        found[name] = column
    return found


def header_with_columns(
    lines: Lines, block: StarBlock, names: Sequence[str]
) -> tuple[int, bytes, list[str]]:
    """Where to add lines to the head of a table, these lines, and the names of the columns.

    A name that the table has already gets a number: columns of the user's are never replaced.
    """
    at = int(block.row_lines[0]) - 1
    while not lines.word(at).startswith(b"_"):
        at -= 1
    line = lines.line(at)
    end = b"\r\n" if line.endswith(b"\r\n") else b"\n"
    numbered, known, added, head = b"#" in line, set(block.columns), [], b""
    for name in names:
        free, number = name, 1
        while free in known:
            number += 1
            free = f"{name}_{number}"
        known.add(free)
        added.append(free)
        place = f" #{len(block.columns) + len(added)}" if numbered else ""
        head += f"{free}{place}".encode() + end
    return int(lines.start[at + 1]), head, added


def rows_with_values(
    block: StarBlock, row: NDArray[np.integer], columns: Mapping[str, ArrayLike]
) -> list[bytes]:
    """The lines of rows with a value of every column behind; (len(row),) values each."""
    texts = [_texts(np.asarray(values)) for values in columns.values()]
    added = [" ".join(words).encode() for words in zip(*texts, strict=True)]
    made = []
    for line, words in zip(block.raw_lines(row), added, strict=True):
        end = (
            end_of_values(line, len(block.columns))
            if block.has_words_to_split
            else len(line.rstrip(b" \t\r\n"))
        )
        made.append(line[:end] + b" " + words + line[end:])
    return made


def _texts(values: NDArray[Any]) -> list[str]:
    if values.dtype == np.float32:
        return [f"{value:.9g}" for value in values.tolist()]  # as many digits as tell them apart
    if values.dtype.kind == "f":
        return [repr(value) for value in values.tolist()]
    return [str(int(value)) for value in values.tolist()]
