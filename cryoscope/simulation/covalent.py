"""Bonds, and pairs of atoms two and three bonds apart, inferred from two sets of coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import gemmi
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

from cryoscope.data import Structure

Pairs = NDArray[np.int64]

_BOND_SLACK_A = 0.45
_LONGEST_BOND_A = 2.6
_LONGEST_CA_STEP_A = 4.5
_RIGID_A = 0.15


@dataclass(frozen=True)
class Covalent:
    """Pairs of atom indices (m, 2), first < second.

    Attributes
    ----------
    bonds
        Bonded atoms.
    angles
        Atoms two bonds apart.
    torsions
        Atoms three bonds apart.
    ca_steps
        CA atoms of consecutive residues of one chain.
    """

    bonds: Pairs
    angles: Pairs
    torsions: Pairs
    ca_steps: Pairs

    def rigid_torsions(self, start_A: NDArray[np.float64], end_A: NDArray[np.float64]) -> Pairs:
        """Torsion pairs whose distance is the same at both ends (planes, rings, peptide groups)."""
        change_A = pair_distances_A(end_A, self.torsions) - pair_distances_A(start_A, self.torsions)
        return self.torsions[np.abs(change_A) < _RIGID_A]


def pair_distances_A(coords_A: NDArray[np.float64], pairs: Pairs) -> NDArray[np.float64]:
    """(..., m) distances of pairs; ``coords_A`` is (..., n, 3)."""
    return np.linalg.norm(coords_A[..., pairs[:, 0], :] - coords_A[..., pairs[:, 1], :], axis=-1)


def _unique_pairs(table: csr_matrix) -> Pairs:
    rows, columns = table.nonzero()
    keep = rows < columns
    return np.stack([rows[keep], columns[keep]], axis=1).astype(np.int64)


def infer_covalent(
    structure: Structure, start_A: NDArray[np.float64], end_A: NDArray[np.float64]
) -> Covalent:
    """Pairs from covalent radii: bonded when closer than the radii's sum + 0.45 A at both ends."""
    n = len(structure)
    radius_A = np.array([gemmi.Element(str(e)).covalent_r for e in structure.element])
    near = cKDTree(start_A).query_pairs(_LONGEST_BOND_A, output_type="ndarray").astype(np.int64)
    limit_A = radius_A[near].sum(axis=1) + _BOND_SLACK_A
    bonded = (pair_distances_A(start_A, near) < limit_A) & (pair_distances_A(end_A, near) < limit_A)
    bonds = near[bonded]
    both = np.concatenate([bonds, bonds[:, ::-1]])
    one = csr_matrix((np.ones(len(both), dtype=np.int8), (both[:, 0], both[:, 1])), shape=(n, n))
    two = (one @ one).astype(bool)
    three = (two.astype(np.int8) @ one).astype(bool)
    self_pairs = csr_matrix((n, n), dtype=bool)
    self_pairs.setdiag(True)
    two_only = two > (one.astype(bool) + self_pairs).astype(bool)
    three_only = three > (one.astype(bool) + two).astype(bool)
    return Covalent(
        bonds=np.sort(bonds, axis=1),
        angles=_unique_pairs(two_only),
        torsions=_unique_pairs(three_only),
        ca_steps=_ca_steps(structure, start_A, end_A),
    )


def _ca_steps(
    structure: Structure, start_A: NDArray[np.float64], end_A: NDArray[np.float64]
) -> Pairs:
    index = structure.alpha_carbons()
    steps = np.stack([index[:-1], index[1:]], axis=1)
    same_chain = structure.chain_id[steps[:, 0]] == structure.chain_id[steps[:, 1]]
    longest_A = np.maximum(pair_distances_A(start_A, steps), pair_distances_A(end_A, steps))
    return steps[same_chain & (longest_A < _LONGEST_CA_STEP_A)]
