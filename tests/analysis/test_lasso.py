from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoscope.analysis.lasso import crossings, polygon_mask


def brute_force(xy: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    points, corners = np.asarray(xy, dtype=float), np.asarray(polygon, dtype=float)
    inside = np.zeros(len(xy), dtype=bool)
    for first, second in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        inside ^= crossings(points, first, second)
    return inside & np.isfinite(points).all(axis=1)


def star(corners: int, rng: np.random.Generator) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    radius = 1 + 0.4 * rng.normal(size=corners)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


@pytest.mark.parametrize("corners", [3, 4, 30, 300])
@pytest.mark.parametrize("count", [5, 1000, 200_000])
def test_agrees_with_the_exact_rule_at_every_point(corners: int, count: int) -> None:
    rng = np.random.default_rng(corners + count)
    xy = rng.normal(size=(count, 2)).astype(np.float32)
    polygon = star(corners, rng)
    assert (polygon_mask(xy, polygon) == brute_force(xy, polygon)).all()


def test_self_intersection_follows_the_even_odd_rule() -> None:
    angle = np.arange(5) * 4 * np.pi / 5
    pentagram = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    assert polygon_mask(np.array([[0.0, 0.0], [0.7, 0.0]]), pentagram).tolist() == [False, True]
    rng = np.random.default_rng(3)
    xy, tangle = rng.uniform(size=(20_000, 2)), rng.uniform(size=(60, 2))
    assert (polygon_mask(xy, tangle) == brute_force(xy, tangle)).all()


def test_points_on_edges_and_corners_follow_the_same_rule() -> None:
    grid = np.stack(np.meshgrid(np.arange(9.0), np.arange(9.0)), axis=-1).reshape(-1, 2)
    polygon = np.array([[1, 1], [7, 1], [7, 3], [4, 3], [4, 5], [7, 7], [1, 7]], dtype=float)
    assert (polygon_mask(grid, polygon) == brute_force(grid, polygon)).all()


def test_far_from_the_origin_in_single_precision() -> None:
    rng = np.random.default_rng(5)
    xy = (rng.normal(size=(50_000, 2)) + 1e5).astype(np.float32)
    polygon = star(40, rng) + 1e5
    assert (polygon_mask(xy, polygon) == brute_force(xy, polygon)).all()


def test_nan_is_outside() -> None:
    xy = np.array([[np.nan, 0], [0, np.nan], [0, 0], [np.inf, 0]])
    square = [[-1, -1], [1, -1], [1, 1], [-1, 1]]
    assert polygon_mask(xy, square).tolist() == [False, False, True, False]


@pytest.mark.parametrize("polygon", [[], [[0, 0]], [[0, 0], [1, 1]], [[0, 0], [1, 0], [2, 0]]])
def test_what_encloses_nothing_selects_nothing(polygon: list[list[float]]) -> None:
    assert not polygon_mask(np.zeros((4, 2)), polygon).any()


def test_no_points() -> None:
    assert polygon_mask(np.zeros((0, 2)), [[0, 0], [1, 0], [0, 1]]).shape == (0,)


@pytest.mark.parametrize("polygon", [[[0, 0], [1, np.nan], [1, 1]], [0, 1, 2], [[1, 2, 3]]])
def test_what_is_no_polygon_is_refused(polygon: object) -> None:
    with pytest.raises(ValueError, match="finite x, y corners"):
        polygon_mask(np.zeros((4, 2)), polygon)  # type: ignore[arg-type]


def test_a_closed_outline_is_the_same_as_an_open_one() -> None:
    rng = np.random.default_rng(6)
    xy, polygon = rng.normal(size=(5000, 2)), star(20, rng)
    closed = np.concatenate([polygon, polygon[:1]])
    assert (polygon_mask(xy, polygon) == polygon_mask(xy, closed)).all()


small = st.integers(-6, 6)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(small, small), min_size=3, max_size=12),
    st.lists(st.tuples(small, small), min_size=1, max_size=40),
)
def test_any_outline_on_a_lattice(
    polygon: list[tuple[int, int]], points: list[tuple[int, int]]
) -> None:
    xy = np.array(points, dtype=float) / 2
    corners = np.array(polygon, dtype=float) / 2
    if (np.ptp(corners, axis=0) > 0).all():
        assert (polygon_mask(xy, corners) == brute_force(xy, corners)).all()
