"""Distributions along the path, poses, optics and half-sets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from cryoscope.data import InputError
from cryoscope.physics.ctf import ctf, ctf_table
from cryoscope.simulation.config import SimulationConfig
from cryoscope.simulation.distributions import DISTRIBUTIONS, draw_frames
from cryoscope.simulation.optics_draw import draw_ctf, draw_half_sets, draw_poses, optics_of

CONFIG = SimulationConfig(structures=("a.pdb",), particles=20_001, seed=4)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_frames_are_seeded_and_in_range(distribution: str) -> None:
    first, again = (
        draw_frames(distribution, 5000, 50, np.random.default_rng(1))  # type: ignore[arg-type]
        for _ in range(2)
    )
    np.testing.assert_array_equal(first, again)
    assert first.min() >= 0
    assert first.max() <= 49
    assert draw_frames(distribution, 9, 1, np.random.default_rng(0), states=1).max() == 0  # type: ignore[arg-type]


def test_shapes_of_the_distributions() -> None:
    def shares(distribution: str) -> np.ndarray:
        frame = draw_frames(distribution, 50_000, 50, np.random.default_rng(2))  # type: ignore[arg-type]
        return np.bincount(frame, minlength=50) / 50_000

    uniform, cooperative = shares("uniform"), shares("cooperative")
    assert abs(uniform - 0.02).max() < 0.004
    assert cooperative[:10].sum() > 0.4
    assert cooperative[-10:].sum() > 0.4
    assert 0 < cooperative[15:35].sum() < 0.1
    apart = shares("noncontiguous")
    assert apart[[12, 13, 14, 35, 36, 37]].max() < 0.002
    assert all(apart[group].sum() > 0.3 for group in (slice(0, 12), slice(16, 34), slice(38, 50)))
    assert np.count_nonzero(shares("discrete")) == 5


def test_groups_are_where_they_are_asked_for() -> None:
    rng = np.random.default_rng(2)
    frame = draw_frames("noncontiguous", 50_000, 51, rng, maxima=(0.2, 0.8))
    assert frame[frame < 25].mean() == pytest.approx(10, abs=0.2)
    assert frame[frame > 25].mean() == pytest.approx(40, abs=0.2)


def test_without_a_microscope_the_ctf_is_one() -> None:
    config = replace(CONFIG, ctf=False, particles=3)
    table = ctf_table(draw_ctf(config), (optics_of(config),))
    k = torch.linspace(0.0, 0.3, 50)
    np.testing.assert_allclose(ctf(table, k, -k).numpy(), 1.0, atol=1e-6)


def test_impossible_distributions_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="6 discrete states"):
        draw_frames("discrete", 10, 5, rng, states=6)
    with pytest.raises(InputError, match="no distribution 'even'"):
        draw_frames("even", 10, 5, rng)  # type: ignore[arg-type]


def test_rotations_are_proper_and_uniform() -> None:
    poses = draw_poses(CONFIG)
    np.testing.assert_allclose(np.linalg.det(poses.rotation), 1.0, atol=1e-9)
    # Uniform on SO(3): mean zero, entries of variance 1/3.
    assert abs(poses.rotation.mean(axis=0)).max() < 0.02
    assert abs(poses.rotation.var(axis=0) - 1 / 3).max() < 0.02
    assert poses.shift_A.std() == pytest.approx(1.5 * 1.6, rel=0.03)


def test_defocus_is_log_normal_within_limits() -> None:
    drawn = draw_ctf(CONFIG)
    mean_A = (drawn.defocus_u_A + drawn.defocus_v_A) / 2
    assert np.median(mean_A) == pytest.approx(15_000, rel=0.02)
    assert np.log(mean_A).std() == pytest.approx(0.3, rel=0.05)
    assert mean_A.min() >= 5_000 - 1e-6
    assert mean_A.max() <= 30_000 + 1e-6
    assert (drawn.defocus_u_A >= drawn.defocus_v_A).all()


def test_half_sets_alternate_at_random() -> None:
    half = draw_half_sets(CONFIG)
    pairs = half[:20_000].reshape(-1, 2)
    assert (pairs.sum(axis=1) == 3).all()
    assert pairs[:, 0].mean() == pytest.approx(1.5, abs=0.02)


def test_a_setting_changes_only_its_own_draws() -> None:
    other = replace(CONFIG, defocus_A=20_000.0, shift_px=0.0)
    np.testing.assert_array_equal(draw_poses(CONFIG).rotation, draw_poses(other).rotation)
    assert (draw_poses(CONFIG).rotation != draw_poses(replace(CONFIG, seed=5)).rotation).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"box_px": 65}, "an odd number"),
        ({"box_px": 8}, "box_px is 8"),
        ({"snr": float("nan")}, "snr is nan"),
        ({"particles": 0}, "particles is 0"),
        ({"stacks": 30_000}, "stacks"),
        ({"stacks": 200, "particles": 100}, "stacks for 100 particles"),
        ({"defocus_min_A": 40_000.0}, "defocus_min_A is above"),
        ({"contrast": "black"}, "'black'"),
        ({"maxima": (0.5, 1.2)}, "maxima"),
        ({"maxima": ()}, "maxima"),
        ({"structures": ()}, "what to project"),
        ({"trajectory": "a.dcd"}, "what to project"),
        ({"structures": (), "trajectory": "a.dcd"}, "no atom names"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(CONFIG, **change).check()  # type: ignore[arg-type]
