from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cryoscope.data import CTFParams, InputError, Optics, Particles, ParticleSource
from cryoscope.physics.fourier import make_band
from cryoscope.training.subsets import NoiseImages, training_rows, with_noise_images


def particles(count: int = 100, half_set: np.ndarray | None = None) -> Particles:
    halves = np.arange(count) % 2 + 1 if half_set is None else half_set
    return Particles(
        images=NoiseImages(32, np.ones(3), np.arange(count), 0),
        optics=(Optics(3.0, 32),),
        ctf=CTFParams.uniform(count, 10_000.0),
        poses=None,
        half_set=halves.astype(np.int8),
        uid=np.array([f"{i:06d}@a" for i in range(count)]),
        source=ParticleSource(Path("a.star"), np.arange(count, dtype=np.int64)),
    )


@given(
    subset=st.sampled_from(["all", "half1", "half2"]),
    held_out=st.floats(0, 0.9),
    seed=st.integers(0, 2**31),
    count=st.integers(30, 200),
)
def test_rows_are_a_partition_and_the_same_every_time(
    subset: str, held_out: float, seed: int, count: int
) -> None:
    given_particles = particles(count)
    train, held = training_rows(given_particles, subset, held_out, seed)
    wanted = given_particles.half_set > 0
    if subset != "all":
        wanted = given_particles.half_set == int(subset[-1])
    assert sorted([*train, *held]) == np.flatnonzero(wanted).tolist()
    assert (np.diff(train) > 0).all()
    assert len(held) == (max(1, round(held_out * wanted.sum())) if held_out > 0 else 0)
    again = training_rows(given_particles, subset, held_out, seed)
    np.testing.assert_array_equal(train, again[0])
    np.testing.assert_array_equal(held, again[1])


def test_another_seed_holds_out_others() -> None:
    first, second = (set(training_rows(particles(), "all", 0.2, seed)[1]) for seed in (0, 1))
    assert first != second


def test_nothing_to_train_on_is_refused() -> None:
    one_half = particles(10, np.ones(10))
    with pytest.raises(InputError, match="no particle is in half-set 2"):
        training_rows(one_half, "half2", 0.0, 0)
    with pytest.raises(InputError, match=r"Lower data\.held_out"):
        training_rows(particles(2), "half1", 0.5, 0)


def test_noise_has_the_spectrum_that_was_measured() -> None:
    band = make_band(32, 3.0, 0.0, with_dc=False)
    power = 0.5 + 4.0 * torch.exp(-band.shell.float() / 4)
    noisy = with_noise_images(particles(400), band, power, seed=5)
    images = noisy.images.read(np.arange(400))
    assert images.dtype == np.float32
    assert images.shape == (400, 32, 32)
    found = band.transform(torch.as_tensor(images)).abs().square().mean(0)
    for shell in (1, 5, 15):
        mean = float(found[band.shell == shell].mean())
        assert mean == pytest.approx(0.5 + 4.0 * np.exp(-shell / 4), rel=0.12)


def test_noise_is_the_particles_own_however_it_is_read() -> None:
    band = make_band(32, 3.0, 0.0, with_dc=False)
    noisy = with_noise_images(particles(20), band, torch.ones(len(band)), seed=5)
    everything = noisy.images.read(np.arange(20))
    np.testing.assert_array_equal(noisy.images.read(np.array([7, 3])), everything[[7, 3]])
    some = noisy.take(np.array([9, 4]))
    np.testing.assert_array_equal(some.images.read(np.array([1])), everything[[4]])
    assert len(some.images) == 2
    assert some.images.box_size_px == 32
    other = with_noise_images(particles(20), band, torch.ones(len(band)), seed=6)
    assert np.abs(other.images.read(np.arange(1)) - everything[:1]).max() > 0.1
    assert abs(float(np.corrcoef(everything[0].ravel(), everything[1].ravel())[0, 1])) < 0.15
