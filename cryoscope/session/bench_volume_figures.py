"""What is measured of a volume run, and of every predictor beside it, by the same code."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from cryoscope.analysis.floors import ORACLE, Oracle
from cryoscope.analysis.latent_truth import (
    adjusted_rand,
    explained_by_neighbours,
    same_partition,
)
from cryoscope.analysis.validate import order_along_path
from cryoscope.physics.fsc import fourier_shell_correlation, resolution_A
from cryoscope.session.bench_sets import SimulatedSet
from cryoscope.session.bench_volume_cases import VolumeCase
from cryoscope.session.bench_volume_data import Maps

LABELS: dict[str, tuple[str, str]] = {
    "resolution_A": ("per-image FSC = 0.5, mean", "A"),
    "fsc_mean": ("per-image FSC, mean to Nyquist", ""),
    "spearman": ("Spearman of z with the true coordinate", ""),
    "coordinate_r2": ("true coordinate known from the nearest z (R2)", ""),
    "ari": ("adjusted Rand index, k-means", ""),
    "images_per_s": ("training, same batch and threads", "images/s"),
}
#: Names of the floors.
SHUFFLED, MEAN_MAP, BACKPROJECTED = "latents shuffled", "mean of the true maps", "backprojection"
_THRESHOLD = 0.5


def map_figures(
    decoded: Iterable[Maps], truth: Iterable[Maps], pixel_size_A: float
) -> dict[str, float]:
    """Per-image FSC of maps with the true ones, no mask; means over the particles.

    Where it falls to 0.5 (Nyquist if it never does), and its mean over all shells to Nyquist,
    which still tells maps apart that never fall so far.
    """
    curves = [
        fourier_shell_correlation(torch.as_tensor(ours), torch.as_tensor(true))
        for ours, true in zip(decoded, truth, strict=True)
    ]
    found_A = [resolution_A(curve, pixel_size_A, _THRESHOLD) for curve in curves]
    return {
        "resolution_A": float(np.mean(found_A)),
        "fsc_mean": float(np.mean([float(curve[1:].mean()) for curve in curves])),
    }


def latent_figures(
    case: VolumeCase, z: NDArray[np.floating], made: SimulatedSet
) -> dict[str, float]:
    """What latents tell of the coordinates or of the states."""
    truth = made.truth
    if case.measure == "states":
        return {"ari": adjusted_rand(z, truth.state, len(truth.state_names))}
    if case.measure != "motion":
        return {}
    figures = {
        "coordinate_r2": explained_by_neighbours(z, truth.coordinate, truth.coordinate_is_closed)
    }
    if truth.coordinate.shape[1] == 1 and not truth.coordinate_is_closed[0]:
        figures["spearman"] = order_along_path(z, truth.frame_of_particle)
    return figures


def latent_floors(
    case: VolumeCase, z: NDArray[np.floating], made: SimulatedSet
) -> dict[str, dict[str, float]]:
    """The same of latents that were given to other particles."""
    shuffled = np.random.default_rng(0).permutation(z)
    return {name: {SHUFFLED: v} for name, v in latent_figures(case, shuffled, made).items()}


def oracle_floors(
    case: VolumeCase, oracle: Oracle, made: SimulatedSet
) -> dict[str, dict[str, float]]:
    """The same of the oracle, on the particles that it looked at: what the noise permits."""
    truth, rows = made.truth, oracle.rows
    if case.measure == "states":
        shares = [
            oracle.posterior[:, truth.state_of_frame == state].sum(1)
            for state in range(len(truth.state_names))
        ]
        found = np.argmax(shares, axis=0)
        return {"ari": {ORACLE: same_partition(found, truth.state[rows])}}
    if truth.coordinate.shape[1] > 1 or truth.coordinate_is_closed[0]:
        return {}
    expected = oracle.posterior @ np.arange(oracle.posterior.shape[1])
    order = order_along_path(expected[:, None], truth.frame_of_particle[rows])
    return {"spearman": {ORACLE: order}}


def map_floors(
    homogeneous: dict[str, Maps], truth: list[Maps], pixel_size_A: float
) -> dict[str, dict[str, float]]:
    """Floors by figure: one map for all particles, and the truth itself (Nyquist)."""
    given = {name: [one] * len(truth) for name, one in homogeneous.items()} | {ORACLE: truth}
    floors: dict[str, dict[str, float]] = {}
    for name, maps in given.items():
        for figure, value in map_figures(maps, truth, pixel_size_A).items():
            floors.setdefault(figure, {})[name] = value
    return floors
