"""Lists of pairs against brute force, and the stream of random pairs."""

from __future__ import annotations

import numpy as np
import pytest

from cryoscope.data import InputError
from cryoscope.models import pair_lists
from cryoscope.models.pair_lists import (
    all_pairs,
    bonded_pairs,
    chain_of_pairs,
    distances_A,
    drawn_pairs,
    elastic_pairs,
    in_beads,
    nearest_pairs,
    watched_pairs,
)

RNG = np.random.default_rng(4)
COORDS_A = RNG.normal(size=(40, 3)) * 7
BONDED = np.arange(39) != 19


def brute(low_A: float, high_A: float) -> set[tuple[int, int]]:
    distance = np.linalg.norm(COORDS_A[:, None] - COORDS_A[None], axis=-1)
    return {
        (i, j)
        for i in range(40)
        for j in range(i + 1, 40)
        if low_A <= distance[i, j] <= high_A and not (j == i + 1 and BONDED[i])
    }


def test_bonds_are_the_bonded_neighbours() -> None:
    assert bonded_pairs(np.array([True, False, True])).tolist() == [[0, 1], [2, 3]]


def test_elastic_and_watched_pairs_are_those_of_brute_force() -> None:
    elastic = elastic_pairs(COORDS_A, BONDED, 9.0)
    watched = watched_pairs(COORDS_A, BONDED)
    assert {(i, j) for i, j in elastic.tolist()} == brute(0, 9)
    assert {(i, j) for i, j in watched.tolist()} == brute(4, 10)
    assert len(elastic) == len(brute(0, 9))


def test_elastic_pairs_leave_bonded_neighbours_out_but_not_chain_ends() -> None:
    line = np.stack([np.arange(4) * 3.8, np.zeros(4), np.zeros(4)], axis=1)
    pairs = elastic_pairs(line, np.array([True, False, True]), 4.0)
    assert pairs.tolist() == [[1, 2]]


def test_one_bead_has_no_pairs() -> None:
    one = np.zeros((1, 3))
    bonded = np.zeros(0, dtype=bool)
    for pairs in (
        bonded_pairs(bonded),
        elastic_pairs(one, bonded, 12.0),
        all_pairs(1),
        nearest_pairs(one, 5),
    ):
        assert pairs.shape == (0, 2)


def test_all_pairs_are_refused_where_they_are_too_many() -> None:
    assert len(all_pairs(40)) == 780
    with pytest.raises(InputError, match="random or nearest"):
        all_pairs(2001)


def test_nearest_pairs_are_each_bead_with_its_nearest() -> None:
    distance = np.linalg.norm(COORDS_A[:, None] - COORDS_A[None], axis=-1)
    np.fill_diagonal(distance, np.inf)
    expected = {tuple(sorted((i, int(j)))) for i in range(40) for j in np.argsort(distance[i])[:3]}
    assert {(i, j) for i, j in nearest_pairs(COORDS_A, 3).tolist()} == expected
    assert len(nearest_pairs(COORDS_A, 1000)) == 780


def test_nearest_pairs_of_beads_in_one_place_are_of_different_beads() -> None:
    pairs = nearest_pairs(np.zeros((6, 3)), 2)
    assert (pairs[:, 0] != pairs[:, 1]).all()


def test_too_many_neighbours_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_lists, "MOST_PAIRS", 100)
    with pytest.raises(InputError, match="pair_count"):
        nearest_pairs(COORDS_A, 10)


def test_drawn_pairs_depend_on_the_draw_alone_and_are_uniform() -> None:
    pairs = drawn_pairs(5, 20_000, (7, 3))
    assert np.array_equal(pairs, drawn_pairs(5, 20_000, (7, 3)))
    assert not np.array_equal(pairs, drawn_pairs(5, 20_000, (7, 4)))
    assert (pairs[:, 0] != pairs[:, 1]).all()
    count = np.bincount(pairs[:, 0] * 5 + pairs[:, 1], minlength=25).reshape(5, 5)
    off = count[~np.eye(5, dtype=bool)]
    assert off.min() > 850
    assert off.max() < 1150


def test_pairs_become_beads_distances_and_chains() -> None:
    pairs = np.array([[0, 2], [1, 2]])
    assert in_beads(pairs, np.array([4, 7, 9])).tolist() == [[4, 9], [7, 9]]
    line = np.array([[0.0, 0, 0], [0, 3, 0], [0, 3, 4]])
    assert distances_A(line, pairs).tolist() == [5, 4]
    assert chain_of_pairs(np.array([0, 1, 1]), pairs).tolist() == [-1, 1]
