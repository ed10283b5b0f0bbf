"""Latents against true coordinates and states."""

from __future__ import annotations

import numpy as np
import pytest

from cryoscope.analysis.latent_truth import adjusted_rand, explained_by_neighbours


def test_the_rand_index_is_one_for_the_same_groups_and_zero_by_chance() -> None:
    rng = np.random.default_rng(0)
    state = rng.integers(0, 4, 400)
    z = 10 * np.eye(4)[state] + rng.normal(size=(400, 4))
    assert adjusted_rand(z, state, 4) == pytest.approx(1.0)
    assert abs(adjusted_rand(rng.permutation(z), state, 4)) < 0.05


def test_neighbours_tell_a_coordinate_whatever_the_shape_of_the_latents() -> None:
    rng = np.random.default_rng(1)
    t = rng.random((600, 1))
    bent = np.hstack([np.cos(3 * t), np.sin(3 * t)])
    open_path = np.array([False])
    assert explained_by_neighbours(bent, t, open_path) > 0.99
    assert abs(explained_by_neighbours(rng.permutation(bent), t, open_path)) < 0.2
    round_ = np.hstack([np.cos(2 * np.pi * t), np.sin(2 * np.pi * t)])
    assert explained_by_neighbours(round_, t, np.array([True])) > 0.99
    # particles either side of the seam are neighbours on a circle alone
    assert explained_by_neighbours(round_, t, open_path) < 0.99


def test_equal_latents_tell_nothing() -> None:
    t = np.linspace(0, 1, 50)[:, None]
    assert explained_by_neighbours(np.zeros((50, 3)), t, np.array([False])) < 0.1
