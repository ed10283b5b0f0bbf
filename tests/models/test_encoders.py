from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cryoscope.data import CTFParams, InputError, Optics
from cryoscope.models.encoder_input import BandImages, encoder_input, smallest_band
from cryoscope.models.encoders import BeadViewEncoder, FourierMLPEncoder, make_encoder
from cryoscope.models.interfaces import Batch
from cryoscope.models.likelihood import match_data
from cryoscope.models.networks import HiddenLayers, mlp
from cryoscope.physics.ctf import ctf, ctf_table
from cryoscope.physics.fourier import Band, make_band
from cryoscope.physics.imaging import rotate_to_image, shift_phase
from cryoscope.physics.projectors import gather_at_beads, gather_dense, project_dense

BOX_PX, PIXEL_A, SIGMA_A, REACH = 32, 1.7, 3.0, 2.5


def rotations(count: int) -> Tensor:
    turns = torch.linalg.qr(torch.randn(count, 3, 3))[0]
    return turns * torch.sign(torch.det(turns))[:, None, None]


def views() -> tuple[Tensor, Tensor]:
    """Images and places, some of whose windows leave the box and some lie outside it."""
    images = torch.randn(4, BOX_PX, BOX_PX)
    xy_A = (torch.rand(4, 25, 2) - 0.5) * BOX_PX * PIXEL_A
    xy_A[:, :2] *= 3
    return images, xy_A


def brute_force(image: Tensor, place_A: Tensor) -> tuple[float, float, float]:
    """The windowed sum of one place and its slope, pixel by pixel."""
    value = along_x = along_y = 0.0
    for row in range(BOX_PX):
        for column in range(BOX_PX):
            dx = (column - BOX_PX // 2) * PIXEL_A - float(place_A[0])
            dy = (row - BOX_PX // 2) * PIXEL_A - float(place_A[1])
            if max(abs(dx), abs(dy)) > REACH * SIGMA_A:
                continue
            weight = math.exp(-(dx * dx + dy * dy) / (2 * SIGMA_A**2))
            weight *= PIXEL_A**2 / (2 * math.pi * SIGMA_A**2) * float(image[row, column])
            value += weight
            along_x += weight * dx / SIGMA_A**2
            along_y += weight * dy / SIGMA_A**2
    return value, along_x, along_y


def test_gathering_is_the_windowed_sum_and_its_slope() -> None:
    images, xy_A = views()
    value, slope = gather_at_beads(images, xy_A, SIGMA_A, PIXEL_A)
    for image in (0, 3):
        for bead in (0, 1, 2, 9, 24):
            expected = brute_force(images[image], xy_A[image, bead])
            ours = [float(value[image, bead]), *slope[image, bead].tolist()]
            assert ours == pytest.approx(expected, abs=2e-5)


def test_the_kernel_and_plain_torch_gather_the_same() -> None:
    images, xy_A = views()
    value, slope = gather_at_beads(images, xy_A, SIGMA_A, PIXEL_A)
    plain_value, plain_slope = gather_dense(images, xy_A, SIGMA_A, PIXEL_A, REACH)
    assert torch.allclose(value, plain_value, atol=2e-5)
    assert torch.allclose(slope, plain_slope, atol=2e-5)
    assert float(value[:, 2:].abs().max()) > 0.1


def test_a_window_wider_than_the_kernel_allows_is_refused() -> None:
    with pytest.raises(ValueError, match="too wide"):
        gather_at_beads(torch.zeros(1, 16, 16), torch.zeros(1, 1, 2), 500.0, 1.0)


def test_the_slope_points_after_a_bead_that_has_moved_whatever_the_view() -> None:
    rotation = rotations(6)
    band = make_band(64, 1.6, with_dc=False)
    here_A = torch.tensor([[4.0, -3.0, 6.0]])
    there_A = here_A + torch.tensor([[1.5, 1.0, -2.0]])
    xy_A = rotate_to_image(there_A.expand(6, 1, 3), rotation)
    images = project_dense(xy_A, torch.ones(1), torch.tensor([3.0]), 64, 1.6)
    encoder = BeadViewEncoder(here_A, band, (4.0,), (8,))
    values, slopes = encoder.views(band.transform(images) * band.weight, rotation)
    assert values.shape == (6, 1, 1)
    assert slopes.shape == (6, 1, 1, 3)
    # seen along the beam only the part of the motion across it shows, in the map's own axes
    across = rotation[:, :2]
    seen_A = (there_A - here_A) @ across.transpose(1, 2) @ across
    alike = torch.nn.functional.cosine_similarity(slopes[:, 0, 0], seen_A[:, 0], dim=1)
    assert float(alike.min()) > 0.98


def test_the_fourier_encoder_sees_only_its_resolution() -> None:
    band = make_band(32, 2.0, with_dc=False)
    encoder = FourierMLPEncoder(band, 12.0, (16, 6))
    matched = torch.randn(3, len(band), dtype=torch.complex64)
    before = encoder(matched, rotations(3))
    fine = band.k_per_A > 1 / 12.0
    matched[:, fine] = 7.0
    assert before.shape == (3, 6)
    assert torch.equal(encoder(matched, rotations(3)), before)
    matched[:, ~fine] += 1.0
    assert not torch.allclose(encoder(matched, rotations(3)), before)


KINDS = (
    "bead-view",
    "fourier-mlp",
    "image-mlp",
    "residual-mlp",
    "vgg",
    "cryofire",
    "group-cnn",
    "none",
)


def settings(kind: str, **changed: Any) -> SimpleNamespace:
    values: dict[str, Any] = {
        "kind": kind,
        "input": "auto",
        "widths": (24, 24, 12),
        "channels": (),
        "residual": False,
        "resolution_A": 8.0,
        "windows_A": (4.0,),
    }
    return SimpleNamespace(**values | changed)


def an_encoder(band: Band, kind: str, **changed: Any) -> Any:
    beads: Any = SimpleNamespace(mass_centre_A=np.random.default_rng(0).normal(0, 8, (20, 3)))
    return make_encoder(beads, band, settings(kind, **changed))


def a_batch(band: Band, images: Tensor) -> Batch:
    count = len(images)
    defocus_A = np.linspace(9e3, 2e4, count)
    optics = (Optics(band.pixel_size_A, band.box_size_px),)
    return Batch(
        coefficients=band.transform(images),
        rotation=rotations(count),
        shift_A=torch.randn(count, 2) * 3,
        ctf=ctf_table(CTFParams.uniform(count, defocus_A), optics),
    )


@pytest.mark.parametrize("activation", ["relu", "silu"])
def test_residual_links_join_layers_of_equal_width(activation: str) -> None:
    net = HiddenLayers([5, 7, 7, 3], activation, residual=True)
    x = torch.randn(4, 5)
    act = nn.ReLU() if activation == "relu" else nn.SiLU()
    first, second, third = net.layers
    wide = act(first(x))
    wide = wide + act(second(wide))
    assert torch.allclose(net(x), act(third(wide)))
    assert net.output_count == 3


def test_a_network_ends_in_a_linear_layer_that_is_reachable() -> None:
    net = mlp([4, 6, 3], activation="silu")
    nn.init.zeros_(net.last.weight)
    nn.init.ones_(net.last.bias)
    assert torch.equal(net(torch.randn(2, 4)), torch.ones(2, 3))
    assert mlp([4, 3]).last.in_features == 4
    with pytest.raises(ValueError, match="unknown activation"):
        mlp([4, 3, 2], activation="sine")
    with pytest.raises(ValueError, match="widths of its input"):
        mlp([4])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("given", ["auto", "weighted", "phase-flipped", "raw"])
def test_every_encoder_gives_its_features_and_learns_from_every_input(
    kind: str, given: str
) -> None:
    band = make_band(32, 2.0, with_dc=False)
    chosen = {"vgg": (4, 4, 8, 8, 16), "cryofire": (4, 4, 8, 8, 8), "group-cnn": (6, 12)}
    asked = {"input": given, "channels": chosen.get(kind, ())}
    encoder = an_encoder(band, kind, **asked)
    batch = a_batch(band, torch.randn(3, 32, 32))
    seen = encoder_input(batch, band, torch.full((len(band),), 2.0), settings(kind, **asked))
    features = encoder(seen, batch.rotation)
    assert features.shape == (3, encoder.feature_count)
    assert features.dtype == torch.float32
    assert bool(torch.isfinite(features).all())
    if kind == "none":
        assert encoder.feature_count == 0
        return
    features.square().sum().backward()
    weights = list(encoder.named_parameters())
    assert all(w.grad is not None and bool(torch.isfinite(w.grad).all()) for _, w in weights)


def test_the_published_networks_have_the_published_features() -> None:
    band = make_band(64, 1.6)
    assert an_encoder(band, "vgg").feature_count == 512 * 4
    assert an_encoder(band, "cryofire").feature_count == 256
    cryostar = an_encoder(band, "image-mlp", widths=(512, 256, 128, 64, 32))
    assert cryostar.feature_count == 32
    assert [layer.out_features for layer in cryostar.net.layers] == [512, 256, 128, 64, 32]
    kernels = [
        (m.out_channels, m.kernel_size[0])
        for m in an_encoder(band, "cryofire").modules()
        if isinstance(m, nn.Conv2d)
    ]
    assert kernels == [(64, 5)] * 2 + [(256, 3)] * 5


@pytest.mark.parametrize("box_size_px", [32, 34, 46])
@pytest.mark.parametrize("kind", ["vgg", "cryofire", "group-cnn"])
def test_any_even_box_of_32_px_or_more_will_do_whatever_the_band(
    kind: str, box_size_px: int
) -> None:
    band = make_band(box_size_px, 2.0, 9.0)
    encoder = an_encoder(band, kind, channels=(2, 2, 2, 2, 2))
    seen = band.transform(torch.randn(2, box_size_px, box_size_px))
    assert encoder(seen, rotations(2)).shape == (2, encoder.feature_count)


@pytest.mark.parametrize("kind", ["vgg", "cryofire"])
def test_a_box_too_small_for_the_pools_is_refused_with_a_cure(kind: str) -> None:
    with pytest.raises(InputError, match=r"at least 32 px, not 30.*box_size_px to 32 or more"):
        an_encoder(make_band(30, 2.0), kind)


def test_a_wrong_number_of_blocks_is_refused() -> None:
    with pytest.raises(InputError, match="5 blocks, not 2"):
        an_encoder(make_band(32, 2.0), "cryofire", channels=(4, 4))


def test_the_features_of_the_group_cnn_do_not_depend_on_the_batch() -> None:
    band = make_band(32, 2.0)
    encoder = an_encoder(band, "group-cnn").train()
    seen, rotation = band.transform(torch.randn(5, 32, 32)), rotations(5)
    assert torch.allclose(encoder(seen, rotation)[:2], encoder(seen[:2], rotation[:2]), atol=1e-5)


@pytest.mark.parametrize("limit_A", [0.0, 4.0, 5.5, 9.0])
def test_the_smallest_box_loses_nothing(limit_A: float) -> None:
    band = make_band(48, 1.5, limit_A)
    small = smallest_band(band)
    coefficients = band.transform(torch.randn(2, 48, 48))
    images = small.embed(coefficients)
    highest = int(torch.round(band.k_per_A.max() * 48 * 1.5))
    assert small.box_size_px == min(48, 2 * (highest + 1))
    assert small.box_size_px * small.pixel_size_A == pytest.approx(72.0)
    assert torch.allclose(small.transform(images), coefficients, atol=1e-5)
    grown = smallest_band(band, least_px=40)
    assert grown.box_size_px == max(40, small.box_size_px)


def test_the_smallest_box_keeps_the_picture_in_its_place() -> None:
    xy_A = torch.tensor([[[6.0, -9.0]]])
    images = project_dense(xy_A, torch.ones(1), torch.tensor([4.0]), 64, 1.5)
    band = make_band(64, 1.5, 8.0)
    small = smallest_band(band)
    assert small.box_size_px < 32
    again = project_dense(
        xy_A, torch.ones(1), torch.tensor([4.0]), small.box_size_px, small.pixel_size_A
    )
    ours = small.embed(band.transform(images))[0].flatten()
    assert float(torch.corrcoef(torch.stack([ours, again.flatten()]))[0, 1]) > 0.99


@pytest.mark.parametrize("limit_A", [0.0, 7.0])
@pytest.mark.parametrize("given", ["phase-flipped", "raw", "weighted"])
def test_pixels_of_white_noise_have_variance_one(given: str, limit_A: float) -> None:
    band = make_band(64, 1.5, limit_A, with_dc=False)
    batch = a_batch(band, 3 * torch.randn(16, 64, 64, generator=torch.Generator().manual_seed(1)))
    noise = torch.full((len(band),), 9.0)
    seen = encoder_input(batch, band, noise, settings("vgg", input=given))
    images = BandImages(band, weighted=given == "weighted")(seen)
    assert images.shape[1] == 1
    assert float(images.square().mean()) == pytest.approx(1.0, abs=0.05)


def test_the_phase_flipped_input_is_the_same_with_and_without_matched_data() -> None:
    band = make_band(32, 2.0, with_dc=False)
    batch = a_batch(band, torch.randn(4, 32, 32))
    noise = torch.rand(len(band)) + 0.5
    asked = settings("group-cnn")
    value = ctf(batch.ctf, band.kx_per_A, band.ky_per_A)
    back = shift_phase(-batch.shift_A, band.kx_per_A, band.ky_per_A)
    expected = batch.coefficients * back * torch.sign(value) / noise.sqrt()
    assert torch.allclose(encoder_input(batch, band, noise, asked), expected, atol=1e-4)
    matched = match_data(batch.coefficients, batch.ctf, batch.shift_A, band, noise, 70.0)
    flipped = encoder_input(batch, band, noise, asked, matched=matched)
    assert torch.allclose(flipped, expected, atol=1e-4)


def test_the_other_inputs_are_the_matched_and_the_whitened_data() -> None:
    band = make_band(32, 2.0, with_dc=False)
    batch = a_batch(band, torch.randn(4, 32, 32))
    noise = torch.rand(len(band)) + 0.5
    matched = match_data(batch.coefficients, batch.ctf, batch.shift_A, band, noise)
    for kind in ("bead-view", "fourier-mlp"):
        seen = encoder_input(batch, band, noise, settings(kind))
        assert torch.equal(seen, matched.matched)
    raw = encoder_input(batch, band, noise, settings("vgg", input="raw"), matched=matched)
    assert torch.allclose(raw, batch.coefficients / noise.sqrt())


@pytest.mark.parametrize("kind", ["image-mlp", "group-cnn"])
def test_pixel_encoders_learn_the_size_of_a_particle_under_noise(kind: str) -> None:
    torch.manual_seed(3)
    band = make_band(24, 3.0, with_dc=False)
    sigma_A = torch.linspace(5.0, 9.0, 64)
    bare = torch.cat(
        [project_dense(torch.zeros(1, 1, 2), torch.ones(1), s[None], 24, 3.0) for s in sigma_A]
    )
    bare = bare / bare.square().mean().sqrt()
    encoder = an_encoder(band, kind, widths=(16,), channels=(8, 16) if kind == "group-cnn" else ())
    last = nn.Linear(encoder.feature_count, 1)
    truth = (sigma_A - 7) / 2
    optimiser = torch.optim.Adam([*encoder.parameters(), *last.parameters()], 3e-3)
    for _ in range(80):
        seen = band.transform(bare + 0.5 * torch.randn_like(bare))
        loss = (last(encoder(seen, rotations(64)))[:, 0] - truth).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.1  # the mean alone leaves 0.34
