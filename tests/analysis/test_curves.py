from __future__ import annotations

import numpy as np

from cryoscope.analysis.curves import simplified_curve


def test_corners_are_kept_and_the_rest_is_left_out() -> None:
    legs = [np.linspace(a, b, 50) for a, b in (((0, 0), (4, 0)), ((4, 0), (4, 3)))]
    assert simplified_curve(np.concatenate(legs)).tolist() == [[0, 0], [4, 0], [4, 3]]


def test_a_wild_curve_has_at_most_so_many_points() -> None:
    wild = np.cumsum(np.random.default_rng(0).normal(size=(500, 2)), axis=0)
    kept = simplified_curve(wild, most=7)
    assert 2 <= len(kept) <= 7
    assert kept[0].tolist() == wild[0].tolist()
    assert kept[-1].tolist() == wild[-1].tolist()


def test_points_without_a_place_are_left_out() -> None:
    curve = np.array([[0, 0], [np.nan, 1], [2, 2]])
    assert simplified_curve(curve).tolist() == [[0, 0], [2, 2]]
    assert simplified_curve(np.zeros((5, 2))).shape[1] == 2
    assert len(simplified_curve(np.zeros((0, 2)))) == 0
