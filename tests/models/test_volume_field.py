from __future__ import annotations

import math
from dataclasses import replace
from typing import get_args, get_type_hints

import pytest
import torch
from torch import Tensor

from cryoscope.data import InputError
from cryoscope.models import volume_network
from cryoscope.models.volume_field import VolumeField, encoding_waves
from cryoscope.models.volume_network import Plan, network_outputs, wave_features
from cryoscope.training.config import VolumeConfig

SETTINGS = VolumeConfig(widths=(12, 12, 10, 10), encoding_count=4)
ENCODINGS = get_args(get_type_hints(VolumeConfig)["encoding"])


def points(images: int = 2, count: int = 7) -> Tensor:
    return torch.rand(images, count, 3) - 0.5


def plain_outputs(field: VolumeField, k: Tensor, z: Tensor) -> Tensor:
    """The network as its documentation says, latents repeated at every point."""
    features = wave_features(k.reshape(-1, 3), field.waves.to(k.dtype), k.dtype)
    repeated = z[:, None].expand(-1, k.shape[1], -1).reshape(len(features), -1)
    h = torch.relu(field.first(torch.cat([features, repeated], dim=1)))
    for layer, residual in zip(field.hidden, field.residual, strict=True):
        h = torch.relu(layer(h) + h) if residual else torch.relu(layer(h))
    return field.last(h).view(*k.shape[:2], -1)  # type: ignore[no-any-return]


@pytest.mark.parametrize("domain", ["fourier", "hartley"])
@pytest.mark.parametrize("residual", [True, False])
def test_the_network_and_its_gradients_are_those_of_concatenation(
    domain: str, residual: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 1500 points per image are several blocks of 512; 200 are two images in a block
    monkeypatch.setattr(volume_network, "BLOCK_BYTES", 1)
    settings = replace(SETTINGS, domain=domain, residual=residual)
    for count in (1500, 200):
        field = VolumeField(16, 3, settings).double()
        k, z = points(3, count).double(), torch.randn(3, 3, dtype=torch.float64, requires_grad=True)
        weights = torch.randn(3, count, 1, dtype=torch.float64)
        leaves = [z, *field.parameters()]
        found = field.outputs(k, z)
        ours = torch.autograd.grad((found * weights).sum(), leaves)
        expected = plain_outputs(field, k, z)
        theirs = torch.autograd.grad((expected * weights).sum(), leaves)
        assert torch.allclose(found, expected, atol=1e-12)
        for a, b in zip(ours, theirs, strict=True):
            assert torch.allclose(a, b, atol=1e-9)
        with torch.no_grad():
            assert torch.equal(field.outputs(k, z), found)


def test_gradients_are_numerically_right() -> None:
    torch.manual_seed(0)
    k, waves = points(2, 3).double(), torch.randn(2, 3, dtype=torch.float64)
    plan = Plan(torch.float64, (True, False), keep=True)
    sizes = ((5, 4), (5, 5), (5,), (3, 5), (3,), (2, 3), (2,))
    free = [torch.randn(size, dtype=torch.float64, requires_grad=True) for size in ((2, 5), *sizes)]
    assert torch.autograd.gradcheck(
        lambda offset, *layers: network_outputs(k, waves, offset, plan, list(layers)), free
    )


@pytest.mark.parametrize("domain", ["fourier", "hartley"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_map_is_real(domain: str, encoding: str) -> None:
    field = VolumeField(16, 3, replace(SETTINGS, domain=domain, encoding=encoding))
    k = points(2, 9)
    k[:, 0] = 0
    k[:, 1, 2] = 0
    k[:, 2, 1:] = 0
    z = torch.randn(2, 3)
    found, mirrored = field.coefficients(k, z), field.coefficients(-k, z)
    if domain == "fourier":
        assert torch.equal(mirrored, found.conj().resolve_conj())
    assert torch.allclose(mirrored, found.conj(), atol=1e-6)
    assert torch.allclose(found[:, 0].imag, torch.zeros(2), atol=1e-6)
    assert found.shape == (2, 9)
    assert found.dtype == torch.complex64


def test_the_latent_and_the_half_of_space_matter() -> None:
    field = VolumeField(16, 3, SETTINGS)
    k = points(1, 50)
    one, other = field(k, torch.zeros(1, 3)), field(k, torch.ones(1, 3))
    assert not torch.allclose(one, other)
    below = k.clone()
    below[..., 2] = -below[..., 2].abs()
    values = field.outputs(below, torch.zeros(1, 3))
    assert torch.allclose(torch.view_as_real(field(below, torch.zeros(1, 3))), values)


def test_encodings_have_the_published_waves() -> None:
    low = encoding_waves("geometric-low", 64, 0, 0.5, None).norm(dim=1)
    assert len(low) == 96
    assert float(low.max()) == pytest.approx(32)
    assert float(low.min()) == pytest.approx(1)
    full = encoding_waves("geometric", 64, 0, 0.5, None).norm(dim=1)
    # the shortest wave turns once between the planes of the box's edge, the longest once per pixel
    assert float(full.max()) == pytest.approx(64 * math.pi)
    assert float(full.min()) == pytest.approx(2 * math.pi, rel=1e-5)
    linear = encoding_waves("linear-low", 64, 5, 0.5, None)
    assert torch.equal(linear[5:10], torch.arange(1.0, 6)[:, None] * torch.tensor([0.0, 1, 0]))
    random = encoding_waves("gaussian", 64, 2000, 0.5, torch.Generator().manual_seed(0))
    assert random.shape == (6000, 3)
    assert float(random.std()) == pytest.approx(16, rel=0.05)
    assert len(encoding_waves("none", 64, 7, 0.5, None)) == 0


def test_low_precision_is_close_and_only_in_training() -> None:
    torch.manual_seed(0)
    exact = VolumeField(32, 4, replace(SETTINGS, widths=(64, 64, 64)))
    low = VolumeField(32, 4, replace(SETTINGS, widths=(64, 64, 64), precision="bfloat16"))
    low.load_state_dict(exact.state_dict())
    k, z = points(4, 300), torch.randn(4, 4)
    gradients = []
    for field in (exact, low):
        field.train()
        found = field(k, z)
        assert found.dtype == torch.complex64
        gradients.append(torch.autograd.grad(found.abs().square().sum(), list(field.parameters())))
    difference = (low(k, z) - exact(k, z)).detach().abs().square().mean().sqrt()
    assert 0 < float(difference) < 0.01 * float(exact(k, z).detach().abs().square().mean().sqrt())
    for one, other in zip(*gradients, strict=True):
        assert other.dtype == torch.float32
        assert float((one - other).norm()) < 0.03 * float(one.norm())
    low.eval()
    exact.eval()
    assert torch.equal(low(k, z), exact(k, z))


def test_the_waves_are_saved() -> None:
    field, other = VolumeField(16, 2, SETTINGS), VolumeField(16, 2, SETTINGS)
    k, z = points(1), torch.randn(1, 2)
    assert not torch.allclose(field(k, z), other(k, z))
    assert "waves" in field.state_dict()
    assert not field.waves.requires_grad
    other.load_state_dict(field.state_dict())
    assert torch.equal(field(k, z), other(k, z))


def test_a_network_without_layers_is_refused() -> None:
    with pytest.raises(InputError, match="no hidden layer"):
        VolumeField(16, 2, replace(SETTINGS, widths=()))
