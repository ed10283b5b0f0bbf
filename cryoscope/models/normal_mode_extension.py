"""Normal modes of all beads, from those of the backbone trace."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from cryoscope.models.coarse_grain import Beads
from cryoscope.models.normal_modes import CUTOFF_A, LEAST_STIFFNESS, elastic_modes, rigid_motions

Array = NDArray[np.float64]

#: Longer traces are thinned out to this many anchors, with springs that reach as much farther.
MOST_ANCHORS = 20_000

# Anchors that a bead's motion is interpolated from, and the standard deviations above the mean
# from which on a bead's mean square fluctuation is an artefact of too few springs.
_NEIGHBOURS = 8
_OUTLIER_SD = 10.0
# Modes computed beyond those wanted: some may vanish with the outliers they lived on.
_SPARE = 8
# Farther than any two beads: chains side by side in a fourth dimension.
_CHAIN_SPACING_A = 1e6


def bead_modes(
    beads: Beads, count: int, *, cutoff_A: float = CUTOFF_A, by_chain: bool = False
) -> tuple[Array, Array]:
    """The softest modes of the beads' elastic network.

    Those of the trace (:func:`elastic_modes`), carried to side-chain beads and atoms by
    interpolation from the nearest trace beads of the chain with weights ``1 / r^4``. Beads whose
    mean square fluctuation exceeds the mean by ten standard deviations are interpolated from the
    others likewise (both as in the code of Nashed et al.). Where anything was interpolated, net
    motion is projected out and the modes are made orthonormal again, the softest first: each
    differs from its original only by what softer ones hold. Eigenvalues stay those of the trace.

    Parameters
    ----------
    beads
        The coarse-grained reference.
    count
        Modes wanted; fewer come back from small structures.
    cutoff_A
        Reach of the springs.
    by_chain
        The internal modes of every chain alone, softest first over all chains.

    Returns
    -------
    Eigenvalues (k,) and orthonormal modes (3N, k), x, y, z of each bead side by side.
    """
    if count < 1:
        return np.zeros(0), np.zeros((3 * len(beads), 0))
    positions_A = np.asarray(beads.anchor_A, dtype=np.float64)
    owner = trace_of_beads(beads)
    stride = -(-len(beads.trace) // MOST_ANCHORS)
    anchors, anchor_chain = beads.trace[::stride], beads.chain[::stride]
    find = _modes_by_chain if by_chain else _modes_of_all
    reach_A = cutoff_A * stride ** (1 / 3)
    values, modes = find(positions_A[anchors], anchor_chain, count + _SPARE, reach_A)
    place = np.concatenate([positions_A, _CHAIN_SPACING_A * beads.chain[owner][:, None]], axis=1)
    known = np.zeros(len(beads), dtype=bool)
    known[anchors] = True
    motion = np.zeros((len(beads), 3, len(values)))
    motion[anchors] = modes.reshape(len(anchors), 3, -1)
    outlier = _outliers(motion, values, known, count)
    known &= ~outlier
    if not known.all():
        motion[~known] = _interpolated(place[known], motion[known], place[~known])
        modes, kept = _orthonormal(motion.reshape(3 * len(beads), -1), rigid_motions(positions_A))
        values = values[kept]
    return values[:count], np.ascontiguousarray(modes[:, :count])


def trace_of_beads(beads: Beads) -> NDArray[np.int64]:
    """(N,) number along the trace of the residue that each bead belongs to.

    Raises
    ------
    ValueError
        When a bead belongs to no residue of the trace.
    """
    owner = np.full(len(beads), -1, dtype=np.int64)
    owner[beads.trace] = np.arange(len(beads.trace))
    if len(beads.side_chains):
        owner[beads.side_chains[:, 1]] = owner[beads.side_chains[:, 0]]
    elif len(beads.trace) < len(beads):
        starts = beads.atoms.residue_starts()
        residue = np.repeat(np.arange(len(starts)), np.diff([*starts, len(beads.atoms)]))
        residue_of_bead = np.full(len(beads), -1, dtype=np.int64)
        residue_of_bead[beads.atom_bead] = residue
        trace_of_residue = np.full(len(starts) + 1, -1, dtype=np.int64)
        trace_of_residue[residue_of_bead[beads.trace]] = np.arange(len(beads.trace))
        owner = trace_of_residue[residue_of_bead]
    if (owner < 0).any():
        raise ValueError(f"{int((owner < 0).sum())} beads belong to no residue of the trace")
    return owner


def _modes_of_all(
    anchor_A: Array, chain: NDArray[np.int64], count: int, cutoff_A: float
) -> tuple[Array, Array]:
    return elastic_modes(anchor_A, count, cutoff_A=cutoff_A)


def _modes_by_chain(
    anchor_A: Array, chain: NDArray[np.int64], count: int, cutoff_A: float
) -> tuple[Array, Array]:
    """Internal modes of every chain alone, zero elsewhere, the softest first."""
    alone = []
    for number in np.unique(chain):
        rows = np.flatnonzero(chain == number)
        alone.append((rows, *elastic_modes(anchor_A[rows], count, cutoff_A=cutoff_A)))
    values = np.concatenate([each for _, each, _ in alone])
    whose = np.repeat(np.arange(len(alone)), [len(each) for _, each, _ in alone])
    which = np.concatenate([np.arange(len(each)) for _, each, _ in alone])
    softest = np.argsort(values, kind="stable")[:count]
    modes = np.zeros((len(anchor_A), 3, len(softest)))
    for column, found in enumerate(softest):
        rows, _, own = alone[whose[found]]
        modes[rows, :, column] = own[:, which[found]].reshape(-1, 3)
    return values[softest], modes.reshape(3 * len(anchor_A), -1)


def _outliers(
    motion: Array, values: Array, known: NDArray[np.bool_], count: int
) -> NDArray[np.bool_]:
    """(N,) beads that fluctuate by far the most in the ``count`` softest modes with any strain."""
    used = np.flatnonzero(values[:count] > LEAST_STIFFNESS)
    fluctuation = (motion[..., used] ** 2 / values[used]).sum((1, 2))
    typical, spread = fluctuation[known].mean(), fluctuation[known].std()
    return known & (fluctuation > typical + _OUTLIER_SD * spread)


def _interpolated(place: Array, motion: Array, wanted: Array) -> Array:
    """(m, 3, k) motions at (m, 4) places: means over the nearest others, weighted by 1 / r^4."""
    near = min(_NEIGHBOURS, len(place))
    distance, index = cKDTree(place).query(wanted, k=np.arange(1, near + 1))
    weight = (distance / distance[:, :1].clip(1e-3)).clip(1e-3) ** -4.0
    weight /= weight.sum(1, keepdims=True)
    result = np.zeros((len(wanted), *motion.shape[1:]))
    for neighbour in range(near):  # eight sums instead of one eight times as large
        result += weight[:, neighbour, None, None] * motion[index[:, neighbour]]
    return result


def _orthonormal(modes: Array, rigid: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Orthonormal modes without net motion, and which of the given ones have any left."""
    inner = modes - rigid @ (rigid.T @ modes)
    length = np.linalg.norm(inner, axis=0)
    basis, mixing = np.linalg.qr(inner / length.clip(1e-12))
    own = np.diag(mixing)
    kept = (np.abs(own) > 0.1) & (length > 0.1)
    return (basis * np.where(own < 0, -1.0, 1.0))[:, kept], kept
