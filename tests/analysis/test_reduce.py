from __future__ import annotations

import builtins
from dataclasses import replace

import numpy as np
import pytest

from cryoscope.analysis.reduce import (
    NeighbourIndex,
    dimension_embedding,
    nearest_state,
    pca_embedding,
    principal_axes,
    umap_embedding,
)
from cryoscope.data import InputError


@pytest.fixture
def z() -> np.ndarray:
    rng = np.random.default_rng(0)
    spread = np.array([3.0, 2.0, 0.5, 0.1])
    turn, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    return (rng.normal(size=(2000, 4)) * spread @ turn + 5).astype(np.float32)


def test_principal_axes_agree_with_singular_values(z: np.ndarray) -> None:
    found = principal_axes(z)
    offset = z.astype(float) - z.mean(axis=0, dtype=float)
    _, singular, rows = np.linalg.svd(offset, full_matrices=False)
    np.testing.assert_allclose(found.fraction, singular**2 / (singular**2).sum(), rtol=1e-6)
    np.testing.assert_allclose(np.abs((found.axes * rows).sum(axis=1)), 1, atol=1e-6)


def test_embedding_is_the_linear_map_it_says(z: np.ndarray) -> None:
    found = pca_embedding(z)
    assert found.axes is not None
    np.testing.assert_allclose(found.xy, (z - found.centre) @ found.axes.T, atol=1e-4)
    assert found.axis_labels[0].startswith("PC1 (")
    assert found.axis_labels[0].endswith(" % of variance)")
    assert found.xy.dtype == np.float32


def test_rows_without_latents_stay_nan_and_do_not_count(z: np.ndarray) -> None:
    holes = z.copy()
    holes[::3] = np.nan
    holes[1, 2] = np.inf
    found = pca_embedding(holes)
    full = pca_embedding(holes[np.isfinite(holes).all(axis=1)])
    mask = np.isfinite(holes).all(axis=1)
    assert np.isnan(found.xy[~mask]).all()
    np.testing.assert_allclose(found.xy[mask], full.xy, atol=1e-4)


def test_a_refresh_does_not_jump(z: np.ndarray) -> None:
    first = pca_embedding(z)
    flipped = z @ np.diag([-1.0, 1.0, -1.0, 1.0]).astype(np.float32)
    later = pca_embedding(flipped, first)
    np.testing.assert_allclose(later.xy, first.xy, atol=0.02)


def test_axes_that_change_rank_keep_their_place(z: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 3000))
    first = pca_embedding(np.stack([2.0 * a, 1.9 * b], axis=1).astype(np.float32))
    second = pca_embedding(np.stack([1.8 * a, 2.1 * b], axis=1).astype(np.float32), first)
    assert second.axis_labels[0].startswith("PC2")
    for axis in (0, 1):
        assert np.corrcoef(first.xy[:, axis], second.xy[:, axis])[0, 1] > 0.95


def test_another_number_of_particles_starts_afresh(z: np.ndarray) -> None:
    assert pca_embedding(z, pca_embedding(z[:10])).embedding_id == pca_embedding(z).embedding_id


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_hardly_any_particles(rows: int, z: np.ndarray) -> None:
    assert pca_embedding(z[:rows]).xy.shape == (rows, 2)


def test_one_latent_dimension(z: np.ndarray) -> None:
    found = pca_embedding(z[:, :1])
    assert (found.xy[:, 1] == 0).all()
    again = pca_embedding(-z[:, :1], found)
    np.testing.assert_allclose(again.xy, found.xy, atol=1e-3)
    assert again.axis_labels[0].startswith("PC1 (100 %")


def test_z_must_be_a_table() -> None:
    with pytest.raises(ValueError, match="must be"):
        principal_axes(np.zeros(5))


def test_nearest_state_is_the_mean_of_the_nearest(z: np.ndarray) -> None:
    found = pca_embedding(z)
    found.xy[7] = np.nan
    point = (0.3, -0.2)
    distance = np.linalg.norm(found.xy - np.array(point), axis=1)
    order = np.argsort(distance)[:50]
    for index in (None, NeighbourIndex(found.xy)):
        state, nearest = nearest_state(z, found.xy, point, index=index)
        assert nearest == order[0]
        np.testing.assert_allclose(state, z[order].mean(axis=0), rtol=1e-4)


def test_more_neighbours_than_particles(z: np.ndarray) -> None:
    few = z[:3]
    for index in (None, NeighbourIndex(few[:, :2])):
        state, _ = nearest_state(few, few[:, :2], (0, 0), index=index)
        np.testing.assert_allclose(state, few.mean(axis=0), rtol=1e-5)


def test_no_particle_in_the_picture() -> None:
    xy = np.full((4, 2), np.nan, dtype=np.float32)
    for index in (None, NeighbourIndex(xy)):
        with pytest.raises(InputError, match="no particle has latents"):
            nearest_state(np.zeros((4, 2)), xy, (0, 0), index=index)


def test_umap_absent_says_how_to_get_it(z: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *args: object, **kwargs: object) -> object:
        if name == "umap":
            raise ImportError(name)
        return real(name, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(InputError, match="pip install"):
        umap_embedding(z)


def test_umap_needs_particles(z: np.ndarray) -> None:
    pytest.importorskip("umap", reason="umap-learn is not installed")
    with pytest.raises(InputError, match="at least 10 particles"):
        umap_embedding(z[:5])


def test_other_components_and_dimensions_as_they_are(z: np.ndarray) -> None:
    first, other = pca_embedding(z), pca_embedding(z, components=(3, 1))
    np.testing.assert_allclose(np.abs(other.xy[:, 1]), np.abs(first.xy[:, 0]), atol=1e-4)
    assert other.axis_labels[0].startswith("PC3 (")
    flipped = replace(other, xy=-other.xy)
    again = pca_embedding(z, flipped, components=(3, 1))
    np.testing.assert_allclose(again.xy, flipped.xy, atol=1e-4)
    raw = dimension_embedding(z, (4, 2))
    np.testing.assert_array_equal(raw.xy, z[:, [3, 1]])
    assert raw.axis_labels == ("Latent dimension 4", "Latent dimension 2")
    for make in (dimension_embedding, lambda z, pair: pca_embedding(z, components=pair)):
        with pytest.raises(InputError, match="Choose 1 to 4"):
            make(z, (1, 5))
    assert not dimension_embedding(z[:, :1]).xy[:, 1].any()
