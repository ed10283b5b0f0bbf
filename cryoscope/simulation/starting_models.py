"""Models that are wrong by a known amount, to start a fit from (Cryofold, table 1)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError, Structure
from cryoscope.models.normal_modes import elastic_modes
from cryoscope.simulation.relax import Springs, relax

Start = Literal["exact", "approximate", "uniform", "random"]
FloatArray = NDArray[np.float64]

#: RMSD of Cryofold's approximate model from the truth.
APPROXIMATE_RMSD_A = 5.15
#: Half the side of the cubes from which positions, or their errors, are drawn.
UNIFORM_A, RANDOM_A = 6.0, 32.0
_THERMAL_MODES = 30
_LONGEST_BOND_A = 4.5
_MENDINGS = 8


def starting_model(structure: Structure, kind: Start, *, seed: int = 0) -> Structure:
    """A model of ``structure`` that is wrong: every residue moved as a whole.

    Parameters
    ----------
    structure
        The truth; all its residues have a CA.
    kind
        ``"exact"``: the truth. ``"approximate"``: bent along its 30 softest elastic-network modes
        as heat would bend it (amplitude one over the frequency), 5.15 A RMSD, CA-CA bonds mended;
        Cryofold takes a CA-only Monte Carlo run, of which this is the harmonic limit.
        ``"uniform"``: errors uniform within 6 A along x, y and z. ``"random"``: residues anywhere
        in a cube of 64 A.
    seed
        Of the random numbers.

    Raises
    ------
    InputError
        A residue lacks its CA.
    """
    carbons, starts = structure.alpha_carbons(), structure.residue_starts()
    if len(carbons) != len(starts):
        raise InputError(f"{len(starts) - len(carbons)} residues have no CA", cure="Leave them out")
    residue = np.searchsorted(starts, np.arange(len(structure)), side="right") - 1
    truth_A = structure.coords_A[carbons]
    rng = np.random.default_rng(seed)
    if kind == "exact":
        moved_A = truth_A
    elif kind == "approximate":
        moved_A = _thermally_bent(truth_A, rng)
    elif kind == "uniform":
        moved_A = truth_A + rng.uniform(-UNIFORM_A, UNIFORM_A, truth_A.shape)
    else:
        moved_A = truth_A.mean(0) + rng.uniform(-RANDOM_A, RANDOM_A, truth_A.shape)
    return structure.with_coords(structure.coords_A + (moved_A - truth_A)[residue])


def _thermally_bent(truth_A: FloatArray, rng: np.random.Generator) -> FloatArray:
    values, modes = elastic_modes(truth_A, _THERMAL_MODES)
    motion = (modes @ (rng.standard_normal(len(values)) / np.sqrt(values))).reshape(-1, 3)
    motion /= np.sqrt((motion**2).sum(1).mean())
    amplitude_A = APPROXIMATE_RMSD_A
    for _ in range(_MENDINGS):  # mending takes back a part of the motion
        bent_A = _bonds_mended(truth_A + amplitude_A * motion, truth_A)
        amplitude_A *= APPROXIMATE_RMSD_A / float(np.sqrt(((bent_A - truth_A) ** 2).sum(1).mean()))
    return bent_A


def _bonds_mended(bent_A: FloatArray, truth_A: FloatArray) -> FloatArray:
    """The nearest trace whose CA-CA bonds are as long as in the truth."""
    pairs = np.stack([np.arange(len(truth_A) - 1), np.arange(1, len(truth_A))], axis=1)
    length_A = np.linalg.norm(np.diff(truth_A, axis=0), axis=1)
    bonded = length_A < _LONGEST_BOND_A
    pairs, length_A = pairs[bonded], length_A[bonded]
    springs = Springs.between(
        pairs, len(truth_A), length_A[:, None].repeat(3, 1), np.full(len(pairs), 100.0)
    )
    frames = np.repeat(bent_A[:, None], 3, axis=1)  # the first and the last frame of a path stay
    return relax(frames, [springs], hold=0.05, smooth=0.0, iterations=200)[:, 1]
