"""Whether latents follow what they should not: the viewing direction, the defocus.

Both shape an image more than most motions do. An axis of the latents that follows one of them says
more about how particles were seen than about what they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
FloatArray = NDArray[np.float64]

#: Particles that are looked at, drawn at random: more make no difference that matters.
MOST_PARTICLES = 20_000
#: Random orders that tell what chance gives, and the share of them that may give more.
PERMUTATIONS, CHANCE = 400, 0.01
#: Correlations below this are not worth a warning, however sure they are.
WEAK = 0.15
FEWEST = 30


@dataclass(frozen=True)
class Association:
    """How closely one axis of the latents follows one thing about the particles.

    Attributes
    ----------
    axis, covariate
        ``"PC1"`` and, for example, ``"viewing direction"``.
    strength
        0 to 1: the absolute Spearman correlation; for directions and angles, which have no order,
        the multiple correlation of the ranks with the functions named in `view_functions`.
    chance
        What is exceeded, by the strongest of all pairs that were looked at, in one of a hundred
        random orders of the particles.
    """

    axis: str
    covariate: str
    strength: float
    chance: float

    @property
    def follows(self) -> bool:
        """Whether it is more than chance, and enough to matter."""
        return self.strength > max(self.chance, WEAK)


def view_functions(direction: Array) -> FloatArray:
    """(N, 8) real spherical harmonics of degrees 1 and 2 of (N, 3) unit vectors, unnormalised.

    Any smooth dependence on the viewing direction shows in them; their scales do not matter.
    """
    x, y, z = np.asarray(direction, dtype=np.float64).T
    return np.stack([x, y, z, x * y, y * z, z * x, x**2 - y**2, 3 * z**2 - 1], axis=1)


def angle_functions(angle_rad: Array) -> FloatArray:
    """(N, 4) cosine and sine of (N,) angles and of twice the angles."""
    angle = np.asarray(angle_rad, dtype=np.float64)
    return np.stack([np.cos(angle), np.sin(angle), np.cos(2 * angle), np.sin(2 * angle)], axis=1)


def associations(
    scores: Mapping[str, Array], covariates: Mapping[str, Array], *, seed: int = 0
) -> tuple[Association, ...]:
    """How closely every axis follows every covariate, strongest first.

    Parameters
    ----------
    scores
        (N,) values of each axis.
    covariates
        (N,) values of each, of which the ranks are taken; or (N, k) functions of a direction or an
        angle, used as they are (`view_functions`, `angle_functions`). Those that do not vary are
        left out.
    seed
        Of the particles that are drawn and of the random orders.

    Returns
    -------
    Nothing for fewer than 30 particles with finite values.
    """
    rows = _usable_rows(scores, covariates, seed)
    if len(rows) < FEWEST:
        return ()
    bases = {name: _basis(np.asarray(values)[rows]) for name, values in covariates.items()}
    bases = {name: basis for name, basis in bases.items() if basis.shape[1]}
    ranks = {name: _unit_ranks(np.asarray(values)[rows]) for name, values in scores.items()}
    if not bases or not ranks:
        return ()
    stacked = np.stack(list(ranks.values()), axis=1)
    chance = _chance(stacked, list(bases.values()), np.random.default_rng([seed, 1]))
    found = [
        Association(axis, name, _strength(basis.T @ rank), chance)
        for axis, rank in ranks.items()
        for name, basis in bases.items()
    ]
    return tuple(sorted(found, key=lambda one: -one.strength))


def _usable_rows(
    scores: Mapping[str, Array], covariates: Mapping[str, Array], seed: int
) -> NDArray[np.int64]:
    """Rows where everything is finite, at most `MOST_PARTICLES` of them."""
    columns = [np.asarray(values) for values in (*scores.values(), *covariates.values())]
    if not columns:
        return np.zeros(0, dtype=np.int64)
    finite = np.ones(len(columns[0]), dtype=np.bool_)
    for values in columns:
        finite &= np.isfinite(values.reshape(len(values), -1)).all(axis=1)
    rows = np.flatnonzero(finite)
    if len(rows) > MOST_PARTICLES:
        drawn = np.random.default_rng([seed, 0]).choice(rows, MOST_PARTICLES, replace=False)
        rows = np.sort(drawn)
    return rows


def _unit_ranks(values: Array) -> FloatArray:
    """Ranks about their mean, of length 1; zeros where nothing varies."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - 0.5 * (counts - 1))[place]  # ties share their mean rank
    ranks = ranks - ranks.mean()
    length = float(np.linalg.norm(ranks))
    return ranks / length if length > 0 else ranks


def _basis(values: Array) -> FloatArray:
    """(N, r) orthonormal columns that span a covariate, without its mean."""
    if values.ndim == 1:
        unit = _unit_ranks(values)[:, None]
        return unit if np.any(unit) else np.zeros((len(values), 0))
    centred = np.asarray(values, dtype=np.float64)
    centred = centred - centred.mean(axis=0)
    left, spread, _ = np.linalg.svd(centred, full_matrices=False)
    return np.asarray(left[:, spread > 1e-6 * max(float(spread.max(initial=0)), 1e-6)])


def _strength(projection: FloatArray) -> float:
    return float(np.linalg.norm(projection))


def _chance(ranks: FloatArray, bases: list[FloatArray], generator: np.random.Generator) -> float:
    """What the strongest pair exceeds in a share `CHANCE` of random orders."""
    strongest = np.zeros(PERMUTATIONS)
    for number in range(PERMUTATIONS):
        order = ranks[generator.permutation(len(ranks))]
        strongest[number] = max(
            float(np.linalg.norm(basis.T @ order, axis=0).max()) for basis in bases
        )
    return float(np.quantile(strongest, 1 - CHANCE))
