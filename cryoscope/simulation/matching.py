"""The atoms that two structures share, and laying one structure on another."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from cryoscope.data import InputError, Structure

Align = Literal["all", "core"]
FloatArray = NDArray[np.float64]

_CORE_FRACTION = 0.5
#: Atoms that bear two names but are one kind: the torsion that tells them apart, and the swaps.
_TWINS: dict[str, tuple[tuple[str, str, str, str], tuple[tuple[str, str], ...]]] = {
    "PHE": (("CA", "CB", "CG", "CD1"), (("CD1", "CD2"), ("CE1", "CE2"))),
    "TYR": (("CA", "CB", "CG", "CD1"), (("CD1", "CD2"), ("CE1", "CE2"))),
    "ASP": (("CA", "CB", "CG", "OD1"), (("OD1", "OD2"),)),
    "GLU": (("CB", "CG", "CD", "OE1"), (("OE1", "OE2"),)),
    "ARG": (("CD", "NE", "CZ", "NH1"), (("NH1", "NH2"),)),
}


def _keys(structure: Structure, chain_names: Sequence[str]) -> list[tuple[object, ...]]:
    order = {name: i for i, name in enumerate(chain_names)}
    return list(
        zip(
            (order[str(name)] for name in structure.chain_id),
            structure.residue_id.tolist(),
            structure.insertion_code.tolist(),
            structure.atom_name.tolist(),
            strict=True,
        )
    )


def common_atoms(structures: Sequence[Structure]) -> list[Structure]:
    """The same atoms of every structure, in the order of the first.

    Atoms match by chain, residue number, insertion code and atom name; chains match by name, or by
    their order where the names differ. Names, elements and residue names are the first's.

    Raises
    ------
    InputError
        Fewer than three CA atoms are shared.
    """
    chains = [list(dict.fromkeys(s.chain_id.tolist())) for s in structures]
    if all(set(names) == set(chains[0]) for names in chains):
        chains = [chains[0]] * len(chains)
    tables = [
        {key: i for i, key in reversed(list(enumerate(_keys(s, names))))}
        for s, names in zip(structures, chains, strict=True)
    ]
    shared = [key for key in tables[0] if all(key in table for table in tables[1:])]
    shared.sort(key=lambda key: tables[0][key])
    rows = [np.array([table[key] for key in shared], dtype=np.int64) for table in tables]
    first = structures[0].take(rows[0])
    if len(first.alpha_carbons()) < 3:
        names = " and ".join(s.name or "a structure" for s in structures)
        raise InputError(
            f"{names} share {len(first.alpha_carbons())} CA atoms, three are needed",
            cure="Give structures of one molecule with the same residue numbers",
        )
    others = zip(structures[1:], rows[1:], strict=True)
    return [first, *(first.with_coords(s.coords_A[index]) for s, index in others)]


def rigid_motion(
    moving_A: FloatArray, fixed_A: FloatArray
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rotation R and translation t that lay ``moving`` (n, 3) on ``fixed``: ``x @ R.T + t``."""
    centre_moving, centre_fixed = moving_A.mean(0), fixed_A.mean(0)
    rotation, _ = Rotation.align_vectors(fixed_A - centre_fixed, moving_A - centre_moving)
    matrix = rotation.as_matrix()
    return matrix, centre_fixed - matrix @ centre_moving


def superposed(moving: Structure, fixed: Structure, align: Align = "all") -> Structure:
    """``moving`` laid on ``fixed`` by least squares over CA atoms (the same atoms in both).

    ``align="core"`` fits, again and again, the half of the CA atoms that fitted best.
    """
    index = fixed.alpha_carbons()
    target = fixed.coords_A[index]
    chosen = np.arange(len(index))
    for _ in range(1 if align == "all" else 30):
        matrix, offset = rigid_motion(moving.coords_A[index[chosen]], target[chosen])
        error = np.linalg.norm(moving.coords_A[index] @ matrix.T + offset - target, axis=1)
        kept = np.sort(np.argsort(error, kind="stable")[: max(3, int(len(index) * _CORE_FRACTION))])
        if align == "all" or np.array_equal(kept, chosen):
            break
        chosen = kept
    return moving.with_coords(moving.coords_A @ matrix.T + offset)


def torsion_rad(a: FloatArray, b: FloatArray, c: FloatArray, d: FloatArray) -> FloatArray:
    """Torsion angles a-b-c-d of (..., 3) positions, in (-pi, pi], IUPAC sign."""
    axis = c - b
    axis = axis / np.linalg.norm(axis, axis=-1, keepdims=True)
    near, far = a - b, d - c
    near = near - axis * np.sum(near * axis, axis=-1, keepdims=True)
    far = far - axis * np.sum(far * axis, axis=-1, keepdims=True)
    x = np.sum(near * far, axis=-1)
    y = np.sum(np.cross(axis, near) * far, axis=-1)
    return np.arctan2(y, x)


def with_twins_matched(structure: Structure, reference: Structure) -> Structure:
    """Swap equivalent atoms (ring halves, carboxylate oxygens) where that is the shorter way round.

    Without this, a phenyl ring that differs only in its names would turn by 180 degrees.
    """
    coords_A = structure.coords_A.copy()
    bounds = [*structure.residue_starts().tolist(), len(structure)]
    for first, last in pairwise(bounds):
        twins = _TWINS.get(str(structure.residue_name[first]))
        if twins is None:
            continue
        at = {str(name): first + i for i, name in enumerate(structure.atom_name[first:last])}
        torsion, swaps = twins
        if not all(name in at for name in {*torsion, *(n for pair in swaps for n in pair)}):
            continue
        ours, theirs = (
            torsion_rad(*(s.coords_A[at[name]] for name in torsion)) for s in (structure, reference)
        )
        if np.cos(ours - theirs) < 0:
            for one, other in swaps:
                coords_A[[at[one], at[other]]] = coords_A[[at[other], at[one]]]
    return structure.with_coords(coords_A)
