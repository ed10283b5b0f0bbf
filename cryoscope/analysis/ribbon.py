"""The backbone as a ribbon: wide and flat in helices and strands, with arrow heads, else a tube."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cryoscope.analysis.backbone import ring_places, tube_mesh
from cryoscope.analysis.secondary_structure import COIL, HELIX, STRAND
from cryoscope.data import Mesh

#: Half width and half thickness in A by secondary structure.
_HALF_A = {COIL: (0.42, 0.42), HELIX: (1.9, 0.34), STRAND: (1.5, 0.34)}
_ARROW_A = 2.6


def ribbon_mesh(
    coords_A: NDArray[np.floating],
    breaks: NDArray[np.bool_],
    kinds: NDArray[np.int8],
    *,
    values: NDArray[np.floating],
    samples: int = 6,
    sides: int = 8,
) -> Mesh:
    """A ribbon through CA atoms, with the vertices and faces of :func:`~.backbone.tube_mesh`.

    The wide side lies along the normal of the plane of three CA atoms: along the axis of a helix,
    and in the sheet of a strand (Carson and Bugg, J. Mol. Graph. 4, 121-122, 1986, take the peptide
    planes, which CA atoms alone do not tell).

    Parameters
    ----------
    kinds
        (n,) secondary structure at rest; see :mod:`cryoscope.analysis.secondary_structure`.
    coords_A, breaks, values, samples, sides
        As of :func:`~cryoscope.analysis.backbone.tube_mesh`.
    """
    coords = np.asarray(coords_A, dtype=np.float32)
    half = _half_widths_A(
        np.asarray(breaks, dtype=bool).tobytes(), np.asarray(kinds, np.int8).tobytes(), samples
    )
    # Strands are pleated: without this their ribbon goes up and down with every residue.
    middle = np.zeros(len(coords), dtype=bool)
    middle[1:-1] = (kinds[1:-1] == STRAND) & ~breaks[1:] & ~breaks[:-1]
    rows = np.flatnonzero(middle)
    flat = coords.copy()
    flat[rows] = 0.5 * coords[rows] + 0.25 * (coords[rows - 1] + coords[rows + 1])
    return tube_mesh(
        flat,
        breaks,
        values=values,
        radius_A=1.0,
        samples=samples,
        sides=sides,
        half_widths_A=half,
        plane_of=coords,
    )


@lru_cache(maxsize=8)
def _half_widths_A(breaks: bytes, kinds: bytes, samples: int) -> NDArray[np.float32]:
    """(rings and poles, 2) half width and half thickness."""
    broken, kind = np.frombuffer(breaks, dtype=bool), np.frombuffer(kinds, dtype=np.int8)
    bead, along = ring_places(broken, samples)
    table = np.array([_HALF_A[int(one)] for one in (COIL, HELIX, STRAND)], dtype=np.float32)
    following = np.minimum(bead + 1, len(kind) - 1)
    ends = (kind[bead] != kind[following]) & ~np.append(broken, True)[bead]
    own, next_one = table[kind[bead]], table[kind[following]]
    share = np.where(ends, along, 0.0)[:, None].astype(np.float32)
    half = np.asarray((1 - share) * own + share * next_one)
    # An arrow head on the last step of a strand: from wide to a point.
    head = (kind[bead] == STRAND) & ends
    half[head, 0] = _ARROW_A + (along[head] * (_HALF_A[COIL][0] - _ARROW_A))
    half.setflags(write=False)
    return half
