"""From a map to the surface at one level."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryoscope.conventions import xyz_from_zyx
from cryoscope.data import Mesh, Volume

#: A molecule that takes less or more of its box is not what is in it.
LEAST_SHARE, MOST_SHARE = 1e-4, 0.5
#: Percentiles are taken from so many voxels at most.
MOST_SAMPLES, _HIGH_PERCENTILE = 4_000_000, 99.99
#: Cells of a slab that is made in one go.
SLAB_CELLS = 1 << 19
_known: dict[int, tuple[weakref.ref[Any], float, float]] = {}


def mean_and_spread(volume: Volume) -> tuple[float, float]:
    """Mean and standard deviation of a map; 0 and 0 where it holds no number.

    They are remembered as long as its samples are there, which nobody changes.
    """
    values = volume.values
    known = _known.get(id(values))
    if known is None or known[0]() is not values:
        _known[id(values)] = known = (_forgetting(values), *_mean_and_spread(volume))
    return known[1], known[2]


def _forgetting(values: NDArray[np.float32]) -> weakref.ref[Any]:
    number = id(values)
    return weakref.ref(values, lambda _gone: _known.pop(number, None))


def _mean_and_spread(volume: Volume) -> tuple[float, float]:
    finite = np.isfinite(volume.values)
    values = volume.values if finite.all() else volume.values[finite]
    if values.size == 0:
        return 0.0, 0.0
    mean = float(values.mean(dtype=np.float64))
    squares = float(np.square(values, dtype=np.float64).mean())
    return mean, max(squares - mean * mean, 0.0) ** 0.5


def sigma_level(volume: Volume, sigma: float) -> float:
    """The map value ``sigma`` standard deviations above the mean of the map."""
    mean, spread = mean_and_spread(volume)
    return mean + sigma * spread


def default_level(volume: Volume, molecule_A3: float = 0.0) -> float:
    """The map value that shows a molecule well before anybody has chosen one.

    Where the volume of the molecule is known and it takes a sensible part of the box, the value
    above which the map has that volume; else half the 99.99th percentile, which lies half-way up
    the strongest density. Never below one standard deviation above the mean, where noise begins.
    """
    mean, spread = mean_and_spread(volume)
    if spread == 0:
        return mean
    box_A3 = volume.values.size * volume.voxel_size_A**3
    if LEAST_SHARE * box_A3 < molecule_A3 < MOST_SHARE * box_A3:
        level = volume_level(volume, molecule_A3)
    else:
        step = 1 + volume.values.size // MOST_SAMPLES
        few = volume.values.reshape(-1)[::step]
        level = float(np.percentile(few[np.isfinite(few)], _HIGH_PERCENTILE)) / 2
    return max(level, mean + spread)


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
    surface = SurfaceInPieces(volume, level, step=step)
    for _ in surface.pieces():
        pass
    return surface.mesh()


class SurfaceInPieces:
    """A surface made slab by slab: between two of them others get their turn, and one may stop.

    Marching cubes holds Python's lock, for seconds in a large box; a slab of :data:`SLAB_CELLS`
    holds it for some milliseconds. The slabs are sewn together: the mesh is that of `isosurface`.
    """

    def __init__(self, volume: Volume, level: float, *, step: int = 1) -> None:
        self._volume, self._level, self._step = volume, level, step
        self._box = _reaching_box(volume.values, level, step)
        self._vertices: list[NDArray[np.float32]] = []
        self._faces: list[NDArray[np.int64]] = []
        self._count = 0
        self._seam: tuple[NDArray[np.uint64], NDArray[np.int64]] | None = None

    def pieces(self) -> Iterator[int]:
        """Make one slab after another; how many triangles there are so far."""
        if self._box is None:
            return
        level, step = self._level, self._step
        crop = np.ascontiguousarray(self._volume.values[self._box], dtype=np.float32)
        if not np.isfinite(crop).all():
            crop = np.nan_to_num(crop, nan=float(np.nanmin(crop)), posinf=level, neginf=level - 1.0)
        if min(crop.shape) <= step:
            return
        layer = (crop.shape[1] // step) * (crop.shape[2] // step)
        planes = max(1, round(SLAB_CELLS / max(layer, 1))) * step
        triangles = 0
        for start in range(0, crop.shape[0] - step, planes):
            triangles += self._add(crop[start : start + planes + 1], start, planes)
            yield triangles

    def mesh(self) -> Mesh:
        """The slabs so far as one mesh."""
        if self._box is None or not self._faces:
            return _empty()
        zyx = np.concatenate(self._vertices)
        zyx += np.array([part.start for part in self._box], dtype=np.float32)
        corner_A = np.asarray(self._volume.origin_A, dtype=np.float32)
        vertices_A = xyz_from_zyx(zyx) * np.float32(self._volume.voxel_size_A) + corner_A
        # Wound inwards in (z, y, x); reversing the axes mirrors space and turns them outwards.
        triangles = np.concatenate(self._faces).astype(np.int32)
        return Mesh(np.ascontiguousarray(vertices_A, dtype=np.float32), triangles)

    def _add(self, slab: NDArray[np.float32], start: int, planes: int) -> int:
        from skimage.measure import marching_cubes

        below, self._seam = self._seam, None
        if slab.shape[0] <= self._step or not slab.min() < self._level <= slab.max():
            return 0
        extract: Callable[..., Any] = marching_cubes
        try:
            found, faces, _, _ = extract(
                slab, self._level, step_size=self._step, allow_degenerate=False
            )
        except RuntimeError:
            # Coarse steps passed over the only peaks that reach the level.
            return 0
        number = np.arange(self._count, self._count + len(found))
        fresh = np.ones(len(found), dtype=np.bool_)
        if below is not None:
            # The plane that both slabs share has been drawn already: its vertices are the same.
            first = np.flatnonzero(found[:, 0] == 0)
            place = np.searchsorted(below[0], _keys(found[first])).clip(0, len(below[0]) - 1)
            same = below[0][place] == _keys(found[first])
            fresh[first[same]] = False
            number = self._count + np.cumsum(fresh) - 1
            number[first[same]] = below[1][place[same]]
        last = np.flatnonzero(found[:, 0] == planes)
        if len(last):
            order = np.argsort(_keys(found[last]))
            self._seam = _keys(found[last])[order], number[last][order]
        kept = found[fresh].astype(np.float32)
        kept[:, 0] += start
        self._vertices.append(kept)
        self._faces.append(number[faces])
        self._count += len(kept)
        return len(faces)


def _keys(zyx: NDArray[np.float32]) -> NDArray[np.uint64]:
    """A number for every place in a plane of one z."""
    yx = np.ascontiguousarray(zyx[:, 1:], dtype=np.float32)
    return yx.view(np.uint64).reshape(-1)


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
