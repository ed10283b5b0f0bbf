from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from cryoscope.analysis.isosurface import (
    SurfaceInPieces,
    default_level,
    isosurface,
    mean_and_spread,
    sigma_level,
)
from cryoscope.data import Provenance, Volume


def ball(centre_xyz_A: tuple[float, float, float], radius_A: float = 8.0) -> Volume:
    """A map that falls linearly through zero at the ball's surface; not a cube."""
    z, y, x = np.meshgrid(np.arange(40), np.arange(44), np.arange(48), indexing="ij")
    voxel_size_A, origin_A = 1.5, (-30.0, -20.0, -10.0)
    points = [
        axis * voxel_size_A + origin - centre
        for axis, origin, centre in zip((x, y, z), origin_A, centre_xyz_A, strict=True)
    ]
    values = radius_A - np.sqrt(sum(p**2 for p in points))
    return Volume(values.astype(np.float32), voxel_size_A, origin_A, Provenance("file"))


CENTRE = (6.0, 12.0, 20.0)


@pytest.mark.parametrize("step", [1, 2])
def test_a_ball_is_where_it_belongs(step: int) -> None:
    mesh = isosurface(ball(CENTRE), 0.0, step=step)
    offset = mesh.vertices_A - np.array(CENTRE)
    np.testing.assert_allclose(np.linalg.norm(offset, axis=1), 8.0, atol=0.1 * step)
    assert mesh.vertices_A.dtype == np.float32
    assert mesh.faces.dtype == np.int32


def test_triangles_face_outwards_and_close() -> None:
    mesh = isosurface(ball(CENTRE), 0.0)
    a, b, c = (mesh.vertices_A[mesh.faces[:, i]].astype(float) for i in range(3))
    volume_A3 = np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6
    np.testing.assert_allclose(volume_A3, 4 / 3 * np.pi * 8**3, rtol=0.03)


@pytest.mark.parametrize("level", [100.0, -1e6, np.nan])
def test_a_level_out_of_range_gives_no_triangles(level: float) -> None:
    mesh = isosurface(ball(CENTRE), level)
    assert mesh.vertices_A.shape == (0, 3)
    assert mesh.faces.shape == (0, 3)


def test_a_flat_map_gives_no_triangles() -> None:
    flat = Volume(np.ones((8, 8, 8), dtype=np.float32), 1.0, (0.0, 0.0, 0.0))
    assert len(isosurface(flat, 1.0).faces) == 0


def test_density_at_the_edge_of_the_box() -> None:
    mesh = isosurface(ball((-30.0, 0.0, 0.0)), 0.0)
    assert len(mesh.faces) > 0
    assert mesh.vertices_A[:, 0].min() >= -30.0


def test_samples_that_are_not_finite_are_outside() -> None:
    volume = ball(CENTRE)
    volume.values[:2] = np.nan
    volume.values[10, 10, 10] = np.nan
    mesh = isosurface(volume, 0.0)
    assert np.isfinite(mesh.vertices_A).all()
    assert len(mesh.faces) > 100
    assert np.isfinite(sigma_level(volume, 3.0))


def test_sigma_level() -> None:
    values = np.random.default_rng(0).normal(2, 3, size=(20, 20, 20)).astype(np.float32)
    volume = Volume(values, 1.0, (0.0, 0.0, 0.0))
    np.testing.assert_allclose(
        sigma_level(volume, 2.0), values.mean() + 2 * values.std(), rtol=1e-5
    )


@pytest.mark.parametrize("step", [1, 2, 3])
@pytest.mark.parametrize("cells", [1, 400])
def test_slabs_are_sewn_into_the_surface_that_is_made_at_once(
    step: int, cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(0).normal(size=(40, 34, 30)).astype(np.float32)
    volume = Volume(gaussian_filter(noise, 1.5), 1.5, (1.0, 2.0, 3.0))
    whole = isosurface(volume, 0.05, step=step)
    monkeypatch.setattr("cryoscope.analysis.isosurface.SLAB_CELLS", cells)
    surface = SurfaceInPieces(volume, 0.05, step=step)
    counts = list(surface.pieces())
    sewn = surface.mesh()
    assert len(counts) > 2
    assert counts[-1] == len(sewn.faces) == len(whole.faces)
    assert len(sewn.vertices_A) == len(whole.vertices_A)  # nothing is there twice
    corners = [np.sort(one.vertices_A[one.faces].reshape(-1, 9), axis=0) for one in (sewn, whole)]
    np.testing.assert_allclose(*corners, atol=1e-4)


def test_a_surface_may_be_left_half_made() -> None:
    surface = SurfaceInPieces(ball(CENTRE), 0.0)
    assert len(surface.mesh().faces) == 0
    next(surface.pieces())
    assert len(surface.mesh().faces) > 0


def test_the_level_of_before_anybody_has_chosen() -> None:
    volume = ball(CENTRE)
    radius_A = (3 * 1000.0 / (4 * np.pi)) ** (1 / 3)
    assert default_level(volume, 1000.0) == pytest.approx(8.0 - radius_A, abs=0.2)
    high = float(np.percentile(volume.values, 99.99))
    for unknown_A3 in (0.0, 1e9):
        assert default_level(volume, unknown_A3) == pytest.approx(high / 2)
    noise = np.random.default_rng(0).normal(size=(32, 32, 32)).astype(np.float32)
    assert default_level(Volume(noise, 1.0, (0.0, 0.0, 0.0)), 16_000.0) == pytest.approx(1.0, 0.02)
    flat = Volume(np.ones((8, 8, 8), dtype=np.float32), 1.0, (0.0, 0.0, 0.0))
    assert default_level(flat) == 1.0


def test_statistics_are_remembered_while_the_samples_live() -> None:
    volume = ball(CENTRE)
    found = mean_and_spread(volume)
    assert found == pytest.approx((volume.values.mean(), volume.values.std()), rel=1e-4)
    assert mean_and_spread(Volume(volume.values, 3.0, (0.0, 0.0, 0.0))) == found
    for number in range(20):  # other samples at what may be the same place in memory
        made = np.full((4, 4, 4), float(number), dtype=np.float32)
        assert mean_and_spread(Volume(made, 1.0, (0.0, 0.0, 0.0))) == (number, 0.0)
        del made
