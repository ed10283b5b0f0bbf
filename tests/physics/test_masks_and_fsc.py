from __future__ import annotations

import pytest
import torch

from cryoscope.physics.fsc import fourier_shell_correlation, resolution_A
from cryoscope.physics.masks import soft_disc, soft_sphere


def test_a_disc_is_one_inside_and_falls_to_zero() -> None:
    disc = soft_disc(32, 8, edge_px=4)
    assert disc[16, 16] == 1
    assert disc[16, 24] == 1
    assert float(disc[16, 26]) == pytest.approx(0.5, abs=1e-6)
    assert disc[16, 28] == 0
    assert torch.equal(disc, disc.T)


def test_a_sphere_cuts_to_the_disc() -> None:
    assert torch.equal(soft_sphere(16, 4)[8], soft_disc(16, 4))


def test_equal_maps_correlate_fully_and_opposite_ones_inversely() -> None:
    volume = torch.randn(16, 16, 16)
    assert torch.allclose(fourier_shell_correlation(volume, volume), torch.ones(9).double())
    assert torch.allclose(fourier_shell_correlation(volume, -volume), -torch.ones(9).double())


def test_it_is_the_direct_sum_over_the_whole_cube() -> None:
    a, b = torch.randn(8, 8, 8), torch.randn(8, 8, 8)
    fa, fb = torch.fft.fftn(a.double()), torch.fft.fftn(b.double())
    k = torch.fft.fftfreq(8, 1 / 8)
    radius = torch.sqrt(k[:, None, None] ** 2 + k[None, :, None] ** 2 + k[None, None] ** 2).round()
    for shell in range(5):
        here = radius == shell
        cross = (fa * fb.conj()).real[here].sum()
        expected = cross / torch.sqrt((fa.abs()[here] ** 2).sum() * (fb.abs()[here] ** 2).sum())
        assert float(fourier_shell_correlation(a, b)[shell]) == pytest.approx(float(expected))


def test_maps_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="equal"):
        fourier_shell_correlation(torch.zeros(8, 8, 8), torch.zeros(8, 8, 6))


def test_resolution_is_where_the_curve_crosses() -> None:
    curve = torch.tensor([1.0, 1.0, 0.9, 0.243, 0.043, 0.0, 0, 0, 0])
    assert resolution_A(curve, 2.0) == pytest.approx(16 * 2.0 / 3.5)
    assert resolution_A(torch.ones(9), 2.0) == 4.0
