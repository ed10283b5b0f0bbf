"""Which beads a restraint acts on: lists of pairs of the backbone trace.

All lists are sorted (P, 2) indices into the trace, the smaller first, every pair once; ``trace``
turns them into beads (:func:`in_beads`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from cryoscope.data import InputError

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

#: Trace beads up to which all pairs are listed (2 million pairs).
MOST_ALL_PAIRS_BEADS = 2000
#: Longest list of nearest neighbours.
MOST_PAIRS = 4_000_000
#: Distances in the reference that cryoSTAR's fixed clash list takes pairs from.
WATCHED_FROM_A, WATCHED_TO_A = 4.0, 10.0


def bonded_pairs(bonded: NDArray[np.bool_]) -> IntArray:
    """Consecutive trace beads that are bonded."""
    first = np.flatnonzero(bonded)
    return np.stack([first, first + 1], axis=1)


def elastic_pairs(anchor_A: FloatArray, bonded: NDArray[np.bool_], cutoff_A: float) -> IntArray:
    """Pairs closer than the cutoff in the reference, bonded neighbours left out.

    Pairs between chains are kept: chains that touch are held together, where cryoSTAR leaves each
    to itself (proteins) unless it is told otherwise. ``release_fraction`` sets those free that
    part.
    """
    return _without_bonds(_near(anchor_A, cutoff_A), bonded)


def watched_pairs(anchor_A: FloatArray, bonded: NDArray[np.bool_]) -> IntArray:
    """Pairs 4 to 10 A apart in the reference and not bonded, which cryoSTAR's code watches.

    Beads that start further apart than 10 A can pass through each other unseen.
    """
    pairs = _without_bonds(_near(anchor_A, WATCHED_TO_A), bonded)
    return pairs[distances_A(anchor_A, pairs) >= WATCHED_FROM_A]


def all_pairs(count: int) -> IntArray:
    """Every pair of ``count`` beads.

    Raises
    ------
    InputError
        When there are more beads than can be paired in a list.
    """
    if count > MOST_ALL_PAIRS_BEADS:
        raise InputError(
            f"the geometry restraint would hold {count * (count - 1) // 2:,} pairs of {count:,} "
            "residues",
            cure=f"Above {MOST_ALL_PAIRS_BEADS:,} residues set its sample to random or nearest",
        )
    return np.stack(np.triu_indices(count, 1), axis=1).astype(np.int64)


def nearest_pairs(anchor_A: FloatArray, neighbours: int) -> IntArray:
    """Every bead with its nearest ``neighbours`` in the reference.

    Raises
    ------
    InputError
        When the list would be too long.
    """
    count = len(anchor_A)
    wanted = min(neighbours, count - 1)
    if wanted < 1:
        return np.zeros((0, 2), dtype=np.int64)
    if count * wanted > MOST_PAIRS:
        raise InputError(
            f"{wanted:,} nearest neighbours of {count:,} residues are too many pairs",
            cure="Set pair_count of the geometry restraint to the neighbours per residue, e.g. 50",
        )
    found = cKDTree(anchor_A).query(anchor_A, wanted + 1)[1].astype(np.int64)
    own = np.arange(count)[:, None]
    # The bead itself is usually first, but not where two lie in one place.
    others = np.stack([np.broadcast_to(own, found.shape), found], axis=-1)[found != own]
    return np.asarray(np.unique(np.sort(others, axis=1), axis=0), dtype=np.int64)


def drawn_pairs(beads: int, count: int, key: tuple[int, int]) -> IntArray:
    """``count`` random pairs of different beads, each pair as likely as any other.

    A counter-based generator (Philox): draw ``n`` of a stream does not depend on those before, so
    that a run that is resumed sees the same pairs.

    Parameters
    ----------
    key
        Stream, and number of the draw.
    """
    stream, draw = key
    generator = np.random.Generator(np.random.Philox(key=stream, counter=[0, 0, 0, draw]))
    first = generator.integers(0, beads, count)
    step = generator.integers(1, beads, count)
    return np.stack([first, (first + step) % beads], axis=1)


def in_beads(pairs: IntArray, trace: IntArray) -> IntArray:
    """Pairs of the trace as pairs of beads."""
    return np.ascontiguousarray(trace[pairs], dtype=np.int64)


def distances_A(coords_A: FloatArray, pairs: IntArray) -> FloatArray:
    """(P,) distances of pairs in one structure."""
    return np.asarray(np.linalg.norm(coords_A[pairs[:, 0]] - coords_A[pairs[:, 1]], axis=1))


def chain_of_pairs(chain: IntArray, pairs: IntArray) -> IntArray:
    """(P,) chain number of pairs within a chain, -1 for pairs between chains."""
    first, second = chain[pairs[:, 0]], chain[pairs[:, 1]]
    return np.where(first == second, first, -1)


def _near(anchor_A: FloatArray, cutoff_A: float) -> IntArray:
    pairs = cKDTree(anchor_A).query_pairs(cutoff_A, output_type="ndarray").astype(np.int64)
    pairs = np.sort(pairs, axis=1)
    return np.asarray(pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))])


def _without_bonds(pairs: IntArray, bonded: NDArray[np.bool_]) -> IntArray:
    neighbours = np.append(bonded, False)
    kept: IntArray = pairs[~((pairs[:, 1] - pairs[:, 0] == 1) & neighbours[pairs[:, 0]])]
    return kept
