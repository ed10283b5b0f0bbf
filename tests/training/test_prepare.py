from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cryoscope.data import InputError, Optics
from cryoscope.io.structures import read_structure
from cryoscope.physics.fourier import make_band
from cryoscope.training.config import TrainConfig
from cryoscope.training.prepare import (
    automatic_box_px,
    prepare,
)
from cryoscope.training.reference import place_structure
from cryoscope.training.statistics import noise_power
from tests.training.conftest import simulated_set


def test_dark_protein_is_detected(small_config: TrainConfig, tmp_path: Path) -> None:
    dark = simulated_set(tmp_path / "dark", contrast="dark")
    data = replace(
        small_config.data,
        particles=str(dark / "particles.star"),
        structure=str(dark / "reference.pdb"),
    )
    assert prepare(replace(small_config, data=data)).contrast == -1
    assert prepare(small_config).contrast == 1


def test_a_structure_in_the_corner_frame_is_moved(small_set: Path) -> None:
    structure = read_structure(small_set / "reference.pdb")
    optics = Optics(3.0, 32)
    moved = structure.with_coords(structure.coords_A + 48.0)
    for origin in ("auto", "corner"):
        back = place_structure(moved, optics, origin)
        assert np.allclose(back.coords_A, structure.coords_A, atol=2e-3)
    assert np.allclose(
        place_structure(structure, optics, "auto").coords_A, structure.coords_A, atol=2e-3
    )


def test_a_structure_far_outside_the_box_is_refused(
    small_config: TrainConfig, small_set: Path, tmp_path: Path
) -> None:
    structure = read_structure(small_set / "reference.pdb")
    with pytest.raises(InputError, match=r"far\.pdb: the structure lies outside the box"):
        place_structure(
            structure.with_coords(structure.coords_A + 700), Optics(3.0, 32), "auto", "far.pdb"
        )


def test_white_noise_has_power_one() -> None:
    band = make_band(32, 2.0, with_dc=False)
    images = np.random.default_rng(0).normal(size=(400, 32, 32)).astype(np.float32)
    power = noise_power(images, 20.0, band)
    assert torch.allclose(power, torch.ones(len(band)), atol=0.1)


def test_coloured_noise_keeps_its_colour() -> None:
    band = make_band(32, 2.0, with_dc=False)
    images = np.random.default_rng(0).normal(size=(400, 32, 32)).astype(np.float32)
    smooth = (images + np.roll(images, 1, 1) + np.roll(images, 1, 2)).astype(np.float32)
    power = noise_power(smooth, 20.0, band)
    assert float(power[band.shell == 2].mean()) > 3 * float(power[band.shell == 15].mean())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"particles": ""}, "no particles were given"),
        ({"structure": ""}, "no structure was given"),
        ({"box_size_px": 64}, "larger than the images"),
        ({"box_size_px": 8}, "too small"),
        ({"particles": "/nowhere/particles.star"}, "particles.star"),
        ({"structure": "/nowhere/model.pdb"}, "model.pdb"),
    ],
)
def test_what_cannot_be_trained_on_is_said(
    small_config: TrainConfig, change: dict[str, object], message: str
) -> None:
    config = replace(small_config, data=replace(small_config.data, **change))
    with pytest.raises(InputError, match=message):
        prepare(config)


@pytest.mark.parametrize(
    ("box_px", "pixel_size_A", "expected"),
    [
        (64, 1.6, 64),
        (256, 1.0, 128),
        (200, 1.0, 128),
        (100, 1.0, 66),
        (400, 0.6, 128),
        (16, 0.5, 16),
    ],
)
def test_the_automatic_box(box_px: int, pixel_size_A: float, expected: int) -> None:
    assert automatic_box_px(box_px, pixel_size_A) == expected


def test_particles_without_poses_are_refused(
    small_config: TrainConfig, small_set: Path, tmp_path: Path
) -> None:
    text = (small_set / "particles.star").read_text()
    for name in ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"):
        text = text.replace(name, name.replace("Angle", "Other"))
    bare = tmp_path / "bare.star"
    bare.write_text(text)
    for stack in small_set.glob("*.mrcs"):
        (tmp_path / stack.name).symlink_to(stack)
    config = replace(small_config, data=replace(small_config.data, particles=str(bare)))
    with pytest.raises(InputError, match="no poses"):
        prepare(config)
