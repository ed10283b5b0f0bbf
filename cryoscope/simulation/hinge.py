"""Chains that turn about their own bonds: Cryofold's and cryoDRGN's heterogeneous test cases."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from cryoscope.data import InputError, Structure, Trajectory

#: Cryofold's text says 0.25 rad in steps of 0.05 rad and 50 structures, which contradict each
#: other; 2.5 rad gives 50 steps and a motion as large as the one that it shows.
CRYOFOLD_ANGLE_RAD = 2.5


def turned_about_hinge(
    structure: Structure,
    hinge: int,
    *,
    angle_rad: float = CRYOFOLD_ANGLE_RAD,
    frames: int = 50,
) -> Trajectory:
    """One backbone dihedral of the CA trace turned in even steps.

    All atoms of the residues after the hinge turn about the line from its CA to the next one; CA
    to CA distances along the chain stay as they are.

    Parameters
    ----------
    structure
        One protein chain.
    hinge
        Number of the residue, counted from 0 over those with a CA, before the turning part.
    angle_rad
        Turned by the last frame.
    frames
        Both ends included.

    Raises
    ------
    InputError
        No residue on both sides of the bond, or fewer than two frames.
    """
    carbons = structure.alpha_carbons()
    if not 1 <= hinge < len(carbons) - 2 or frames < 2:
        raise InputError(
            f"residue {hinge} of {len(carbons)} cannot be a hinge of {frames} frames",
            cure="Give a residue inside the chain and two frames or more",
        )
    angles_rad = np.linspace(0.0, angle_rad, frames)[:, None]
    return Trajectory(structure, turned_about_hinges(structure, [hinge], angles_rad))


def turned_about_hinges(
    structure: Structure, hinges: Sequence[int], angles_rad: NDArray[np.floating]
) -> NDArray[np.float64]:
    """(frames, n, 3) several hinges turned independently.

    The residues of a chain after a hinge turn about the line from its CA to the next one; hinges
    further along the chain, with all that turns about them, are carried along.

    Parameters
    ----------
    structure
        Any number of chains.
    hinges
        Numbers of residues, counted from 0 over those with a CA; each is followed by another with
        a CA in its chain.
    angles_rad
        (frames, hinges).
    """
    carbons = structure.alpha_carbons()
    residue = np.searchsorted(structure.residue_starts(), np.arange(len(structure)), side="right")
    coords_A = np.repeat(structure.coords_A[None], len(angles_rad), axis=0)
    for place in np.argsort(hinges)[::-1]:  # the last first: where its axis is is still known
        hinge, after = carbons[hinges[place]], carbons[hinges[place] + 1]
        turning = (residue > residue[hinge]) & (structure.chain_id == structure.chain_id[hinge])
        pivot_A = structure.coords_A[hinge]
        axis = structure.coords_A[after] - pivot_A
        axis = axis / np.linalg.norm(axis)
        turns = Rotation.from_rotvec(np.asarray(angles_rad)[:, place, None] * axis).as_matrix()
        arms_A = coords_A[:, turning] - pivot_A
        coords_A[:, turning] = np.einsum("fij,fnj->fni", turns, arms_A) + pivot_A
    return coords_A


_HINGE = re.compile(r"(?P<chain>[^:\s]+):(?P<residue>-?\d+)")


def hinge_number(structure: Structure, hinge: str) -> int:
    """Number of a hinge ``CHAIN:RESIDUE`` among the residues with a CA.

    Raises
    ------
    InputError
        It is not there, or one of the two parts that it joins has fewer than two residues.
    """
    match = _HINGE.fullmatch(hinge)
    if match is None:
        raise InputError(
            f"{hinge!r} names no residue", cure="Write --hinge CHAIN:RESIDUE, e.g. A:113"
        )
    carbons = structure.alpha_carbons()
    chain = structure.chain_id[carbons] == match["chain"]
    at = np.flatnonzero(chain & (structure.residue_id[carbons] == int(match["residue"])))
    inside = np.flatnonzero(chain)
    if len(at) == 0 or not inside[0] < at[0] < inside[-1] - 1:
        span = ""
        if len(inside):
            first, last = structure.residue_id[carbons[inside[[0, -1]]]]
            span = f", which has residues {first} to {last}"
        raise InputError(f"no hinge can be at {hinge}", cure=f"Name a residue inside a chain{span}")
    return int(at[0])
