"""Atomic models and their motions."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Structure:
    """n atoms.

    Attributes
    ----------
    coords_A
        (n, 3) xyz positions.
    element, atom_name, residue_name, chain_id, insertion_code
        (n,) strings.
    residue_id
        (n,) author residue numbers.
    b_factor_A2, occupancy
        (n,) floats.
    """

    coords_A: NDArray[np.float64]
    element: NDArray[np.str_]
    atom_name: NDArray[np.str_]
    residue_name: NDArray[np.str_]
    residue_id: NDArray[np.int64]
    chain_id: NDArray[np.str_]
    insertion_code: NDArray[np.str_]
    b_factor_A2: NDArray[np.float64]
    occupancy: NDArray[np.float64]
    name: str = ""

    def __len__(self) -> int:
        return len(self.coords_A)

    def take(self, index: NDArray[np.integer] | NDArray[np.bool_]) -> Structure:
        """The atoms at ``index`` (integers or a mask)."""
        arrays = {f.name: getattr(self, f.name)[index] for f in fields(self) if f.name != "name"}
        return replace(self, **arrays)

    def with_coords(self, coords_A: NDArray[np.floating]) -> Structure:
        """The same atoms at other positions."""
        return replace(self, coords_A=np.asarray(coords_A, dtype=np.float64))

    def residue_starts(self) -> NDArray[np.int64]:
        """(residues,) index of the first atom of every residue, in file order."""
        if len(self) == 0:
            return np.zeros(0, dtype=np.int64)
        changed = (
            (self.residue_id[1:] != self.residue_id[:-1])
            | (self.chain_id[1:] != self.chain_id[:-1])
            | (self.insertion_code[1:] != self.insertion_code[:-1])
        )
        return np.concatenate([[0], np.flatnonzero(changed) + 1]).astype(np.int64)

    def heavy_atoms(self) -> NDArray[np.bool_]:
        """(n,) False for hydrogen and deuterium."""
        return ~np.isin(np.char.upper(self.element), ("H", "D"))

    def alpha_carbons(self) -> NDArray[np.int64]:
        """(k,) index of the first CA of every residue that has one; calcium ions are none."""
        index = np.flatnonzero((self.atom_name == "CA") & (self.element == "C"))
        residue = np.searchsorted(self.residue_starts(), index, side="right")
        return index[np.unique(residue, return_index=True)[1]]


@dataclass(frozen=True)
class Trajectory:
    """One structure in many conformations; ``coords_A`` is (frames, n, 3)."""

    structure: Structure
    coords_A: NDArray[np.floating]

    def __len__(self) -> int:
        return len(self.coords_A)
