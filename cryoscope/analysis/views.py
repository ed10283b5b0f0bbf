"""From where particles are seen: directions counted on the sphere, and what they cover."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

#: Bins of equal area that are drawn: around (azimuth), and from pole to pole (sine of elevation);
#: the finest in which a selection has, on average, so many views in each.
BINS, _VIEWS_PER_BIN = ((36, 18), (24, 12), (16, 8), (12, 6)), 8
#: Finer bins for the coverage, and the coarse ones in which two sets of particles are compared.
_FINE, _COARSE = (90, 45), (8, 4)
#: Directions of Fourier space at which the coverage is sampled, and half the width of its bands.
_PROBES, _BAND = 600, 0.1
_DRAWS, _CHANCE = 500, 0.01


@dataclass(frozen=True, eq=False)
class ViewMap:
    """The viewing directions of a selection beside those of all particles.

    Attributes
    ----------
    selected, everyone
        (elevation, azimuth) counts in bins of equal area: rows from pole to pole at equal steps of
        the sine of the elevation, from -1; columns at equal steps of azimuth, from -180 degrees.
    coverage, coverage_everyone
        How evenly the directions fill Fourier space: 1 for views from everywhere, 0.81 for all side
        views, towards 0 where a cone is missing; see `fourier_coverage`.
    distance, chance
        Share of the selection that would have to look elsewhere to look like all particles do, and
        what only one in a hundred random draws of that size exceeds.
    """

    selected: NDArray[np.int64]
    everyone: NDArray[np.int64]
    coverage: float
    coverage_everyone: float
    distance: float
    chance: float

    @property
    def differs(self) -> bool:
        """Whether the selection looks from elsewhere than a random draw would."""
        return self.distance > self.chance


def view_directions(rotation: NDArray[np.floating]) -> FloatArray:
    """(N, 3) unit vectors along which (N, 3, 3) poses see the map, in its own frame.

    The beam is +z of the image and ``x_image = R @ x_map`` (convention 3): the third row of R.
    """
    return np.asarray(np.asarray(rotation, dtype=np.float64)[:, 2, :])


def compare_views(
    rotation: NDArray[np.floating], mask: NDArray[np.bool_], *, seed: int = 0
) -> ViewMap:
    """Views of the particles in ``mask`` beside those of all (N, 3, 3) rotations."""
    direction = view_directions(rotation)
    inside = direction[mask]
    shape = next((s for s in BINS if _VIEWS_PER_BIN * s[0] * s[1] <= len(inside)), BINS[-1])
    coarse, coarse_all = direction_counts(inside, _COARSE), direction_counts(direction, _COARSE)
    distance, chance = _distance(coarse.ravel(), coarse_all.ravel(), seed)
    return ViewMap(
        direction_counts(inside, shape),
        direction_counts(direction, shape),
        fourier_coverage(inside),
        fourier_coverage(direction),
        distance,
        chance,
    )


def direction_counts(direction: FloatArray, shape: tuple[int, int]) -> NDArray[np.int64]:
    """(pole to pole, around) counts of (N, 3) directions in bins of equal area."""
    around, poles = shape
    azimuth = np.arctan2(direction[:, 1], direction[:, 0]) / (2 * np.pi) + 0.5
    height = (np.clip(direction[:, 2], -1, 1) + 1) / 2
    column = np.clip((azimuth * around).astype(np.int64), 0, around - 1)
    row = np.clip((height * poles).astype(np.int64), 0, poles - 1)
    return np.bincount(row * around + column, minlength=around * poles).reshape(poles, around)


def fourier_coverage(direction: FloatArray) -> float:
    """How evenly views from (N, 3) directions fill Fourier space, from 0 to 1.

    The sampling compensation factor of Baldwin and Lyumkis (Prog. Biophys. Mol. Biol. 150, 2020,
    160): a view fills the plane across its direction, so that a direction of Fourier space is
    sampled by the views near its equator; the factor is the harmonic mean of that sampling over the
    sphere, divided by its mean. Here with bands of 6 degrees about the equators; a band without a
    view counts as half of one.
    """
    if len(direction) == 0:
        return 0.0
    around, poles = _FINE
    counts = direction_counts(direction, _FINE)
    height = (np.arange(poles) + 0.5) / poles * 2 - 1
    angle = ((np.arange(around) + 0.5) / around - 0.5) * 2 * np.pi
    level = np.sqrt(1 - height**2)[:, None]
    centre = np.stack(
        [level * np.cos(angle), level * np.sin(angle), np.repeat(height[:, None], around, 1)], -1
    )
    used = counts > 0
    near = np.abs(even_directions(_PROBES) @ centre[used].T) < _BAND
    sampled = np.maximum(near @ counts[used].astype(np.float64), 0.5)
    return float(min(1.0, 1.0 / (np.mean(1.0 / sampled) * np.mean(sampled))))


def even_directions(number: int) -> FloatArray:
    """(number, 3) unit vectors that lie evenly on a sphere (a golden spiral)."""
    index = np.arange(number) + 0.5
    height, turn = 1 - 2 * index / number, np.pi * (1 + np.sqrt(5)) * index
    radius = np.sqrt(1 - height**2)
    return np.stack([radius * np.cos(turn), radius * np.sin(turn), height], axis=1)


def _distance(
    selected: NDArray[np.int64], everyone: NDArray[np.int64], seed: int
) -> tuple[float, float]:
    """Total variation distance of two sets of counts, and what random draws hardly exceed."""
    size = int(selected.sum())
    if size == 0 or size == int(everyone.sum()):
        return 0.0, 0.0
    share = everyone / everyone.sum()
    generator = np.random.default_rng([seed, 5])
    draws = generator.multivariate_hypergeometric(everyone, size, _DRAWS, method="marginals")
    by_chance = 0.5 * np.abs(draws / size - share).sum(axis=1)
    distance = float(0.5 * np.abs(selected / size - share).sum())
    return distance, float(np.quantile(by_chance, 1 - _CHANCE))
