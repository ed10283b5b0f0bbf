"""Selections back from files, by the names of their particles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cryoscope.data import InputError, Latents, Particles, Selection
from cryoscope.session.jobs import Job
from cryoscope.session.selecting import COLOURS, edit_selections
from cryoscope.session.state import Session


def import_selection(session: Session, path: str | Path, name: str | None = None) -> None:
    """Bring the selections of a file back, exactly; returns at once, undoable.

    Particles are found by their names, never by order alone; a file that means others is refused
    with its first row that differs.

    Parameters
    ----------
    path
        Any file that particles were exported to (.star, .cs, .pkl, .txt, .npy, .json, .csv,
        .parquet), here or by another program.
    name
        Which selection of a file of several; None takes all of a ``.json``.
    """
    source = Path(path).expanduser()

    def work(job: Job) -> None:
        particles, latents = session.snapshot("particles", "latents")
        if particles is None:
            raise InputError("no particle file is open", cure="Open the run's .star file.")
        found = read_imported(particles.record, latents, source, name)
        job.check()
        names: list[str] = []

        def add(old: tuple[Selection, ...], _: str) -> tuple[tuple[Selection, ...], str]:
            new = with_imported(old, found)
            names[:] = [one.name for one in new[len(old) :]]
            return new, names[-1]

        edit_selections(session, f"import {source.name}", add)
        count = " and ".join(f"{len(one):,}" for one in found[:3])
        session.notify("info", f"{count} particles of {source.name} selected: {', '.join(names)}")

    session.pool.submit("Importing a selection", work, key="import", text=f"Reading {source.name}")


def read_imported(
    particles: Particles, latents: Latents | None, path: Path, name: str | None
) -> list[Selection]:
    """The selections of a file, their masks in the order of the latents where there are any.

    Raises
    ------
    InputError
        The file means particles that are not there; names the first such row.
    """
    from cryoscope.io.selection_import import read_selections_of

    found = read_selections_of(particles, path, name)
    if latents is None or np.array_equal(latents.uid, particles.uid):
        return found
    place = {uid: at for at, uid in enumerate(latents.uid.tolist())}
    ordered = []
    for one in found:
        mask = np.zeros(len(latents), dtype=np.bool_)
        for row in np.flatnonzero(one.mask).tolist():
            at = place.get(str(particles.uid[row]))
            if at is None:
                raise InputError(
                    f"{particles.uid[row]} is not among the particles of the run",
                    file=path,
                    cure="Open the run that was trained on these particles.",
                )
            mask[at] = True
        ordered.append(replace(one, mask=mask))
    return ordered


def with_imported(
    old: Sequence[Selection], found: Sequence[Selection], called: str = ""
) -> tuple[Selection, ...]:
    """Selections with others behind them, each with a name and a colour of its own."""
    new = list(old)
    for one in found:
        base = " ".join((called or one.name).split()) or "imported"
        name, number, taken = base, 1, {other.name for other in new}
        while name in taken:
            number += 1
            name = f"{base} {number}"
        colour, used = one.colour, {other.colour for other in new}
        if colour in used:
            colour = next((c for c in COLOURS if c not in used), COLOURS[len(new) % len(COLOURS)])
        new.append(replace(one, name=name, colour=colour))
    return tuple(new)
