from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cryoscope.data import InputError, Optics, Volume
from cryoscope.io.mrc import write_volume
from cryoscope.models.densities import BeadDensity
from cryoscope.training.config import TrainConfig
from cryoscope.training.consensus import (
    automatic_low_pass,
    compare_maps,
    crop_map,
    structure_mask,
    training_box_px,
)
from cryoscope.training.decoding import load_decoder
from cryoscope.training.trainer import train

BOX_PX, VOXEL_A = 64, 2.0
OPTICS = Optics(VOXEL_A, BOX_PX)


def beads_A() -> np.ndarray:
    return np.random.default_rng(3).normal(scale=12.0, size=(60, 3))


def density(centre_A: np.ndarray, sigma_A: float = 1.5) -> BeadDensity:
    count = len(centre_A)
    centres = torch.as_tensor(centre_A).float()[None]
    return BeadDensity(centres, torch.ones(count), torch.full((count,), sigma_A))


def low_passed(values: np.ndarray, resolution_A: float, noise: float) -> np.ndarray:
    """The map up to a resolution, noise beyond it."""
    k = np.fft.fftfreq(BOX_PX, VOXEL_A)
    radius = np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2)
    other = np.random.default_rng(0).normal(scale=noise, size=values.shape)
    spectrum = np.where(radius <= 1 / resolution_A, np.fft.fftn(values), np.fft.fftn(other))
    return np.asarray(np.fft.ifftn(spectrum).real, dtype=np.float32)


def consensus(resolution_A: float) -> Volume:
    values = density(beads_A()).voxelize(BOX_PX, VOXEL_A)[0].numpy()
    return Volume(low_passed(values, resolution_A, float(values.std())), VOXEL_A, (0.0, 0.0, 0.0))


@pytest.mark.parametrize("resolution_A", [6.0, 9.0, 14.0])
def test_the_low_pass_is_where_the_map_ends(resolution_A: float) -> None:
    found = automatic_low_pass(
        density(beads_A()), beads_A(), consensus(resolution_A), OPTICS, file="map.mrc"
    )
    assert found.resolution_A == pytest.approx(resolution_A, rel=0.12)
    assert not found.at_nyquist
    assert len(found.fsc) == len(found.shell_resolution_A) == BOX_PX // 2
    assert found.table().splitlines()[0] == "resolution_A,fsc"
    assert f"{found.resolution_A:.1f} A" in found.remark()


def test_a_perfect_map_is_bounded_by_nyquist() -> None:
    values = density(beads_A()).voxelize(BOX_PX, VOXEL_A)[0].numpy()
    volume = Volume(values, VOXEL_A, (0.0, 0.0, 0.0))
    found = automatic_low_pass(density(beads_A()), beads_A(), volume, OPTICS, file="map.mrc")
    assert found.at_nyquist
    assert found.resolution_A == pytest.approx(2 * VOXEL_A)
    assert "finest" in found.remark()


def test_a_finer_map_is_cropped_to_the_images() -> None:
    coarse = Optics(2 * VOXEL_A, BOX_PX // 2)
    found = automatic_low_pass(
        density(beads_A(), 3.0), beads_A(), consensus(12.0), coarse, file="map.mrc"
    )
    assert found.resolution_A == pytest.approx(12.0, rel=0.2)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"voxel_size_A": 2.1}, "134.4 A wide.*128.0 A"),
        ({"values": np.zeros((64, 64, 62), np.float32)}, "not an even cube"),
        ({"values": np.zeros((63, 63, 63), np.float32)}, "not an even cube"),
    ],
)
def test_a_map_of_other_images_is_refused(change: dict[str, object], words: str) -> None:
    volume = replace(consensus(9.0), **change)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=words) as caught:
        automatic_low_pass(density(beads_A()), beads_A(), volume, OPTICS, file="map.mrc")
    assert caught.value.file == "map.mrc"
    assert caught.value.cure


@pytest.mark.parametrize("wrong", ["place", "contrast"])
def test_a_structure_that_is_not_in_the_map_is_refused(wrong: str) -> None:
    volume = consensus(6.0)
    centre_A = beads_A() + (40.0 if wrong == "place" else 0.0)
    if wrong == "contrast":
        volume = replace(volume, values=-volume.values)
    with pytest.raises(InputError, match="does not show the structure"):
        automatic_low_pass(density(centre_A), centre_A, volume, OPTICS, file="map.mrc")


def test_coarse_shells_do_not_decide() -> None:
    model = density(beads_A()).voxelize(BOX_PX, VOXEL_A)[0]
    x = torch.arange(BOX_PX) * 2 * np.pi / BOX_PX
    solvent = -20 * model.std() * torch.cos(x)[None, None, :].expand_as(model)
    found = compare_maps(model, model + solvent, torch.ones_like(model), VOXEL_A)
    assert found.fsc[0] < 0.5
    assert found.at_nyquist


def test_cropping_a_map_keeps_place_and_value() -> None:
    wide = density(beads_A(), 4.0)
    fine = wide.voxelize(BOX_PX, VOXEL_A)[0].numpy()
    coarse = wide.voxelize(BOX_PX // 2, 2 * VOXEL_A)[0].numpy()
    np.testing.assert_allclose(crop_map(fine, BOX_PX // 2), coarse, atol=0.02 * coarse.max())


def test_the_mask_lies_round_the_structure() -> None:
    mask = structure_mask(np.array([[10.0, 0.0, -20.0], [900.0, 0.0, 0.0]]), BOX_PX, VOXEL_A)
    assert mask[32 - 10, 32, 32 + 5] == 1.0
    assert mask[32 + 10, 32, 32 - 5] == 0.0
    assert 0 < mask[32 - 10, 32, 32 + 5 + 6] < 1


@pytest.mark.parametrize(
    ("box_px", "pixel_A", "low_pass_A", "expected"),
    [(256, 1.0, 8.0, 70), (256, 1.0, 1.0, 256), (64, 4.0, 100.0, 16), (128, 1.0, 4.0, 70)],
)
def test_the_box_holds_the_low_pass(
    box_px: int, pixel_A: float, low_pass_A: float, expected: int
) -> None:
    chosen = training_box_px(box_px, pixel_A, low_pass_A)
    assert chosen == expected
    assert chosen % 2 == 0
    if 16 < chosen < box_px:
        assert 2 * box_px * pixel_A / chosen < low_pass_A


def test_a_run_keeps_the_curve_that_set_its_low_pass(
    small_config: TrainConfig, tmp_path: Path
) -> None:
    list(train(small_config, tmp_path / "first"))
    decoder = load_decoder(tmp_path / "first")
    rest = np.zeros(small_config.latent.dim, dtype=np.float32)
    write_volume(tmp_path / "map.mrc", decoder.volume(rest))
    data = replace(small_config.data, consensus_map=str(tmp_path / "map.mrc"))
    list(train(replace(small_config, data=data), tmp_path / "second"))
    table = np.loadtxt(tmp_path / "second" / "fsc.csv", delimiter=",", skiprows=1)
    assert table.shape[1] == 2
    assert table[0, 1] > 0.9
    assert not (tmp_path / "first" / "fsc.csv").exists()
