from __future__ import annotations

import numpy as np
import pytest

from cryoscope.analysis.isosurface import isosurface, sigma_level
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
