"""How good a path is: bonds kept, no clashes, even steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from cryoscope.data import Trajectory
from cryoscope.simulation.covalent import infer_covalent, pair_distances_A


@dataclass(frozen=True)
class PathQuality:
    """Figures of a path over all its frames.

    Attributes
    ----------
    ca_step_range_A
        Shortest and longest distance between CA atoms of consecutive residues.
    bond_rms_A, angle_rms_A
        Root mean square departure of 1-2 and 1-3 distances from those interpolated between ends.
    closest_contact_A
        Shortest distance of two atoms more than three bonds apart, in the inner frames.
    closest_contact_of_ends_A
        The same in the two ends.
    frame_step_range_A
        Smallest and largest CA root mean square step between frames.
    ends_rmsd_A
        CA RMSD of the last frame to the first, as they lie.
    """

    ca_step_range_A: tuple[float, float]
    bond_rms_A: float
    angle_rms_A: float
    closest_contact_A: float
    closest_contact_of_ends_A: float
    frame_step_range_A: tuple[float, float]
    ends_rmsd_A: float


def measure_path(path: Trajectory) -> PathQuality:
    """Figures of a path of at least two frames with CA atoms."""
    coords_A = np.asarray(path.coords_A, dtype=np.float64)
    start_A, end_A = coords_A[0], coords_A[-1]
    covalent = infer_covalent(path.structure, start_A, end_A)
    t = np.linspace(0, 1, len(coords_A))[:, None]

    def departure_A(pairs: np.ndarray) -> float:
        if len(pairs) == 0:
            return 0.0
        ends = pair_distances_A(coords_A[[0, -1]], pairs)
        actual = pair_distances_A(coords_A, pairs)
        return float(np.sqrt(np.mean((actual - (ends[:1] + (ends[1:] - ends[:1]) * t)) ** 2)))

    excluded = np.concatenate([covalent.bonds, covalent.angles, covalent.torsions])
    known = set(map(tuple, excluded.tolist()))
    closest = [_closest_A(frame, known) for frame in coords_A]
    steps_A = pair_distances_A(coords_A, covalent.ca_steps)
    ca_A = coords_A[:, path.structure.alpha_carbons()]
    moves_A = np.sqrt(np.mean(np.sum(np.diff(ca_A, axis=0) ** 2, axis=-1), axis=1))
    return PathQuality(
        ca_step_range_A=(float(steps_A.min(initial=np.inf)), float(steps_A.max(initial=0.0))),
        bond_rms_A=departure_A(covalent.bonds),
        angle_rms_A=departure_A(covalent.angles),
        closest_contact_A=min(closest[1:-1], default=np.inf),
        closest_contact_of_ends_A=min(closest[0], closest[-1]),
        frame_step_range_A=(float(moves_A.min()), float(moves_A.max())),
        ends_rmsd_A=float(np.sqrt(np.mean(np.sum((ca_A[-1] - ca_A[0]) ** 2, axis=-1)))),
    )


def _closest_A(coords_A: np.ndarray, excluded: set[tuple[int, ...]]) -> float:
    pairs = cKDTree(coords_A).query_pairs(4.0, output_type="ndarray")
    free = [pair for pair in map(tuple, pairs.tolist()) if pair not in excluded]
    if not free:
        return float("inf")
    return float(pair_distances_A(coords_A, np.array(free)).min())
