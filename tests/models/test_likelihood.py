from __future__ import annotations

import numpy as np
import torch

from cryoscope.data import CTFParams, Optics
from cryoscope.models.likelihood import image_scale, log_likelihood_gain, match_data
from cryoscope.physics.ctf import ctf_table
from cryoscope.physics.fourier import make_band
from cryoscope.physics.imaging import transfer

BAND = make_band(16, 2.0, with_dc=False)
TABLE = ctf_table(CTFParams.uniform(3, np.array([9e3, 1.2e4, 2e4])), (Optics(2.0, 16),))
SHIFT_A = torch.tensor([[1.0, -2.0], [0.0, 3.0], [4.0, 0.5]])


def test_the_gain_is_the_fall_of_the_weighted_sum_of_squares() -> None:
    images, projection = torch.randn(3, 16, 16), torch.randn(3, 16, 16)
    noise = torch.rand(len(BAND)) + 0.5
    y, x = BAND.transform(images), BAND.transform(projection)
    data = match_data(y, TABLE, SHIFT_A, BAND, noise)
    model = x * transfer(TABLE, SHIFT_A, BAND)
    scale = image_scale(x, data)

    def half_chi2(difference: torch.Tensor) -> torch.Tensor:
        return 0.5 * (BAND.weight / noise * difference.abs() ** 2).sum(1)

    fall = half_chi2(y) - half_chi2(y - scale[:, None] * model)
    expected = torch.where(scale > 0, fall, torch.zeros(3))
    assert torch.allclose(log_likelihood_gain(x, data), expected, rtol=1e-3, atol=1e-3)


def test_the_scale_is_the_one_that_made_the_image() -> None:
    projection = torch.randn(3, 16, 16)
    x = BAND.transform(projection)
    made = torch.tensor([0.5, 2.0, -1.5])
    y = made[:, None] * x * transfer(TABLE, SHIFT_A, BAND)
    data = match_data(y, TABLE, SHIFT_A, BAND, torch.ones(len(BAND)))
    assert torch.allclose(image_scale(x, data), made, rtol=1e-3)
    gain = log_likelihood_gain(x, data)
    assert float(gain[2]) == 0  # the contrast is wrong: nothing is explained
    assert float(gain[1]) > float(gain[0]) > 0


def test_gradients_are_numerically_right() -> None:
    data = match_data(
        BAND.transform(torch.randn(3, 16, 16)), TABLE, SHIFT_A, BAND, torch.ones(len(BAND))
    )
    projection = torch.randn(3, 16, 16, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda p: log_likelihood_gain(BAND.transform(p), data), projection, atol=1e-4, rtol=1e-3
    )
    assert projection.grad is None
