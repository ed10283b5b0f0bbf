"""What can be done to selections that are there: notes, colours, the others, made again."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from cryoscope.data import InputError, Selection
from cryoscope.session.jobs import Job
from cryoscope.session.opening import reporting
from cryoscope.session.selecting import (
    Mode,
    combined,
    edit_selections,
    find_active,
    find_selection,
    place_of,
)
from cryoscope.session.selection_rules import Rule, combined_mask, replayed_mask
from cryoscope.session.state import Session

_NOTE_LIMIT = 10_000


def note_selection(session: Session, name: str, note: str) -> None:
    """Write a note on a selection; undoable."""
    text = note.strip()[:_NOTE_LIMIT]
    _replace(session, f"note on {name}", name, lambda old: replace(old, note=text))


def recolour_selection(session: Session, name: str, colour: str) -> None:
    """Give a selection another colour, ``#rrggbb``; undoable."""
    with reporting(session):
        if not re.fullmatch(r"#[0-9a-fA-F]{6}", colour):
            raise InputError(f"{colour!r} is no colour", cure="Give one as #rrggbb.")
        _replace(session, f"colour of {name}", name, lambda old: replace(old, colour=colour))


def invert_selection(session: Session) -> None:
    """Make the active selection that of all other particles; undoable."""
    with reporting(session):
        name = find_active(session).name

        def inverted(old: Selection) -> Selection:
            steps = [*old.made_by.get("steps", [old.made_by]), {"kind": "invert"}]
            return replace(old, mask=~old.mask, made_by={"kind": "combined", "steps": steps})

        _replace(session, f"invert {name}", name, inverted)


def combine_selections(session: Session, name: str, mode: Mode) -> None:
    """Add, subtract or intersect another selection with the active one; undoable."""
    with reporting(session):
        active, other = find_active(session), find_selection(session, name)
        if np.array_equal(combined_mask(active.mask, other.mask, mode), active.mask):
            session.notify("info", f"“{name}” changes nothing in “{active.name}”")
            return
        made_by: Rule = {
            "kind": "selection", "name": name, "made_by": other.made_by, "mode": mode,
        }  # fmt: skip
        edit_selections(
            session,
            f"{mode} {name}",
            lambda all_, _: combined(all_, active.name, other.mask, made_by),
        )


def replay_selection(session: Session, name: str) -> None:
    """Make a selection again from how it was made, in the latents of now; a job, undoable.

    What was drawn on principal components or latent dimensions is applied to the new latents on
    the same axes.
    """

    def work(job: Job) -> None:
        old = find_selection(session, name)
        mask = replayed_mask(session, old.made_by)
        job.check()
        changed = int(np.count_nonzero(mask != old.mask))
        if changed:
            _replace(session, f"replay {name}", name, lambda one: replace(one, mask=mask))
        session.notify(
            "info",
            f"“{name}” made again: {int(mask.sum()):,} particles, {changed:,} joined or left",
        )

    session.pool.submit("Replaying a selection", work, key="replay")


def _replace(
    session: Session, text: str, name: str, change: Callable[[Selection], Selection]
) -> None:
    def edit(old: tuple[Selection, ...], active: str) -> tuple[tuple[Selection, ...], str]:
        place = place_of(old, name)
        return (*old[:place], change(old[place]), *old[place + 1 :]), active

    with reporting(session):
        edit_selections(session, text, edit)
