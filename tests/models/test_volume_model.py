from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from cryoscope.data import CTFParams, InputError, Optics
from cryoscope.models.interfaces import Batch
from cryoscope.models.likelihood import MatchedData, overlap_and_power
from cryoscope.models.volume_model import VolumeModel, pairs_once
from cryoscope.physics.ctf import ctf_table
from cryoscope.physics.fourier import make_band, rfft2_centred
from cryoscope.physics.fsc import fourier_shell_correlation
from cryoscope.physics.imaging import transfer
from cryoscope.training.config import (
    EncoderConfig,
    LatentConfig,
    LossConfig,
    PhaseConfig,
    PoseConfig,
    TrainConfig,
    VolumeConfig,
)

BOX_PX, PIXEL_A = 16, 4.0
BAND = make_band(BOX_PX, PIXEL_A, with_dc=False)
CONFIG = TrainConfig(
    model="volume",
    encoder=EncoderConfig(kind="none"),
    latent=LatentConfig(dim=2),
    volume=VolumeConfig(widths=(64, 64, 64)),
    loss=LossConfig(data="l2-sum", scale="model"),
)
ENCODED = replace(
    CONFIG, encoder=EncoderConfig(kind="fourier-mlp", resolution_A=0, widths=(32, 32))
)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """So small a network only waits for more."""
    torch.set_num_threads(1)


def model_of(config: TrainConfig) -> VolumeModel:
    torch.manual_seed(0)
    model = VolumeModel(None, BAND, torch.ones(len(BAND)), config)
    return model.train()


def gaussians(moved_px: float = 0.0) -> tuple[Tensor, Tensor]:
    """Centres (px, xyz) and weights of a toy; the last one moves along x."""
    centres = torch.tensor([[0.0, 0, 0], [3, 1, -1], [-2, 3, 1], [-1, -3, 2], [1, 0, -3]])
    centres[-1, 0] += moved_px
    return centres, torch.tensor([3.0, 2.0, 2.5, 1.5, 3.0])


def toy_map(moved_px: float = 0.0) -> Tensor:
    """(n, n, n) [z, y, x]."""
    centres, weights = gaussians(moved_px)
    grid = torch.arange(BOX_PX) - BOX_PX // 2
    z, y, x = torch.meshgrid(grid, grid, grid, indexing="ij")
    places = torch.stack([x, y, z], dim=-1).float()
    distance2 = (places[..., None, :] - centres).square().sum(-1)
    return (weights * torch.exp(-distance2 / 2)).sum(-1)


def toy_batch(count: int, moved_px: tuple[float, ...] = (0.0,)) -> Batch:
    """Noise-free images, CTF and shift included, of the states in turn."""
    rotation = torch.as_tensor(Rotation.random(count, random_state=1).as_matrix()).float()
    grid = (torch.arange(BOX_PX) - BOX_PX // 2).float()
    images = []
    for index, turn in enumerate(rotation):
        centres, weights = gaussians(moved_px[index % len(moved_px)])
        x, y = (centres @ turn.T)[:, :2].T
        columns = torch.exp(-((grid[None] - x[:, None]) ** 2) / 2)
        rows = torch.exp(-((grid[None] - y[:, None]) ** 2) / 2)
        images.append((rows * weights[:, None]).T @ columns * (2 * torch.pi) ** 0.5)
    shift_A = torch.randn(count, 2) * PIXEL_A
    defocus_A = np.linspace(9e3, 2e4, count)
    table = ctf_table(CTFParams.uniform(count, defocus_A), (Optics(PIXEL_A, BOX_PX),))
    coefficients = BAND.transform(torch.stack(images)) * transfer(table, shift_A, BAND)
    return Batch(coefficients, rotation, shift_A, table, torch.arange(count))


def part_of(batch: Batch, rows: Tensor) -> Batch:
    assert batch.index is not None
    return Batch(
        batch.coefficients[rows],
        batch.rotation[rows],
        batch.shift_A[rows],
        batch.ctf.take(rows),
        batch.index[rows],
    )


def train(model: VolumeModel, batch: Batch, steps: int, kl: float = 0.0) -> list[float]:
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3, fused=True)
    generator = torch.Generator().manual_seed(0)
    costs = []
    for step in range(steps):
        rows = torch.randint(len(batch.rotation), (32,), generator=generator)
        for group in optimiser.param_groups:
            group["lr"] = 5e-3 * (1 - step / steps)
        terms = model.losses(part_of(batch, rows), generator).terms
        total = terms["data"].mean() + kl * terms["kl"].mean()
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        costs.append(float(terms["data"].mean().detach()))
    return costs


@torch.no_grad()
def fsc_of(model: VolumeModel, z: Tensor, truth: Tensor) -> Tensor:
    model.eval()
    voxels = model.decode(z[None]).voxelize(BOX_PX, PIXEL_A)[0]
    return fourier_shell_correlation(voxels, truth)[1 : BOX_PX // 2 - 2]


@pytest.mark.parametrize("domain", ["fourier", "hartley"])
def test_a_map_is_found_from_its_projections(domain: str) -> None:
    config = replace(CONFIG, volume=replace(CONFIG.volume, domain=domain))
    model = model_of(config)
    costs = train(model, toy_batch(200), 200)
    assert costs[-1] < 0.05 * costs[0]
    # one map for all, at the density of the truth
    found = model.decode(torch.zeros(1, 2)).voxelize(BOX_PX, PIXEL_A)[0].detach()
    truth = toy_map()
    assert float(fsc_of(model, torch.zeros(2), truth).min()) > 0.9
    centred = [values - values.mean() for values in (found, truth)]
    scale = float((centred[0] * centred[1]).sum() / centred[1].square().sum())
    assert scale == pytest.approx(1, abs=0.1)


def separation(z: Tensor) -> float:
    """Distance of the two states' means over the spread within, along the line between them."""
    even, odd = z[::2], z[1::2]
    axis = odd.mean(0) - even.mean(0)
    axis = axis / axis.norm()
    within = torch.cat([even - even.mean(0), odd - odd.mean(0)]) @ axis
    return float((odd.mean(0) - even.mean(0)) @ axis / within.std())


def test_an_autoencoder_tells_two_states_apart() -> None:
    model, batch = model_of(ENCODED), toy_batch(300, (0.0, 5.0))
    train(model, batch, 200, kl=0.05)
    with torch.no_grad():
        z = model.encode(batch).mean
    assert separation(z) > 3
    right, wrong = (fsc_of(model, z[i::2].mean(0), toy_map(5.0)).mean() for i in (1, 0))
    assert float(right) > 0.85
    assert float(right) > float(wrong) + 0.1


def test_a_table_of_latents_is_learned_and_saved() -> None:
    config = replace(CONFIG, latent=LatentConfig(dim=2, kind="table"))
    model, batch = model_of(config), toy_batch(60, (0.0, 5.0))
    with pytest.raises(ValueError, match="start_latents"):
        model.encode(batch)
    start = 0.1 * torch.randn(60, 2)
    model.start_latents(start)
    train(model, batch, 20)
    table = model.latent_table
    assert isinstance(table, torch.nn.Parameter)
    assert not torch.allclose(table, start)
    found = model.encode(part_of(batch, torch.tensor([5, 3])))
    assert found.log_var is None
    assert torch.equal(found.mean, table[[5, 3]])
    again = model_of(config)
    again.load_state_dict(model.state_dict())
    assert isinstance(again.latent_table, torch.nn.Parameter)
    assert torch.equal(again.latent_table, table)


def test_given_latents_stay_as_they_are() -> None:
    model = model_of(replace(CONFIG, latent=LatentConfig(dim=2, kind="given")))
    batch, z = toy_batch(40, (0.0, 5.0)), torch.tensor([[-1.0, 0], [1, 0]]).repeat(20, 1)
    model.start_latents(z)
    train(model, batch, 5)
    assert torch.equal(model.encode(batch).mean, z)
    assert "latent_table" not in dict(model.named_parameters())
    again = model_of(model.config)
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.encode(batch).mean, z)
    with pytest.raises(ValueError, match="dimensions"):
        model.start_latents(torch.zeros(40, 3))


@pytest.mark.parametrize(
    "loss",
    [
        LossConfig(data="l2-sum", scale="model"),
        LossConfig(data="likelihood", scale="image"),
        LossConfig(data="ncc", scale="image"),
    ],
)
def test_every_data_term_counts_each_pair_once(loss: LossConfig) -> None:
    model, batch = model_of(replace(ENCODED, loss=loss)), toy_batch(4)
    model.eval()
    generator = torch.Generator().manual_seed(3)
    found = model.losses(batch, generator)
    assert torch.equal(found.motion_A2, torch.zeros(4))
    z = found.posterior.sample(generator.manual_seed(3))
    projection = model.decode(z).project_band(batch.rotation, BAND)
    expected = model.data_term(projection, model.digest(batch).data)
    assert torch.allclose(found.terms["data"], expected, rtol=1e-4)
    assert torch.allclose(found.terms["kl"], found.posterior.kl())
    sum(found.terms.values(), torch.zeros(())).sum().backward()
    assert model.field.first.weight.grad is not None
    assert float(model.data_term.log_scale) == 0
    assert not bool(model.data_term.calibrated)


def test_pairs_are_those_of_real_images() -> None:
    band = make_band(BOX_PX, PIXEL_A)
    kept, factor = pairs_once(band)
    x, y = (band.transform(torch.randn(3, BOX_PX, BOX_PX)) for _ in range(2))
    data = MatchedData(y * band.weight, band.weight.expand(3, -1), torch.zeros(3))
    once = MatchedData(data.matched[:, kept] * factor, data.power[:, kept] * factor, data.total)
    for one, other in zip(
        overlap_and_power(x, data), overlap_and_power(x[:, kept], once), strict=True
    ):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-4)
    assert len(kept) == len(band) - (BOX_PX // 2 - 1)
    assert rfft2_centred(torch.zeros(1, BOX_PX, BOX_PX)).abs().sum() == 0


def test_low_precision_trains_as_well() -> None:
    config = replace(CONFIG, volume=replace(CONFIG.volume, precision="bfloat16"))
    model = model_of(config)
    train(model, toy_batch(200), 150)
    assert float(fsc_of(model, torch.zeros(2), toy_map())[:4].min()) > 0.9


def test_the_scale_of_the_images_does_not_matter() -> None:
    batch = toy_batch(8)
    loud = replace(batch, coefficients=100 * batch.coefficients)
    costs = []
    for seen, noise in ((batch, 1.0), (loud, 1e4)):
        torch.manual_seed(0)
        model = VolumeModel(None, BAND, torch.full((len(BAND),), noise), CONFIG)
        costs.append(model.losses(seen, torch.Generator()).terms["data"])
    assert torch.allclose(*costs, rtol=1e-3)


def test_a_model_without_atoms_says_so() -> None:
    model = model_of(ENCODED)
    assert model.latent_dim == 2
    assert model.reference_A.shape == (0, 3)
    assert model.anchors(torch.zeros(5, 2)).shape == (5, 0, 3)
    assert model.positions(torch.zeros(5, 2)).shape == (5, 0, 3)
    other = model_of(ENCODED)
    torch.nn.init.zeros_(other.field.last.weight)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.field.last.weight, model.field.last.weight)


def test_the_encoder_may_have_residual_links() -> None:
    plain = model_of(ENCODED)
    linked = model_of(replace(ENCODED, encoder=replace(ENCODED.encoder, residual=True)))
    linked.load_state_dict(plain.state_dict())
    batch = toy_batch(3)
    assert not torch.allclose(linked.encode(batch).mean, plain.encode(batch).mean)


REFUSED: list[tuple[Callable[[TrainConfig], TrainConfig], str]] = [
    (lambda c: replace(c, encoder=EncoderConfig()), "bead-view"),
    (lambda c: replace(c, loss=LossConfig(scale="global")), "intensity"),
    (lambda c: replace(c, pose=PoseConfig(shift=True)), "poses"),
    (lambda c: replace(c, phases=(PhaseConfig(kind="zero-init"),)), "zero-init"),
]


@pytest.mark.parametrize(("change", "named"), REFUSED)
def test_settings_that_need_atoms_are_refused(change: Any, named: str) -> None:
    with pytest.raises(InputError, match=named) as caught:
        model_of(change(CONFIG))
    assert caught.value.cure
