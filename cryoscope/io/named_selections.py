"""Selections together with the names of their particles, so that no order has to be trusted."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cryoscope.data import InputError, Selection
from cryoscope.io.json_file import read_json_object
from cryoscope.io.run_folder import RunFolder
from cryoscope.io.selections_file import SIZE_LIMIT_BYTES, read_selections

_NAMED_AT_MOST = 8
_RUN = "run.json"


def read_named_selections(
    path: str | Path, name: str | None = None
) -> list[tuple[Selection, list[str]]]:
    """Selections of a file and the names of the particles of each.

    A file of a run folder names none: there the run's latents do.

    Parameters
    ----------
    name
        Only the selection of this name.

    Raises
    ------
    InputError
        As of `read_selections`; there is no such selection, or nothing names its particles.
    """
    path = Path(path)
    selections = read_selections(path)
    found = [i for i, one in enumerate(selections) if name in (None, one.name)]
    if not found:
        known = ", ".join(repr(one.name) for one in selections[:_NAMED_AT_MOST]) or "none"
        wanted = "selection" if name is None else f"selection {name!r}"
        raise InputError(f"there is no {wanted} in it", file=path, cure=f"It holds: {known}")
    rows = read_json_object(path, limit_bytes=SIZE_LIMIT_BYTES)["selections"]
    beside = path.parent / _RUN
    order = None
    made = []
    for i in found:
        names = rows[i].get("uid")
        if names is None and beside.is_file():
            order = RunFolder.open(path.parent).load_latents().uid if order is None else order
            if len(order) != len(selections[i].mask):
                raise InputError(
                    f"{selections[i].name!r} is for {len(selections[i].mask):,} particles, the "
                    f"run has latents of {len(order):,}",
                    file=path,
                    cure="Use the selections of this run",
                )
            names = np.asarray(order)[selections[i].mask].tolist()
        made.append((selections[i], _checked(names, selections[i], path)))
    return made


def _checked(names: object, selection: Selection, path: Path) -> list[str]:
    if not isinstance(names, list) or not all(type(one) is str for one in names):
        raise InputError(
            f"{selection.name!r} does not name its particles, and order alone may mislead",
            file=path,
            cure="Open it with its run, or export the selection from there",
        )
    if len(names) != len(selection):
        raise InputError(
            f"{selection.name!r} names {len(names):,} particles and marks {len(selection):,}",
            file=path,
            cure="Restore the file from a copy, or export the selection again",
        )
    return names


def read_named_selection(path: str | Path, name: str | None = None) -> list[str]:
    """Names of the particles of one selection; `name` may be None where there is but one.

    Raises
    ------
    InputError
        As of `read_named_selections`; several fit.
    """
    found = read_named_selections(path, name)
    if len(found) > 1:
        known = ", ".join(repr(one.name) for one, _ in found[:_NAMED_AT_MOST])
        raise InputError(
            f"the file holds {len(found):,} selections"
            if name is None
            else f"it holds {len(found):,} selections {name!r}",
            file=path,
            cure=f"Choose one by its name: {known}",
        )
    return found[0][1]
