"""Reconstruction of chosen particles: files, half-sets, control, cancelling, and refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from cryoscope.data import CTFParams, InputError, Optics, Particles, ParticleSource, Poses, Volume
from cryoscope.io.mrc import read_volume, write_volume
from cryoscope.physics.ctf import ctf_table
from cryoscope.physics.fourier import make_band
from cryoscope.physics.imaging import rotate_to_image, transfer
from cryoscope.physics.projectors import project_dense
from cryoscope.session.reconstruct import ReconstructionStopped, reconstruct

BOX, PIXEL_A, COUNT = 32, 3.0, 300


class Images:
    """Images in memory; remembers the most that was read at once."""

    def __init__(self, images: np.ndarray) -> None:
        self.images, self.most = images, 0

    @property
    def box_size_px(self) -> int:
        return self.images.shape[-1]

    def __len__(self) -> int:
        return len(self.images)

    def read(self, index: np.ndarray) -> np.ndarray:
        self.most = max(self.most, len(index))
        return self.images[index].copy()

    def take(self, index: np.ndarray) -> Images:
        return Images(self.images[index])


@pytest.fixture(scope="module")
def particles() -> Particles:
    """Twelve blobs off the centre in noise, bright, with a level that no two images share."""
    rng = np.random.default_rng(0)
    rotation = Rotation.random(COUNT, random_state=1).as_matrix()
    shift_A = rng.normal(size=(COUNT, 2)) * 3
    optics = (Optics(PIXEL_A, BOX),)
    params = CTFParams.uniform(COUNT, rng.uniform(8e3, 2e4, COUNT))
    coords_A = torch.randn(12, 3, generator=torch.Generator().manual_seed(0)) * 8
    turned = torch.as_tensor(rotation).float()
    xy_A = rotate_to_image(coords_A.expand(COUNT, -1, -1), turned)
    images = project_dense(xy_A, torch.ones(12), torch.full((12,), 4.0), BOX, PIXEL_A)
    band = make_band(BOX, PIXEL_A)
    shifted = transfer(ctf_table(params, optics), torch.as_tensor(shift_A).float(), band)
    clean = band.embed(band.transform(images) * shifted).numpy()
    noise = rng.normal(size=clean.shape) * clean.std() * 2
    recorded = (clean + noise + rng.normal(size=(COUNT, 1, 1)) * 5).astype(np.float32)
    return Particles(
        images=Images(recorded),
        optics=optics,
        ctf=params,
        poses=Poses(rotation, shift_A),
        half_set=(np.arange(COUNT) % 3 > 0).astype(np.int8) + 1,
        uid=np.array([f"{i}@stack" for i in range(COUNT)]),
        source=ParticleSource(Path("particles.star"), np.arange(COUNT, dtype=np.int64)),
    )


def with_images(particles: Particles, images: np.ndarray) -> Particles:
    return replace(particles, images=Images(images))


def values(volume: Volume) -> np.ndarray:
    return volume.values.ravel()


def test_a_selection_and_its_control(particles: Particles, tmp_path: Path) -> None:
    rows = np.arange(0, COUNT, 2)
    seen: list[tuple[str, int, int]] = []
    out = tmp_path / "new" / "folder"
    found = reconstruct(particles, rows, out=out, progress=lambda *now: seen.append(now), seed=4)
    assert found.half_counts == (50, 100)  # the file's own half-sets
    assert found.contrast == 1
    assert found.resolution_A < 12
    assert found.control is not None
    assert found.control.resolution_A == pytest.approx(found.resolution_A, rel=0.5)
    assert seen[-1] == ("inserting the control", 300, 300)
    assert {stage for stage, _, _ in seen} == {"inserting images", "inserting the control"}
    names = ["map.mrc", "half1.mrc", "half2.mrc", "mask.mrc"]
    names += ["fsc.csv", "fsc.png", "reconstruction.json"]
    assert [file.name for file in found.files] == names
    assert sorted(path.name for path in out.iterdir()) == sorted(names)
    written = read_volume(out / "map.mrc")
    assert written.voxel_size_A == PIXEL_A
    assert written.origin_A == (-48.0, -48.0, -48.0)
    np.testing.assert_array_equal(written.values, found.full.values)
    header, *lines = (out / "fsc.csv").read_text("utf-8").splitlines()
    assert header.startswith("shell,frequency_per_A,resolution_A,fsc_unmasked")
    assert header.endswith("fsc_corrected,control_fsc_corrected")
    assert len(lines) == BOX // 2
    assert lines[-1].split(",")[:3] == ["16", "0.16666667", "6.0000"]
    assert (out / "fsc.png").read_bytes().startswith(b"\x89PNG")
    record = json.loads((out / "reconstruction.json").read_text("utf-8"))
    assert record["particle_count"] == 150
    assert record["contrast"] == "bright"
    assert "150 particles (50 + 100)" in found.summary()


def test_half_maps_add_up_and_are_of_the_halves(particles: Particles) -> None:
    found = reconstruct(particles, control=False)
    half = values(found.halves.half1)
    alone = particles.take(np.flatnonzero(particles.half_set == 1))
    split = replace(alone, half_set=(np.arange(len(alone)) % 2 + 1).astype(np.int8))
    np.testing.assert_allclose(half, values(reconstruct(split, control=False).full), atol=1e-5)
    assert found.control is None
    assert found.half_counts == (100, 200)


def test_all_particles_have_no_control(particles: Particles) -> None:
    assert reconstruct(particles, np.arange(COUNT)[::-1]).control is None


def test_dark_images_give_the_same_map(particles: Particles) -> None:
    bright = reconstruct(particles, control=False)
    dark = with_images(particles, -particles.images.read(np.arange(COUNT)))
    found = reconstruct(dark, control=False)
    assert (bright.contrast, found.contrast) == (1, -1)
    np.testing.assert_allclose(found.full.values, bright.full.values, atol=1e-6)
    forced = reconstruct(dark, control=False, contrast=1)
    np.testing.assert_allclose(forced.full.values, -bright.full.values, atol=1e-6)


def test_a_smaller_box_is_the_same_map_in_fewer_samples(particles: Particles) -> None:
    full = reconstruct(particles, control=False)
    small = reconstruct(particles, control=False, box_size_px=20)
    assert small.full.values.shape == (20, 20, 20)
    assert small.full.voxel_size_A == pytest.approx(PIXEL_A * 32 / 20)
    from cryoscope.training.consensus import crop_map

    cropped = crop_map(full.full.values, 20)
    assert np.corrcoef(cropped.ravel(), values(small.full))[0, 1] > 0.95


def test_a_mask_of_either_box_can_be_given(particles: Particles, tmp_path: Path) -> None:
    first = reconstruct(particles, control=False, out=tmp_path)
    again = reconstruct(particles, control=False, mask=tmp_path / "mask.mrc")
    np.testing.assert_allclose(again.fsc.corrected, first.fsc.corrected, atol=1e-6)
    small = reconstruct(particles, control=False, mask=first.mask, box_size_px=16)
    assert small.mask.values.shape == (16, 16, 16)
    wrong = tmp_path / "wrong.mrc"
    for bad in (np.ones((8, 8, 8)), np.zeros((BOX,) * 3), np.full((BOX,) * 3, 7.0)):
        write_volume(wrong, replace(first.mask, values=bad.astype(np.float32)))
        with pytest.raises(InputError, match=r"wrong\.mrc: a mask"):
            reconstruct(particles, mask=wrong)


def test_images_are_read_in_batches(particles: Particles, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = reconstruct(particles, control=False)
    monkeypatch.setattr("cryoscope.session.reconstruct._MOST_BATCH", 32)
    fresh = with_images(particles, particles.images.read(np.arange(COUNT)))
    small = reconstruct(fresh, control=False)
    assert fresh.images.most == 32  # type: ignore[attr-defined]
    np.testing.assert_allclose(small.full.values, whole.full.values, atol=1e-6)


def test_stopping_leaves_nothing(particles: Particles, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(ReconstructionStopped):
        reconstruct(particles, out=out, should_stop=lambda: True)
    assert not out.exists()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"rows": np.array([0, COUNT])}, f"no particle {COUNT} among {COUNT}"),
        ({"rows": np.array([-1, 4])}, "no particle -1"),
        ({"rows": np.array([], dtype=int)}, "0 are in half-set 1"),
        ({"rows": np.array([0, 3, 6])}, "0 in half-set 2"),
        ({"box_size_px": 31}, "cannot be cropped to 31 px"),
        ({"box_size_px": 64}, "cannot be cropped to 64 px"),
    ],
)
def test_what_cannot_be_reconstructed_is_refused(
    particles: Particles, change: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=problem):
        reconstruct(particles, change.pop("rows", None), out=tmp_path / "out", **change)
    assert not (tmp_path / "out").exists()


def test_particles_without_poses_or_numbers_are_refused(
    particles: Particles, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="no poses"):
        reconstruct(replace(particles, poses=None))
    images = particles.images.read(np.arange(COUNT))
    images[7, 16, 16] = np.nan
    with pytest.raises(InputError, match=r"row 8: image 7@stack has values that are not numbers"):
        reconstruct(with_images(particles, images), out=tmp_path / "out")
    with pytest.raises(InputError, match="nothing that a mask"):
        reconstruct(with_images(particles, 0 * particles.images.read(np.arange(COUNT))))


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(
    particles: Particles, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError):
        reconstruct(particles, out=tmp_path / "file" / "out")
