"""A chain that turns about one of its own bonds: Cryofold's heterogeneous test case."""

from __future__ import annotations

import numpy as np
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
    starts = structure.residue_starts()
    residue = np.searchsorted(starts, np.arange(len(structure)), side="right")
    turning = residue > residue[carbons[hinge]]
    pivot_A, next_A = structure.coords_A[carbons[hinge]], structure.coords_A[carbons[hinge + 1]]
    axis = (next_A - pivot_A) / np.linalg.norm(next_A - pivot_A)
    turns = Rotation.from_rotvec(np.linspace(0.0, angle_rad, frames)[:, None] * axis)
    coords_A = np.repeat(structure.coords_A[None], frames, axis=0)
    arms_A = structure.coords_A[turning] - pivot_A
    coords_A[:, turning] = np.einsum("fij,nj->fni", turns.as_matrix(), arms_A) + pivot_A
    return Trajectory(structure, coords_A)
