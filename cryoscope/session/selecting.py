"""Lassos, named selections, undo, and the cursor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryoscope.data import Embedding, InputError, Selection
from cryoscope.session.follow import save_selections
from cryoscope.session.history import Change
from cryoscope.session.opening import reporting
from cryoscope.session.state import Session

# Told apart with any colour vision, and on a dark ground (after Okabe and Ito).
COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#d55e00", "#cc79a7")
Mode = Literal["new", "add", "subtract"]
_Edit = Callable[[tuple[Selection, ...], str], tuple[tuple[Selection, ...], str]]


def lasso(session: Session, polygon_xy: ArrayLike, mode: Mode = "new") -> None:
    """Select the particles inside a polygon of the embedding (even-odd rule); undoable.

    Parameters
    ----------
    polygon_xy
        (m, 2) corners in the embedding's coordinates.
    mode
        ``"new"`` makes a new selection and activates it; ``"add"`` and ``"subtract"`` change the
        active one (``"add"`` without one makes a new one).
    """
    with reporting(session):
        embedding = _embedding(session)
        polygon = np.asarray(polygon_xy, dtype=np.float64)
        mask = _inside(embedding, polygon)
        if mode not in ("new", "add", "subtract"):
            raise ValueError(f"no such lasso mode: {mode}")
        made_by = {
            "kind": "lasso",
            "mode": mode,
            "polygon": polygon.tolist(),
            "axes": list(embedding.axis_labels),
            "embedding": embedding.embedding_id,
        }
        if mode == "new" or (mode == "add" and not session.active_selection):
            if not mask.any():
                # A slip of the hand is no error.
                session.notify("info", "The lasso holds no particle; nothing was selected")
                return
            _edit(session, "lasso", lambda all_, _: _with_new(all_, mask, made_by))
        elif not _changes(find_active(session), mask, mode):
            session.notify("info", "The lasso changes nothing in the selection")
        else:
            _edit(
                session,
                f"lasso ({mode})",
                lambda all_, active: _combined(all_, active, mask, mode, made_by),
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
    embedding = session.embedding
    if embedding is None:
        return 0
    return int(np.count_nonzero(_inside(embedding, np.asarray(polygon_xy, dtype=np.float64))))


def rename_selection(session: Session, name: str, new_name: str) -> None:
    """Give a selection another name; undoable."""
    new_name = " ".join(new_name.split())

    def edit(old: tuple[Selection, ...], active: str) -> tuple[tuple[Selection, ...], str]:
        place = _place(old, name)
        if not new_name:
            raise InputError("a selection needs a name")
        if new_name != name and any(selection.name == new_name for selection in old):
            raise InputError(f"there is a selection {new_name!r} already", cure="Choose another.")
        new = list(old)
        new[place] = replace(old[place], name=new_name)
        return tuple(new), new_name if active == name else active

    with reporting(session):
        _edit(session, f"rename {name}", edit)


def remove_selection(session: Session, name: str) -> None:
    """Remove a selection; undoable."""

    def edit(old: tuple[Selection, ...], active: str) -> tuple[tuple[Selection, ...], str]:
        place = _place(old, name)
        new = old[:place] + old[place + 1 :]
        fallback = new[min(place, len(new) - 1)].name if new else ""
        return new, fallback if active == name else active

    with reporting(session):
        _edit(session, f"remove {name}", edit)


def activate_selection(session: Session, name: str) -> None:
    """Make a selection the one that is shown and edited; "" for none."""

    def decide() -> dict[str, Any]:
        if name:
            _place(session.selections, name)
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


def set_iso_sigma(session: Session, sigma: float) -> None:
    """Draw the isosurface at ``sigma`` standard deviations of the map."""
    with reporting(session):
        if not np.isfinite(sigma):
            raise InputError("the isosurface level is not a number", cure="Give one, e.g. 3.")
        session.iso_sigma = float(sigma)
        session.decoder.redraw()


def find_selection(session: Session, name: str) -> Selection:
    """The selection of that name.

    Raises
    ------
    InputError
        If there is none, with the names that there are.
    """
    selections = session.selections
    return selections[_place(selections, name)]


def _edit(session: Session, text: str, edit: _Edit) -> None:
    """Change the selections, and leave the way back."""
    before: dict[str, Any] = {}

    def decide() -> dict[str, Any]:
        before.update(selections=session.selections, active_selection=session.active_selection)
        selections, active = edit(session.selections, session.active_selection)
        return {"selections": selections, "active_selection": active}

    after = session.revise(decide)

    def restore(values: dict[str, Any]) -> None:
        session.change(**values)
        save_selections(session)

    session.history.push(Change(text, lambda: restore(before), lambda: restore(after)))
    session.refresh_undo()
    save_selections(session)


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


def _combined(
    old: tuple[Selection, ...],
    active: str,
    mask: NDArray[np.bool_],
    mode: Mode,
    made_by: dict[str, Any],
) -> tuple[tuple[Selection, ...], str]:
    place = _place(old, active)
    selection = old[place]
    combined = selection.mask | mask if mode == "add" else selection.mask & ~mask
    steps = [*selection.made_by.get("steps", [selection.made_by]), made_by]
    new = list(old)
    new[place] = replace(selection, mask=combined, made_by={"kind": "combined", "steps": steps})
    return tuple(new), active


def _changes(selection: Selection, mask: NDArray[np.bool_], mode: Mode) -> bool:
    """Whether adding or subtracting ``mask`` makes another selection."""
    new = mask & ~selection.mask if mode == "add" else mask & selection.mask
    return bool(new.any())


def _place(selections: tuple[Selection, ...], name: str) -> int:
    names = [selection.name for selection in selections]
    if name not in names:
        there_are = f"There are: {', '.join(names)}." if names else "Lasso some particles first."
        raise InputError(f"there is no selection {name!r}", cure=there_are)
    return names.index(name)


def _embedding(session: Session) -> Embedding:
    if session.embedding is None:
        raise InputError("there are no latents yet", cure="Train, or open a run folder, first.")
    return session.embedding


def _inside(embedding: Embedding, polygon: NDArray[np.float64]) -> NDArray[np.bool_]:
    from cryoscope.analysis.lasso import polygon_mask

    if len(polygon) < 3:
        return np.zeros(len(embedding.xy), dtype=np.bool_)
    return polygon_mask(embedding.xy, polygon)
