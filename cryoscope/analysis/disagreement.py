"""How far two runs that never saw the same particles disagree about every residue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import Structure

_Array = NDArray[np.float64]


@dataclass(frozen=True)
class ResidueDisagreement:
    """Two runs about one residue.

    Attributes
    ----------
    chain, residue, insertion_code, name
        Which residue, in the reference's own numbering.
    disagreement_A
        Root-mean-square distance, over the particles, between where the two runs put it.
    unmatched_A
        The same where each particle is compared with another one at random: what two runs would
        show that agree about the range of the motion, but not about any particle.
    correlation
        Of the two motions over the particles, 1 for the same motion; not-a-number where one of the
        runs does not move the residue.
    motion1_A, motion2_A
        RMS motion about the mean position in each run.
    """

    chain: str
    residue: int
    insertion_code: str
    name: str
    disagreement_A: float
    unmatched_A: float
    correlation: float
    motion1_A: float
    motion2_A: float


class Disagreement:
    """Sums over particles of what two runs say about their structures; fed in pieces.

    Parameters
    ----------
    structure
        The trace at rest: K atoms, one per residue.
    """

    def __init__(self, structure: Structure) -> None:
        self.structure = structure
        self.count = 0
        shape = (len(structure), 3)
        self._first, self._second = np.zeros(shape), np.zeros(shape)
        self._first2, self._second2, self._product, self._apart2 = np.zeros((4, shape[0]))

    def add(self, first_A: NDArray[np.floating], second_A: NDArray[np.floating]) -> None:
        """Take in (n, K, 3) positions of the same n particles by either run."""
        if first_A.shape != second_A.shape or first_A.shape[1:] != self._first.shape:
            raise ValueError(f"{first_A.shape} and {second_A.shape} are not of one trace")
        # From the reference, so that sums of squares keep their digits.
        first = np.asarray(first_A, dtype=np.float64) - self.structure.coords_A
        second = np.asarray(second_A, dtype=np.float64) - self.structure.coords_A
        self.count += len(first)
        self._first += first.sum(0)
        self._second += second.sum(0)
        self._first2 += (first**2).sum((0, 2))
        self._second2 += (second**2).sum((0, 2))
        self._product += (first * second).sum((0, 2))
        self._apart2 += ((first - second) ** 2).sum((0, 2))

    @property
    def per_residue_A(self) -> _Array:
        """(K,) root-mean-square distance between the two runs."""
        return np.asarray(np.sqrt(self._apart2 / max(self.count, 1)))

    @property
    def unmatched_A(self) -> _Array:
        """(K,) the same between particles that have nothing to do with each other."""
        mean1, mean2, var1, var2, _ = self._moments()
        return np.asarray(np.sqrt(((mean1 - mean2) ** 2).sum(1) + var1 + var2))

    @property
    def correlation(self) -> _Array:
        """(K,) correlation of the two motions over the particles."""
        _, _, var1, var2, covariance = self._moments()
        spread = np.sqrt(var1 * var2)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(spread > 1e-12, covariance / spread, np.nan)

    @property
    def motion_A(self) -> tuple[_Array, _Array]:
        """(K,) RMS motion about the mean position, in each run."""
        _, _, var1, var2, _ = self._moments()
        return np.asarray(np.sqrt(var1)), np.asarray(np.sqrt(var2))

    @property
    def overall_A(self) -> float:
        """Root-mean-square distance over particles and residues."""
        return float(np.sqrt((self.per_residue_A**2).mean()))

    def rows(self) -> list[ResidueDisagreement]:
        """One row per residue."""
        trace = self.structure
        columns = zip(
            trace.chain_id.tolist(),
            trace.residue_id.tolist(),
            trace.insertion_code.tolist(),
            trace.residue_name.tolist(),
            self.per_residue_A.tolist(),
            self.unmatched_A.tolist(),
            self.correlation.tolist(),
            *(motion.tolist() for motion in self.motion_A),
            strict=True,
        )
        return [ResidueDisagreement(*row) for row in columns]

    def figures(self) -> dict[str, float]:
        """The numbers that stand for all residues."""
        motion1_A, motion2_A = self.motion_A
        known = self.correlation[np.isfinite(self.correlation)]
        return {
            "disagreement_A": self.overall_A,
            "disagreement_unmatched_A": _rms(self.unmatched_A),
            "worst_residue_A": float(self.per_residue_A.max(initial=0.0)),
            "motion_half1_A": _rms(motion1_A),
            "motion_half2_A": _rms(motion2_A),
            "correlation_median": float(np.median(known)) if len(known) else float("nan"),
        }

    def _moments(self) -> tuple[_Array, _Array, _Array, _Array, _Array]:
        """Means (K, 3), variances (K,) summed over xyz, and covariance (K,)."""
        count = max(self.count, 1)
        mean1, mean2 = self._first / count, self._second / count
        var1 = self._first2 / count - (mean1**2).sum(1)
        var2 = self._second2 / count - (mean2**2).sum(1)
        covariance = self._product / count - (mean1 * mean2).sum(1)
        return mean1, mean2, var1.clip(0), var2.clip(0), covariance


def _rms(values: _Array) -> float:
    return float(np.sqrt((values**2).mean()))
