from __future__ import annotations

import numpy as np

from cryoscope.analysis.picking import point_at_ray

POINTS = np.array([[0, 0, 0], [0, 0, 10], [20, 0, 0], [np.nan, 0, 0]], dtype=float)


def test_the_nearer_of_two_on_the_line_is_found() -> None:
    assert point_at_ray(POINTS, (0, 0, -50), (0, 0, 2), within_A=3) == 0
    assert point_at_ray(POINTS, (0, 0, 50), (0, 0, -1), within_A=3) == 1


def test_one_that_is_hit_wins_over_one_that_is_grazed() -> None:
    assert point_at_ray(POINTS, (20, 2, -5), (0, 0, 1), within_A=3) == 2
    grazed = np.array([[2.9, 0, 0], [0, 0, 5]])
    assert point_at_ray(grazed, (0, 0, -9), (0, 0, 1), within_A=3) == 1


def test_nothing_is_found_beside_the_line_or_without_one() -> None:
    assert point_at_ray(POINTS, (10, 10, 0), (0, 0, 1), within_A=3) is None
    assert point_at_ray(POINTS, (0, 0, 0), (0, 0, 0), within_A=3) is None
    assert point_at_ray(np.zeros((0, 3)), (0, 0, 0), (0, 0, 1), within_A=3) is None
