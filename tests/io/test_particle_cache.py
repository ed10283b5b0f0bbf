"""The cache crops exactly, normalises, notices changes, and leaves nothing half-made."""

from __future__ import annotations

import errno
import json
import shutil
import threading
from collections import namedtuple
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryoscope.data import CTFParams, InputError, Optics, Particles, ParticleSource
from cryoscope.io import particle_cache
from cryoscope.io.image_preparation import background_mask, fourier_crop, normalise_background
from cryoscope.io.particle_cache import (
    CachedImages,
    CacheSpec,
    CachingStopped,
    cached_particles,
    open_or_build_cache,
)

SPEC = CacheSpec(box_size_px=16, particle_radius_A=20.0, contrast=1)


@dataclass(frozen=True)
class ImagesInMemory:
    array: np.ndarray[Any, Any]
    files: tuple[Path, ...] = ()

    @property
    def box_size_px(self) -> int:
        return int(self.array.shape[1])

    def __len__(self) -> int:
        return len(self.array)

    def read(self, index: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return self.array[index]

    def take(self, index: np.ndarray[Any, Any]) -> ImagesInMemory:
        return replace(self, array=self.array[index])


def particles(count: int = 20, box_px: int = 32, files: tuple[Path, ...] = ()) -> Particles:
    rng = np.random.default_rng(1)
    images = rng.normal(3, 2, size=(count, box_px, box_px)).astype(np.float32)
    return Particles(
        images=ImagesInMemory(images, files),
        optics=(Optics(pixel_size_A=2.0, box_size_px=box_px),),
        ctf=CTFParams.uniform(count, 15_000.0),
        poses=None,
        half_set=np.ones(count, dtype=np.int8),
        uid=np.array([f"{i + 1:06d}@a.mrcs" for i in range(count)]),
        source=ParticleSource(Path("a.star"), np.arange(count)),
    )


def dense_crop(image: np.ndarray[Any, Any], box_px: int) -> np.ndarray[Any, Any]:
    """The transform as matrices, cut to [-box/2, box/2] with both ends halved, and back."""
    full_px = len(image)
    position = np.arange(full_px) - full_px // 2
    new_position = np.arange(box_px) - box_px // 2
    frequency = np.arange(-(box_px // 2), box_px // 2 + 1)
    weight = np.where(np.abs(frequency) == box_px // 2, 0.5, 1.0)
    forward = np.exp(-2j * np.pi * np.outer(frequency, position) / full_px)
    back = np.exp(2j * np.pi * np.outer(new_position, frequency) / box_px)
    spectrum = np.outer(weight, weight) * (forward @ image @ forward.T)
    return np.real(back @ spectrum @ back.T) / full_px**2


class TestFourierCrop:
    @pytest.mark.parametrize(("full_px", "box_px"), [(16, 8), (20, 14), (32, 30), (12, 2), (8, 8)])
    def test_equals_the_dense_transform(self, full_px: int, box_px: int) -> None:
        images = np.random.default_rng(0).normal(size=(3, full_px, full_px)).astype(np.float32)
        expected = [dense_crop(image.astype(np.float64), box_px) for image in images]
        cropped = fourier_crop(images, box_px)
        assert cropped.dtype == np.float32
        np.testing.assert_allclose(cropped, expected, atol=2e-6)

    def test_mean_and_centre_stay(self) -> None:
        y, x = np.indices((64, 64)) - 32
        image = (5 + np.exp(-(x**2 + y**2) / 50)).astype(np.float32)[None]
        cropped = fourier_crop(image, 32)
        assert np.isclose(cropped.mean(), image.mean(), rtol=1e-6)
        assert np.unravel_index(cropped[0].argmax(), (32, 32)) == (16, 16)
        # A band-limited image is sampled at every other pixel.
        np.testing.assert_allclose(cropped[0], image[0, ::2, ::2], atol=1e-4)

    @pytest.mark.parametrize(("full_px", "box_px"), [(9, 4), (8, 3), (8, 10), (8, 0)])
    def test_unfit_boxes(self, full_px: int, box_px: int) -> None:
        with pytest.raises(ValueError, match="cannot crop"):
            fourier_crop(np.zeros((1, full_px, full_px), np.float32), box_px)


class TestBackground:
    def test_mask_is_centred(self) -> None:
        outside = background_mask(8, 2.0, 4.0)
        assert not outside[4, 4]
        assert not outside[4, 2]
        assert outside[4, 1]
        assert outside[1, 4]

    def test_normalised(self) -> None:
        images = np.random.default_rng(0).normal(7, 3, size=(4, 16, 16)).astype(np.float32)
        outside = background_mask(16, 1.0, 5.0)
        normalised, usable = normalise_background(images, outside)
        assert usable.all()
        np.testing.assert_allclose(normalised[:, outside].mean(axis=1), 0, atol=1e-5)
        np.testing.assert_allclose(normalised[:, outside].std(axis=1), 1, atol=1e-5)

    @pytest.mark.parametrize("value", [0.0, 5.0, np.nan, np.inf, 1e30])
    def test_unusable_images_are_told(self, value: float) -> None:
        images = np.random.default_rng(0).normal(size=(2, 16, 16)).astype(np.float32)
        images[1] = value
        _, usable = normalise_background(images, background_mask(16, 1.0, 5.0))
        assert usable.tolist() == [True, False]


class TestCache:
    def test_content(self, tmp_path: Path) -> None:
        given = particles()
        cached = open_or_build_cache(given, replace(SPEC, contrast=-1), tmp_path / "cache")
        raw = given.images.read(np.arange(20))
        expected, _ = normalise_background(fourier_crop(raw, 16), background_mask(16, 4.0, 20.0))
        np.testing.assert_array_equal(cached.read(np.arange(20)), -expected)
        np.testing.assert_array_equal(cached.read_all(), -expected)
        assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == [
            "cache.json",
            "particles.npy",
        ]
        np.testing.assert_array_equal(np.load(tmp_path / "cache" / "particles.npy"), -expected)

    def test_is_an_image_source(self, tmp_path: Path) -> None:
        cached = open_or_build_cache(particles(), SPEC, tmp_path)
        everything = cached.read_all()
        assert (len(cached), cached.box_size_px) == (20, 16)
        some = cached.take(np.array([7, 3, 9]))
        assert len(some) == 3
        np.testing.assert_array_equal(some.read(np.array([2, 0])), everything[[9, 7]])
        np.testing.assert_array_equal(some.take(np.array([1])).read_all(), everything[[3]])
        writable = some.read(np.array([0]))
        writable += 1
        np.testing.assert_array_equal(cached.read_all(), everything)

    def test_particles_with_cached_images(self, tmp_path: Path) -> None:
        given = particles()
        cached = open_or_build_cache(given, SPEC, tmp_path)
        result = cached_particles(given, cached)
        assert (result.box_size_px, result.pixel_size_A) == (16, 4.0)
        assert result.optics[0].box_size_px == 16
        np.testing.assert_array_equal(result.uid, given.uid)
        with pytest.raises(ValueError, match="3 cached images"):
            cached_particles(given, cached.take(np.arange(3)))

    @pytest.mark.parametrize("workers", [1, 3])
    def test_many_chunks(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
    ) -> None:
        whole = open_or_build_cache(particles(), SPEC, tmp_path / "whole").read_all()
        monkeypatch.setattr(particle_cache, "CHUNK_IMAGES", 3)
        told: list[tuple[int, int]] = []
        parts = open_or_build_cache(
            particles(),
            SPEC,
            tmp_path / "parts",
            progress=lambda done, count: told.append((done, count)),
            workers=workers,
        )
        np.testing.assert_array_equal(parts.read_all(), whole)
        assert told == [(min(done, 20), 20) for done in range(3, 22, 3)]


def builds(folder: Path, given: Particles, spec: CacheSpec = SPEC) -> bool:
    """Whether opening the cache makes it anew."""
    told: list[int] = []
    open_or_build_cache(given, spec, folder, progress=lambda done, _: told.append(done))
    return bool(told)


class TestReuse:
    def test_same_particles(self, tmp_path: Path) -> None:
        assert builds(tmp_path, particles())
        assert not builds(tmp_path, particles())

    def test_each_part_of_the_key(self, tmp_path: Path) -> None:
        given = particles()
        assert builds(tmp_path, given)
        others = [
            (replace(given, uid=given.uid[::-1]), SPEC),
            (replace(given, source=replace(given.source, row=given.source.row + 1)), SPEC),
            (replace(given, images=ImagesInMemory(given.images.read(np.arange(20)) + 1)), SPEC),
            (replace(given, optics=(replace(given.optics[0], pixel_size_A=2.1),)), SPEC),
            (given.take(np.arange(10)), SPEC),
            (given, replace(SPEC, box_size_px=18)),
            (given, replace(SPEC, particle_radius_A=21.0)),
            (given, replace(SPEC, contrast=-1)),
        ]
        for other, spec in others:
            assert builds(tmp_path, other, spec)
            assert not builds(tmp_path, other, spec)

    def test_changed_stack(self, tmp_path: Path) -> None:
        stack = tmp_path / "a.mrcs"
        stack.write_bytes(b"1")
        given = particles(files=(stack,))
        assert builds(tmp_path / "cache", given)
        assert not builds(tmp_path / "cache", given)
        stack.write_bytes(b"12")
        assert builds(tmp_path / "cache", given)

    @pytest.mark.parametrize("name", ["cache.json", "particles.npy"])
    @pytest.mark.parametrize("damage", ["cut", "removed", "nonsense"])
    def test_damaged_cache(self, tmp_path: Path, name: str, damage: str) -> None:
        builds(tmp_path, particles())
        path = tmp_path / name
        if damage == "removed":
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[:-9] if damage == "cut" else b"\x93NUMPY nonsense")
        assert builds(tmp_path, particles())
        assert not builds(tmp_path, particles())

    def test_content_is_checked_and_not_only_names_and_dates(self, tmp_path: Path) -> None:
        stack = tmp_path / "a.mrcs"
        stack.write_bytes(b"1")
        given = particles(files=(stack,))
        assert builds(tmp_path / "cache", given)
        other = replace(given.images, array=given.images.read(np.arange(20))[::-1])
        changed = replace(given, images=other)
        assert builds(tmp_path / "cache", changed)  # the key is the same, the images are not
        kept = np.load(tmp_path / "cache" / "particles.npy", mmap_mode="r+")
        kept[:] = 0  # as a disk may do
        kept.flush()
        assert builds(tmp_path / "cache", changed)
        assert not builds(tmp_path / "cache", changed)

    def test_half_the_room(self, tmp_path: Path) -> None:
        given = particles()
        whole = open_or_build_cache(given, SPEC, tmp_path / "whole").read_all()
        half = replace(SPEC, float16=True)
        assert builds(tmp_path / "half", given, half)
        assert not builds(tmp_path / "half", given, half)
        found = open_or_build_cache(given, half, tmp_path / "half")
        assert found.read(np.arange(3)).dtype == np.float32
        assert found.take(np.arange(3)).read_all().dtype == np.float32
        np.testing.assert_allclose(found.read_all(), whole, rtol=5e-4, atol=1e-4)
        sizes = [(tmp_path / n / "particles.npy").stat().st_size for n in ("whole", "half")]
        assert sizes == [128 + 20 * 4 * 16**2, 128 + 20 * 2 * 16**2]
        assert builds(tmp_path / "half", given)  # asked for in full now

    def test_a_hot_pixel_stays_finite(self, tmp_path: Path) -> None:
        given = particles()
        images = given.images.read(np.arange(20)).copy()
        images[3, 16, 16] = 1e6
        hot = replace(given, images=ImagesInMemory(images))
        found = open_or_build_cache(hot, replace(SPEC, float16=True), tmp_path).read_all()
        assert np.isfinite(found).all()

    def test_size_is_told_before(self, tmp_path: Path) -> None:
        told: list[Any] = []
        for spec, size in ((SPEC, 20 * 4 * 16**2), (replace(SPEC, float16=True), 20 * 2 * 16**2)):
            folder = tmp_path / str(size)
            open_or_build_cache(particles(), spec, folder, announce=told.append)
            estimate = told.pop()
            assert (estimate.image_count, estimate.needed_bytes) == (20, size)
            assert estimate.free_bytes > size
            assert estimate.words().startswith("0.0 MB, ")
            open_or_build_cache(particles(), spec, folder, announce=told.append)
            assert not told

    def test_array_of_objects_is_not_loaded(self, tmp_path: Path) -> None:
        builds(tmp_path, particles())
        np.save(tmp_path / "particles.npy", np.array([{}]), allow_pickle=True)
        assert builds(tmp_path, particles())


class TestInterruption:
    @pytest.fixture(autouse=True)
    def small_chunks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(particle_cache, "CHUNK_IMAGES", 4)

    def test_stop_then_go_on(self, tmp_path: Path) -> None:
        told: list[int] = []
        with pytest.raises(CachingStopped, match="8 of 20"):
            open_or_build_cache(
                particles(),
                SPEC,
                tmp_path,
                progress=lambda done, _: told.append(done),
                should_stop=lambda: len(told) == 2,
            )
        assert not (tmp_path / "particles.npy").exists()
        cached = open_or_build_cache(
            particles(), SPEC, tmp_path, progress=lambda done, _: told.append(done)
        )
        assert told == [4, 8, 12, 16, 20]
        whole = open_or_build_cache(particles(), SPEC, tmp_path / "whole")
        np.testing.assert_array_equal(cached.read_all(), whole.read_all())
        assert threading.active_count() < 20

    def test_kill_leaves_nothing_that_looks_finished(self, tmp_path: Path) -> None:
        def kill(done: int, _: int) -> None:
            if done > 8:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            open_or_build_cache(particles(), SPEC, tmp_path, progress=kill)
        assert not (tmp_path / "particles.npy").exists()
        assert not (tmp_path / "cache.json").exists()
        assert builds(tmp_path, particles())
        assert not builds(tmp_path, particles())

    def test_progress_of_other_particles_is_not_used(self, tmp_path: Path) -> None:
        with pytest.raises(CachingStopped):
            open_or_build_cache(particles(), SPEC, tmp_path, should_stop=lambda: True)
        state = json.loads((tmp_path / "progress.json").read_text())
        (tmp_path / "progress.json").write_text(json.dumps({**state, "done": 10**15}))
        assert builds(tmp_path, particles())

    def test_full_disk_is_told_before(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        usage = namedtuple("usage", "total used free")
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 10, 10**6))
        with pytest.raises(InputError, match=r"needs 34 MB, 1 MB are free.*cache_dir.*--box-px"):
            open_or_build_cache(particles(), SPEC, tmp_path)
        assert list(tmp_path.iterdir()) == []
        with pytest.raises(InputError, match="needs 34 MB"):
            open_or_build_cache(particles(), SPEC, tmp_path / "made")
        assert list(tmp_path.iterdir()) == []

    def test_full_disk_while_writing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with pytest.raises(InputError, match="disk is full"):
            open_or_build_cache(particles(), SPEC, tmp_path, progress=full)
        assert list(tmp_path.iterdir()) == []

    def test_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(InputError, match="file"):
            open_or_build_cache(particles(), SPEC, tmp_path / "file" / "cache")


class TestRefusals:
    @pytest.mark.parametrize("value", [0.0, np.nan])
    def test_constant_or_broken_image(self, tmp_path: Path, value: float) -> None:
        given = particles()
        images = given.images.read(np.arange(20)).copy()
        images[13] = value
        with pytest.raises(InputError, match=r"a\.star, row 14: image 000014@a\.mrcs has"):
            open_or_build_cache(replace(given, images=ImagesInMemory(images)), SPEC, tmp_path)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("spec", "problem"),
        [
            (replace(SPEC, box_size_px=64), "at most 32"),
            (replace(SPEC, box_size_px=15), "even"),
            (replace(SPEC, particle_radius_A=60.0), "no background"),
            (replace(SPEC, particle_radius_A=np.nan), "no background"),
            (replace(SPEC, particle_radius_A=0.0), "no background"),
        ],
    )
    def test_unfit_spec(self, tmp_path: Path, spec: CacheSpec, problem: str) -> None:
        with pytest.raises(InputError, match=problem):
            open_or_build_cache(particles(), spec, tmp_path)

    def test_contrast_is_a_sign(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="contrast"):
            open_or_build_cache(particles(), replace(SPEC, contrast=0), tmp_path)

    def test_mixed_pixel_sizes(self, tmp_path: Path) -> None:
        given = particles()
        optics = (given.optics[0], replace(given.optics[0], pixel_size_A=3.0))
        group = np.arange(20) % 2
        mixed = replace(given, optics=optics, ctf=replace(given.ctf, optics_group=group))
        with pytest.raises(InputError, match=r"2\.0 to 3\.0 A are mixed"):
            open_or_build_cache(mixed, SPEC, tmp_path)
        unused = replace(given, optics=optics)
        assert len(open_or_build_cache(unused, SPEC, tmp_path)) == 20

    def test_no_particles(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no particles"):
            open_or_build_cache(particles().take(np.arange(0)), SPEC, tmp_path)

    def test_one_that_was_replaced_leaves_the_other_ones_work(self, tmp_path: Path) -> None:
        theirs = '{"pid": 7, "host": "far-away", "token": "another"}'

        def replaced(done: int, count: int) -> None:
            (tmp_path / "cache.lock").write_text(theirs)
            (tmp_path / "progress.json").write_text("{}")

        with pytest.raises(InputError, match="taken over by another program"):
            open_or_build_cache(particles(), SPEC, tmp_path, progress=replaced)
        assert (tmp_path / "progress.json").read_text() == "{}"
        assert (tmp_path / "particles.npy.part").exists()
        assert (tmp_path / "cache.lock").read_text() == theirs

    def test_two_programs_at_once(self, tmp_path: Path) -> None:
        def second(*_: int) -> None:
            with pytest.raises(InputError, match="particle cache is in use"):
                open_or_build_cache(particles(), SPEC, tmp_path)

        cached = open_or_build_cache(particles(), SPEC, tmp_path, progress=second)
        assert isinstance(cached, CachedImages)
