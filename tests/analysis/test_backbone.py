from __future__ import annotations

import numpy as np
import pytest

from cryoscope.analysis.backbone import chain_breaks, tube_mesh, tube_values
from cryoscope.data import Mesh


def helix(count: int) -> np.ndarray:
    t = np.arange(count)
    turn = np.deg2rad(100) * t
    return np.stack([2.3 * np.cos(turn), 2.3 * np.sin(turn), 1.5 * t], axis=1).astype(np.float32)


def signed_volume_A3(mesh: Mesh) -> float:
    a, b, c = (mesh.vertices_A[mesh.faces[:, i]].astype(float) for i in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def assert_closed(mesh: Mesh) -> None:
    """Every edge is used once in each direction."""
    edges = np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]])
    forward = {tuple(edge) for edge in edges.tolist()}
    assert len(forward) == len(edges)
    assert forward == {(b, a) for a, b in forward}
    assert len(np.unique(mesh.faces)) == len(mesh.vertices_A)


def no_breaks(count: int) -> np.ndarray:
    return np.zeros(max(count - 1, 0), dtype=bool)


def test_a_tube_is_closed_and_faces_outwards() -> None:
    coords = helix(30)
    mesh = tube_mesh(coords, no_breaks(30), values=np.arange(30.0))
    assert_closed(mesh)
    length_A = np.linalg.norm(np.diff(coords, axis=0), axis=1).sum()
    assert 0.8 < signed_volume_A3(mesh) / (np.pi * 0.9**2 * length_A) < 1.3
    assert mesh.vertices_A.dtype == np.float32
    assert mesh.faces.dtype == np.int32
    assert np.isfinite(mesh.vertices_A).all()


def test_the_tube_passes_through_the_beads_with_its_radius() -> None:
    coords = helix(12)
    sides, samples = 8, 6
    mesh = tube_mesh(coords, no_breaks(12), values=np.arange(12.0), sides=sides, samples=samples)
    rings = mesh.vertices_A[: (11 * samples + 3) * sides].reshape(-1, sides, 3)
    at_beads = rings[1:-1][::samples]
    np.testing.assert_allclose(at_beads.mean(axis=1), coords, atol=1e-4)
    distance_A = np.linalg.norm(at_beads - coords[:, None], axis=-1)
    np.testing.assert_allclose(distance_A, 0.9, atol=1e-4)
    assert mesh.values is not None
    shades = mesh.values[: len(rings) * sides].reshape(-1, sides)[1:-1][::samples]
    np.testing.assert_allclose(shades, np.arange(12.0)[:, None].repeat(sides, axis=1), atol=1e-5)


def test_two_residues_make_a_straight_tube() -> None:
    coords = np.array([[0, 0, 0], [3.8, 0, 0]], dtype=float)
    mesh = tube_mesh(coords, no_breaks(2), values=np.zeros(2), radius_A=1.0, sides=32)
    assert_closed(mesh)
    np.testing.assert_allclose(mesh.vertices_A[:, 0].min(), -1, atol=1e-5)
    np.testing.assert_allclose(mesh.vertices_A[:, 0].max(), 4.8, atol=1e-5)
    assert np.hypot(mesh.vertices_A[:, 1], mesh.vertices_A[:, 2]).max() < 1.0001


def test_neighbouring_rings_do_not_twist() -> None:
    rng = np.random.default_rng(0)
    step = rng.normal(size=(200, 3)) + np.array([0.5, 0, 0])
    coords = np.cumsum(3.8 * step / np.linalg.norm(step, axis=1)[:, None], axis=0)
    sides = 8
    mesh = tube_mesh(coords, no_breaks(200), values=np.zeros(200), sides=sides)
    rings = mesh.vertices_A[: (199 * 6 + 3) * sides].reshape(-1, sides, 3)[1:-1]
    spoke = rings[:, 0] - rings.mean(axis=1)
    spoke /= np.linalg.norm(spoke, axis=1)[:, None]
    assert (spoke[1:] * spoke[:-1]).sum(axis=1).min() > 0


def test_straight_chains_and_equal_beads_stay_finite() -> None:
    straight = np.arange(6)[:, None] * np.array([[3.8, 0, 0]])
    for coords in (straight, np.zeros((6, 3)), np.concatenate([straight, helix(6) + 30])):
        breaks = no_breaks(len(coords))
        mesh = tube_mesh(coords, breaks, values=np.zeros(len(coords)))
        assert np.isfinite(mesh.vertices_A).all()


def test_fragments_and_lone_residues_are_closed_bodies() -> None:
    coords = helix(9)
    breaks = np.array([1, 0, 0, 1, 1, 0, 0, 1], dtype=bool)
    mesh = tube_mesh(coords, breaks, values=np.arange(9.0))
    assert_closed(mesh)
    assert signed_volume_A3(mesh) > 0
    # Bead 4 stands alone: a ball of 1.5 radii around it, in its own colour.
    assert mesh.values is not None
    alone = mesh.vertices_A[np.abs(mesh.values - 4) < 1e-6]
    np.testing.assert_allclose(np.linalg.norm(alone - coords[4], axis=1), 1.35, atol=1e-4)


def test_topology_depends_only_on_breaks() -> None:
    breaks = no_breaks(20)
    breaks[7] = True
    first = tube_mesh(helix(20), breaks, values=np.zeros(20))
    second = tube_mesh(helix(20) * 1.3 + 5, breaks.copy(), values=np.ones(20))
    assert second.faces is first.faces
    assert second.vertices_A.shape == first.vertices_A.shape


def test_moving_the_structure_moves_the_tube() -> None:
    still = tube_mesh(helix(20), no_breaks(20), values=np.zeros(20))
    moved = tube_mesh(helix(20) + np.array([1, 2, 3]), no_breaks(20), values=np.zeros(20))
    np.testing.assert_allclose(
        moved.vertices_A - still.vertices_A, [[1, 2, 3]] * len(still.vertices_A), atol=1e-3
    )


@pytest.mark.parametrize("count", [0, 1])
def test_hardly_any_beads(count: int) -> None:
    mesh = tube_mesh(helix(count), no_breaks(count), values=np.zeros(count))
    assert (len(mesh.faces) > 0) == (count > 0)
    if count:
        assert_closed(mesh)


def test_wrong_number_of_breaks() -> None:
    with pytest.raises(ValueError, match="breaks"):
        tube_mesh(helix(5), no_breaks(4), values=np.zeros(5))


def test_where_chains_break() -> None:
    coords = helix(8).astype(float)
    chain = np.array(list("AAAABBBB"))
    residue = np.array([1, 2, 2, 3, 10, 11, 12, 13])
    coords[7:] += 30
    assert chain_breaks(coords, chain, residue).tolist() == [0, 0, 0, 1, 0, 0, 1]


def test_numbers_may_jump_where_beads_are_neighbours() -> None:
    coords = helix(4).astype(float)
    chain = np.array(list("AAAA"))
    assert not chain_breaks(coords, chain, np.array([1, 2, 30, 31])).any()
    coords[2:] += np.array([0, 0, 4.0])
    assert chain_breaks(coords, chain, np.array([1, 2, 4, 5])).tolist() == [0, 1, 0]
    assert chain_breaks(coords[:1], chain[:1], np.array([1])).shape == (0,)


def test_other_values_fit_the_vertices_of_the_same_tube() -> None:
    coords_A = np.cumsum(np.random.default_rng(3).normal(size=(12, 3)) + 2.0, axis=0)
    breaks = np.zeros(11, dtype=bool)
    breaks[5] = True
    values = np.arange(12.0)
    mesh = tube_mesh(coords_A, breaks, values=values)
    assert np.array_equal(tube_values(breaks, values), mesh.values)
    classes = tube_values(breaks, np.repeat([0.0, 4.0], 6), blended=False)
    assert set(classes.tolist()) == {0.0, 4.0}
    assert len(classes) == len(mesh.vertices_A)
