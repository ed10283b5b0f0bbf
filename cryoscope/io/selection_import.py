"""Selections back from any file that was exported: exactly the particles that were meant."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import Particles, Selection
from cryoscope.io.atomic import explain_os_errors
from cryoscope.io.named_selections import read_named_selections
from cryoscope.io.particle_matching import match_names, match_particles

_NAME_LENGTH = 200


def read_selections_of(
    particles: Particles, path: str | Path, name: str | None = None
) -> list[Selection]:
    """The selections that a file holds, as masks over `particles`.

    ``.json`` gives back names, colours, notes and how they were made, and all of its selections
    where `name` is None; any other file gives one selection, named after it.

    Parameters
    ----------
    path
        One of ``particle_matching.MATCHED_SUFFIXES``.
    name
        Only this selection of a ``.json`` file, or that of a column of a table (``.csv``,
        ``.parquet``, ``.star``).

    Raises
    ------
    InputError
        As of `match_particles`: names the first row that does not fit.
    """
    path = Path(path)
    if path.suffix.lower() == ".json":
        return [
            replace(one, mask=_mask(particles, match_names(particles, names, path)))
            for one, names in read_named_selections(path, name)
        ]
    place = match_particles(particles, path, name=name)
    with explain_os_errors(path, action="read"), path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    made_by = {"kind": "import", "file": str(path.absolute()), "sha256": sha256}
    called = (name or path.stem)[:_NAME_LENGTH]
    return [Selection(called, _mask(particles, place), made_by=made_by)]


def _mask(particles: Particles, place: NDArray[np.int64]) -> NDArray[np.bool_]:
    mask = np.zeros(len(particles), dtype=np.bool_)
    mask[place] = True
    return mask
