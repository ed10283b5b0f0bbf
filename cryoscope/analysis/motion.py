"""How far every residue moves, as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np
from numpy.typing import NDArray

from cryoscope.analysis.trajectory import displacement_A, rms_motion_A
from cryoscope.data import Structure


@dataclass(frozen=True)
class ResidueMotion:
    """The motion of one residue over a set of states.

    Attributes
    ----------
    chain, residue, insertion_code, name
        Which residue, in the reference's own numbering.
    rms_motion_A
        Root-mean-square distance from its mean position.
    largest_displacement_A, mean_displacement_A
        Largest and mean distance from its place in the reference.
    """

    chain: str
    residue: int
    insertion_code: str
    name: str
    rms_motion_A: float
    largest_displacement_A: float
    mean_displacement_A: float


def motion_table(coords_A: NDArray[np.floating], structure: Structure) -> list[ResidueMotion]:
    """One row per atom of the trace.

    Parameters
    ----------
    coords_A
        (S, K, 3) states.
    structure
        The trace at rest: K atoms, one per residue.
    """
    if coords_A.shape[1:] != (len(structure), 3):
        raise ValueError(f"states {coords_A.shape} of a trace of {len(structure)} atoms")
    rms_A = rms_motion_A(coords_A)
    moved_A = displacement_A(coords_A, structure.coords_A)
    columns = zip(
        structure.chain_id.tolist(),
        structure.residue_id.tolist(),
        structure.insertion_code.tolist(),
        structure.residue_name.tolist(),
        rms_A.tolist(),
        moved_A.max(0).tolist(),
        moved_A.mean(0, dtype=np.float64).tolist(),
        strict=True,
    )
    return [ResidueMotion(*row) for row in columns]


def residue_motion_A(coords_A: NDArray[np.floating], structure: Structure) -> NDArray[np.float64]:
    """(n,) RMS motion of the residue that each atom of (S, n, 3) states belongs to, in A."""
    starts = structure.residue_starts()
    length = np.diff([*starts, len(structure)])
    square_A2 = np.add.reduceat(rms_motion_A(coords_A) ** 2, starts) / length
    return np.repeat(np.sqrt(square_A2), length)


def table_csv(rows: Sequence[object], record: type) -> str:
    """Records of one dataclass as CSV with a header; numbers with four decimals."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(record)])
    for row in rows:
        values = astuple(row)  # type: ignore[call-overload]
        writer.writerow([f"{v:.4f}" if isinstance(v, float) else v for v in values])
    return text.getvalue()
