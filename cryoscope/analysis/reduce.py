"""From many latent dimensions to a picture with two, and back to a state."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from cryoscope.data import Embedding, InputError

MIN_UMAP_PARTICLES = 10
ONE_DIMENSION = "one latent dimension only"
# The first two components keep their old places while the smaller has this share of the larger:
# only then can noise exchange them. Beyond that PC1 lies along x, whatever early noise said.
ALIKE = 0.6
# Particles by which a picture is matched to the one before it.
_MATCHED = 20_000


@dataclass(frozen=True)
class PrincipalAxes:
    """Principal axes of a cloud of latents, by falling variance.

    Attributes
    ----------
    centre
        (d,) mean.
    axes
        (d, d) unit rows; the largest entry of each row is positive.
    fraction
        (d,) share of the variance along each axis; zeros where there is none.
    """

    centre: NDArray[np.float64]
    axes: NDArray[np.float64]
    fraction: NDArray[np.float64]


def finite_rows(*arrays: NDArray[Any]) -> NDArray[np.bool_]:
    """(N,) True where every number of every (N, k) array is finite."""
    mask = np.ones(len(arrays[0]), dtype=bool)
    for array in arrays:
        for column in array.T:
            mask &= np.isfinite(column)
    return mask


def principal_axes(z: NDArray[np.floating]) -> PrincipalAxes:
    """Principal axes of the finite rows of ``z`` (N, d).

    Raises
    ------
    ValueError
        If ``z`` is not a table with at least one column.
    """
    if z.ndim != 2 or z.shape[1] < 1:
        raise ValueError(f"z must be (N, d), not {z.shape}")
    mask = finite_rows(z)
    rows = np.asarray(z if mask.all() else z[mask], dtype=np.float64)
    dims = z.shape[1]
    if len(rows) == 0:
        return PrincipalAxes(np.zeros(dims), np.eye(dims), np.zeros(dims))
    centre = rows.mean(axis=0)
    offset = rows - centre
    variance, columns = np.linalg.eigh(offset.T @ offset / len(rows))
    order = np.argsort(variance)[::-1]
    variance, axes = np.clip(variance[order], 0.0, None), columns[:, order].T
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    total = variance.sum()
    fraction = variance / total if total > 0 else np.zeros(dims)
    return PrincipalAxes(centre, axes * np.where(largest < 0, -1.0, 1.0), fraction)


def pca_embedding(
    z: NDArray[np.floating],
    previous: Embedding | None = None,
    *,
    components: tuple[int, int] = (1, 2),
) -> Embedding:
    """Two principal components of the latents.

    A live picture must not jump when it is refreshed: the two axes take the signs, and where their
    variances are alike the order, in which the new coordinates correlate best with the old ones.

    Parameters
    ----------
    z
        (N, d); rows that are not finite stay NaN in the picture. With d = 1 the second coordinate
        is zero.
    previous
        The picture shown so far, of the same components; used when it is linear and of as many
        particles.
    components
        1-based components along x and y.

    Raises
    ------
    ValueError
        If ``z`` is not a table with at least one column.
    InputError
        If there are no such components.
    """
    found = principal_axes(z)
    dims = z.shape[1]
    chosen = _chosen("principal component", components, dims)
    axes = np.zeros((2, dims))
    axes[: len(chosen)] = found.axes[chosen]
    labels = [f"PC{i + 1} ({_percent(found.fraction[i])} of variance)" for i in chosen]
    if dims == 1:
        labels.append(ONE_DIMENSION)
    xy = project(z, found.centre, axes)
    if previous is not None and previous.axes is not None and previous.xy.shape == xy.shape:
        share = found.fraction[chosen]
        may_swap = dims > 1 and share.min() > ALIKE * share.max()
        order, sign = _match(previous.xy, xy, may_swap=may_swap)
        axes = axes[order] * sign[:, None]
        labels = [labels[i] for i in order]
        xy = np.ascontiguousarray(xy[:, order]) * sign.astype(np.float32)
    digest = hashlib.sha256(axes.tobytes() + found.centre.tobytes()).hexdigest()[:10]
    return Embedding(
        xy, (labels[0], labels[1]), found.centre, axes, f"{components_id(components)}{digest}"
    )


def components_id(components: tuple[int, int]) -> str:
    """How the ids of pictures of these two principal components begin."""
    return "pca-" if components == (1, 2) else f"pc{components[0]}-pc{components[1]}-"


def dimension_embedding(z: NDArray[np.floating], dimensions: tuple[int, int] = (1, 2)) -> Embedding:
    """Two latent dimensions as they are, by their 1-based numbers.

    Raises
    ------
    InputError
        If there are no such dimensions.
    """
    chosen = _chosen("latent dimension", dimensions, z.shape[1])
    axes = np.zeros((2, z.shape[1]))
    axes[np.arange(len(chosen)), chosen] = 1.0
    labels = [*(f"Latent dimension {i + 1}" for i in chosen), ONE_DIMENSION]
    centre = np.zeros(z.shape[1])
    name = f"dims-{dimensions[0]}-{dimensions[1]}"
    return Embedding(project(z, centre, axes), (labels[0], labels[1]), centre, axes, name)


def _chosen(what: str, numbers: tuple[int, int], dims: int) -> list[int]:
    """0-based axes of a picture; a single latent dimension has the first axis only."""
    if dims == 1 and numbers == (1, 2):
        return [0]
    for number in numbers:
        if not 1 <= number <= dims:
            raise InputError(f"there is no {what} {number}", cure=f"Choose 1 to {dims}")
    return [number - 1 for number in numbers]


def _percent(fraction: float) -> str:
    return "< 1 %" if 0 < fraction < 0.005 else f"{100 * fraction:.0f} %"


def project(
    z: NDArray[np.floating], centre: NDArray[np.float64], axes: NDArray[np.float64]
) -> NDArray[np.float32]:
    """(N, 2) float32 ``(z - centre) @ axes.T``; NaN where any latent is not finite."""
    mask = finite_rows(z)
    if mask.all():
        return np.asarray((z - centre.astype(z.dtype)) @ axes.T.astype(z.dtype), dtype=np.float32)
    xy = np.full((len(z), 2), np.nan, dtype=np.float32)
    xy[mask] = (z[mask] - centre) @ axes.T
    return xy


def _match(
    old_xy: NDArray[np.float32], new_xy: NDArray[np.float32], *, may_swap: bool
) -> tuple[list[int], NDArray[np.float64]]:
    """Order and signs of the new axes that correlate best with the old ones."""
    step = max(1, len(old_xy) // _MATCHED)
    old, new = old_xy[::step], new_xy[::step]
    mask = finite_rows(old, new)
    old, new = old[mask], new[mask]
    if len(old) < 3:
        return [0, 1], np.ones(2)
    old = np.asarray(old - old.mean(axis=0), dtype=np.float64)
    new = np.asarray(new - new.mean(axis=0), dtype=np.float64)
    norms = np.outer(np.linalg.norm(old, axis=0), np.linalg.norm(new, axis=0))
    correlation = old.T @ new / np.where(norms > 0, norms, np.inf)
    strength = np.abs(correlation)
    swap = may_swap and strength[0, 1] + strength[1, 0] > strength[0, 0] + strength[1, 1]
    order = [1, 0] if swap else [0, 1]
    matched = correlation[[0, 1], order]
    return order, np.where(matched < 0, -1.0, 1.0)


def umap_embedding(
    z: NDArray[np.floating],
    *,
    seed: int = 0,
    start_xy: NDArray[np.floating] | None = None,
) -> Embedding:
    """A UMAP picture of the latents (N, d); rows that are not finite stay NaN.

    Distances and sizes of groups in such a picture mean little; neighbours mean something.

    Parameters
    ----------
    start_xy
        (N, 2) UMAP picture of the same particles to start from, so that a refreshed picture looks
        like the one before; used where it has a place for every particle that has latents.

    Raises
    ------
    InputError
        If umap-learn is not installed, or there are too few particles.
    """
    try:
        from umap import UMAP
    except ImportError as error:
        raise InputError(
            "the UMAP picture needs the package umap-learn",
            cure="Install it with: pip install 'cryoscope[umap]'",
        ) from error
    mask = finite_rows(z)
    count = int(mask.sum())
    if count < MIN_UMAP_PARTICLES:
        raise InputError(
            f"a UMAP picture needs at least {MIN_UMAP_PARTICLES} particles with latents,"
            f" not {count}",
            cure="Use the principal components, or wait for the first latents",
        )
    options: dict[str, Any] = {}
    if start_xy is not None and len(start_xy) == len(z) and np.isfinite(start_xy[mask]).all():
        options["init"] = np.asarray(start_xy[mask], dtype=np.float32)
    model = UMAP(
        n_components=2, n_neighbors=min(15, count - 1), random_state=seed, n_jobs=1, **options
    )
    xy = np.full((len(z), 2), np.nan, dtype=np.float32)
    xy[mask] = model.fit_transform(np.asarray(z[mask], dtype=np.float32))
    digest = hashlib.sha256(xy.tobytes()).hexdigest()[:10]
    return Embedding(xy, ("UMAP 1", "UMAP 2"), None, None, f"umap-{digest}")


class NeighbourIndex:
    """Finds the particles nearest to a point of a picture; build once per embedding.

    Parameters
    ----------
    xy
        (N, 2); rows that are not finite are never found.
    """

    def __init__(self, xy: NDArray[np.floating]) -> None:
        self.rows = np.flatnonzero(finite_rows(xy))
        self._tree = cKDTree(np.asarray(xy[self.rows], dtype=np.float64), balanced_tree=False)

    def __len__(self) -> int:
        return len(self.rows)

    def nearest(self, point_xy: ArrayLike, neighbours: int) -> NDArray[np.int64]:
        """(<= neighbours,) particle indices, the nearest first."""
        count = min(neighbours, len(self.rows))
        if count < 1:
            return np.zeros(0, dtype=np.int64)
        _, found = self._tree.query(
            np.asarray(point_xy, dtype=np.float64), k=[*range(1, count + 1)]
        )
        return np.asarray(self.rows[found], dtype=np.int64)


def nearest_state(
    latents_z: NDArray[np.floating],
    xy: NDArray[np.floating],
    point_xy: ArrayLike,
    neighbours: int = 50,
    *,
    index: NeighbourIndex | None = None,
) -> tuple[NDArray[np.float64], int]:
    """The state that a point of the picture stands for.

    Parameters
    ----------
    latents_z
        (N, d).
    xy
        (N, 2) picture of the same particles.
    point_xy
        Where the user points, in the picture's coordinates.
    neighbours
        How many of the nearest particles are averaged.
    index
        Index of ``xy``; without one all distances are computed.

    Returns
    -------
    (d,) mean latent of the nearest particles, and the index of the nearest one.

    Raises
    ------
    InputError
        If no particle has a place in the picture yet.
    """
    if index is not None:
        near = index.nearest(point_xy, neighbours)
    else:
        offset = np.asarray(xy, dtype=np.float32) - np.asarray(point_xy, dtype=np.float32)
        distance = np.einsum("ij,ij->i", offset, offset)
        rows = np.flatnonzero(np.isfinite(distance))
        count = min(neighbours, len(rows))
        near = rows[np.argpartition(distance[rows], max(count - 1, 0))[:count]] if count else rows
        near = near[np.argsort(distance[near])]
    near = near[finite_rows(latents_z[near])]
    if len(near) == 0:
        raise InputError(
            "no particle has latents yet", cure="Wait for the first latents of the run"
        )
    return np.asarray(latents_z[near], dtype=np.float64).mean(axis=0), int(near[0])
