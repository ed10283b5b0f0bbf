"""cryoDRGN's networks without cryoDRGN: there and back again, and weights that do not fit."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cryoscope.data import CTFParams, InputError, Latents, Optics, Poses
from cryoscope.io.cryodrgn_run import CryodrgnRun
from cryoscope.io.particles_file import ParticleMetadata
from cryoscope.models.volume_density import VolumeDensity
from cryoscope.models.volume_field import VolumeField
from cryoscope.training.cryodrgn_export import write_cryodrgn_run
from cryoscope.training.cryodrgn_model import load_cryodrgn_decoder, read_cryodrgn_field
from cryoscope.training.model_config import VolumeConfig

COUNT, BOX, PIXEL_A = 5, 12, 2.0
METADATA = ParticleMetadata(
    image_names=[f"{i + 1:06d}@p.mrcs" for i in range(COUNT)],
    uid=np.array([f"{i + 1:06d}@p.mrcs" for i in range(COUNT)]),
    optics=(Optics(PIXEL_A, BOX),),
    ctf=CTFParams.uniform(COUNT, 15000.0),
    poses=Poses(np.tile(np.eye(3), (COUNT, 1, 1)), np.zeros((COUNT, 2))),
)
Z = np.random.default_rng(0).normal(size=(COUNT, 2)).astype(np.float32)


def write(out: Path, settings: VolumeConfig, **changed: Any) -> VolumeField:
    field = VolumeField(BOX, 2, settings)
    field.amplitude.fill_(0.7)
    arguments: dict[str, Any] = {
        "latents": Latents(Z, Z - 1, METADATA.uid, "r", 4),
        "optics": Optics(PIXEL_A, BOX),
        "particles": out.parent / "p.star",
        "metadata": METADATA,
    }
    write_cryodrgn_run(out, field, settings, **arguments | changed)
    return field


@pytest.mark.parametrize("domain", ["fourier", "hartley"])
@pytest.mark.parametrize("encoding", ["gaussian", "geometric-low", "geometric", "linear-low"])
@pytest.mark.parametrize(("width", "residual"), [(16, True), (16, False), (38, True)])
def test_there_and_back(
    tmp_path: Path, domain: Any, encoding: Any, width: int, residual: bool
) -> None:
    # Width 38 is that of the features and the latent: cryoDRGN makes the first layer residual.
    settings = VolumeConfig(
        domain=domain, encoding=encoding, widths=(width,) * 3, residual=residual
    )
    field = write(tmp_path / "run", settings)
    decoder = load_cryodrgn_decoder(tmp_path / "run")
    assert (decoder.epoch, decoder.optics.pixel_size_A) == (4, PIXEL_A)
    found = decoder.volume(Z[0])
    assert found.voxel_size_A == PIXEL_A
    with torch.no_grad():
        wanted = VolumeDensity(field, torch.as_tensor(Z[:1]), BOX, PIXEL_A).voxelize(BOX, PIXEL_A)
    np.testing.assert_allclose(found.values, wanted[0].numpy(), atol=1e-5 * float(wanted.std()))
    latents = CryodrgnRun.open(tmp_path / "run").latents()
    np.testing.assert_array_equal(latents.z, Z)


def test_what_cannot_be_written(tmp_path: Path) -> None:
    good = VolumeConfig(widths=(8, 8))
    broken = Z.copy()
    broken[2] = np.nan
    latents = Latents(Z, None, METADATA.uid, "r", 4)
    for settings, changed, problem in (
        (VolumeConfig(widths=(8, 9)), {}, "no network with this encoding and these widths"),
        (good, {"latents": replace(latents, z=broken)}, "1 particles have no latent"),
        (good, {"latents": replace(latents, uid=METADATA.uid[::-1])}, "not the particles"),
    ):
        with pytest.raises(InputError, match=problem):
            write(tmp_path / "run", settings, **changed)
    assert list(tmp_path.iterdir()) == []


def test_weights_that_do_not_fit(tmp_path: Path) -> None:
    write(tmp_path / "run", VolumeConfig(widths=(8, 8)))
    run = CryodrgnRun.open(tmp_path / "run")
    path = run.weights_path(4)
    other = replace(run.settings, box_size_px=32, encoding_count=0)
    with pytest.raises(
        InputError, match=r"weights are those of a box of 12 px; config.yaml says 32"
    ):
        read_cryodrgn_field(path, other)
    for changed, problem in (
        ({"latent_dim": 3}, "with 3 latent dimensions"),
        ({"domain": "hartley"}, "give 2; a box"),
        ({"kind": "abinit"}, "abinit are not read"),
        ({"activation": "leaky_relu"}, "'leaky_relu' is not read"),
    ):
        with pytest.raises(InputError, match=problem):
            read_cryodrgn_field(path, replace(run.settings, **changed))
    with pytest.raises(InputError, match="no epoch 5"):
        load_cryodrgn_decoder(run, 5)
    with pytest.raises(InputError, match="do not fit this model's 2 dimensions"):
        load_cryodrgn_decoder(run, 4).volume(np.zeros(3))


class Hostile:
    ran = False

    def __reduce__(self) -> tuple[Any, ...]:
        return setattr, (Hostile, "ran", True)


def test_damaged_weights(tmp_path: Path) -> None:
    write(tmp_path / "run", VolumeConfig(widths=(8, 8)))
    run = CryodrgnRun.open(tmp_path / "run")
    path = run.weights_path(4)
    content = path.read_bytes()
    for length in (0, 10, len(content) // 2, len(content) - 10):
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match="weights are damaged") as caught:
            load_cryodrgn_decoder(run, 4)
        assert "\n" not in str(caught.value)
    for bad in (
        {"model_state_dict": {"decoder.main.0.weight": Hostile()}},
        {"model_state_dict": {"decoder.main.0.weight": torch.full((2, 2), torch.nan)}},
        {"other": 1},
        [1],
    ):
        with warnings.catch_warnings(action="ignore"):
            torch.save(bad, path)
        with pytest.raises(InputError, match=r"weights are damaged|no volume network"):
            load_cryodrgn_decoder(run, 4)
    assert not Hostile.ran
