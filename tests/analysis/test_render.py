from __future__ import annotations

import numpy as np
import pytest

from cryoscope.analysis.render import render_surface
from tests.analysis.toy_maps import blob


def ground(picture: np.ndarray) -> np.ndarray:
    return np.asarray((picture == 255).all(axis=2))


@pytest.mark.parametrize(
    ("centre_zyx", "view", "right", "up"),
    [((0, 3, 4), "front", True, True), ((4, -3, 0), "side", False, False),
     ((-4, 3, 0), "side", True, True)],
)  # fmt: skip
def test_things_are_where_a_viewer_sees_them(
    centre_zyx: tuple[float, float, float], view: str, right: bool, up: bool
) -> None:
    picture = render_surface(blob(centre_zyx), 0.4, side_px=96, view=view)
    row, column = np.nonzero(~ground(picture))
    assert (column.mean() > 48) == right
    assert (row.mean() < 48) == up


def test_what_is_nearer_hides_what_is_behind() -> None:
    near, far = blob((5, 0, 0), 1.0), blob((-4, 0, 0), 2.0)
    both = render_surface(near + far, 0.4, side_px=96)
    alone = render_surface(far, 0.4, side_px=96)
    assert (ground(both) == ground(alone)).mean() > 0.99
    middle = np.s_[40:52, 40:52]
    assert both[middle].mean() > alone[middle].mean()


def test_size_light_and_nothing() -> None:
    ball = blob((0, 0, 0), 3.0)
    picture = render_surface(ball, 0.4, side_px=64)
    radius_px = np.sqrt((~ground(picture)).sum() / np.pi)
    assert radius_px == pytest.approx(4 * 3.0 * np.sqrt(-2 * np.log(0.4)), rel=0.05)
    assert picture[24:28, 24:28].mean() > picture[36:40, 36:40].mean()
    assert ground(render_surface(ball, 2.0, side_px=32)).all()
    large = np.repeat(np.repeat(np.repeat(ball, 12, 0), 12, 1), 12, 2)
    assert render_surface(large, 0.4, side_px=64).shape == (64, 64, 3)
