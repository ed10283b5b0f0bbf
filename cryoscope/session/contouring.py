"""The level of the surface in the 3-D view, and what it keeps from state to state."""

from __future__ import annotations

from typing import Any

import numpy as np

from cryoscope.data import InputError
from cryoscope.session.contours import ANY_KIND, HOLDS, UNASKED_SIGMA, Contour, Hold, contour_of
from cryoscope.session.opening import reporting
from cryoscope.session.state import Session


def set_contour(session: Session, amount: float, hold: Hold = "sigma") -> None:
    """Draw the surface of the shown kind of map at ``amount``; remembered for that kind.

    Parameters
    ----------
    amount
        Standard deviations above the mean, a map value, or A^3, as ``hold`` says; nothing for
        ``"auto"``.
    hold
        What stays the same when another map of this kind is shown; see :class:`Contour`.
    """
    with reporting(session):
        if hold not in HOLDS:
            raise ValueError(f"no such way to hold a contour: {hold}")
        if not np.isfinite(amount):
            raise InputError("the isosurface level is not a number", cure="Give one, e.g. 3.")
        if hold == "volume" and amount <= 0:
            raise InputError("the surface encloses nothing", cure="Lower its level first.")
        if hold == "auto":
            _forget_contour(session)
            return
        contour = Contour(hold, float(amount))

        def decide() -> dict[str, Any]:
            contours = {**session.contours, _kind(session): contour}
            if hold != "sigma":
                return {"contours": contours}
            return {"contours": contours | {ANY_KIND: contour}, "iso_sigma": contour.amount}

        session.revise(decide)
        session.decoder.redraw()


def set_iso_sigma(session: Session, sigma: float) -> None:
    """Draw the isosurface at ``sigma`` standard deviations of the map."""
    set_contour(session, sigma, "sigma")


def slide_contour(session: Session, sigma: float) -> None:
    """Draw the shown map at ``sigma`` standard deviations; what is held stays held, at this level.

    With an enclosed volume held, for example, all states that follow enclose as much as this map
    does at ``sigma``.
    """
    shown, held = session.shown, shown_contour(session)
    if held.hold in ("auto", "sigma") or shown is None or shown.density is None:
        set_contour(session, sigma, "sigma")
        return
    from cryoscope.analysis.isosurface import enclosed_volume_A3

    level = shown.level + (sigma - shown.sigma) * shown.spread
    amount = level if held.hold == "value" else enclosed_volume_A3(shown.density, level)
    set_contour(session, amount, held.hold)


def hold_contour(session: Session, hold: Hold) -> None:
    """Keep the surface that is shown, and hold another of its measures from state to state."""
    shown = session.shown
    if shown is None or shown.density is None:
        return
    amounts = {"auto": 0.0, "sigma": shown.sigma, "value": shown.level, "volume": shown.enclosed_A3}
    set_contour(session, amounts[hold], hold)


def _forget_contour(session: Session) -> None:
    """Give the shown kind of map, and those that were given none, a level that suits each."""

    def decide() -> dict[str, Any]:
        gone = (_kind(session), ANY_KIND)
        left = {kind: one for kind, one in session.contours.items() if kind not in gone}
        return {"contours": left, "iso_sigma": UNASKED_SIGMA}

    session.revise(decide)
    session.decoder.redraw()


def shown_contour(session: Session) -> Contour:
    """The contour of the kind of map that is shown."""
    return contour_of(session, _kind(session))


def _kind(session: Session) -> str:
    shown = session.shown
    return "decoded" if shown is None or shown.density is None else shown.density.provenance.kind
