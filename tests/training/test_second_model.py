"""A model of another kind, without atoms, trains and decodes without a change to the loop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cryoscope.io.run_folder import RunFolder
from cryoscope.models import registry
from cryoscope.models.coarse_grain import Beads
from cryoscope.models.heads import Posterior
from cryoscope.models.interfaces import Batch, Losses
from cryoscope.models.likelihood import log_likelihood_gain, match_data
from cryoscope.physics.fourier import Band
from cryoscope.training.config import TrainConfig
from cryoscope.training.decoding import load_decoder
from cryoscope.training.events import RunFinished, StepDone
from cryoscope.training.trainer import train


class Blob:
    """A round Gaussian per state, of the width given."""

    def __init__(self, width_A: Tensor) -> None:
        self.width_A = width_A

    def _of(self, square_A2: Tensor) -> Tensor:
        width_A = self.width_A.view(-1, *[1] * square_A2.dim())
        return torch.exp(-0.5 * square_A2 / width_A**2)

    def project(self, rotation: Tensor, box_size_px: int, pixel_size_A: float) -> Tensor:
        axis = (torch.arange(box_size_px) - box_size_px // 2) * pixel_size_A
        return self._of(axis[:, None] ** 2 + axis**2)

    def voxelize(self, box_size_px: int, voxel_size_A: float) -> Tensor:
        axis = (torch.arange(box_size_px) - box_size_px // 2) * voxel_size_A
        return self._of(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)


class BlobModel(nn.Module):
    """The latent is the logarithm of the width."""

    noise_power: Tensor
    reference_A: Tensor
    latent_dim = 1

    def __init__(self, beads: Beads, band: Band, noise_power: Tensor, config: Any) -> None:
        super().__init__()
        self.band = band
        self.register_buffer("noise_power", noise_power)
        self.register_buffer("reference_A", torch.zeros(0, 3), persistent=False)
        self.net = nn.Linear(1, 1)

    def encode(self, batch: Batch) -> Posterior:
        power = batch.coefficients.abs().square().mean(1, keepdim=True)
        return Posterior(self.net(power.log()), None)

    def anchors(self, z: Tensor) -> Tensor:
        return z.new_zeros(len(z), 0, 3)

    def decode(self, z: Tensor) -> Blob:
        return Blob(10.0 * z[:, 0].clamp(-2, 2).exp())

    def positions(self, z: Tensor) -> Tensor:
        return self.anchors(z)

    def reset_coordinates(self) -> None:
        pass

    def losses(self, batch: Batch, generator: torch.Generator, phase: str = "main") -> Losses:
        posterior = self.encode(batch)
        images = self.decode(posterior.sample(generator)).project(
            batch.rotation, self.band.box_size_px, self.band.pixel_size_A
        )
        data = match_data(batch.coefficients, batch.ctf, batch.shift_A, self.band, self.noise_power)
        terms = {
            "data": -log_likelihood_gain(self.band.transform(images), data),
            "kl": posterior.kl(),
        }
        return Losses(terms, posterior, torch.zeros(len(images)))


def test_a_second_model_needs_no_change_in_the_loop(
    small_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_MODELS", {**registry._MODELS, "blob": BlobModel})
    config = replace(small_config, model="blob")
    events = list(train(config, tmp_path / "run"))
    assert events[-1] == RunFinished(10, "completed")
    step = next(e for e in events if isinstance(e, StepDone))
    assert set(step.losses) == {"data", "kl", "total"}
    assert step.motion_A == 0
    assert RunFolder.open(tmp_path / "run").load_latents().z.shape == (160, 1)
    decoder = load_decoder(tmp_path / "run")
    assert decoder.coords_A(np.zeros((3, 1))).shape == (3, 0, 3)
    assert decoder.volume(np.zeros(1)).values.shape == (32, 32, 32)
