from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import adjusted_rand_score

from cryoscope.analysis.cluster import agglomerate
from cryoscope.analysis.landscape import (
    map_components,
    map_threshold,
    masked_rows,
    mean_and_spread,
    union_mask,
)
from cryoscope.analysis.landscape_map import density_grid, map_particles
from cryoscope.analysis.stopping import Stopped
from cryoscope.data import InputError
from tests.analysis.toy_maps import BOX_PX, blob, moving_part, part_or_none, two_groups


def stack(maps: object) -> np.ndarray:
    return np.stack([one.values for one in maps])  # type: ignore[attr-defined]


def test_states_that_differ_by_a_part_are_told_apart() -> None:
    z, truth = two_groups(40)
    maps = stack(part_or_none(z))
    mask = union_mask(maps, dilate_px=1)
    found = map_components(masked_rows([maps], len(maps), mask), 5)
    for linkage in ("average", "ward", "complete"):
        assert adjusted_rand_score(truth, agglomerate(found.offsets, 2, linkage)) == 1.0
    assert found.fraction[0] > 0.9
    assert np.ptp(np.abs(found.scores[:, 0])) < 0.1 * np.abs(found.scores[:, 0]).max()


def test_the_first_component_of_a_motion_is_in_order() -> None:
    t = np.linspace(-1, 1, 60)
    maps = stack(moving_part(t[:, None]))
    mask = union_mask(maps)
    found = map_components(masked_rows([maps[:25], maps[25:]], 60, mask), 20)
    assert abs(spearmanr(t, found.scores[:, 0]).statistic) > 0.999


def test_components_are_those_of_the_singular_values() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(12, 300)).astype(np.float32) + 5
    centred = rows - rows.mean(axis=0)
    _, s, vt = np.linalg.svd(centred, full_matrices=False)
    found = map_components(rows.copy(), 4)
    np.testing.assert_allclose(found.fraction, (s**2 / (s**2).sum())[:4], rtol=1e-4)
    np.testing.assert_allclose(np.abs(found.axes @ vt[:4].T), np.eye(4), atol=1e-3)
    np.testing.assert_allclose(found.project(rows), found.scores, atol=1e-3)
    np.testing.assert_allclose(found.offsets.shape, (12, 11))
    pairs = np.linalg.norm(centred[:, None] - centred[None], axis=-1)
    kept = np.linalg.norm(found.offsets[:, None] - found.offsets[None], axis=-1)
    np.testing.assert_allclose(kept, pairs, atol=2e-3)
    assert (found.axes[np.arange(4), np.abs(found.axes).argmax(axis=1)] > 0).all()


def test_the_union_holds_whatever_any_map_holds() -> None:
    maps = np.stack([blob((0, 0, 3)), 10 * blob((0, 0, -3))])
    narrow, wide = union_mask(maps, dilate_px=0), union_mask(maps, dilate_px=2)
    assert narrow[8, 8, 11]
    assert narrow[8, 8, 5]
    assert not narrow[8, 8, 8]
    assert wide.sum() > narrow.sum()
    assert (wide | ~narrow).all()
    # One threshold for all misses the faint one.
    assert not union_mask(maps, threshold=4.0, dilate_px=0)[8, 8, 11]
    assert map_threshold(maps[1]) == pytest.approx(10 * map_threshold(maps[0]))


def test_empty_masks_and_equal_maps_are_refused() -> None:
    with pytest.raises(InputError, match="the mask is empty"):
        union_mask(np.zeros((3, 8, 8, 8), np.float32))
    with pytest.raises(InputError, match="mask is empty"):
        union_mask([blob((0, 0, 0))], threshold=5.0)
    rows = np.tile(blob((0, 0, 0)).ravel(), (5, 1))
    with pytest.raises(InputError, match="all maps of the sketch are the same"):
        map_components(rows, 3)
    with pytest.raises(InputError, match="two maps"):
        map_components(rows[:1], 3)


def test_memory_is_bounded() -> None:
    mask = np.ones((128, 128, 128), dtype=bool)
    with pytest.raises(InputError, match="GB of memory"):
        masked_rows([], 5000, mask)


def test_mean_and_spread_of_states_by_weight() -> None:
    rng = np.random.default_rng(0)
    maps = rng.normal(100, 1, size=(7, 4, 4, 4)).astype(np.float32)
    state, weight = np.array([0, 1, 0, 1, 0, 0, 1]), np.array([3, 1, 1, 2, 5, 1, 4])
    mean, spread = mean_and_spread([maps[:3], maps[3:]], state, weight)
    for s in (0, 1):
        some, w = maps[state == s], weight[state == s]
        expected = np.average(some, axis=0, weights=w)
        np.testing.assert_allclose(mean[s], expected, rtol=1e-6)
        variance = np.average((some - expected) ** 2, axis=0, weights=w)
        np.testing.assert_allclose(spread[s], np.sqrt(variance), rtol=1e-4)


def test_particles_find_their_place() -> None:
    rng = np.random.default_rng(0)
    z = rng.uniform(-2, 2, size=(3000, 3)).astype(np.float32)
    z[7] = np.nan
    truth = np.stack([np.sin(z[:, 0]) + z[:, 1], z[:, 1] * z[:, 2]], axis=1)
    found = map_particles(z, z[100:500], truth[100:500])
    assert found.used == "network"
    assert found.r2["network"] > 0.98
    assert found.r2["network"] > found.r2["nearest map"] > 0.5
    assert np.isnan(found.scores[7]).all()
    rest = np.arange(3000) > 500
    error = ((found.scores - truth)[rest] ** 2).sum() / truth[rest].var(axis=0).sum() / rest.sum()
    assert error < 0.03
    assert found.fitted + found.held_out == 400


def test_two_states_leave_nothing_to_learn_between_them() -> None:
    z, truth = two_groups(60)
    found = map_particles(z, z, np.where(truth[:, None] > 0, 5.0, -5.0))
    assert max(found.r2.values()) > 0.999
    assert adjusted_rand_score(truth, found.scores[:, 0] > 0) == 1.0


def test_too_few_maps_and_stopping() -> None:
    with pytest.raises(InputError, match="9 maps are too few"):
        map_particles(np.zeros((9, 2)), np.zeros((9, 2)), np.zeros((9, 2)))
    with pytest.raises(Stopped):
        map_particles(
            np.zeros((10, 2)), np.zeros((10, 2)), np.zeros((10, 2)), should_stop=lambda: True
        )


def test_density_is_a_density_and_its_logarithm_is_lowest_at_the_peak() -> None:
    rng = np.random.default_rng(0)
    xy = np.concatenate([rng.normal((-3, 1), 0.3, (900, 2)), rng.normal((3, -1), 0.3, (100, 2))])
    grid = density_grid(np.concatenate([xy, [[np.nan, 0]]]))
    xmin, xmax, ymin, ymax = grid.bounds
    cell = (xmax - xmin) * (ymax - ymin) / grid.density.size
    assert grid.density.sum() * cell == pytest.approx(1)
    energy = grid.free_energy()
    assert energy.min() == 0
    row, column = np.unravel_index(energy.argmin(), energy.shape)
    assert xmin + (column + 0.5) / 128 * (xmax - xmin) == pytest.approx(-3, abs=0.5)
    assert ymin + (row + 0.5) / 128 * (ymax - ymin) == pytest.approx(1, abs=0.5)
    # A tenth of the particles in the other well: log(9) higher.
    assert energy[:, 64:].min() == pytest.approx(np.log(9), abs=0.6)
    with pytest.raises(InputError, match="no particle"):
        density_grid(np.full((3, 2), np.nan))


def test_chunks_of_another_box_are_a_mistake() -> None:
    mask = np.ones((BOX_PX,) * 3, dtype=bool)
    with pytest.raises(ValueError, match="and a mask"):
        masked_rows([np.zeros((2, 8, 8, 8), np.float32)], 2, mask)
