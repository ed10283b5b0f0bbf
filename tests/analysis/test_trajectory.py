from __future__ import annotations

import numpy as np
import pytest

from cryoscope.analysis.reduce import pca_embedding, principal_axes
from cryoscope.analysis.trajectory import displacement_A, pc_path, rms_motion_A, straight_path
from cryoscope.data import Embedding, InputError


@pytest.fixture
def arc() -> np.ndarray:
    rng = np.random.default_rng(0)
    t = rng.uniform(-1, 1, size=4000)
    z = np.stack([5 * t, 1.5 * t**2, 0.1 * rng.normal(size=4000)], axis=1)
    return z.astype(np.float32)


def test_the_path_takes_equal_steps_along_the_component(arc: np.ndarray) -> None:
    path = pc_path(arc, frames=9)
    axis = principal_axes(arc).axes[0]
    score = arc @ axis
    expected = np.linspace(*np.percentile(score, (5, 95)), 9)
    np.testing.assert_allclose(path @ axis, expected, atol=1e-4)


def test_the_path_stays_in_a_curved_cloud(arc: np.ndarray) -> None:
    path = pc_path(arc, frames=9)
    np.testing.assert_allclose(path[:, 1], 1.5 * (path[:, 0] / 5) ** 2, atol=0.15)


def test_the_path_runs_as_the_picture_shows_it(arc: np.ndarray) -> None:
    shown = pca_embedding(arc)
    assert shown.axes is not None
    turned = Embedding(-shown.xy, shown.axis_labels, shown.centre, -shown.axes, "turned")
    np.testing.assert_allclose(
        pc_path(arc, embedding=turned), pc_path(arc, embedding=shown)[::-1], atol=0.05
    )


def test_rows_without_latents_are_left_out(arc: np.ndarray) -> None:
    holes = np.concatenate([arc, np.full((50, 3), np.nan, dtype=np.float32)])
    np.testing.assert_allclose(pc_path(holes), pc_path(arc))


def test_two_particles_and_one_dimension() -> None:
    np.testing.assert_allclose(
        pc_path(np.array([[0.0], [1.0]]), frames=3, percentiles=(0, 100))[:, 0], [0, 0.5, 1]
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [({"component": 4}, "Choose 1 to 3"), ({"component": 0}, "no principal"), ({"frames": 1}, "2")],
)
def test_what_cannot_be_is_refused(arc: np.ndarray, options: dict[str, int], words: str) -> None:
    with pytest.raises(InputError, match=words):
        pc_path(arc, **options)  # type: ignore[arg-type]


def test_no_latents_yet() -> None:
    with pytest.raises(InputError, match="two particles with latents"):
        pc_path(np.full((5, 2), np.nan))


def test_displacement_and_motion() -> None:
    reference = np.zeros((2, 3))
    frames = np.array([[[1, 0, 0], [0, 3, 4]], [[-1, 0, 0], [0, 3, 4]]], dtype=float)
    np.testing.assert_allclose(displacement_A(frames, reference), [[1, 5], [1, 5]])
    np.testing.assert_allclose(rms_motion_A(frames), [1, 0])


def test_straight_path_takes_equal_steps_through_its_stops() -> None:
    stops = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 0.0], [2.0, 2.0]])
    path = straight_path(stops, 5)
    np.testing.assert_allclose(path, [[0, 0], [1, 0], [2, 0], [2, 1], [2, 2]])
    np.testing.assert_allclose(straight_path(stops[1:3], 3), [[2, 0]] * 3)
