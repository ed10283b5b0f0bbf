from __future__ import annotations

import numpy as np
import pytest

from cryoscope.analysis.validate import (
    mean_rmsd_A,
    order_along_path,
    rmsd_A,
    trivial_predictors_A,
)


def line_of_frames(count: int = 11) -> np.ndarray:
    base = np.random.default_rng(0).normal(size=(5, 3)) * 5
    motion = np.tile([[1.0, 0, 0]], (5, 1))
    return np.stack([base + t * motion for t in np.linspace(0, 10, count)])


def test_rmsd_is_not_superposed() -> None:
    a = np.zeros((1, 4, 3))
    assert rmsd_A(a, a + np.array([3.0, 4.0, 0.0]))[0] == pytest.approx(5.0)


def test_one_structure_serves_all_particles() -> None:
    frames = line_of_frames()
    frame = np.arange(11)
    assert mean_rmsd_A(frames[:1], frames, frame, chunk=3) == pytest.approx(5.0)
    assert mean_rmsd_A(frames, frames, frame, chunk=4) == pytest.approx(0.0)


def test_trivial_predictors_of_a_straight_motion() -> None:
    frames = line_of_frames()
    figures = trivial_predictors_A(frames[0], frames, np.arange(11))
    assert figures["do nothing"] == pytest.approx(5.0)
    assert figures["mean structure"] == pytest.approx(np.abs(np.linspace(-5, 5, 11)).mean())
    assert figures["best line"] == pytest.approx(0.0, abs=1e-9)


def test_order_ignores_the_sign_of_the_component() -> None:
    frame = np.repeat(np.arange(20), 5)
    z = np.zeros((100, 3))
    z[:, 1] = -frame + np.random.default_rng(0).normal(size=100) * 0.1
    assert order_along_path(z, frame) > 0.99
