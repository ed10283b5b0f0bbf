"""The landscape of the open run is looked at: state by state, and as selections."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError, Provenance, Selection
from cryoscope.session.contours import contour_of
from cryoscope.session.covariates import MOST_CATEGORIES, STATE_COVARIATE
from cryoscope.session.importing import with_imported
from cryoscope.session.jobs import Job
from cryoscope.session.landscape_records import LandscapeState, LandscapeView
from cryoscope.session.opening import reporting
from cryoscope.session.records import ShownState
from cryoscope.session.selecting import activate_selection, edit_selections
from cryoscope.session.shown import DecodedStates, shown_decoded, with_density
from cryoscope.session.state import Session

_traces: weakref.WeakKeyDictionary[LandscapeView, NDArray[np.float32]] = weakref.WeakKeyDictionary()


def show_landscape_state(session: Session, number: int) -> None:
    """Show the mean map of a state (from 1) in the 3-D view, and point at its typical particle."""
    with reporting(session):
        found = _landscape(session)
        one = _state(found, number)

        def work(job: Job) -> None:
            shown = _shown(session, found, one)
            job.check()
            session.decoder.rest()
            shown = replace(shown, request_id=session.decoder.new_id())
            session.revise(lambda: _pointed(session, found, one, shown))

        session.pool.submit("Landscape state", work, key="landscape-state", quiet=True)


def shown_landscape_state(session: Session) -> int:
    """The number of the state whose mean map is in the 3-D view; 0 for none."""
    found, shown = session.snapshot("landscape", "shown")
    if found is None or shown is None or shown.density is None:
        return 0
    detail = shown.density.provenance.detail
    return next((one.number for one in found.states if _detail(one) == detail), 0)


def select_landscape_states(session: Session, numbers: Sequence[int] = ()) -> None:
    """Make a selection of the particles of every such state (from 1); of all by default. Undoable.

    A state that is a selection already is not made twice; the last one becomes the active one.
    """
    with reporting(session):
        found = _landscape(session)
        asked = [_state(found, number) for number in numbers] or list(found.states)
        there = {one.number: _same(session.selections, _mask(found, one)) for one in asked}
        if all(there.values()):
            activate_selection(session, there[asked[-1].number])
            return

        def edit(old: tuple[Selection, ...], _: str) -> tuple[tuple[Selection, ...], str]:
            new, active = old, ""
            for one in asked:
                mask = _mask(found, one)
                active = _same(new, mask)
                if not active:
                    made = with_imported(new, [_selection(found, one, mask)])[-1]
                    # In the colour that the state has everywhere, though another may have it too.
                    new, active = (*new, replace(made, colour=one.colour)), made.name
            return new, active

        text = f"select {asked[0].name}" if len(asked) == 1 else f"select {len(asked)} states"
        edit_selections(session, text, edit)


def _landscape(session: Session) -> LandscapeView:
    found = session.landscape
    if found is None:
        raise InputError("the run has no landscape yet", cure="Press Analyse in its panel.")
    return found


def _state(found: LandscapeView, number: int) -> LandscapeState:
    if not 1 <= number <= len(found.states):
        raise InputError(
            f"the landscape has no state {number}", cure=f"Choose 1 to {len(found.states)}."
        )
    return found.states[number - 1]


def _mask(found: LandscapeView, one: LandscapeState) -> NDArray[np.bool_]:
    return np.asarray(found.particle_state == one.number - 1)


def _same(selections: Sequence[Selection], mask: NDArray[np.bool_]) -> str:
    """The name of the selection that holds exactly these particles; "" for none."""
    return next((one.name for one in selections if np.array_equal(one.mask, mask)), "")


def _selection(found: LandscapeView, one: LandscapeState, mask: NDArray[np.bool_]) -> Selection:
    made_by: dict[str, Any] = {"covariate": STATE_COVARIATE, "mode": "new"}
    if len(found.states) <= MOST_CATEGORIES:
        made_by |= {"kind": "category", "category": one.name}
    else:
        made_by |= {"kind": "range", "low": one.number, "high": one.number}
    note = f"Landscape of epoch {found.epoch}: {one.maps} of {found.maps} sketched volumes"
    return Selection(one.name, mask, one.colour, note, made_by)


def _detail(one: LandscapeState) -> str:
    return f"{one.name} of the landscape (mean of {one.maps:,} volumes)"


def _shown(session: Session, found: LandscapeView, one: LandscapeState) -> ShownState:
    """The mean map of a state, about the backbone of its typical particle where there is one."""
    from cryoscope.io.mrc import read_volume

    run, latents = session.snapshot("run", "latents")
    volume = read_volume(found.folder / f"state-{one.number:02d}-mean.mrc")
    run_id = found.folder.parent.name
    made = Provenance("decoded", detail=_detail(one), run_id=run_id, epoch=found.epoch)
    volume, contour = replace(volume, provenance=made), contour_of(session, "decoded")
    traces_A = _backbones(found)
    reference = None if run is None else run.reference
    fits = reference is not None and traces_A.shape[1] == len(reference)
    if not fits or one.number > len(traces_A) or latents is None:
        return replace(with_density(None, volume, contour), label=_label(made, one))
    decoded = DecodedStates(
        traces_A[one.number - 1][None], latents.z[one.typical_row][None], None, 0.0
    )
    base = shown_decoded(0, decoded, reference, contour=contour, run_id=run_id, epoch=found.epoch)
    state = with_density(base, volume, contour)
    return replace(state, label=_label(made, one, ", backbone of a typical particle"))


def _label(made: Provenance, one: LandscapeState, more: str = "") -> str:
    """The words over the view, in lines that it has room for."""
    return f"State {one.number}: mean of {one.maps:,} volumes{more}\n{made.label_of_model}"


def _backbones(found: LandscapeView) -> NDArray[np.float32]:
    """(states, n, 3) traces of the typical particles; none for a run whose states are maps."""
    from cryoscope.io.structures import read_models

    if found not in _traces:
        file = found.folder / "states.pdb"
        coords = read_models(file).coords_A if file.is_file() else np.zeros((0, 0, 3))
        _traces[found] = np.asarray(coords, dtype=np.float32)
    return _traces[found]


def _pointed(
    session: Session, found: LandscapeView, one: LandscapeState, shown: ShownState
) -> dict[str, Any]:
    """What changes when a state is shown, unless the landscape is another one by now."""
    if session.landscape is not found:
        return {}
    embedding = session.embedding
    if embedding is None or one.typical_row >= len(embedding.xy):
        return {"shown": shown}
    x, y = (float(value) for value in embedding.xy[one.typical_row])
    if not np.isfinite([x, y]).all():
        return {"shown": shown}
    # The cursor first: what is shown after it moved was asked for, and is drawn at once.
    return {"cursor_xy": (x, y), "shown": shown}
