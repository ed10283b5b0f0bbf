"""Paths through latent space and the motion they describe."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoscope.analysis.reduce import finite_rows, principal_axes
from cryoscope.data import Embedding, InputError

# A frame averages this share of the particles, within these limits.
_SHARE, _FEWEST, _MOST = 0.02, 1, 200


def pc_path(
    z: NDArray[np.floating],
    *,
    component: int = 1,
    frames: int = 10,
    percentiles: tuple[float, float] = (5.0, 95.0),
    embedding: Embedding | None = None,
) -> NDArray[np.float64]:
    """States at equal steps along one principal component, through the data.

    Along the component the states lie exactly at equal steps; in all other directions each lies at
    the mean of the particles nearest to it along the component, so that the path follows a curved
    cloud instead of leaving it.

    Parameters
    ----------
    z
        (N, d) latents; rows that are not finite are left out.
    component
        1-based principal component.
    frames
        Number of states, at least 2.
    percentiles
        Percentiles of the component at which the path starts and ends.
    embedding
        Linear picture whose axes (order and sign) give the components 1 and 2, so that the path
        runs as the user sees it.

    Returns
    -------
    (frames, d) latents.

    Raises
    ------
    InputError
        If there are no latents, or no such component.
    """
    if frames < 2:
        raise InputError(f"a trajectory needs at least 2 frames, not {frames}")
    rows = np.asarray(z[finite_rows(z)], dtype=np.float64)
    if len(rows) < 2:
        raise InputError(
            "a trajectory needs at least two particles with latents",
            cure="Wait for the first latents of the run",
        )
    if not 1 <= component <= z.shape[1]:
        raise InputError(
            f"there is no principal component {component}", cure=f"Choose 1 to {z.shape[1]}"
        )
    axis = _axis(rows, component, embedding)
    score = rows @ axis
    order = np.argsort(score, kind="stable")
    rows, score = rows[order], score[order]
    start, stop = np.percentile(score, percentiles)
    targets = np.linspace(float(start), float(stop), frames)
    count = int(np.clip(round(len(rows) * _SHARE), _FEWEST, min(_MOST, len(rows))))
    path = np.empty((frames, z.shape[1]))
    for frame, target in enumerate(targets):
        begin = _nearest_window(score, target, count)
        mean = rows[begin : begin + count].mean(axis=0)
        path[frame] = mean + (target - mean @ axis) * axis
    return path


def straight_path(stops: NDArray[np.floating], frames: int) -> NDArray[np.float64]:
    """(frames, d) states at equal distances along straight lines between (k, d) ``stops``."""
    points = np.asarray(stops, dtype=np.float64)
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    # Equal stops one after the other have no line between them.
    kept = np.concatenate([[True], np.diff(length) > 0])
    at = np.linspace(0.0, length[-1], frames)
    columns = [np.interp(at, length[kept], column) for column in points[kept].T]
    return np.stack(columns, axis=1)


def _axis(
    rows: NDArray[np.float64], component: int, embedding: Embedding | None
) -> NDArray[np.float64]:
    """Unit vector of the component, as the picture shows it where it does."""
    if embedding is not None and embedding.axes is not None and component <= 2:
        length = float(np.linalg.norm(embedding.axes[component - 1]))
        if length > 0:
            return np.asarray(embedding.axes[component - 1] / length)
    return principal_axes(rows).axes[component - 1]


def _nearest_window(sorted_score: NDArray[np.float64], target: float, count: int) -> int:
    """First of the ``count`` consecutive scores that are nearest to ``target``."""
    low = max(0, int(np.searchsorted(sorted_score, target)) - count)
    high = len(sorted_score) - count
    while low < high and sorted_score[low + count] - target < target - sorted_score[low]:
        low += 1
    return min(low, high)


def displacement_A(
    coords_A: NDArray[np.floating], reference_A: NDArray[np.floating]
) -> NDArray[np.float32]:
    """How far each atom has moved, in A: (n,) or (frames, n), without any superposition."""
    offset = np.asarray(coords_A, dtype=np.float32) - np.asarray(reference_A, dtype=np.float32)
    return np.asarray(np.linalg.norm(offset, axis=-1), dtype=np.float32)


def rms_motion_A(coords_A: NDArray[np.floating]) -> NDArray[np.float64]:
    """(n,) root-mean-square distance of each atom of (frames, n, 3) from its mean, in A."""
    frames = np.asarray(coords_A, dtype=np.float64)
    offset = frames - frames.mean(axis=0)
    return np.asarray(np.sqrt((offset**2).sum(axis=-1).mean(axis=0)))
