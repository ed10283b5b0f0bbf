"""States that are kept in the 3-D view, and how states are drawn there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

from cryoscope.data import InputError
from cryoscope.session.contours import contour_of
from cryoscope.session.history import Change
from cryoscope.session.opening import reporting
from cryoscope.session.places import place_of
from cryoscope.session.residues import measure_motion, residue_trace
from cryoscope.session.scene import (
    BACKBONE_STYLES,
    LAYOUTS,
    SURFACE_COLOURS,
    BackboneStyle,
    KeptState,
    Layout,
    SurfaceColour,
)
from cryoscope.session.shown import with_level
from cryoscope.session.state import Session

#: Told apart with any colour vision (after Okabe and Ito), and from the colours of maps.
COLOURS = (
    "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#f0e442", "#56b4e9", "#8f6bd1", "#a65628",
)  # fmt: skip
#: More states than these are a picture that nobody reads, and memory that nobody expects.
MOST_KEPT = 8
_Kept = tuple[KeptState, ...]


def keep_state(session: Session, name: str = "") -> None:
    """Keep the shown state in the 3-D view, with a name and colour of its own; undoable."""
    with reporting(session):
        shown = session.shown
        if shown is None:
            raise InputError(
                "there is no state to keep", cure="Open a structure, map or run first."
            )
        if len(session.kept_states) >= MOST_KEPT:
            raise InputError(
                f"{MOST_KEPT} states are kept already", cure="Remove one of them first."
            )

        place = place_of(session, shown)

        def add(kept: _Kept) -> _Kept:
            title = _free_name(kept, " ".join(name.split()))
            used = {one.colour for one in kept}
            colour = next((one for one in COLOURS if one not in used), COLOURS[0])
            return (*kept, KeptState(title, colour, shown, place=place))

        _edit(session, "keep a state", add)
        session.notify("info", f"Kept: {shown.label}")


def remove_kept(session: Session, name: str) -> None:
    """Keep a state no longer; undoable."""
    with reporting(session):
        find_kept(session, name)
        _edit(session, f"remove {name}", lambda kept: tuple(k for k in kept if k.name != name))


def rename_kept(session: Session, name: str, new_name: str) -> None:
    """Give a kept state another name; undoable."""
    title = " ".join(new_name.split())
    with reporting(session):
        taken = title != name and any(one.name == title for one in session.kept_states)
        if not title or taken:
            problem = f"there is a kept state {title!r} already" if title else "a name is needed"
            raise InputError(problem, cure="Choose another name.")
        _change(session, name, f"rename {name}", name=title)
        if session.scene.against == name:
            session.scene = replace(session.scene, against=title)


def recolour_kept(session: Session, name: str, colour: str) -> None:
    """Draw a kept state in another colour, ``#rrggbb``; undoable."""
    with reporting(session):
        _change(session, name, f"recolour {name}", colour=colour)


def show_kept(session: Session, name: str, visible: bool) -> None:
    """Draw a kept state, or do not."""
    with reporting(session):
        find_kept(session, name)
        session.revise(
            lambda: {"kept_states": _with(session.kept_states, name, visible=bool(visible))}
        )


def arrange_states(session: Session, layout: str) -> None:
    """Draw the kept states over the shown one (``overlay``) or beside it (``grid``)."""
    with reporting(session):
        _one_of(layout, LAYOUTS)
        session.scene = replace(session.scene, layout=cast("Layout", layout))


def draw_backbone_as(session: Session, style: str) -> None:
    """Draw backbones as a ``tube`` or as a ``ribbon`` with helices and strands."""
    with reporting(session):
        _one_of(style, BACKBONE_STYLES)
        session.scene = replace(session.scene, backbone=cast("BackboneStyle", style))


def colour_surface(session: Session, by: str, against: str = "") -> None:
    """Colour the surface of the shown map.

    Parameters
    ----------
    by
        ``plain``: where the map comes from. ``displacement``, ``motion``: how far the residues
        nearest to it lie from the reference, or move over the run. ``difference``: by how much it
        differs from the map of a kept state.
    against
        Name of that kept state; by default the one that was kept last.
    """
    with reporting(session):
        _one_of(by, SURFACE_COLOURS)
        if by in ("displacement", "motion") and not residue_trace(session):
            raise InputError(
                "there is no atomic model that moves",
                cure="Keep a state, and colour by the difference to it.",
            )
        if by == "difference":
            against = _difference_to(session, against)
        session.scene = replace(session.scene, surface=cast("SurfaceColour", by), against=against)
        if by == "motion" and session.residue_motion is None:
            measure_motion(session)


def find_kept(session: Session, name: str) -> KeptState:
    """The kept state of that name.

    Raises
    ------
    InputError
        If there is none.
    """
    for kept in session.kept_states:
        if kept.name == name:
            return kept
    raise InputError(f"no state {name!r} is kept", cure="Keep the shown state first.")


def relevel_kept(session: Session) -> None:
    """Draw the surfaces of the kept states at the contours of now; takes a while."""
    for kept in session.kept_states:
        density = kept.shown.density
        if density is None:
            continue
        contour = contour_of(session, density.provenance.kind)
        if contour.level(density) == kept.shown.level:
            continue
        levelled = with_level(kept.shown, contour)

        def decide(kept: KeptState = kept, levelled: Any = levelled) -> dict[str, Any]:
            there = session.kept_states
            same = any(one.shown is kept.shown for one in there)
            return {"kept_states": _with(there, kept.name, shown=levelled)} if same else {}

        session.revise(decide)


def _difference_to(session: Session, name: str) -> str:
    with_maps = [one.name for one in session.kept_states if one.shown.density is not None]
    if name:
        find_kept(session, name)
    chosen = name or (with_maps[-1] if with_maps else "")
    if chosen not in with_maps:
        raise InputError(
            "there is no map to differ from", cure="Press Keep on a state with a map first."
        )
    return chosen


def _one_of(word: str, words: tuple[str, ...]) -> None:
    if word not in words:
        raise InputError(f"there is no {word!r}", cure=f"Choose {', '.join(words)}.")


def _with(kept: _Kept, name: str, /, **values: Any) -> _Kept:
    return tuple(replace(one, **values) if one.name == name else one for one in kept)


def _change(session: Session, name: str, text: str, /, **values: Any) -> None:
    find_kept(session, name)
    _edit(session, text, lambda kept: _with(kept, name, **values))


def _edit(session: Session, text: str, edit: Callable[[_Kept], _Kept]) -> None:
    before: dict[str, Any] = {}

    def decide() -> dict[str, Any]:
        before["kept_states"] = session.kept_states
        return {"kept_states": edit(session.kept_states)}

    after = session.revise(decide)
    session.history.push(
        Change(text, lambda: session.change(**before), lambda: session.change(**after))
    )
    session.refresh_undo()


def _free_name(kept: _Kept, wanted: str) -> str:
    names = {one.name for one in kept}
    if wanted and wanted not in names:
        return wanted
    stem, number = wanted or "state", 2 if wanted else 1
    while f"{stem} {number}" in names:
        number += 1
    return f"{stem} {number}"
