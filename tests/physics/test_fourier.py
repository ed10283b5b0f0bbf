from __future__ import annotations

import numpy as np
import pytest
import torch

from cryoscope.physics.fourier import irfft2_centred, make_band, rfft2_centred


def test_the_origin_is_the_centre_of_the_box() -> None:
    image = torch.zeros(16, 16)
    image[8, 8] = 16.0
    assert torch.allclose(rfft2_centred(image), torch.ones(16, 9, dtype=torch.complex64))


def test_the_pair_inverts() -> None:
    image = torch.randn(3, 12, 12)
    assert torch.allclose(irfft2_centred(rfft2_centred(image)), image, atol=1e-5)


def test_a_shifted_point_has_the_phase_of_its_shift() -> None:
    band = make_band(16, 2.0)
    image = torch.zeros(1, 16, 16)
    image[0, 8 + 3, 8 - 2] = 16.0  # y + 3 px, x - 2 px
    angle = -2 * np.pi * (band.kx_per_A * -4.0 + band.ky_per_A * 6.0)
    expected = torch.polar(torch.ones_like(angle), angle)
    assert torch.allclose(band.transform(image)[0], expected, atol=1e-5)


@pytest.mark.parametrize("resolution_A", [0.0, 8.0])
def test_sums_of_squares_agree_on_both_sides(resolution_A: float) -> None:
    band = make_band(24, 1.5, resolution_A)
    image = torch.randn(2, 24, 24)
    coefficients = band.transform(image)
    inside = band.embed(coefficients)
    spectrum = (band.weight * coefficients.abs() ** 2).sum(1)
    assert torch.allclose(spectrum, (inside**2).sum((1, 2)), rtol=1e-4)
    assert torch.allclose(band.transform(inside), coefficients, atol=1e-4)


def test_the_whole_plane_is_kept_by_parseval() -> None:
    # the circle leaves corners out; a band that covers the square keeps every coefficient
    image = torch.randn(1, 8, 8)
    full = torch.fft.fft2(image, norm="ortho")
    assert torch.isclose((full.abs() ** 2).sum(), (image**2).sum(), rtol=1e-5)


def test_the_fast_backward_is_the_gradient() -> None:
    band = make_band(8, 1.0)
    image = torch.randn(2, 8, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: torch.view_as_real(band.transform(x)), image)


def test_shells_count_cycles_per_box() -> None:
    band = make_band(32, 1.25, with_dc=False)
    assert band.shell.min() == 1
    assert band.shell_count == 17
    assert torch.allclose(band.shell.float(), band.k_per_A * 40.0, atol=0.5)
