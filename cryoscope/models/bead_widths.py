"""How heavy and how wide a group of atoms is when one Gaussian stands for it."""

from __future__ import annotations

import math
from pathlib import Path

import gemmi
import numpy as np
from numpy.typing import NDArray
from scipy.special import dawsn

from cryoscope.data import Structure
from cryoscope.models.bead_kinds import (
    TERMINAL,
    IntArray,
    backbone_hydrogens,
    hydrogen_count,
)
from cryoscope.physics.scattering import scattering_tables

FloatArray = NDArray[np.float64]

#: Width of an atom in the fit of a residue's width (Prins et al. 2024, appendix C).
ATOM_SIGMA_A = 1.0
#: Widths that are tried, and the bins of the distances, in A.
_SIGMAS_A = np.arange(0.9, 12.0, 0.02)
_BIN_A, _FARTHEST_A = 0.02, 30.0


def atom_scattering(
    structure: Structure, amplitude: str, file: str | Path = ""
) -> tuple[FloatArray, FloatArray]:
    """Mass and mean square width along one axis (A^2) of every atom.

    The width is that of the Gaussian with the curvature of f_e(k) at k = 0:
    ``sum(a b) / sum(a) / (8 pi^2)``.

    Raises
    ------
    InputError
        An element is unknown.
    """
    kind, a_A, b_A2 = scattering_tables(structure, file=file or None)
    mass = a_A.sum(1, dtype=np.float64)
    width_A2 = (a_A * b_A2).sum(1, dtype=np.float64) / mass / (8 * math.pi**2)
    return (electrons(structure) if amplitude == "electrons" else mass[kind]), width_A2[kind]


def electrons(structure: Structure) -> FloatArray:
    """(n,) atomic number of every atom."""
    names, kind = np.unique(structure.element, return_inverse=True)
    numbers = np.array([gemmi.Element(str(n)).atomic_number for n in names], dtype=np.float64)
    return np.asarray(numbers[kind])


def moments(
    coords_A: FloatArray, bead: IntArray, mass: FloatArray, width_A2: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mass, centre of mass and mean square radius along one axis of every bead's atoms.

    Parameters
    ----------
    coords_A
        (n, 3) atoms.
    bead
        (n,) bead of each atom; every number below the largest occurs.
    mass, width_A2
        (n,) as from :func:`atom_scattering`.
    """
    count = int(bead.max()) + 1
    total = np.bincount(bead, mass, count).astype(np.float64)
    columns = [np.bincount(bead, mass * coords_A[:, i], count) / total for i in range(3)]
    middle_A = np.stack(columns, axis=1)
    spread_A2 = ((coords_A - middle_A[bead]) ** 2).sum(1) / 3 + width_A2
    return total, middle_A, np.bincount(bead, mass * spread_A2, count) / total


def fitted_sigma_A(distance_A: FloatArray, weight: FloatArray, kind: IntArray) -> FloatArray:
    """Width of one Gaussian per kind of residue, as Prins et al. 2024 define it (appendix C).

    The projection of a residue, averaged over all orientations about its bead, is fitted in least
    squares by one Gaussian of the same mass; atoms are Gaussians of 1 A. An atom at distance r
    becomes a shell, whose transform is that of the atom times sin(2 pi k r) / (2 pi k r), so that
    by Parseval's theorem the sum of squares is, but for a constant::

        1 / (8 pi^2 s^2) - sum_j w_j D(x_j) / x_j / (pi^2 u^2),   x = r / u,  u^2 = 2 (s^2 + 1 A^2)

    with Dawson's integral D and weights of sum 1; neither angles nor pixels are sampled. All
    residues of a kind are averaged.

    Parameters
    ----------
    distance_A, weight, kind
        (n,) distance of each atom from its bead, its electrons, and its kind.

    Returns
    -------
    (kinds,) widths in A, exact to about 0.002 A.
    """
    count = int(kind.max()) + 1
    bins = round(_FARTHEST_A / _BIN_A)
    bin_ = np.minimum(np.rint(distance_A / _BIN_A).astype(np.int64), bins - 1)
    shells = np.bincount(kind * bins + bin_, weight, count * bins).reshape(count, bins)
    shells = shells / shells.sum(1, keepdims=True)
    filled = np.flatnonzero(shells.any(0))
    u2 = 2 * (_SIGMAS_A**2 + ATOM_SIGMA_A**2)
    x = np.maximum(filled[:, None] * _BIN_A / np.sqrt(u2), 1e-6)
    overlap = dawsn(x) / x / (math.pi**2 * u2)
    squares = 1 / (8 * math.pi**2 * _SIGMAS_A**2) - shells[:, filled] @ overlap
    best = np.clip(squares.argmin(1), 1, len(_SIGMAS_A) - 2)
    left, here, right = (squares[np.arange(count), best + i] for i in (-1, 0, 1))
    bend = np.maximum(left - 2 * here + right, np.finfo(np.float64).tiny)
    shift = np.clip(0.5 * (left - right) / bend, -1, 1)
    return np.asarray(_SIGMAS_A[best] + shift * (_SIGMAS_A[1] - _SIGMAS_A[0]))


def electrons_with_hydrogens(
    atoms: Structure,
    bead: IntArray,
    bead_type: IntArray,
    bead_nucleic: NDArray[np.bool_],
    side_chains: IntArray,
) -> FloatArray:
    """(N,) electrons of every bead's residue type within a chain, hydrogens included.

    As in Prins et al. 2024 (GLY 30 ... TRP 98) a type has one mass: that of its most complete
    residue in the structure, without the atoms of a chain's ends.

    Parameters
    ----------
    atoms, bead
        The n heavy atoms, and (n,) the bead of each.
    bead_type, bead_nucleic
        (N,) type of each bead, and whether it is of a nucleotide.
    side_chains
        (P, 2) backbone and side-chain beads of the same residue.
    """
    inner = ~np.isin(atoms.atom_name, TERMINAL)
    inside = np.bincount(bead[inner], electrons(atoms)[inner], len(bead_type))
    heavy_atoms = np.bincount(bead[inner], minlength=len(bead_type))
    first_atom = np.unique(bead, return_index=True)[1]
    backbone_type = np.unique(bead_type[side_chains[:, 0]])
    side_type = np.unique(bead_type[side_chains[:, 1]])
    whole = heavy_atoms.copy()  # of the residue
    whole[side_chains[:, 0]] += heavy_atoms[side_chains[:, 1]]
    whole[side_chains[:, 1]] = whole[side_chains[:, 0]]
    per_type = np.zeros(int(bead_type.max()) + 1)
    for kind in range(len(per_type)):
        members = np.flatnonzero(bead_type == kind)
        name = str(atoms.residue_name[first_atom[members[0]]])
        nucleic = bool(bead_nucleic[members[0]])
        hydrogens = hydrogen_count(name, int(whole[members].max()), nucleic)
        of_backbone = min(backbone_hydrogens(name, nucleic), hydrogens)
        if kind in side_type:
            hydrogens -= of_backbone
        elif kind in backbone_type:
            hydrogens = of_backbone
        per_type[kind] = inside[members].max() + hydrogens
    return np.asarray(per_type[bead_type])
