"""Which particles of a file are meant: rows as words, or a selection in one of many files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from cryoscope.data import InputError, Particles

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_NAMED = (".json", ".csv", ".parquet", ".star")


def chosen_rows(
    particles: Particles, selection: Path | None, name: str | None, rows: str | None
) -> NDArray[np.int64] | None:
    """The rows that ``--selection`` and ``--name``, or ``--rows``, choose; None where neither does.

    Raises
    ------
    InputError
        If they are not rows of these particles, or there are none.
    """
    import numpy as np

    named = selection is not None and selection.suffix.lower() in _NAMED
    if name is not None and not named:
        raise InputError(
            f"--name goes with a file of several selections ({', '.join(_NAMED)})",
            cure="Leave it out",
        )
    if rows is not None:
        return parse_rows(rows, len(particles))
    if selection is None:
        return None
    chosen = _rows_of_file(particles, selection, name)
    if len(chosen) == 0:
        raise InputError("the selection is empty", file=selection, cure="Choose another one")
    return np.asarray(chosen, dtype=np.int64)


def parse_rows(text: str, count: int) -> NDArray[np.int64]:
    """Rows named as ``0-999,2000,3000-`` of ``count``, both ends included.

    Raises
    ------
    InputError
        If the words are no rows, or not of these particles.
    """
    import numpy as np

    parts = []
    for word in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,12})\s*(-\s*(\d{1,12})?)?\s*", word)
        if match is None:
            raise InputError(f"--rows {text!r} is not understood", cure="Say e.g. 0-999,2000,3000-")
        begin = int(match[1])
        end = begin if match[2] is None else int(match[3]) if match[3] else count - 1
        if end < begin or end >= count:
            raise InputError(
                f"--rows {word.strip()}: there are {count:,} particles",
                cure=f"Rows count from 0 to {count - 1}",
            )
        parts.append(np.arange(begin, end + 1, dtype=np.int64))
    return np.unique(np.concatenate(parts))


def _rows_of_file(particles: Particles, file: Path, name: str | None) -> NDArray[np.int64]:
    from cryoscope.io.particle_matching import MATCHED_SUFFIXES, match_particles

    if file.suffix.lower() not in MATCHED_SUFFIXES:
        raise InputError(
            "this is no selection", file=file, cure=f"Give one of {', '.join(MATCHED_SUFFIXES)}"
        )
    return match_particles(particles, file, name=name)
