"""From an atomic structure to beads: where they lie, how heavy and how wide they are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import gemmi
import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError, Structure
from cryoscope.physics.scattering import scattering_tables

FloatArray = NDArray[np.float64]

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
        When no residue has a CA, or an element is unknown.
    """
    heavy = structure.take(structure.heavy_atoms())
    starts = heavy.residue_starts()
    residue = np.repeat(np.arange(len(starts)), np.diff([*starts, len(heavy)]))
    anchors = heavy.alpha_carbons()
    if len(anchors) == 0:
        raise InputError(
            "no residue has a CA atom",
            file=file or None,
            cure="Give a protein model with CA atoms (this preset places one bead per residue)",
        )
    mass, width_A2 = _scattering(heavy, amplitude, file)
    total, middle_A, variance_A2 = _moments(heavy.coords_A, residue, mass, width_A2)
    kept = residue[anchors]
    chosen = heavy.take(anchors)
    anchor_A = chosen.coords_A
    if centre == "CA":
        # mass that is not at the bead's centre widens the bead
        variance_A2[kept] += ((middle_A[kept] - anchor_A) ** 2).sum(1) / 3
    lost = np.setdiff1d(np.arange(len(starts)), kept)
    return Beads(
        anchor_A=anchor_A,
        centre_A=anchor_A if centre == "CA" else middle_A[kept],
        amplitude=total[kept],
        variance_A2=variance_A2[kept],
        bonded=_bonded(chosen),
        structure=chosen,
        skipped=tuple(
            f"{heavy.chain_id[i]} {heavy.residue_id[i]} {heavy.residue_name[i]}"
            for i in starts[lost]
        ),
    )


def _bonded(anchors: Structure) -> NDArray[np.bool_]:
    """(N - 1,) whether consecutive CA atoms are of one chain and near each other."""
    near = np.linalg.norm(np.diff(anchors.coords_A, axis=0), axis=1) < LONGEST_BOND_A
    return (anchors.chain_id[1:] == anchors.chain_id[:-1]) & near


def _moments(
    coords_A: FloatArray, residue: NDArray[np.int64], mass: FloatArray, width_A2: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mass, centre of mass and mean square radius along one axis of every residue."""
    count = int(residue[-1]) + 1
    total = np.bincount(residue, mass, count).astype(np.float64)
    columns = [np.bincount(residue, mass * coords_A[:, i], count) / total for i in range(3)]
    middle_A = np.stack(columns, axis=1)
    spread_A2 = ((coords_A - middle_A[residue]) ** 2).sum(1) / 3 + width_A2
    return total, middle_A, np.bincount(residue, mass * spread_A2, count) / total


def _scattering(
    structure: Structure, amplitude: str, file: str | Path
) -> tuple[FloatArray, FloatArray]:
    """Mass and mean square width along one axis (A^2) of every atom.

    The width is that of the Gaussian with the curvature of f_e(k) at k = 0:
    ``sum(a b) / sum(a) / (8 pi^2)``.
    """
    kind, a_A, b_A2 = scattering_tables(structure, file=file or None)
    mass = a_A.sum(1, dtype=np.float64)
    width_A2 = (a_A * b_A2).sum(1, dtype=np.float64) / mass / (8 * math.pi**2)
    if amplitude == "electrons":
        electrons = [gemmi.Element(str(name)).atomic_number for name in structure.element]
        return np.array(electrons, dtype=np.float64), width_A2[kind]
    return mass[kind], width_A2[kind]
