"""Where trajectories lie in the plot of the latents."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoscope.data.trajectory_path import TrajectoryPath
from cryoscope.session.path_making import Cloud
from cryoscope.session.state import Session


def path_xy(session: Session, path: TrajectoryPath) -> NDArray[np.float64]:
    """(F, 2) where the states of a path lie in the present plot; empty while there is none."""
    latents, embedding = session.snapshot("latents", "embedding")
    if latents is None or embedding is None:
        return np.zeros((0, 2))
    return Cloud(latents, embedding).xy(path.frames_z, path.nearest)


def way_points_xy(session: Session, path: TrajectoryPath) -> NDArray[np.float64]:
    """(W, 2) where the way-points of a path lie in the present plot; empty while there is none."""
    latents, embedding = session.snapshot("latents", "embedding")
    if latents is None or embedding is None:
        return np.zeros((0, 2))
    return Cloud(latents, embedding).way_xy(path)


def marks_xy(session: Session) -> NDArray[np.float64]:
    """(k, 2) where the marked particles lie in the present plot."""
    embedding, marks = session.snapshot("embedding", "path_marks")
    if embedding is None:
        return np.zeros((0, 2))
    rows = [row for row in marks if row < len(embedding.xy)]
    return np.asarray(embedding.xy[rows], dtype=np.float64).reshape(-1, 2)


def is_outdated(session: Session, path: TrajectoryPath) -> bool:
    """Whether a path was made in other latents than those of now."""
    latents = session.latents
    return latents is not None and (latents.run_id, latents.epoch) != (path.run_id, path.epoch)
