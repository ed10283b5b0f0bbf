"""Groups of particles that are seen from about the same direction."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryoscope.analysis.view_groups import (
    APART_DEG,
    FEWEST,
    GROUPS,
    group_views,
    in_plane_turn,
    upright,
)


def about_z(angle: float) -> np.ndarray:
    return Rotation.from_euler("z", angle).as_matrix()


@pytest.mark.parametrize("direction", [(1, 0, 0), (0.3, -0.5, 0.8), (0, 0, 1), (0, 0, -1)])
def test_an_upright_view(direction: tuple[float, float, float]) -> None:
    view = upright(np.array(direction))
    np.testing.assert_allclose(view @ view.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(view) == pytest.approx(1)
    np.testing.assert_allclose(view[2], np.array(direction) / np.linalg.norm(direction))
    up = view @ ([0, 0, 1] if direction[:2] != (0, 0) else [0, 1, 0])
    assert up[0] == pytest.approx(0)
    assert up[1] < 0  # upwards on the screen


def test_the_turn_of_an_image_in_its_plane() -> None:
    view = upright(np.array([0.2, 0.4, -0.6]))
    angles = np.array([-2.0, 0.0, 0.7, 3.0])
    turned = np.stack([about_z(angle) @ view for angle in angles])
    np.testing.assert_allclose(in_plane_turn(turned, view), angles, atol=1e-12)


def test_groups_hold_what_is_seen_from_there() -> None:
    rotation = Rotation.random(6000, random_state=2).as_matrix()
    groups = group_views(rotation)
    assert len(groups) == GROUPS
    sizes = [len(group) for group in groups]
    assert sizes == sorted(sizes, reverse=True)
    rows = np.concatenate([group.rows for group in groups])
    assert len(np.unique(rows)) == len(rows)
    for group in groups:
        seen = rotation[group.rows, 2]
        assert np.rad2deg(np.arccos((seen @ group.direction).min())) < 22
        aligned = np.stack([about_z(turn) @ group.rotation for turn in group.turn_rad])
        # what is left is the tilt within the group
        left = Rotation.from_matrix(aligned @ rotation[group.rows].transpose(0, 2, 1))
        assert np.rad2deg(left.magnitude().max()) < 35
        angle = np.deg2rad([group.azimuth_deg, group.elevation_deg])
        assert np.sin(angle[1]) == pytest.approx(group.direction[2])
        assert np.cos(angle[0]) * np.cos(angle[1]) == pytest.approx(group.direction[0])
    dots = np.stack([g.direction for g in groups]) @ np.stack([g.direction for g in groups]).T
    np.fill_diagonal(dots, -1)
    assert np.rad2deg(np.arccos(dots.max())) > 0.6 * APART_DEG


def test_preferred_views_come_first_and_few_particles_make_few_groups() -> None:
    rng = np.random.default_rng(0)
    near = Rotation.from_rotvec(rng.normal(size=(300, 3)) * 0.03).as_matrix()
    side = Rotation.from_euler("y", 90, degrees=True).as_matrix()
    groups = group_views(np.concatenate([near, near[:60] @ side]))
    assert len(groups) == 2
    assert abs(groups[0].direction[2]) > 0.99
    assert abs(groups[1].direction[2]) < 0.1
    assert group_views(np.zeros((0, 3, 3))) == ()
    assert group_views(Rotation.random(FEWEST - 1, random_state=0).as_matrix()) == ()
