"""Where particles look and lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Poses:
    """Poses of N particles.

    Attributes
    ----------
    rotation
        (N, 3, 3) matrices map -> image on xyz columns (conventions 3 and 4).
    shift_A
        (N, 2) x and y in A of the particle's centre in its image (convention 5).
    """

    rotation: NDArray[np.floating]
    shift_A: NDArray[np.floating]

    def __len__(self) -> int:
        return len(self.rotation)

    def take(self, index: NDArray[np.integer] | slice) -> Poses:
        """The rows at ``index``, in its order."""
        return Poses(self.rotation[index], self.shift_A[index])
