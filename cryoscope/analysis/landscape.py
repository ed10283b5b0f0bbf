"""From the maps of many states to a landscape: a mask, the maps' principal components, states.

After the volume landscape analysis of E. Zhong's thesis (chapter 6): states are told apart by how
their maps differ inside a mask, not by distances in the latent space of a network.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from cryoscope.analysis.stopping import ShouldStop, never, stop_if_asked
from cryoscope.data import InputError

Maps = NDArray[np.float32]

# A threshold is this share of a high percentile of the map.
_HIGH_PERCENTILE, _SHARE = 99.99, 0.5
# The masked voxels of all maps are held at once, up to this.
_MOST_BYTES = 16 * 1024**3
_BLOCK_VOXELS = 1 << 16


def map_threshold(values: Maps) -> float:
    """Half the 99.99th percentile of a map: what lies above is taken for the particle."""
    return _SHARE * float(np.percentile(values, _HIGH_PERCENTILE))


def union_mask(
    maps: Iterable[Maps], *, threshold: float | None = None, dilate_px: float = 5.0
) -> NDArray[np.bool_]:
    """Where any of the maps lies above its threshold, widened.

    Parameters
    ----------
    maps
        Maps of one shape, one after another.
    threshold
        One for all maps; None for :func:`map_threshold` of each.
    dilate_px
        By how much the mask is widened, in voxels of the maps.

    Raises
    ------
    InputError
        If no map has a voxel above its threshold.
    """
    union: NDArray[np.bool_] | None = None
    for values in maps:
        level = map_threshold(values) if threshold is None else threshold
        above = values > level
        union = above if union is None else union | above
    if union is None or not union.any():
        raise InputError(
            "the mask is empty: no map has a voxel above the threshold",
            cure="Lower the threshold, or give a mask (--mask)",
        )
    if dilate_px > 0:
        union = distance_transform_edt(~union) <= dilate_px
    return np.asarray(union)


def masked_rows(
    chunks: Iterable[Maps], count: int, mask: NDArray[np.bool_], should_stop: ShouldStop = never
) -> Maps:
    """(count, voxels) masked voxels of maps that come in chunks (S, n, n, n).

    Raises
    ------
    InputError
        If they take more than 16 GB, or the maps and the mask differ in size.
    """
    voxels = int(mask.sum())
    if 4 * count * voxels > _MOST_BYTES:
        raise InputError(
            f"{count:,} maps of {voxels:,} voxels in the mask take "
            f"{4e-9 * count * voxels:.0f} GB of memory",
            cure="Use a smaller --box-px, a tighter --mask or a smaller --sketch",
        )
    rows = np.empty((count, voxels), dtype=np.float32)
    done = 0
    for chunk in chunks:
        stop_if_asked(should_stop)
        if chunk.shape[1:] != mask.shape:
            raise ValueError(f"maps {chunk.shape[1:]} and a mask {mask.shape}")
        rows[done : done + len(chunk)] = chunk[:, mask]
        done += len(chunk)
    if done != count:
        raise ValueError(f"{done} maps where {count} were announced")
    return rows


@dataclass(frozen=True)
class MapComponents:
    """Principal components of maps inside a mask.

    Attributes
    ----------
    mean
        (voxels,) mean map.
    axes
        (C, voxels) unit rows, by falling variance.
    scores
        (k, C) every map along the axes.
    fraction
        (C,) share of the variance along each axis.
    offsets
        (k, r) every map in as many dimensions as the maps span: distances between its rows are
        the distances between the maps.
    """

    mean: NDArray[np.float32]
    axes: NDArray[np.float32]
    scores: NDArray[np.float64]
    fraction: NDArray[np.float64]
    offsets: NDArray[np.float64]

    def project(self, rows: Maps) -> NDArray[np.float64]:
        """(S, C) scores of the masked voxels (S, voxels) of other maps."""
        return np.asarray((rows - self.mean) @ self.axes.T, dtype=np.float64)


def map_components(rows: Maps, components: int) -> MapComponents:
    """Principal components of (k, voxels) maps, by the k x k matrix of their products.

    ``rows`` is centred in place. Fewer components are returned where the maps span no more.

    Raises
    ------
    InputError
        If there are fewer than two maps, or they are all the same.
    """
    if len(rows) < 2:
        raise InputError("a landscape needs at least two maps", cure="Raise --sketch")
    mean = rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    products = np.zeros((len(rows), len(rows)))
    for block in _blocks(rows.shape[1]):
        rows[:, block] -= mean[block]
        part = rows[:, block].astype(np.float64)
        products += part @ part.T
    variance, vectors = np.linalg.eigh(products)
    variance, vectors = variance[::-1], vectors[:, ::-1]
    # Below this, maps in float32 differ by rounding only.
    rounding = 4 * float(np.finfo(np.float32).eps) ** 2 * len(rows)
    power = float((mean.astype(np.float64) ** 2).sum())
    kept = variance > max(1e-10 * float(variance[0]), rounding * power)
    if not kept.any():
        raise InputError(
            "all maps of the sketch are the same: there is no landscape",
            cure="Train for longer, or use a run whose latents differ",
        )
    variance, vectors = variance[kept], vectors[:, kept]
    offsets = vectors * np.sqrt(variance)
    count = min(components, len(variance))
    axes = np.empty((count, rows.shape[1]), dtype=np.float32)
    for block in _blocks(rows.shape[1]):
        axes[:, block] = (vectors[:, :count] / np.sqrt(variance[:count])).T @ rows[:, block]
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    sign = np.where(largest[:, 0] < 0, -1.0, 1.0)
    offsets[:, :count] *= sign
    axes *= sign[:, None].astype(np.float32)
    fraction = variance / variance.sum()
    return MapComponents(mean, axes, offsets[:, :count].copy(), fraction[:count], offsets)


def _blocks(length: int) -> Iterator[slice]:
    return (slice(i, min(i + _BLOCK_VOXELS, length)) for i in range(0, length, _BLOCK_VOXELS))


def mean_and_spread(
    chunks: Iterable[Maps],
    state: NDArray[np.int64],
    weight: NDArray[np.integer],
    should_stop: ShouldStop = never,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weighted mean and standard deviation of the maps of every state.

    Parameters
    ----------
    chunks
        The k maps in order, in chunks (S, n, n, n).
    state
        (k,) from 0; each with a map.
    weight
        (k,) how many particles each map stands for.

    Returns
    -------
    Two arrays (states, n, n, n).
    """
    states = int(state.max()) + 1
    total = np.bincount(state, weights=weight, minlength=states)
    mean: NDArray[np.float64] | None = None
    square: NDArray[np.float64] | None = None
    filled = np.zeros(states)
    place = 0
    for chunk in chunks:
        stop_if_asked(should_stop)
        if mean is None or square is None:
            mean = np.zeros((states, *chunk.shape[1:]))
            square = np.zeros_like(mean)
        for values in chunk:
            # West's update: no difference of large squares (Commun. ACM 22, 1979).
            to, share = int(state[place]), float(weight[place])
            filled[to] += share
            offset = values - mean[to]
            mean[to] += offset * (share / filled[to])
            square[to] += share * offset * (values - mean[to])
            place += 1
    assert mean is not None
    assert square is not None
    spread = np.sqrt(np.maximum(square, 0) / total[:, None, None, None])
    return mean.astype(np.float32), spread.astype(np.float32)
