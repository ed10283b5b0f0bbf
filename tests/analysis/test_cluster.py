from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from cryoscope.analysis import cluster
from cryoscope.analysis.cluster import METHODS, agglomerate, cluster_latents, kmeans_states
from cryoscope.analysis.stopping import Stopped
from cryoscope.data import InputError


def three_groups() -> tuple[np.ndarray, np.ndarray]:
    """Groups of 50, 200 and 100, and five particles without latents."""
    rng = np.random.default_rng(0)
    middles = np.array([[0, 0, 0], [9, 0, 0], [0, 9, 0]], dtype=float)
    sizes = (50, 200, 100)
    groups = [m + 0.3 * rng.normal(size=(n, 3)) for m, n in zip(middles, sizes, strict=True)]
    return np.concatenate([*groups, np.full((5, 3), np.nan)]), middles


def test_separate_groups_are_found_the_largest_first() -> None:
    z, middles = three_groups()
    centres, labels = kmeans_states(z, 3)
    np.testing.assert_allclose(centres, middles[[1, 2, 0]], atol=0.2)
    assert np.bincount(labels[:-5]).tolist() == [200, 100, 50]
    assert (labels[-5:] == -1).all()


@pytest.mark.parametrize("clusters", [0, 6])
def test_impossible_numbers_of_clusters(clusters: int) -> None:
    with pytest.raises(InputError, match="clusters cannot be made"):
        kmeans_states(np.eye(5), clusters)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_them(method: str) -> None:
    z, middles = three_groups()
    found = cluster_latents(z, method, 3)
    truth = np.repeat([0, 1, 2], (50, 200, 100))
    held = found.labels[:-5] >= 0
    assert held.mean() > 0.95
    assert adjusted_rand_score(truth[held], found.labels[:-5][held]) == 1.0
    assert (found.labels[-5:] == -1).all()
    assert (np.diff(found.sizes) <= 0).all()
    assert found.sizes.tolist() == np.bincount(found.labels[found.labels >= 0]).tolist()
    np.testing.assert_allclose(found.centres, middles[[1, 2, 0]], atol=0.2)
    # The centres on data belong to their clusters and are the nearest of them.
    assert found.labels[found.particle].tolist() == [0, 1, 2]
    for i, centre in enumerate(found.centres):
        distance = np.linalg.norm(z - centre, axis=1)
        assert np.nanargmin(np.where(found.labels == i, distance, np.nan)) == found.particle[i]


def test_the_mixture_takes_the_number_that_the_criterion_prefers() -> None:
    z, _ = three_groups()
    found = cluster_latents(z, "gmm", [1, 2, 3, 4, 5])
    assert found.parameters["clusters"] == 3
    bic = found.parameters["bic"]
    assert min(bic, key=bic.get) == "3"


@pytest.mark.parametrize("method", METHODS)
def test_large_sets_are_fitted_on_a_sample(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_FITTED_AT_MOST", "_HDBSCAN_AT_MOST", "_PAIRS_AT_MOST"):
        monkeypatch.setattr(cluster, name, 120)
    z, _ = three_groups()
    found = cluster_latents(z, method, 3)
    held = found.labels[:-5] >= 0
    truth = np.repeat([0, 1, 2], (50, 200, 100))
    assert held.mean() > 0.9
    assert adjusted_rand_score(truth[held], found.labels[:-5][held]) == 1.0


def test_stopping_between_stages() -> None:
    z, _ = three_groups()
    asked = iter([False, False, True, True])
    with pytest.raises(Stopped):
        cluster_latents(z, "gmm", [1, 2, 3], should_stop=lambda: next(asked))


@pytest.mark.parametrize(
    ("method", "clusters", "linkage", "words"),
    [
        ("means", 3, "ward", "no clustering 'means'"),
        ("agglomerative", 3, "longest", "no linkage 'longest'"),
        ("kmeans", [2, 3], "ward", "takes one number"),
        ("gmm", [2, 500], "ward", "500 clusters cannot be made of 350"),
        ("gmm", [], "ward", "takes one number"),
    ],
)
def test_what_cannot_be_is_refused(
    method: str, clusters: int | list[int], linkage: str, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        cluster_latents(three_groups()[0], method, clusters, linkage=linkage)


def test_equal_latents_still_make_as_many_groups_as_asked() -> None:
    assert len(set(agglomerate(np.zeros((6, 2)), 3, "average").tolist())) == 3
    assert agglomerate(np.zeros((1, 2)), 1, "ward").tolist() == [0]
