"""What lies under the pointer in three dimensions."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def point_at_ray(
    points_A: NDArray[np.floating],
    origin_A: ArrayLike,
    direction: ArrayLike,
    *,
    within_A: float,
) -> int | None:
    """The first point along a line of sight.

    Parameters
    ----------
    points_A
        (n, 3) xyz positions; those that are not finite are never found.
    origin_A
        (3,) any point of the line.
    direction
        (3,) along which one looks, of any length.
    within_A
        How far a point may lie from the line.

    Returns
    -------
    Of the points within that distance the one that is reached first (one that is hit half as far
    off the line may lie up to twice ``within_A`` farther back), or None.
    """
    look = np.asarray(direction, dtype=np.float64)
    length = float(np.linalg.norm(look))
    offset = np.asarray(points_A, dtype=np.float64) - np.asarray(origin_A, dtype=np.float64)
    if not np.isfinite(length) or length == 0 or len(offset) == 0:
        return None
    look /= length
    depth = offset @ look
    aside = np.linalg.norm(offset - depth[:, None] * look, axis=1)
    near = np.flatnonzero(aside <= within_A)
    if len(near) == 0:
        return None
    return int(near[np.argmin(depth[near] + 4.0 * aside[near])])
