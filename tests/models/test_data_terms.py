from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from cryoscope.models.data_terms import DataTerm
from cryoscope.models.likelihood import MatchedData, match_data
from cryoscope.physics.fourier import make_band
from cryoscope.physics.imaging import transfer
from tests.models.test_likelihood import SHIFT_A, TABLE

# short of Nyquist, where a shift has no mirror
BAND = make_band(16, 2.0, 4.6, with_dc=False)


def settings(data: str, scale: str) -> SimpleNamespace:
    return SimpleNamespace(data=data, scale=scale)


@pytest.fixture
def pair() -> tuple[torch.Tensor, MatchedData, torch.Tensor]:
    """Projections without CTF or shift, the data of images, and the images' own CTF'd model."""
    torch.manual_seed(0)
    count = len(TABLE)
    x = BAND.transform(torch.randn(count, 16, 16))
    ones = torch.ones(len(BAND))
    y = BAND.transform(torch.randn(count, 16, 16))
    return x, match_data(y, TABLE, SHIFT_A, BAND, ones), y


def seen(x: torch.Tensor) -> torch.Tensor:
    """What the microscope makes of projections: the images of a noiseless model."""
    return x * transfer(TABLE, SHIFT_A, BAND)


def test_l2_is_the_sum_over_pixels(pair: tuple[torch.Tensor, MatchedData, torch.Tensor]) -> None:
    x, data, y = pair
    pixels = (BAND.embed(y) - BAND.embed(seen(x))).square().sum((1, 2))
    assert torch.allclose(DataTerm(settings("l2-sum", "none"), BAND)(x, data), pixels, rtol=1e-4)
    mean = DataTerm(settings("l2-mean", "none"), BAND)(x, data)
    assert torch.allclose(mean, pixels / 256, rtol=1e-4)


def test_the_likelihood_is_half_of_l2(
    pair: tuple[torch.Tensor, MatchedData, torch.Tensor],
) -> None:
    x, data, _ = pair
    for scale in ("none", "image"):
        square = DataTerm(settings("l2-sum", scale), BAND)(x, data)
        gain = DataTerm(settings("likelihood", scale), BAND)(x, data)
        assert torch.allclose(2 * gain + data.total, square, rtol=1e-3)


def test_correlation_is_cryostars(pair: tuple[torch.Tensor, MatchedData, torch.Tensor]) -> None:
    x, data, y = pair
    ours = DataTerm(settings("ncc", "image"), BAND)(x, data)
    a, b = BAND.embed(y).flatten(1), BAND.embed(seen(x)).flatten(1)
    correlation = (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1))
    assert torch.allclose(ours, -correlation * 1.4487, rtol=1e-3, atol=1e-5)
    perfect = match_data(seen(x), TABLE, SHIFT_A, BAND, torch.ones(len(BAND)))
    best = DataTerm(settings("ncc", "image"), BAND)(x, perfect)
    assert torch.allclose(best, torch.full_like(best, -1.4487), atol=1e-3)


def test_a_common_scale_begins_at_the_best_and_only_once(
    pair: tuple[torch.Tensor, MatchedData, torch.Tensor],
) -> None:
    x, _, _ = pair
    data = match_data(7 * seen(x), TABLE, SHIFT_A, BAND, torch.ones(len(BAND)))
    term = DataTerm(settings("l2-sum", "global"), BAND)
    term.calibrate(x, data)
    assert float(term.log_scale.exp().detach()) == pytest.approx(7, rel=1e-3)
    assert float(term(x, data).sum().detach()) == pytest.approx(0, abs=1e-1)
    term.calibrate(2 * x, data)
    assert float(term.log_scale.exp().detach()) == pytest.approx(7, rel=1e-3)
    assert isinstance(term.log_scale, torch.nn.Parameter)
    assert not list(DataTerm(settings("l2-sum", "none"), BAND).parameters())
