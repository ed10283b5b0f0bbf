"""At which level the surface of a map is drawn: one contour for each kind of map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from cryoscope.data import Volume

if TYPE_CHECKING:
    from cryoscope.session.state import Session

#: What stays the same from one map of a kind to the next.
Hold = Literal["auto", "sigma", "value", "volume"]
HOLDS: tuple[Hold, ...] = ("auto", "sigma", "value", "volume")
#: The contour of kinds that were given none: the level that was asked for last, for any kind.
ANY_KIND = ""
#: Volume of a residue in A^3: 110 Da of protein at 1.35 g/cm^3, 330 Da of nucleic acid at 1.75.
PROTEIN_A3, NUCLEIC_A3 = 135.0, 313.0


#: ``Session.iso_sigma`` as long as nobody has asked for a level.
UNASKED_SIGMA = 3.0


@dataclass(frozen=True)
class Contour:
    """The surface of one kind of map.

    Attributes
    ----------
    hold
        ``"auto"``: chosen for each map, see `cryoscope.analysis.isosurface.default_level`;
        ``"sigma"``: so many standard deviations above the mean of each map; ``"value"``: the same
        map value in every one; ``"volume"``: a surface that encloses the same volume in every one
        (a series of states then does not breathe because its noise does).
    amount
        In standard deviations, in the map's own units, or in A^3; for ``"auto"`` the volume of the
        molecule in A^3, 0 where it is not known.
    """

    hold: Hold = "sigma"
    amount: float = 3.0

    def level(self, volume: Volume) -> float:
        """The map value at which the surface of ``volume`` is drawn."""
        from cryoscope.analysis.isosurface import default_level, sigma_level, volume_level

        if self.hold == "auto":
            return default_level(volume, self.amount)
        if self.hold == "value":
            return self.amount
        if self.hold == "volume":
            return volume_level(volume, self.amount)
        return sigma_level(volume, self.amount)


def contour_of(session: Session, kind: str) -> Contour:
    """The contour of maps of a kind (``"decoded"``, ``"reconstructed"`` or ``"file"``).

    A kind that was given none takes the level in standard deviations that was asked for last, for
    any kind; before any was asked for, each map has a level that suits it.
    """
    contours, sigma = session.snapshot("contours", "iso_sigma")
    found = contours.get(kind, contours.get(ANY_KIND))
    if found is not None:
        return found
    if sigma != UNASKED_SIGMA:
        return Contour("sigma", float(sigma))
    return Contour("auto", molecule_A3(session))


def molecule_A3(session: Session) -> float:
    """The volume of the molecule whose trace or model is open, in A^3; 0 without one."""
    run, structure = session.snapshot("run", "structure")
    if run is not None and run.reference is not None:
        names = run.reference.atom_name
    elif structure is not None:
        names = structure.structure.atom_name
    else:
        return 0.0
    protein = int(np.count_nonzero(names == "CA"))
    nucleic = max(int(np.count_nonzero(names == name)) for name in ("P", "C1'"))
    return PROTEIN_A3 * protein + NUCLEIC_A3 * nucleic
