from __future__ import annotations

import numpy as np
import pytest

from cryoscope.analysis.ridge import ridge_path, ridge_points
from cryoscope.analysis.stopping import Stopped
from cryoscope.data import InputError


def arc(count: int = 1500, noise: float = 0.12) -> np.ndarray:
    """A noisy half circle in three dimensions, in order."""
    rng = np.random.default_rng(0)
    angle = np.linspace(0, np.pi, count)
    on = np.stack([np.cos(angle), np.sin(angle), np.zeros(count)], axis=1)
    return np.asarray(on + rng.normal(scale=noise, size=on.shape))


def test_the_ridge_runs_through_the_middle_of_the_cloud() -> None:
    z = np.concatenate([arc(), np.full((3, 3), np.nan)])
    # Anchors at the rim of the cloud: the path leaves them for the middle.
    path = ridge_path(z, [100, 1400], frames=12)
    assert path.shape == (12, 3)
    radius = np.hypot(path[:, 0], path[:, 1])
    np.testing.assert_allclose(radius, 1, atol=0.08)
    np.testing.assert_allclose(path[:, 2], 0, atol=0.06)
    step = np.linalg.norm(np.diff(path, axis=0), axis=1)
    assert step.max() < 1.2 * step.min()


def test_the_way_goes_round_where_particles_are_few() -> None:
    rng = np.random.default_rng(1)
    few = rng.uniform((-1, -0.2), (1, 0.2), size=(60, 2))
    z = np.concatenate([arc(noise=0.05)[:, :2], few])
    path = ridge_path(z, [0, 1499], frames=15)
    assert path[:, 1].max() > 0.85


def test_points_do_not_move_along_the_ridge() -> None:
    rng = np.random.default_rng(0)
    rows = np.stack([rng.uniform(-5, 5, 4000), 0.3 * rng.normal(size=4000)], axis=1)
    moved = ridge_points(rows, np.array([[1.0, 0.4], [-2.0, -0.3]]), bandwidth=0.4)
    np.testing.assert_allclose(moved[:, 1], 0, atol=0.07)
    np.testing.assert_allclose(moved[:, 0], [1, -2], atol=0.12)


def test_one_dimension_and_equal_latents() -> None:
    z = np.linspace(0, 1, 50)[:, None]
    np.testing.assert_allclose(ridge_path(z, [0, 49], frames=3)[:, 0], [0, 0.5, 1], atol=0.02)
    assert ridge_path(np.zeros((9, 2)), [0, 8], frames=2).tolist() == [[0, 0], [0, 0]]


def test_refusals_and_stopping() -> None:
    with pytest.raises(InputError, match="no particle 5000"):
        ridge_path(arc(), [0, 5000])
    with pytest.raises(Stopped):
        ridge_path(arc(), [0, 9], should_stop=lambda: True)
