"""Which particles of a file are meant: rows as words, or a selection in one of many files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from cryoscope.data import InputError, Particles

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_NAMED_AT_MOST = 8


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

    if name is not None and (selection is None or selection.suffix.lower() != ".json"):
        raise InputError("--name goes with a selections.json", cure="Leave it out")
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
    count, suffix = len(particles), file.suffix.lower()
    if suffix == ".json":
        return _rows_of_selections(file, name, count)
    if suffix in (".star", ".cs", ".pkl"):
        from cryoscope.io.particle_matching import match_particles

        return match_particles(particles, file)
    if suffix in (".txt", ".npy"):
        from cryoscope.cli.results import particle_numbers

        return particle_numbers(file, count)
    raise InputError(
        "this is no selection",
        file=file,
        cure="Give .star, .cs, .txt, .npy, .pkl or selections.json",
    )


def _rows_of_selections(file: Path, name: str | None, count: int) -> NDArray[np.int64]:
    import numpy as np

    from cryoscope.io.selections_file import read_selections

    saved = read_selections(file, particle_count=count)
    found = [one for one in saved if name in (None, one.name)]
    if len(found) != 1:
        names = ", ".join(repr(one.name) for one in saved[:_NAMED_AT_MOST]) or "none"
        problem = (
            f"there is no selection {name!r}" if name else f"the file holds {len(saved)} selections"
        )
        raise InputError(problem, file=file, cure=f"Choose one with --name: {names}")
    return np.flatnonzero(found[0].mask)
