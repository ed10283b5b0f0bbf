from __future__ import annotations

import numpy as np
import pytest

from cryoscope.analysis.cluster import kmeans_states
from cryoscope.data import InputError


def test_separate_groups_are_found_the_largest_first() -> None:
    rng = np.random.default_rng(0)
    middles = np.array([[0, 0, 0], [9, 0, 0], [0, 9, 0]], dtype=float)
    sizes = (50, 200, 100)
    groups = [m + 0.3 * rng.normal(size=(n, 3)) for m, n in zip(middles, sizes, strict=True)]
    z = np.concatenate([*groups, np.full((5, 3), np.nan)])
    centres, labels = kmeans_states(z, 3)
    np.testing.assert_allclose(centres, middles[[1, 2, 0]], atol=0.2)
    assert np.bincount(labels[:-5]).tolist() == [200, 100, 50]
    assert (labels[-5:] == -1).all()


@pytest.mark.parametrize("clusters", [0, 6])
def test_impossible_numbers_of_clusters(clusters: int) -> None:
    with pytest.raises(InputError, match="clusters cannot be made"):
        kmeans_states(np.eye(5), clusters)
