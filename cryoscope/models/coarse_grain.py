"""From an atomic structure to beads: where they lie, how heavy and how wide they are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import gemmi
import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError, Structure

#: CA-CA distance beyond which two consecutive residues are not bonded.
LONGEST_BOND_A = 4.5


@dataclass(frozen=True)
class Beads:
    """One bead per residue.

    Attributes
    ----------
    anchor_A
        (N, 3) CA positions: what deforms and what restraints act on.
    centre_A
        (N, 3) bead centres in the reference.
    amplitude
        (N,) bead mass.
    variance_A2
        (N,) mean square radius of the residue along one axis, atoms' own width included.
    bonded
        (N - 1,) True where bead i is bonded to bead i + 1.
    structure
        The anchor atoms, for writing results.
    skipped
        Residues without an anchor, as ``"chain residue name"``.
    """

    anchor_A: NDArray[np.float64]
    centre_A: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    variance_A2: NDArray[np.float64]
    bonded: NDArray[np.bool_]
    structure: Structure
    skipped: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.anchor_A)


def coarse_grain(
    structure: Structure,
    *,
    centre: str = "mass",
    amplitude: str = "form-factor",
    file: str | Path = "",
) -> Beads:
    """One bead per residue at or around its CA; hydrogens are left out.

    Parameters
    ----------
    structure
        Atomic model.
    centre
        ``"CA"`` or ``"mass"`` (centre of the residue's scattering mass).
    amplitude
        ``"electrons"`` (Z) or ``"form-factor"`` (electron scattering factor f_e(0)).
    file
        Named in errors.

    Raises
    ------
    InputError
        When no residue has a CA.
    """
    heavy = structure.take(~np.isin(structure.element, ["H", "D"]))
    starts = heavy.residue_starts()
    residue = np.zeros(len(heavy), dtype=np.int64)
    residue[starts[1:]] = 1
    residue = np.cumsum(residue)
    is_ca = (heavy.atom_name == "CA") & (heavy.element == "C")
    anchors = np.flatnonzero(is_ca)
    anchors = anchors[np.unique(residue[anchors], return_index=True)[1]]
    if len(anchors) == 0:
        raise InputError(
            "no residue has a CA atom",
            file=file or None,
            cure="Give a protein model with CA atoms (this preset places one bead per residue)",
        )
    mass, width_A2 = _scattering(heavy.element, amplitude)
    count = len(starts)
    total = np.bincount(residue, mass, count)
    middle = np.stack(
        [np.bincount(residue, mass * heavy.coords_A[:, i], count) / total for i in range(3)], axis=1
    )
    spread = ((heavy.coords_A - middle[residue]) ** 2).sum(1) / 3 + width_A2
    own = np.bincount(residue, mass * spread, count) / total
    kept = residue[anchors]
    anchor_A = heavy.coords_A[anchors]
    if centre == "CA":
        # mass that is not at the bead's centre widens the bead
        own[kept] += ((middle[kept] - anchor_A) ** 2).sum(1) / 3
    chosen = heavy.take(anchors)
    same_chain = chosen.chain_id[1:] == chosen.chain_id[:-1]
    near = np.linalg.norm(np.diff(anchor_A, axis=0), axis=1) < LONGEST_BOND_A
    lost = np.setdiff1d(np.arange(count), kept)
    return Beads(
        anchor_A=anchor_A,
        centre_A=anchor_A if centre == "CA" else middle[kept],
        amplitude=total[kept].astype(np.float64),
        variance_A2=own[kept],
        bonded=same_chain & near,
        structure=chosen,
        skipped=tuple(
            f"{heavy.chain_id[i]} {heavy.residue_id[i]} {heavy.residue_name[i]}"
            for i in starts[lost]
        ),
    )


def _scattering(
    elements: NDArray[np.str_], amplitude: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mass and mean square width along one axis (A^2) of every atom.

    The width is that of the Gaussian with the curvature of f_e(k) at k = 0:
    ``sum(a b) / sum(a) / (8 pi^2)`` with the five-Gaussian coefficients a, b (gemmi c4322).
    """
    mass, width = {}, {}
    for name in np.unique(elements):
        element = gemmi.Element(str(name))
        if element.atomic_number == 0:  # unknown elements scatter as the commonest one
            element = gemmi.Element("C")
        a, b = np.array(element.c4322.get_coefs()).reshape(2, -1)
        mass[name] = float(element.atomic_number if amplitude == "electrons" else a.sum())
        width[name] = float((a * b).sum() / a.sum() / (8 * math.pi**2))
    return np.array([mass[e] for e in elements]), np.array([width[e] for e in elements])
