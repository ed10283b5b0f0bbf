"""Lassos, named selections, undo, and the cursor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryoscope.data import InputError, Selection
from cryoscope.session.covariates import recolour
from cryoscope.session.follow import save_selections
from cryoscope.session.history import Change
from cryoscope.session.opening import reporting
from cryoscope.session.selection_rules import (
    GEOMETRIC,
    MODES,
    Rule,
    combined_mask,
    drawn_on,
    is_slow,
    rule_mask,
)
from cryoscope.session.state import Session

# Told apart with any colour vision, and on a dark ground (after Okabe and Ito).
COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#d55e00", "#cc79a7")
Mode = Literal["new", "add", "subtract", "intersect"]
Edit = Callable[[tuple[Selection, ...], str], tuple[tuple[Selection, ...], str]]


def lasso(session: Session, polygon_xy: ArrayLike, mode: Mode = "new") -> None:
    """Select the particles inside a polygon of the embedding (even-odd rule); undoable.

    Parameters
    ----------
    polygon_xy
        (m, 2) corners in the embedding's coordinates.
    mode
        As of :func:`select`.
    """
    corners = np.asarray(polygon_xy, dtype=np.float64).tolist()
    select(session, {"kind": "lasso", "polygon": corners}, mode)


def select(session: Session, rule: Rule, mode: Mode = "new") -> None:
    """Select the particles that a rule holds, all of them, drawn or not; undoable.

    Parameters
    ----------
    rule
        What is selected; see :mod:`cryoscope.session.selection_rules`.
    mode
        ``"new"`` makes a new selection and activates it; ``"add"``, ``"subtract"`` and
        ``"intersect"`` change the active one (``"add"`` without one makes a new one).
    """
    if mode not in MODES:
        raise ValueError(f"no such mode of selecting: {mode}")
    if is_slow(session, rule):
        session.pool.submit("Selecting", lambda _job: _select(session, rule, mode), key="select")
        return
    with reporting(session):
        _select(session, rule, mode)


def _select(session: Session, rule: Rule, mode: Mode) -> None:
    mask, made_by = rule_mask(session, rule), {**rule, "mode": mode}
    embedding = session.embedding
    if rule["kind"] in GEOMETRIC and embedding is not None:
        made_by = drawn_on(made_by, embedding)
    what = str(rule["kind"])
    if mode == "new" or (mode == "add" and not session.active_selection):
        if not mask.any():
            # A slip of the hand is no error.
            session.notify("info", f"The {what} holds no particle; nothing was selected")
            return
        edit_selections(session, what, lambda all_, _: _with_new(all_, mask, made_by))
        return
    old = find_active(session).mask
    if np.array_equal(combined_mask(old, mask, mode), old):
        session.notify("info", f"The {what} changes nothing in the selection")
        return
    edit_selections(
        session, f"{what} ({mode})", lambda all_, active: combined(all_, active, mask, made_by)
    )


def find_active(session: Session) -> Selection:
    """The active selection.

    Raises
    ------
    InputError
        If there is none.
    """
    if not session.active_selection:
        raise InputError("no selection is active", cure="Lasso some particles first.")
    return find_selection(session, session.active_selection)


def count_lasso(session: Session, polygon_xy: ArrayLike) -> int:
    """How many particles lie inside a polygon of the embedding; 0 while there is none."""
    corners = np.asarray(polygon_xy, dtype=np.float64).tolist()
    return count_rule(session, {"kind": "lasso", "polygon": corners})


def count_rule(session: Session, rule: Rule) -> int:
    """How many particles a rule holds, while it is being drawn; 0 while there are no latents."""
    if session.embedding is None:
        return 0
    return int(np.count_nonzero(rule_mask(session, rule)))


def rename_selection(session: Session, name: str, new_name: str) -> None:
    """Give a selection another name; undoable."""
    new_name = " ".join(new_name.split())

    def edit(old: tuple[Selection, ...], active: str) -> tuple[tuple[Selection, ...], str]:
        place = place_of(old, name)
        if not new_name:
            raise InputError("a selection needs a name")
        if new_name != name and any(selection.name == new_name for selection in old):
            raise InputError(f"there is a selection {new_name!r} already", cure="Choose another.")
        new = list(old)
        new[place] = replace(old[place], name=new_name)
        return tuple(new), new_name if active == name else active

    with reporting(session):
        edit_selections(session, f"rename {name}", edit)


def remove_selection(session: Session, name: str) -> None:
    """Remove a selection; undoable."""

    def edit(old: tuple[Selection, ...], active: str) -> tuple[tuple[Selection, ...], str]:
        place = place_of(old, name)
        new = old[:place] + old[place + 1 :]
        fallback = new[min(place, len(new) - 1)].name if new else ""
        return new, fallback if active == name else active

    with reporting(session):
        edit_selections(session, f"remove {name}", edit)


def activate_selection(session: Session, name: str) -> None:
    """Make a selection the one that is shown and edited; "" for none."""

    def decide() -> dict[str, Any]:
        if name:
            place_of(session.selections, name)
        return {"active_selection": name}

    with reporting(session):
        session.revise(decide)


def undo(session: Session) -> None:
    """Take back the last change of the selections."""
    session.history.undo()
    session.refresh_undo()


def redo(session: Session) -> None:
    """Do the last undone change again."""
    session.history.redo()
    session.refresh_undo()


def move_cursor(session: Session, xy: Sequence[float]) -> None:
    """Show the state at ``xy`` of the embedding as soon as it is decoded; newest wins."""
    x, y = float(xy[0]), float(xy[1])
    if np.isfinite(x) and np.isfinite(y):
        session.cursor_xy = (x, y)
        session.decoder.show((x, y))


def find_selection(session: Session, name: str) -> Selection:
    """The selection of that name.

    Raises
    ------
    InputError
        If there is none, with the names that there are.
    """
    selections = session.selections
    return selections[place_of(selections, name)]


def edit_selections(session: Session, text: str, edit: Edit) -> None:
    """Change the selections by ``edit``, and leave the way back and forth."""
    before: dict[str, Any] = {}

    def decide() -> dict[str, Any]:
        before.update(selections=session.selections, active_selection=session.active_selection)
        selections, active = edit(session.selections, session.active_selection)
        return {"selections": selections, "active_selection": active}

    after = session.revise(decide)

    def restore(values: dict[str, Any]) -> None:
        session.change(**values)
        save_selections(session)
        recolour(session, "selections")

    session.history.push(Change(text, lambda: restore(before), lambda: restore(after)))
    session.refresh_undo()
    save_selections(session)
    recolour(session, "selections")


def _with_new(
    old: tuple[Selection, ...], mask: NDArray[np.bool_], made_by: dict[str, Any]
) -> tuple[tuple[Selection, ...], str]:
    names = {selection.name for selection in old}
    number = 1
    while (name := f"selection {number}") in names:
        number += 1
    used = {selection.colour for selection in old}
    colour = next((c for c in COLOURS if c not in used), COLOURS[len(old) % len(COLOURS)])
    return (*old, Selection(name, mask, colour, made_by=made_by)), name


def combined(
    old: tuple[Selection, ...], active: str, mask: NDArray[np.bool_], made_by: Rule
) -> tuple[tuple[Selection, ...], str]:
    """The selections with ``mask`` combined into the active one by ``made_by["mode"]``."""
    place = place_of(old, active)
    selection = old[place]
    steps = [*selection.made_by.get("steps", [selection.made_by]), made_by]
    new = list(old)
    new[place] = replace(
        selection,
        mask=combined_mask(selection.mask, mask, made_by["mode"]),
        made_by={"kind": "combined", "steps": steps},
    )
    return tuple(new), active


def place_of(selections: tuple[Selection, ...], name: str) -> int:
    """Where the selection of that name stands.

    Raises
    ------
    InputError
        If there is none, with the names that there are.
    """
    names = [selection.name for selection in selections]
    if name not in names:
        there_are = f"There are: {', '.join(names)}." if names else "Lasso some particles first."
        raise InputError(f"there is no selection {name!r}", cure=there_are)
    return names.index(name)
