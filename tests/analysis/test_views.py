"""Viewing directions: bins of equal area, coverage of Fourier space, and chance."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from cryoscope.analysis.views import (
    BINS,
    compare_views,
    direction_counts,
    fourier_coverage,
    view_directions,
)

RANDOM = Rotation.random(4000, random_state=0).as_matrix()


def _about_equator(count: int) -> np.ndarray:
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, count)
    return np.stack([np.cos(angle), np.sin(angle), np.zeros(count)], axis=1)


def test_the_direction_is_the_beam_in_the_frame_of_the_map() -> None:
    direction = view_directions(RANDOM)
    beam = np.einsum("nij,nj->ni", RANDOM, direction)
    np.testing.assert_allclose(beam, np.tile([0, 0, 1], (len(RANDOM), 1)), atol=1e-12)


def test_bins_have_equal_area() -> None:
    counts = direction_counts(view_directions(RANDOM), BINS[0])
    assert counts.shape == (18, 36)
    assert counts.sum() == len(RANDOM)
    by_row = counts.sum(axis=1)
    assert abs(by_row - by_row.mean()).max() < 5 * np.sqrt(by_row.mean())
    up = direction_counts(np.array([[0.0, 0.0, 1.0]]), (4, 2))
    assert up[1].sum() == 1


def test_coverage_knows_the_cases_that_have_a_formula() -> None:
    assert fourier_coverage(view_directions(RANDOM)) > 0.98
    # views about one axis: 8 / pi^2, a little less with bands instead of planes
    assert abs(fourier_coverage(_about_equator(20_000)) - 8 / np.pi**2) < 0.03
    assert fourier_coverage(np.tile([0.0, 0.0, 1.0], (500, 1))) < 0.02
    assert fourier_coverage(np.zeros((0, 3))) == 0


def test_a_random_half_does_not_differ_and_one_side_does() -> None:
    half = np.random.default_rng(1).random(len(RANDOM)) < 0.5
    assert not compare_views(RANDOM, half).differs
    upper = view_directions(RANDOM)[:, 2] > 0
    found = compare_views(RANDOM, upper)
    assert found.differs
    assert 0.4 < found.distance < 0.6
    assert found.selected.sum() == upper.sum()
    assert found.selected.shape == found.everyone.shape == (8, 16)  # 2,000 views
    assert found.coverage < found.coverage_everyone


def test_everything_does_not_differ_from_itself() -> None:
    found = compare_views(RANDOM, np.ones(len(RANDOM), dtype=bool))
    assert (found.distance, found.differs) == (0.0, False)
