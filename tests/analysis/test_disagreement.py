from __future__ import annotations

import numpy as np
import pytest

from cryoscope.analysis.disagreement import Disagreement
from tests.analysis.structures import trace


def motions(count: int = 500, *, noise_A: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """The same motion of the first residue as two runs see it."""
    rng = np.random.default_rng(0)
    structure = trace()
    both = np.tile(structure.coords_A, (2, count, 1, 1))
    both[:, :, 0, 0] += 3.0 * rng.normal(size=count)
    both += noise_A * rng.normal(size=both.shape)
    return both[0], both[1]


def test_runs_that_agree() -> None:
    found = Disagreement(trace())
    first, second = motions()
    found.add(first[:200], second[:200])
    found.add(first[200:], second[200:])
    assert found.count == 500
    np.testing.assert_allclose(found.per_residue_A, 0, atol=1e-9)
    assert found.correlation[0] == pytest.approx(1)
    assert np.isnan(found.correlation[1])
    assert found.unmatched_A[0] == pytest.approx(3 * np.sqrt(2), rel=0.1)
    assert found.motion_A[0][0] == pytest.approx(3, rel=0.1)
    row = found.rows()[0]
    assert (row.chain, row.residue, row.insertion_code) == ("A", 10, "a")
    assert found.figures()["disagreement_A"] == pytest.approx(0, abs=1e-9)


def test_runs_that_say_different_things_of_every_particle() -> None:
    found = Disagreement(trace())
    first, _ = motions()
    found.add(first, first[np.random.default_rng(4).permutation(len(first))])
    assert found.per_residue_A[0] == pytest.approx(found.unmatched_A[0], rel=0.1)
    assert abs(found.correlation[0]) < 0.15


def test_a_constant_offset_and_noise_are_seen() -> None:
    found = Disagreement(trace())
    first, second = motions(noise_A=0.1)
    found.add(first, second + np.array([0.0, 0.0, 2.0]))
    np.testing.assert_allclose(found.per_residue_A, np.sqrt(4 + 6 * 0.01), rtol=0.02)
    assert found.overall_A == pytest.approx(2.015, rel=0.02)
    with pytest.raises(ValueError, match="not of one trace"):
        found.add(first[:, :2], second[:, :2])
