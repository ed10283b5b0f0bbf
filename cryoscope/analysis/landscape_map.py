"""From latents to a place in the landscape, for particles whose map was never computed."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from cryoscope.analysis.raster import Bounds, data_bounds
from cryoscope.analysis.reduce import finite_rows
from cryoscope.analysis.stopping import ShouldStop, never, stop_if_asked
from cryoscope.data import InputError

NETWORK, NEAREST = "network", "nearest map"
_HIDDEN, _PASSES, _HELD_OUT = (256, 256), 2000, 0.2
_FEWEST = 10
# The nearest map is preferred where it explains so much more.
_CLEARLY = 0.05
# The picture of the density has so many cells on a side, smoothed over so many.
_CELLS, _SMOOTHED_CELLS = 128, 1.5

Rows = NDArray[np.float64]


@dataclass(frozen=True)
class LandscapeMap:
    """Where the particles lie in the landscape, and how far to trust it.

    Attributes
    ----------
    scores
        (N, C) along the volume components; NaN where a particle has no latent.
    r2
        Share of the held-out variance explained, by predictor: the network, and the map that lies
        nearest in latent space.
    used
        The predictor that made ``scores``: the network, unless the nearest map explains clearly
        more of the held-out variance. The nearest map alone would gather particles in dots.
    r2_components
        (C,) of the predictor used, for each component.
    fitted, held_out
        How many maps it was fitted on, and tested on.
    """

    scores: NDArray[np.float32]
    r2: dict[str, float]
    used: str
    r2_components: tuple[float, ...]
    fitted: int
    held_out: int


def map_particles(
    z: NDArray[np.floating],
    known_z: NDArray[np.floating],
    known_scores: NDArray[np.floating],
    *,
    seed: int = 0,
    should_stop: ShouldStop = never,
) -> LandscapeMap:
    """Learn volume components from latents where both are known, and apply that to all particles.

    A multilayer perceptron (two layers of 256; scikit-learn's, stopped early by some of the maps
    it may see) is fitted on four fifths of the known pairs and tested on the last fifth.

    Parameters
    ----------
    z
        (N, d) latents of all particles.
    known_z, known_scores
        (M, d) and (M, C) of the states whose maps were decoded.

    Raises
    ------
    InputError
        If fewer than ten maps are known.
    """
    if len(known_z) < _FEWEST:
        raise InputError(
            f"{len(known_z)} maps are too few to learn the landscape from",
            cure=f"Raise --sketch or --samples to {_FEWEST} or more",
        )
    places: Rows = np.asarray(known_z, dtype=np.float64)
    known: Rows = np.asarray(known_scores, dtype=np.float64)
    order = np.random.default_rng(seed).permutation(len(places))
    tested = max(2, round(_HELD_OUT * len(order)))
    test, fit = order[:tested], order[tested:]
    stop_if_asked(should_stop)
    network = _Network(places[fit], known[fit], seed)
    stop_if_asked(should_stop)
    nearest = _Nearest(places[fit], known[fit])
    models: dict[str, Callable[[Rows], Rows]] = {NETWORK: network, NEAREST: nearest}
    error = {name: known[test] - model(places[test]) for name, model in models.items()}
    around = known[test] - known[fit].mean(axis=0)
    r2 = {name: _explained(wrong, around) for name, wrong in error.items()}
    used = NETWORK if r2[NETWORK] >= r2[NEAREST] - _CLEARLY else NEAREST
    rows = finite_rows(z)
    scores = np.full((len(z), known.shape[1]), np.nan, dtype=np.float32)
    scores[rows] = models[used](np.asarray(z[rows], dtype=np.float64))
    each = tuple(_explained(error[used][:, i], around[:, i]) for i in range(known.shape[1]))
    return LandscapeMap(scores, r2, used, each, len(fit), len(test))


def _explained(wrong: Rows, around: Rows) -> float:
    """1 minus the share of the variance that is left."""
    total = float((around**2).sum())
    return 1.0 - float((wrong**2).sum()) / total if total > 0 else float("nan")


class _Network:
    def __init__(self, z: Rows, scores: Rows, seed: int) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPRegressor

        self._z_mean, self._z_scale = z.mean(axis=0), _spread(z)
        # One scale for all components: what explains more of the maps counts for more.
        self._mean, self._scale = scores.mean(axis=0), float(np.sqrt(scores.var(axis=0).max()))
        self._scale = self._scale or 1.0
        self._model = MLPRegressor(
            hidden_layer_sizes=_HIDDEN,
            learning_rate_init=2e-3,
            max_iter=_PASSES,
            early_stopping=len(z) >= 50,
            n_iter_no_change=40,
            random_state=seed,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            target = (scores - self._mean) / self._scale
            target = target[:, 0] if target.shape[1] == 1 else target
            self._model.fit((z - self._z_mean) / self._z_scale, target)
        self._shape = scores.shape[1]

    def __call__(self, z: Rows) -> Rows:
        if len(z) == 0:
            return np.zeros((0, self._shape))
        found = self._model.predict((z - self._z_mean) / self._z_scale)
        return np.asarray(found.reshape(len(z), self._shape) * self._scale + self._mean)


class _Nearest:
    def __init__(self, z: Rows, scores: Rows) -> None:
        self._tree, self._scores = cKDTree(z), scores

    def __call__(self, z: Rows) -> Rows:
        return np.asarray(self._scores[self._tree.query(z)[1]])


def _spread(z: Rows) -> Rows:
    spread = z.std(axis=0)
    return np.where(spread > 0, spread, 1.0)


@dataclass(frozen=True)
class DensityGrid:
    """Density of particles in a plane.

    Attributes
    ----------
    density
        (cells, cells), rows from the lowest y up; integrates to 1 over ``bounds``.
    bounds
        (xmin, xmax, ymin, ymax) of the grid's edges.
    """

    density: NDArray[np.float64]
    bounds: Bounds

    def free_energy(self) -> NDArray[np.float64]:
        """-log of the density, 0 at its highest, infinite where there is none.

        In units of kT only for particles in equilibrium that were all picked alike.
        """
        with np.errstate(divide="ignore"):
            return np.asarray(-np.log(self.density / self.density.max()))


def density_grid(xy: NDArray[np.floating], bounds: Bounds | None = None) -> DensityGrid:
    """Smoothed density of the finite points (N, 2) on a grid of 128 by 128 cells.

    Raises
    ------
    InputError
        If no point is finite.
    """
    rows = np.asarray(xy[finite_rows(xy)], dtype=np.float64)
    if len(rows) == 0:
        raise InputError("no particle has latents yet", cure="Wait for the first latents")
    bounds = bounds or data_bounds(rows)
    span = [[bounds[2], bounds[3]], [bounds[0], bounds[1]]]
    count, _, _ = np.histogram2d(rows[:, 1], rows[:, 0], bins=_CELLS, range=span)
    smooth = gaussian_filter(count, _SMOOTHED_CELLS, mode="constant", truncate=4)
    cell = (bounds[1] - bounds[0]) * (bounds[3] - bounds[2]) / _CELLS**2
    return DensityGrid(smooth / (max(smooth.sum(), np.finfo(float).tiny) * cell), bounds)
