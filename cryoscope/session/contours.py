"""At which level the surface of a map is drawn: one contour for each kind of map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cryoscope.data import Volume

if TYPE_CHECKING:
    from cryoscope.session.state import Session

#: What stays the same from one map of a kind to the next.
Hold = Literal["sigma", "value", "volume"]
HOLDS: tuple[Hold, ...] = ("sigma", "value", "volume")


@dataclass(frozen=True)
class Contour:
    """The surface of one kind of map.

    Attributes
    ----------
    hold
        ``"sigma"``: so many standard deviations above the mean of each map; ``"value"``: the same
        map value in every one; ``"volume"``: a surface that encloses the same volume in every one
        (a series of states then does not breathe because its noise does).
    amount
        In standard deviations, in the map's own units, or in A^3.
    """

    hold: Hold = "sigma"
    amount: float = 3.0

    def level(self, volume: Volume) -> float:
        """The map value at which the surface of ``volume`` is drawn."""
        from cryoscope.analysis.isosurface import sigma_level, volume_level

        if self.hold == "value":
            return self.amount
        if self.hold == "volume":
            return volume_level(volume, self.amount)
        return sigma_level(volume, self.amount)


def contour_of(session: Session, kind: str) -> Contour:
    """The contour of maps of a kind (``"decoded"``, ``"reconstructed"`` or ``"file"``).

    A kind that was given none takes the level in standard deviations that was asked for last.
    """
    contours, sigma = session.snapshot("contours", "iso_sigma")
    found = contours.get(kind)
    return found if isinstance(found, Contour) else Contour("sigma", float(sigma))
