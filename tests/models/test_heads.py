from __future__ import annotations

import math
import warnings

import pytest
import torch

from cryoscope.models.heads import LatentHead, RotationHead, ShiftHead


@pytest.mark.parametrize("kind", ["gaussian", "deterministic"])
@pytest.mark.parametrize("widths", [(), (7,)])
def test_posteriors(kind: str, widths: tuple[int, ...]) -> None:
    head = LatentHead(6, 4, kind, widths)
    posterior = head(torch.randn(10, 6))
    draw = posterior.sample(torch.Generator().manual_seed(0))
    assert draw.shape == (10, 4)
    assert bool((posterior.kl() >= 0).all())
    assert torch.equal(draw, posterior.mean) == (kind == "deterministic")
    if kind == "gaussian":
        assert posterior.log_var is not None
        normal = torch.distributions.Normal(posterior.mean, (0.5 * posterior.log_var).exp())
        exact = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0, 1)).sum(1)
        assert torch.allclose(posterior.kl(), exact, atol=1e-4)


def test_variances_start_small_and_stay_bounded() -> None:
    head = LatentHead(3, 2, "gaussian")
    assert bool((head(torch.zeros(1, 3)).log_var < -2).all())
    extreme = head(torch.full((1, 3), 1e4)).log_var
    assert bool(((extreme >= -12) & (extreme <= 4)).all())


def test_free_bits_cost_nothing() -> None:
    posterior = LatentHead(3, 2, "gaussian")(torch.randn(8, 3))
    assert float(posterior.kl(free_bits=100.0).sum()) == 0
    assert torch.allclose(posterior.kl(free_bits=1e-9), posterior.kl())


def test_heads_without_hidden_layers_are_one_linear_layer() -> None:
    assert sum(p.numel() for p in LatentHead(5, 3, "gaussian").parameters()) == (5 + 1) * 6
    assert sum(p.numel() for p in ShiftHead(5, (), 3.0).parameters()) == (5 + 1) * 2


@pytest.mark.parametrize("widths", [(), (8,)])
def test_corrections_of_the_pose_start_at_zero_learn_and_stay_bounded(
    widths: tuple[int, ...],
) -> None:
    features = torch.randn(12, 6)
    for head, limit in (
        (ShiftHead(6, widths, 4.0), 4.0),
        (RotationHead(6, widths, 30.0), math.radians(30.0)),
    ):
        found = head(features)
        assert torch.equal(found, torch.zeros(12, head.net.last.out_features))
        (found - 1).square().sum().backward()
        assert float(head.net.last.weight.grad.abs().max()) > 0
        assert bool(torch.isfinite(head.net.last.weight.grad).all())
        torch.nn.init.normal_(head.net.last.weight, std=50.0)
        length = head(features).norm(dim=1)
        assert float(length.max()) <= limit * (1 + 1e-5)
        assert float(length.max()) > 0.9 * limit


def test_a_small_raw_vector_is_scaled_by_the_limit() -> None:
    head = ShiftHead(2, (), 5.0)
    torch.nn.init.eye_(head.net.last.weight)
    raw = torch.tensor([[1e-3, -2e-3]])
    assert torch.allclose(head(raw), 5 * raw, rtol=1e-4)


def test_heads_of_a_model_without_an_encoder_are_made_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        posterior = LatentHead(0, 3, "gaussian")(torch.zeros(2, 0))
        ShiftHead(0, (), 1.0)
    assert torch.equal(posterior.mean, torch.zeros(2, 3))
