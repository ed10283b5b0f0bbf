"""Triangle meshes, ready to be drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh.

    Attributes
    ----------
    vertices_A
        (m, 3) xyz positions.
    faces
        (t, 3) vertex indices.
    values
        (m,) number per vertex to be coloured by, or None.
    """

    vertices_A: NDArray[np.float32]
    faces: NDArray[np.int32]
    values: NDArray[np.float32] | None = None
