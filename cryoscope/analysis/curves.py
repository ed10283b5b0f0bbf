"""Curves drawn by hand, in fewer points."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.measure import approximate_polygon

# skimage has types for some of its functions only.
_simplify: Any = approximate_polygon
# Of the curve's extent; doubled until few enough points are left.
_FINEST = 0.01


def simplified_curve(points_xy: NDArray[np.floating], most: int = 12) -> NDArray[np.float64]:
    """The corners of a curve that matter (Douglas and Peucker, Cartographica 10, 1973).

    Parameters
    ----------
    points_xy
        (k, 2) points along the curve, in any unit; rows that are not finite are left out.
    most
        Points that are left at most, the first and the last among them; at least 2.

    Returns
    -------
    (<= most, 2) points of the curve.
    """
    points = np.asarray(points_xy, dtype=np.float64).reshape(-1, 2)
    points = points[np.isfinite(points).all(axis=1)]
    if len(points) <= 2:
        return points
    tolerance = _FINEST * float(np.ptp(points, axis=0).max())
    while True:
        kept = np.asarray(_simplify(points, tolerance), dtype=np.float64)
        if len(kept) <= max(most, 2) or tolerance == 0.0:
            return kept
        tolerance *= 2.0
