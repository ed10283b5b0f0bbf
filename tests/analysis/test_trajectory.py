from __future__ import annotations

import numpy as np
import pytest

from cryoscope.analysis.reduce import pca_embedding, principal_axes
from cryoscope.analysis.trajectory import (
    displacement_A,
    drawn_path,
    frame_support,
    graph_particles,
    graph_path,
    pc_path,
    rms_motion_A,
    straight_path,
)
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


def ring(count: int = 600) -> np.ndarray:
    """Latents on three quarters of a circle: the straight way between its ends is empty."""
    angle = np.linspace(0, 1.5 * np.pi, count)
    z = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return np.asarray(z + np.random.default_rng(1).normal(scale=0.01, size=z.shape))


def test_the_graph_stays_in_the_cloud() -> None:
    z = ring()
    path = graph_path(z, [0, 599], frames=30)
    np.testing.assert_allclose(path[[0, -1]], z[[0, 599]])
    np.testing.assert_allclose(np.linalg.norm(path, axis=1), 1, atol=0.08)
    step = np.linalg.norm(np.diff(path, axis=0), axis=1)
    assert step.max() < 1.3 * step.mean()


def test_the_graph_passes_its_anchors_in_order() -> None:
    z = ring()
    way = graph_particles(z, [300, 0, 599]).tolist()
    assert (way[0], way[-1]) == (300, 599)
    assert 0 in way
    assert way.index(0) < way.index(599)


def test_separate_clouds_are_connected_by_more_neighbours() -> None:
    rng = np.random.default_rng(2)
    z = np.concatenate([rng.normal(size=(40, 3)), 50 + rng.normal(size=(40, 3))])
    assert graph_path(z, [0, 79], frames=4, neighbours=3).shape == (4, 3)


def test_an_average_of_neighbours_keeps_the_way_out_of_gaps() -> None:
    rng = np.random.default_rng(2)
    z = np.concatenate([rng.normal(size=(40, 3)), 50 + rng.normal(size=(40, 3))])
    with pytest.raises(InputError, match=r"Raise the average \(4\) or the neighbours \(60\)"):
        graph_path(z, [0, 79], neighbours=60, average_neighbours=4)
    ringed = ring()
    way = graph_particles(ringed, [0, 599], neighbours=300, average_neighbours=20)
    np.testing.assert_allclose(np.linalg.norm(ringed[way], axis=1), 1, atol=0.08)
    # Without pruning three hundred neighbours cut the corner.
    assert len(graph_particles(ringed, [0, 599], neighbours=300)) < len(way)


def test_data_support_of_a_path() -> None:
    z = np.array([[0.0, 0], [0.1, 0], [0.2, 0], [np.nan, 0], [9, 0]])
    found = frame_support(z, np.array([[0.1, 0.0], [4.0, 0.0], [9.0, 1.0]]))
    assert found.nearest.tolist() == [1, 2, 4]
    np.testing.assert_allclose(found.distance, [0, 3.8, 1])
    assert found.count.tolist() == [3, 0, 1]
    with pytest.raises(InputError, match="no particle has latents"):
        frame_support(np.full((3, 2), np.nan), np.zeros((2, 2)))


def test_large_sets_are_thinned_but_for_the_anchors() -> None:
    z = np.random.default_rng(0).uniform(size=(25_000, 2)).astype(np.float32)
    z[5] = np.nan
    path = graph_path(z, [3, 24_998], frames=5)
    np.testing.assert_allclose(path[[0, -1]], z[[3, 24_998]])
    np.testing.assert_array_equal(path, graph_path(z, [3, 24_998], frames=5))


def test_equal_latents_have_a_way_between_them() -> None:
    assert graph_path(np.zeros((5, 2)), [0, 4], frames=3).tolist() == [[0, 0]] * 3


@pytest.mark.parametrize(
    ("anchors", "words"),
    [([1], "two particles"), ([0, 600], "no particle 600"), ([-1, 3], "no particle -1"),
     ([0, 7], "particle 7 has no latent")],
)  # fmt: skip
def test_anchors_that_cannot_be(anchors: list[int], words: str) -> None:
    z = ring()
    z[7] = np.nan
    with pytest.raises(InputError, match=words):
        graph_path(z, anchors)


def test_a_drawn_curve_passes_the_particles_under_it(arc: np.ndarray) -> None:
    z = np.concatenate([arc, np.full((3, 3), np.nan, dtype=np.float32)])
    xy = z[:, :2]
    curve = np.array([[-4.0, 0.96], [0.0, 0.0], [4.0, 0.96]])
    path = drawn_path(curve, xy, z, frames=5, neighbours=20)
    np.testing.assert_allclose(path[[0, 2, 4], :2], curve, atol=0.25)
    with pytest.raises(InputError, match="two points"):
        drawn_path(curve[:1], xy, z)
    with pytest.raises(InputError, match="no particle has latents"):
        drawn_path(curve, np.full_like(xy, np.nan), np.full_like(z, np.nan))
