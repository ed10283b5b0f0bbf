"""Every residue carried along a path by bond lengths, angles and torsions, not by straight lines.

Straight lines between two conformations squeeze side chains and can turn a residue into its mirror
image; torsions taken the shorter way round keep its shape.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from cryoscope.data import Structure
from cryoscope.simulation.covalent import Covalent
from cryoscope.simulation.matching import torsion_rad

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class ResidueTrees:
    """How the atoms of every residue hang on each other.

    Attributes
    ----------
    anchor
        (residues,) the atom that carries the residue (CA where there is one).
    roots
        (r, 3) bonded atoms a-b-c, b the anchor, of the residues that have them.
    placed
        (m, 5) atom, parent, grandparent, great-grandparent, eldest sibling (or the atom itself).
    depth
        (m,) order in which atoms can be placed.
    loose
        (l, 2) atom and its anchor, for atoms that no bond connects to a root.
    """

    anchor: IntArray
    roots: IntArray
    placed: IntArray
    depth: IntArray
    loose: IntArray


def _root_of(
    atoms: Iterable[int], names: NDArray[np.str_], bonded: dict[int, list[int]]
) -> tuple[int, int, int] | None:
    """Bonded a-b-c: N-CA-C, or the first atom with two neighbours."""
    members = sorted(atoms, key=lambda i: (names[i] != "CA", i))
    for b in members:
        near = sorted(bonded[b], key=lambda i: (names[i] not in ("N", "C"), names[i] != "N", i))
        if len(near) >= 2:
            return near[0], b, near[1]
    return None


def _hang(
    root: tuple[int, int, int], bonded: dict[int, list[int]]
) -> list[tuple[int, int, int, int, int, int]]:
    """Breadth first from a root: atom, parent, grandparent, great-grandparent, eldest, depth."""
    a, b, c = root
    # What each atom's children measure their angle and torsion from.
    behind = {a: (b, c), b: (a, c), c: (b, a)}
    depth = {a: 0, b: 0, c: 0}
    entries: list[tuple[int, int, int, int, int, int]] = []
    queue = [b, a, c]
    while queue:
        parent = queue.pop(0)
        grand, great = behind[parent]
        eldest = -1
        for atom in bonded[parent]:
            if atom in depth:
                continue
            depth[atom] = depth[parent] + 1
            behind[atom] = (parent, grand)
            eldest = atom if eldest < 0 else eldest
            entries.append((atom, parent, grand, great, eldest, depth[atom]))
            queue.append(atom)
    return entries


def residue_trees(structure: Structure, covalent: Covalent) -> ResidueTrees:
    """Trees from the bonds within residues."""
    starts = structure.residue_starts()
    residue = np.searchsorted(starts, np.arange(len(structure)), side="right") - 1
    bonded: dict[int, list[int]] = defaultdict(list)
    inside = residue[covalent.bonds[:, 0]] == residue[covalent.bonds[:, 1]]
    for i, j in covalent.bonds[inside].tolist():
        bonded[i].append(j)
        bonded[j].append(i)
    anchor: list[int] = []
    roots: list[tuple[int, int, int]] = []
    entries: list[tuple[int, ...]] = []
    loose: list[tuple[int, int]] = []
    ends = [*starts[1:].tolist(), len(structure)]
    for first, last in zip(starts.tolist(), ends, strict=True):
        atoms = range(first, last)
        root = _root_of(atoms, structure.atom_name, bonded)
        if root is None:
            anchor.append(min(atoms, key=lambda i: (structure.atom_name[i] != "CA", i)))
            hung: set[int] = {anchor[-1]}
        else:
            anchor.append(root[1])
            roots.append(root)
            tree = _hang(root, bonded)
            entries.extend(tree)
            hung = {*root, *(entry[0] for entry in tree)}
        loose.extend((i, anchor[-1]) for i in atoms if i not in hung)
    table = np.array(entries, dtype=np.int64).reshape(-1, 6)
    return ResidueTrees(
        anchor=np.array(anchor, dtype=np.int64),
        roots=np.array(roots, dtype=np.int64).reshape(-1, 3),
        placed=table[:, :5],
        depth=table[:, 5],
        loose=np.array(loose, dtype=np.int64).reshape(-1, 2),
    )


def _angle_rad(a: FloatArray, b: FloatArray, c: FloatArray) -> FloatArray:
    u, v = a - b, c - b
    cross = np.linalg.norm(np.cross(u, v), axis=-1)
    return np.arctan2(cross, np.sum(u * v, axis=-1))


def _frames(a: FloatArray, b: FloatArray, c: FloatArray) -> FloatArray:
    """(r, 3, 3) right-handed frames at b, axes as columns: the bisector of a and c, ..."""
    to_a, to_c = a - b, c - b
    to_a = to_a / np.linalg.norm(to_a, axis=-1, keepdims=True)
    to_c = to_c / np.linalg.norm(to_c, axis=-1, keepdims=True)
    x = to_a + to_c
    x = x / np.linalg.norm(x, axis=-1, keepdims=True)
    z = np.cross(to_a, to_c)
    z = z / np.linalg.norm(z, axis=-1, keepdims=True)
    return np.stack([x, np.cross(z, x), z], axis=-1)


def _blend(start: FloatArray, end: FloatArray, t: FloatArray) -> FloatArray:
    """(m, frames) straight interpolation of (m,) values."""
    return start[:, None] + (end - start)[:, None] * t


def carry_residues(
    trees: ResidueTrees,
    start_A: FloatArray,
    end_A: FloatArray,
    anchors_A: FloatArray,
    t: FloatArray,
) -> FloatArray:
    """All atoms along a path of the anchors.

    Parameters
    ----------
    trees
        From :func:`residue_trees`.
    start_A, end_A
        (n, 3) the two ends.
    anchors_A
        (residues, frames, 3) path of the anchors.
    t
        (frames,) fraction of the way.

    Returns
    -------
    (n, frames, 3). Bonds inside residues interpolate those of the ends exactly; bonds between
    residues are only roughly kept.
    """
    coords = np.empty((len(start_A), len(t), 3))
    coords[trees.anchor] = anchors_A
    _place_roots(trees, start_A, end_A, coords, t)
    for depth in range(1, int(trees.depth.max(initial=0)) + 1):
        _place_level(trees.placed[trees.depth == depth], start_A, end_A, coords, t)
    atom, anchor = trees.loose.T
    offset_start, offset_end = start_A[atom] - start_A[anchor], end_A[atom] - end_A[anchor]
    offset = offset_start[:, None] + (offset_end - offset_start)[:, None] * t[None, :, None]
    coords[atom] = coords[anchor] + offset
    return coords


def _place_roots(
    trees: ResidueTrees, start_A: FloatArray, end_A: FloatArray, coords: FloatArray, t: FloatArray
) -> None:
    """Place a and c about b: the frame turns evenly, lengths and the angle interpolate."""
    if len(trees.roots) == 0:
        return
    a, b, c = trees.roots.T
    first = _frames(start_A[a], start_A[b], start_A[c])
    last = _frames(end_A[a], end_A[b], end_A[c])
    turn = Rotation.from_matrix(last @ first.transpose(0, 2, 1)).as_rotvec()
    turns = (turn[:, None] * t[None, :, None]).reshape(-1, 3)
    frames = Rotation.from_rotvec(turns).as_matrix().reshape(len(a), len(t), 3, 3) @ first[:, None]
    half = _blend(
        _angle_rad(start_A[a], start_A[b], start_A[c]),
        _angle_rad(end_A[a], end_A[b], end_A[c]),
        t,
    )
    half = half / 2
    for atom, sign in ((a, -1.0), (c, 1.0)):
        length = _blend(
            np.linalg.norm(start_A[atom] - start_A[b], axis=1),
            np.linalg.norm(end_A[atom] - end_A[b], axis=1),
            t,
        )
        local = np.stack([np.cos(half), sign * np.sin(half), np.zeros_like(half)], axis=-1)
        coords[atom] = coords[b] + length[..., None] * np.einsum("rfij,rfj->rfi", frames, local)


def _place_level(
    level: IntArray, start_A: FloatArray, end_A: FloatArray, coords: FloatArray, t: FloatArray
) -> None:
    atom, parent, grand, great, eldest = level.T

    def measured(x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        torsion = torsion_rad(x[great], x[grand], x[parent], x[atom])
        eldest_torsion = torsion_rad(x[great], x[grand], x[parent], x[eldest])
        length = np.linalg.norm(x[atom] - x[parent], axis=1)
        return length, _angle_rad(x[atom], x[parent], x[grand]), eldest_torsion, torsion

    def shorter(angle: FloatArray) -> FloatArray:
        return (angle + np.pi) % (2 * np.pi) - np.pi

    length0, angle0, eldest0, own0 = measured(start_A)
    length1, angle1, eldest1, own1 = measured(end_A)
    length, angle = _blend(length0, length1, t), _blend(angle0, angle1, t)
    # Younger siblings keep their place behind the eldest, or two could turn opposite ways and meet.
    torsion = eldest0[:, None] + shorter(eldest1 - eldest0)[:, None] * t
    behind0 = own0 - eldest0
    torsion += behind0[:, None] + shorter(own1 - eldest1 - behind0)[:, None] * t
    axis = coords[parent] - coords[grand]
    axis /= np.linalg.norm(axis, axis=-1, keepdims=True)
    side = coords[great] - coords[grand]
    side -= axis * np.sum(side * axis, axis=-1, keepdims=True)
    side /= np.linalg.norm(side, axis=-1, keepdims=True)
    third = np.cross(axis, side)
    along, across = -np.cos(angle) * length, np.sin(angle) * length
    coords[atom] = (
        coords[parent]
        + along[..., None] * axis
        + (across * np.cos(torsion))[..., None] * side
        + (across * np.sin(torsion))[..., None] * third
    )
