"""Named ways through latent space."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

#: How the states between the way-points are found.
PathKind = Literal["straight", "component", "graph", "ridge", "drawn"]
PATH_KINDS: tuple[str, ...] = get_args(PathKind)


@dataclass(frozen=True, eq=False)
class TrajectoryPath:
    """A named way through latent space: W way-points, F states (frames).

    Attributes
    ----------
    way_z
        (W, d) latents of the way-points, in their order.
    way_rows
        (W,) row of the particle at, or nearest to, each way-point.
    way_xy
        (W, 2) where the way-points were put in the picture; NaN for those chosen as particles.
    frames_z
        (F, d) latents of the states.
    nearest, distance, count
        (F,) of every state: the row of its nearest particle, how far that is in units of the
        latents, and the particles to which this state is nearer than any other of the path.
    embedding_id
        The picture that ``way_xy`` refers to.
    run_id, epoch
        Whose latents the states were found in.
    made_by
        How it was made, as plain JSON: ``{"component": 1}`` for a principal component.
    """

    name: str
    kind: PathKind
    way_z: NDArray[np.float64] = field(repr=False)
    way_rows: NDArray[np.int64] = field(repr=False)
    way_xy: NDArray[np.float64] = field(repr=False)
    frames_z: NDArray[np.float64] = field(repr=False)
    nearest: NDArray[np.int64] = field(repr=False)
    distance: NDArray[np.float64] = field(repr=False)
    count: NDArray[np.int64] = field(repr=False)
    embedding_id: str = ""
    run_id: str = ""
    epoch: int = 0
    made_by: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.frames_z)
