"""Latent coordinates of particles and pictures of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Latents:
    """Latent means of N particles; rows not encoded yet are NaN.

    ``shift_A`` (N, 2) is the correction of each particle's given shift, where the model finds one.
    """

    z: NDArray[np.float32]
    log_var: NDArray[np.float32] | None
    uid: NDArray[np.str_]
    run_id: str
    epoch: int
    shift_A: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.z)


@dataclass(frozen=True)
class Embedding:
    """A 2-D picture of the latents.

    Attributes
    ----------
    xy
        (N, 2); NaN where a particle has no latent yet.
    axis_labels
        Names of the two axes with what they explain, e.g. ``"PC1 (62 %)"``.
    centre, axes
        For linear pictures: ``xy = (z - centre) @ axes.T``, ``axes`` (2, d); else None.
    embedding_id
        Names this picture in selections drawn on it.
    """

    xy: NDArray[np.float32]
    axis_labels: tuple[str, str]
    centre: NDArray[np.float64] | None
    axes: NDArray[np.float64] | None
    embedding_id: str
