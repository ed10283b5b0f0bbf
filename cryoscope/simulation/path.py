"""A relaxed path between structures: what the demo and `simulate --to` project.

Straight lines break bonds (CA-CA down to 3.0 A between closed and open adenylate kinase). Here

1. residues' anchors (CA) follow an elastic network whose distances interpolate those of the two
   ends (elastic network interpolation: Kim, Jernigan & Chirikjian, Biophys. J. 83, 1620, 2002), so
   that domains turn as wholes;
2. every residue is carried along by its own lengths, angles and torsions (``internal``);
3. all atoms of the inner frames are relaxed with bonds, angles, rigid groups and contacts.

The first and the last frame are the given structures, the last superposed on the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from cryoscope.data import InputError, Structure, Trajectory
from cryoscope.simulation.covalent import Covalent, infer_covalent, pair_distances_A
from cryoscope.simulation.internal import carry_residues, residue_trees
from cryoscope.simulation.matching import (
    Align,
    common_atoms,
    rigid_motion,
    superposed,
    with_twins_matched,
)
from cryoscope.simulation.relax import Springs, close_contacts, relax

FloatArray = NDArray[np.float64]

_NETWORK_CUTOFF_A = 13.0
_CONTACT_A = 3.0
_CONTACT_MARGIN_A = 0.5


def relaxed_path(
    start: Structure, end: Structure, frames: int = 50, *, align: Align = "all"
) -> Trajectory:
    """A path without broken bonds from ``start`` to ``end``.

    Parameters
    ----------
    start, end
        Two conformations of one molecule; atoms are matched by chain, residue and name, the
        others left out.
    frames
        Number of frames, both ends included.
    align
        ``end`` is superposed on ``start`` over all CA atoms (no net motion), or over the
        half that moves least (``"core"``).

    Returns
    -------
    ``frames`` frames in the frame of ``start``; equivalent atoms of ``end`` may have
    exchanged their names.

    Raises
    ------
    InputError
        Fewer than two frames, or fewer than three CA atoms in common.
    """
    return path_through([start, end], frames, align=align)


def path_through(
    structures: Sequence[Structure], frames: int = 50, *, align: Align = "all"
) -> Trajectory:
    """A path through two or more structures, as :func:`relaxed_path` between neighbours.

    Frames are shared out by the CA RMSD between neighbours. Every structure is a frame.
    """
    if len(structures) < 2 or frames < len(structures):
        raise InputError(
            f"{frames} frames cannot pass through {len(structures)} structures",
            cure="Give at least two structures and as many frames as structures",
        )
    matched = common_atoms(structures)
    stops = [matched[0]]
    for structure in matched[1:]:
        moved = superposed(structure, stops[0], align)
        stops.append(with_twins_matched(moved, stops[-1]))
    index = stops[0].alpha_carbons()
    lengths = [_rms(b.coords_A[index] - a.coords_A[index]) for a, b in pairwise(stops)]
    pieces = [stops[0].coords_A[None]]
    for (a, b), count in zip(pairwise(stops), _shares(lengths, frames - 1), strict=True):
        pieces.append(_segment(a, b.coords_A, count + 1)[1:])
    return Trajectory(stops[0], np.concatenate(pieces))


def _rms(difference: FloatArray) -> float:
    return float(np.sqrt(np.mean(np.sum(difference**2, axis=-1))))


def _shares(lengths: list[float], steps: int) -> list[int]:
    """Steps per piece, at least one each, as even in length as whole numbers allow."""
    shares = [1] * len(lengths)
    for _ in range(steps - len(lengths)):
        longest = max(range(len(lengths)), key=lambda i: lengths[i] / shares[i])
        shares[longest] += 1
    return shares


def _segment(start: Structure, end_A: FloatArray, frames: int) -> FloatArray:
    """(frames, n, 3) relaxed path between two conformations of the same atoms."""
    start_A = start.coords_A
    t = np.linspace(0.0, 1.0, frames)
    if frames == 2:
        return np.stack([start_A, end_A])
    covalent = infer_covalent(start, start_A, end_A)
    trees = residue_trees(start, covalent)
    anchors = _network_path(start_A[trees.anchor], end_A[trees.anchor], t)
    coords = carry_residues(trees, start_A, end_A, anchors, t)
    coords[:, 0], coords[:, -1] = start_A, end_A
    coords = _relax_atoms(coords, covalent, start_A, end_A, t)
    return np.ascontiguousarray(coords.transpose(1, 0, 2))


def _network_path(start_A: FloatArray, end_A: FloatArray, t: FloatArray) -> FloatArray:
    """(points, frames, 3) elastic network interpolation, without net motion of any frame."""
    line = start_A[:, None] + (end_A - start_A)[:, None] * t[None, :, None]
    pairs = np.concatenate(
        [cKDTree(x).query_pairs(_NETWORK_CUTOFF_A, output_type="ndarray") for x in (start_A, end_A)]
    ).astype(np.int64)
    if len(pairs) == 0:
        return line
    pairs = np.unique(pairs, axis=0)
    springs = _interpolated(pairs, start_A, end_A, t, np.ones(len(pairs)))
    # Smoothness ties frames together: alone, some would fall to another minimum than the next.
    path = relax(line, [springs], hold=1e-4, smooth=10.0, iterations=300)
    for frame in range(1, len(t) - 1):
        matrix, offset = rigid_motion(path[:, frame], line[:, frame])
        path[:, frame] = path[:, frame] @ matrix.T + offset
    return path


def _interpolated(
    pairs: NDArray[np.int64],
    start_A: FloatArray,
    end_A: FloatArray,
    t: FloatArray,
    stiffness: FloatArray,
) -> Springs:
    """Springs whose lengths at rest interpolate those of the two ends."""
    at_start, at_end = pair_distances_A(start_A, pairs), pair_distances_A(end_A, pairs)
    target_A = at_start[:, None] + (at_end - at_start)[:, None] * t
    return Springs.between(pairs, len(start_A), target_A, stiffness)


def _relax_atoms(
    coords: FloatArray, covalent: Covalent, start_A: FloatArray, end_A: FloatArray, t: FloatArray
) -> FloatArray:
    groups = [
        (covalent.bonds, 100.0),
        (covalent.angles, 40.0),
        (covalent.rigid_torsions(start_A, end_A), 20.0),
        (covalent.ca_steps, 100.0),
    ]
    pairs = np.concatenate([group for group, _ in groups])
    stiffness = np.concatenate([np.full(len(group), value) for group, value in groups])
    if len(pairs) == 0:
        return coords
    springs = _interpolated(pairs, start_A, end_A, t, stiffness)
    excluded = np.concatenate([covalent.bonds, covalent.angles, covalent.torsions])
    for iterations in (60, 60):
        contacts = close_contacts(
            coords,
            excluded,
            start_A,
            end_A,
            limit_A=_CONTACT_A,
            margin_A=_CONTACT_MARGIN_A,
            stiffness=30.0,
        )
        coords = relax(coords, [springs, contacts], hold=0.05, smooth=0.5, iterations=iterations)
    return coords
