from __future__ import annotations

import numpy as np
import pytest

from cryoscope.analysis.raster import (
    DOTS_BELOW,
    data_bounds,
    expand_bounds,
    lookup_table,
    scatter_rgba,
)

UNIT = (0.0, 1.0, 0.0, 1.0)


def test_row_zero_is_at_the_top() -> None:
    xy = np.array([[0.05, 0.95]], dtype=np.float32)
    picture = scatter_rgba(xy, UNIT, (100, 200), point_size_px=1)
    row, column = np.argwhere(picture[..., 3] == picture[..., 3].max())[0]
    assert (row, column) == (5, 10)


def test_nothing_in_view_is_transparent() -> None:
    xy = np.array([[5.0, 5.0], [np.nan, 0.5], [0.5, np.inf]], dtype=np.float32)
    picture = scatter_rgba(xy, UNIT, (20, 30))
    assert picture.shape == (20, 30, 4)
    assert picture.dtype == np.uint8
    assert not picture.any()


def test_no_points_at_all() -> None:
    assert not scatter_rgba(np.zeros((0, 2), dtype=np.float32), UNIT, (10, 10)).any()


def test_dots_at_one_edge_do_not_reappear_at_the_other() -> None:
    xy = np.array([[0.999, 0.5]], dtype=np.float32)
    picture = scatter_rgba(xy, UNIT, (40, 40), point_size_px=8)
    assert picture[:, 30:, 3].any()
    assert not picture[:, :20, 3].any()


def test_many_points_are_shaded_by_density() -> None:
    rng = np.random.default_rng(0)
    dense = rng.uniform(0.0, 0.5, size=(2 * DOTS_BELOW, 2))
    thin = rng.uniform(0.5, 1.0, size=(500, 2))
    xy = np.concatenate([dense, thin]).astype(np.float32)
    picture = scatter_rgba(xy, UNIT, (100, 100)).astype(float)
    lower, upper = picture[50:, :50], picture[:50, 50:]
    assert (lower[..., 3] > 0).mean() > 0.99
    # One pixel per particle, and nothing around it.
    assert (upper[..., 3] > 0).sum() <= 500
    assert lower[..., :3].sum(axis=-1).mean() > upper[upper[..., 3] > 0][:, :3].sum(axis=-1).mean()


def test_colour_is_the_mean_value_in_a_pixel() -> None:
    xy = np.array([[0.25, 0.5], [0.25, 0.5], [0.75, 0.5]], dtype=np.float32)
    values = np.array([0.0, 1.0, 1.0])
    table = lookup_table("ember")
    picture = scatter_rgba(
        xy, UNIT, (10, 20), values=values, value_range=(0, 1), lut="ember", point_size_px=1
    )
    assert picture[5, 5, :3].tolist() == table[127].tolist()
    assert picture[5, 15, :3].tolist() == table[255].tolist()


def test_values_without_spread_or_missing_are_drawn() -> None:
    xy = np.random.default_rng(0).uniform(size=(50, 2)).astype(np.float32)
    for values in (np.full(50, 3.0), np.full(50, np.nan)):
        assert scatter_rgba(xy, UNIT, (50, 50), values=values)[..., 3].any()


def test_unselected_points_turn_grey_only_when_some_are_selected() -> None:
    xy = np.array([[0.25, 0.5], [0.75, 0.5]], dtype=np.float32)
    plain = scatter_rgba(xy, UNIT, (40, 40))
    none = scatter_rgba(xy, UNIT, (40, 40), selected=np.zeros(2, dtype=bool))
    assert (plain == none).all()
    picture = scatter_rgba(xy, UNIT, (40, 40), selected=np.array([True, False]))
    assert (picture[20, 10] == plain[20, 10]).all()
    assert np.ptp(picture[20, 30, :3]) == 0
    assert picture[20, 30, 3] < plain[20, 30, 3]


def test_selection_and_values_match_points_when_some_are_out_of_view() -> None:
    xy = np.array([[9.0, 9.0], [0.25, 0.5], [0.75, 0.5]], dtype=np.float32)
    picture = scatter_rgba(xy, UNIT, (40, 40), selected=np.array([False, True, False]))
    assert np.ptp(picture[20, 10, :3]) > 0
    assert np.ptp(picture[20, 30, :3]) == 0


def test_bounds_must_rise() -> None:
    with pytest.raises(ValueError, match="must rise"):
        scatter_rgba(np.zeros((1, 2)), (1.0, 0.0, 0.0, 1.0), (5, 5))


@pytest.mark.parametrize("name", ["sea", "ember"])
def test_tables_get_evenly_lighter(name: str) -> None:
    table = lookup_table(name)
    assert table.shape == (256, 3)
    linear = (table / 255.0) ** 2.2
    lightness = np.cbrt(linear @ np.array([0.2126, 0.7152, 0.0722]))
    smooth = lightness[::8]
    assert (np.diff(smooth) > 0).all()
    assert lightness[0] > 0.3, "the darkest colour must show on a dark background"


def test_unknown_table() -> None:
    with pytest.raises(ValueError, match="no colour table"):
        lookup_table("jet")


def test_data_bounds_leave_out_what_is_not_finite() -> None:
    xy = np.array([[0, 10], [1, 20], [np.nan, 0], [np.inf, 5]], dtype=np.float32)
    xmin, xmax, ymin, ymax = data_bounds(xy[:3], 0.1)
    np.testing.assert_allclose((xmin, xmax), (-0.1, 1.1), atol=1e-6)
    assert ymin < 0 < 20 < ymax
    assert np.isfinite(data_bounds(xy)).all()


@pytest.mark.parametrize("xy", [np.zeros((0, 2)), np.full((3, 2), np.nan), np.ones((3, 2)) * 7])
def test_bounds_of_what_does_not_spread(xy: np.ndarray) -> None:
    xmin, xmax, ymin, ymax = data_bounds(xy)
    assert xmax > xmin
    assert ymax > ymin


def test_bounds_grow_only_when_needed() -> None:
    old = (0.0, 10.0, 0.0, 10.0)
    assert expand_bounds(old, (1, 9, 2, 8)) == old
    assert expand_bounds(old, (1, 20, 2, 8)) == (0.0, 20 + 1.9, 0.0, 10.0)


def test_angles_average_across_the_turn() -> None:
    xy = np.full((2, 2), 0.5, dtype=np.float32)
    table = np.arange(256, dtype=np.uint8)[:, None].repeat(3, axis=1)
    picture = scatter_rgba(
        xy, (0, 1, 0, 1), (1, 1), values=np.array([-170.0, 170.0]), value_range=(-180, 180),
        kind="cyclic", lut=table, point_size_px=1,
    )  # fmt: skip
    assert min(picture[0, 0, 0], 255 - picture[0, 0, 0]) <= 1, "180 degrees, not 0"


def test_the_commonest_category_colours_a_pixel_and_unknown_is_grey() -> None:
    xy = np.array([[0.25, 0.5]] * 3 + [[0.75, 0.5]], dtype=np.float32)
    table = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], dtype=np.uint8)
    picture = scatter_rgba(
        xy, (0, 1, 0, 1), (1, 2), values=np.array([0, 2, 2, np.nan]), kind="discrete", lut=table,
        point_size_px=1,
    )  # fmt: skip
    assert picture[0, 0, :3].tolist() == [0, 0, 255]
    assert len(set(picture[0, 1, :3].tolist())) == 1


def test_categories_of_many_points_are_those_of_few() -> None:
    rng = np.random.default_rng(0)
    xy, values = rng.uniform(size=(60_000, 2)).astype(np.float32), rng.integers(0, 3, 60_000)
    table = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], dtype=np.uint8)
    shaded = scatter_rgba(
        xy, (0, 1, 0, 1), (8, 9), values=values.astype(float), kind="discrete", lut=table
    )
    cell = (np.clip((8 * (1 - xy[:, 1])).astype(int), 0, 7), (9 * xy[:, 0]).astype(int))
    counts = np.stack(
        [np.histogram2d(*[c[values == k] for c in cell], (8, 9))[0] for k in range(3)]
    )
    assert (shaded[..., :3] == table[counts.argmax(axis=0)]).all(axis=2).mean() > 0.9
