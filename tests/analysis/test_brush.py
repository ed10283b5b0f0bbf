from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoscope.analysis.brush import brush_mask, nearest_mask


def by_force(xy: np.ndarray, path: np.ndarray, radius: tuple[float, float]) -> np.ndarray:
    points, ends = xy.astype(float) / radius, path / np.asarray(radius)
    best = np.full(len(xy), np.inf)
    for a, b in zip(ends, [*ends[1:], ends[-1]], strict=True):
        along, length2 = b - a, float((b - a) @ (b - a))
        part = np.clip((points - a) @ along / length2, 0, 1) if length2 else np.zeros(len(xy))
        best = np.minimum(best, ((points - a - part[:, None] * along) ** 2).sum(axis=1))
    return best <= 1


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12), st.floats(0.01, 3), st.floats(0.01, 3))
def test_a_brush_holds_exactly_what_is_near_its_path(
    seed: int, places: int, rx: float, ry: float
) -> None:
    rng = np.random.default_rng(seed)
    xy = rng.normal(size=(500, 2)).astype(np.float32)
    path = rng.normal(size=(places, 2))
    assert np.array_equal(brush_mask(xy, path, (rx, ry)), by_force(xy, path, (rx, ry)))


def test_a_brush_leaves_out_what_has_no_place() -> None:
    xy = np.array([[0, 0], [np.nan, 0], [0.5, 0], [3, 0]], dtype=np.float32)
    assert brush_mask(xy, [[0, 0]], (1.0, 1.0)).tolist() == [True, False, True, False]
    assert not brush_mask(xy, [], (1.0, 1.0)).any()
    assert not brush_mask(xy, [[90, 90], [91, 90]], (1.0, 1.0)).any()


@pytest.mark.parametrize(
    ("path", "radius"), [([[0, np.nan]], (1, 1)), ([[0, 0]], (0, 1)), ([[0, 0, 0]], (1, 1))]
)
def test_a_brush_that_makes_no_sense_is_refused(path: object, radius: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="brush"):
        brush_mask(np.zeros((3, 2)), path, radius)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 400), st.floats(1e-3, 1e3))
def test_nearest_is_exact_in_single_precision(seed: int, count: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    rows = (scale * rng.normal(size=(400, 2)) + scale * rng.normal()).astype(np.float32)
    point = scale * rng.normal(size=2)
    distance = ((rows.astype(float) - point) ** 2).sum(axis=1)
    mask = nearest_mask(rows, point, count)
    assert mask.sum() == count
    assert np.array_equal(np.sort(distance[mask]), np.sort(distance)[:count])


def test_nearest_takes_exactly_so_many() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(300, 3))
    rows[5] = np.nan
    mask = nearest_mask(rows, (0.1, 0.2, 0.3), 40)
    distance = ((rows - [0.1, 0.2, 0.3]) ** 2).sum(axis=1)
    assert mask.sum() == 40
    assert distance[mask].max() < np.nanmin(distance[~mask])
    assert nearest_mask(np.zeros((9, 2)), (1, 1), 4).tolist() == [True] * 4 + [False] * 5
    assert nearest_mask(rows, (0, 0, 0), 10_000).sum() == 299
    assert not nearest_mask(rows, (0, 0, 0), 0).any()
