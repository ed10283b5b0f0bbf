"""A shaded picture of the surface of a map, without a graphics card."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

Colour = tuple[int, int, int]

# From over the viewer's left shoulder: along x, y (up) and towards the viewer.
_LIGHT = np.array([-0.45, 0.55, 0.70])
_AMBIENT, _GLOSS, _DEEP = 0.28, 0.18, 0.45
_MOST_PX = 160
#: Which axes of values[z, y, x] lie along the picture's depth, rows and columns.
_VIEWS = {"front": (0, 1, 2), "side": (2, 1, 0)}


def render_surface(
    values: NDArray[np.floating],
    level: float,
    *,
    side_px: int = 320,
    colour: Colour = (86, 156, 214),
    ground: Colour = (255, 255, 255),
    view: str = "front",
) -> NDArray[np.uint8]:
    """The surface of a map at a level, lit from above left, seen in parallel projection.

    Every pixel looks along its line for the first crossing of the level and is shaded by the
    slope of the map there; farther parts are darker.

    Parameters
    ----------
    values
        (n, n, n) map ``values[z, y, x]``; above 160 samples a side it is binned.
    level
        Map value of the surface.
    side_px
        Side of the picture.
    view
        ``"front"``: against the beam's direction, x to the right and y up. ``"side"``: along x,
        with z to the left and y up.

    Returns
    -------
    (side_px, side_px, 3) uint8.
    """
    axes = _VIEWS[view]
    box = np.transpose(_binned(np.asarray(values, dtype=np.float32)), axes)
    # Depth 0 is nearest to the viewer, row 0 uppermost.
    box = box[::-1, ::-1]
    if view == "side":
        box = box[:, :, ::-1]
    scale = side_px / box.shape[1]
    finer = _between(box.shape[1], side_px)
    fine: NDArray[np.float32] = np.matmul(finer @ box, finer.T)  # rows, then columns
    hit, depth = _first_crossing(fine, level)
    picture = np.empty((side_px, side_px, 3), dtype=np.uint8)
    picture[:] = ground
    if not hit.any():
        return picture
    row, column = np.nonzero(hit)
    where = np.stack([depth[hit], (row + 0.5) / scale - 0.5, (column + 0.5) / scale - 0.5])
    light = _light(box, where)
    nearness = 1.0 - depth[hit] / len(box)
    shade = light * (1 - _DEEP + _DEEP * np.clip(1.5 * nearness, 0, 1))
    gloss = 255 * _GLOSS * np.clip(light, 0, 1) ** 24
    rgb = np.asarray(colour, dtype=np.float64) * shade[:, None] + gloss[:, None]
    picture[hit] = np.clip(rgb, 0, 255).astype(np.uint8)
    return picture


def _binned(values: NDArray[np.float32]) -> NDArray[np.float32]:
    factor = -(-max(values.shape) // _MOST_PX)
    if factor == 1:
        return values
    sizes = [size - size % factor for size in values.shape]
    cut = values[: sizes[0], : sizes[1], : sizes[2]]
    shape = [part for size in sizes for part in (size // factor, factor)]
    return np.asarray(cut.reshape(shape).mean(axis=(1, 3, 5), dtype=np.float32))


def _between(count: int, wanted: int) -> NDArray[np.float32]:
    """(wanted, count) weights that read `count` samples linearly at `wanted` even places.

    As a product of matrices this is many times faster than `scipy.ndimage.zoom`, and it does
    not hold up the other threads.
    """
    at = np.clip((np.arange(wanted) + 0.5) * count / wanted - 0.5, 0, count - 1)
    low = np.minimum(at.astype(np.int64), max(count - 2, 0))
    weights = np.zeros((wanted, count), dtype=np.float32)
    rows = np.arange(wanted)
    weights[rows, low] = 1 - (at - low)
    weights[rows, np.minimum(low + 1, count - 1)] += at - low
    return weights


def _first_crossing(
    values: NDArray[np.float32], level: float
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Which lines along the first axis reach the level, and at what fractional sample."""
    above = values >= level
    hit: NDArray[np.bool_] = np.any(above, axis=0)
    first = above.argmax(axis=0)
    after = np.take_along_axis(values, first[None], axis=0)[0].astype(np.float64)
    before = np.take_along_axis(values, np.maximum(first - 1, 0)[None], axis=0)[0]
    rise = np.where(after > before, after - before, 1.0)
    part = np.where(first > 0, np.clip((after - level) / rise, 0, 1), 0.0)
    return hit, np.asarray(first - part, dtype=np.float64)


def _light(box: NDArray[np.float32], where: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ambient and diffuse light at points (3, p) of the surface; its normal is the map's slope."""
    slope = []
    for axis in range(3):
        step = np.zeros((3, 1))
        step[axis] = 1.0
        ahead = map_coordinates(box, where + step, order=1, mode="nearest")
        behind = map_coordinates(box, where - step, order=1, mode="nearest")
        slope.append(behind.astype(np.float64) - ahead)
    # Depth and rows count away from the viewer and downwards.
    normal = np.stack([slope[2], -slope[1], -slope[0]], axis=1)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    light = _LIGHT / np.linalg.norm(_LIGHT)
    return np.asarray(_AMBIENT + (1 - _AMBIENT) * np.clip(normal @ light, 0, 1))
