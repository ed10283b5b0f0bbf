"""Small structures for tests."""

from __future__ import annotations

import numpy as np

from cryoscope.data import Structure


def trace(count: int = 4) -> Structure:
    """A CA trace in two chains with an insertion code."""
    half = count // 2
    return Structure(
        coords_A=np.arange(3.0 * count).reshape(count, 3),
        element=np.array(["C"] * count),
        atom_name=np.array(["CA"] * count),
        residue_name=np.array(["ALA"] * count),
        residue_id=np.r_[np.arange(10, 10 + half), np.arange(5, 5 + count - half)],
        chain_id=np.array(["A"] * half + ["B"] * (count - half)),
        insertion_code=np.array(["a"] + [""] * (count - 1)),
        b_factor_A2=np.zeros(count),
        occupancy=np.ones(count),
    )
