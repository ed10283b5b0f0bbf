"""From a map to the surface at one level."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryoscope.conventions import xyz_from_zyx
from cryoscope.data import Mesh, Volume


def mean_and_spread(volume: Volume) -> tuple[float, float]:
    """Mean and standard deviation of a map; 0 and 0 where it holds no number."""
    values = volume.values[np.isfinite(volume.values)]
    if values.size == 0:
        return 0.0, 0.0
    return float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))


def sigma_level(volume: Volume, sigma: float) -> float:
    """The map value ``sigma`` standard deviations above the mean of the map."""
    mean, spread = mean_and_spread(volume)
    return mean + sigma * spread


def enclosed_volume_A3(volume: Volume, level: float) -> float:
    """The volume in A^3 of the voxels at or above a map value."""
    return float(np.count_nonzero(volume.values >= level)) * volume.voxel_size_A**3


def volume_level(volume: Volume, volume_A3: float) -> float:
    """The map value above which a map has ``volume_A3``: the inverse of `enclosed_volume_A3`.

    A volume larger than the map gives its lowest value.
    """
    values = volume.values[np.isfinite(volume.values)]
    if values.size == 0:
        return 0.0
    voxels = round(volume_A3 / volume.voxel_size_A**3)
    place = min(max(voxels, 1), values.size)
    return float(np.partition(values, values.size - place)[values.size - place])


def isosurface(volume: Volume, level: float, *, step: int = 1) -> Mesh:
    """The surface where the map equals ``level``.

    Marching cubes (scikit-image, Lewiner's variant) on the part of the map that reaches the level.

    Parameters
    ----------
    volume
        Map; values that are not finite count as outside.
    level
        Map value.
    step
        Take every n-th sample: coarser and faster, for use while a slider moves.

    Returns
    -------
    Mesh in xyz A with triangles that face outwards; without triangles where the level lies outside
    the map's range. The surface is open where the density leaves the box.
    """
    from skimage.measure import marching_cubes

    values = volume.values
    box = _reaching_box(values, level, step)
    if box is None:
        return _empty()
    crop = np.ascontiguousarray(values[box], dtype=np.float32)
    if not np.isfinite(crop).all():
        crop = np.nan_to_num(crop, nan=float(np.nanmin(crop)), posinf=level, neginf=level - 1.0)
    if min(crop.shape) <= step or not crop.min() < level <= crop.max():
        return _empty()
    extract: Callable[..., Any] = marching_cubes
    try:
        found, faces, _, _ = extract(crop, level, step_size=step, allow_degenerate=False)
    except RuntimeError:
        # Coarse steps passed over the only peaks that reach the level.
        return _empty()
    zyx = found + np.array([part.start for part in box], dtype=np.float32)
    corner_A = np.asarray(volume.origin_A, dtype=np.float32)
    vertices_A = xyz_from_zyx(zyx) * np.float32(volume.voxel_size_A) + corner_A
    # Wound inwards in (z, y, x); reversing the axes mirrors space and turns them outwards.
    triangles = np.ascontiguousarray(faces, dtype=np.int32)
    return Mesh(np.ascontiguousarray(vertices_A, dtype=np.float32), triangles)


def _empty() -> Mesh:
    return Mesh(np.zeros((0, 3), dtype=np.float32), np.zeros((0, 3), dtype=np.int32))


def _reaching_box(
    values: NDArray[np.float32], level: float, step: int
) -> tuple[slice, slice, slice] | None:
    """The box of samples at or above the level, with one step around it; None if there is none."""
    mask = values >= level
    planes = np.any(mask, axis=0)
    lines = (np.any(mask, axis=(1, 2)), np.any(planes, axis=1), np.any(planes, axis=0))
    box = []
    for line, size in zip(lines, values.shape, strict=True):
        reached = np.flatnonzero(line)
        if len(reached) == 0:
            return None
        start = max(0, int(reached[0]) - step)
        # Starts on the step's own lattice, so that the coarse surface stays where it was.
        start -= start % step
        box.append(slice(start, min(size, int(reached[-1]) + 2 * step)))
    return box[0], box[1], box[2]
