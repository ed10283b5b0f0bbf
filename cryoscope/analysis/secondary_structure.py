"""Helices and strands from CA positions alone.

After the criteria of P-SEA (Labesse, Colloc'h, Pothier and Mornon, CABIOS 13, 291-295, 1997):
distances between CA atoms two to four residues apart, the angle at three and the dihedral of four.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

#: Codes of :func:`secondary_structure`.
COIL, HELIX, STRAND = 0, 1, 2
_SHORTEST = {HELIX: 5, STRAND: 3}
# d(i, i+2), d(i, i+3), d(i, i+4) in A, angle and dihedral in degrees: centre and tolerance.
_HELIX_A, _STRAND_A = ((5.5, 0.5), (5.3, 0.5), (6.4, 0.6)), ((6.7, 0.6), (9.9, 0.9), (12.4, 1.1))
_HELIX_DEG, _STRAND_DEG = ((89.0, 12.0), (50.0, 20.0)), ((124.0, 14.0), (-170.0, 45.0))

Bool = NDArray[np.bool_]


def secondary_structure(
    coords_A: NDArray[np.floating], breaks: NDArray[np.bool_]
) -> NDArray[np.int8]:
    """(n,) COIL, HELIX or STRAND of every residue.

    Parameters
    ----------
    coords_A
        (n, 3) CA atoms at rest.
    breaks
        (n - 1,) where the chain is interrupted.
    """
    coords = np.asarray(coords_A, dtype=np.float64)
    found = np.zeros(len(coords), dtype=np.int8)
    edges = np.concatenate([[0], np.flatnonzero(breaks) + 1, [len(coords)]])
    for first, end in pairwise(edges):
        if end - first >= 5:
            found[first:end] = _of_chain(coords[first:end])
    return found


def _of_chain(coords: NDArray[np.float64]) -> NDArray[np.int8]:
    apart_A = [_padded(np.linalg.norm(coords[k:] - coords[:-k], axis=1), coords) for k in (2, 3, 4)]
    angle_deg, dihedral_deg = _angles_deg(coords)
    codes = np.zeros(len(coords), dtype=np.int8)
    # Helices last: where both fit, as in a tight turn, it is a helix.
    for code, lengths, angles in (
        (STRAND, _STRAND_A, _STRAND_DEG),
        (HELIX, _HELIX_A, _HELIX_DEG),
    ):
        near = [abs(found - c) <= t for found, (c, t) in zip(apart_A, lengths, strict=True)]
        turn = abs((dihedral_deg - angles[1][0] + 180) % 360 - 180) <= angles[1][1]
        by_angle = (abs(angle_deg - angles[0][0]) <= angles[0][1]) & turn
        by_length = near[1] & near[2] & (near[0] if code == STRAND else True)
        # A residue belongs where a piece of four or five that fits covers it.
        covered = _spread(by_length, 5) | _spread(by_angle, 4)
        codes[_long_runs(covered, _SHORTEST[code])] = code
    return codes


def _spread(starts: Bool, length: int) -> Bool:
    """Residues of at least two neighbouring pieces of ``length`` that begin where ``starts``.

    The first and last residue of a single piece are not taken: it may end in a turn.
    """
    count = np.zeros(len(starts) + length, dtype=np.int64)
    for place in range(length):
        count[place : place + len(starts)] += starts
    return np.asarray(count[: len(starts)] >= 2)


def _long_runs(mask: Bool, shortest: int) -> Bool:
    """``mask`` without runs of fewer than ``shortest``."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    kept = np.zeros(len(mask), dtype=np.bool_)
    for first, end in zip(edges[::2], edges[1::2], strict=True):
        kept[first:end] = end - first >= shortest
    return kept


def _angles_deg(coords: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n,) angle at residue i + 1 and dihedral of i to i + 3; NaN where there is none."""
    bond = np.diff(coords, axis=0)
    length = np.linalg.norm(bond, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = -(bond[:-1] * bond[1:]).sum(1) / (length[:-1] * length[1:])
    angle = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    normal = np.cross(bond[:-1], bond[1:])
    x = (normal[:-1] * normal[1:]).sum(1)
    y = length[1:-1] * (bond[:-2] * normal[1:]).sum(1)
    return _padded(angle, coords), _padded(np.degrees(np.arctan2(y, x)), coords)


def _padded(values: NDArray[np.float64], coords: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([values, np.full(len(coords) - len(values), np.nan)])
