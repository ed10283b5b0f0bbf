"""Difference maps and per-image correlations."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cryoscope.physics.fsc import fourier_shell_correlation, shell_numbers
from cryoscope.physics.map_comparison import map_difference, per_image_fsc, per_image_resolution_A
from cryoscope.physics.masks import soft_sphere

N = 32


def test_a_domain_that_is_missing_is_found_whatever_the_scale_and_blur() -> None:
    whole = torch.randn(N, N, N) * soft_sphere(N, 11.0)
    blur = torch.exp(-0.002 * shell_numbers(N) ** 2)
    other = 7 * torch.fft.irfftn(torch.fft.rfftn(whole) * blur, s=(N, N, N))
    lump = torch.zeros(N, N, N)
    lump[14:18, 12:16, 20:24] = 3.0
    mask = soft_sphere(N, 12.0, edge_px=3)
    found = map_difference(whole + lump, other, mask)
    place = np.unravel_index(int(found.sigma_units.argmax()), (N, N, N))
    assert all(
        low <= i < high for i, low, high in zip(place, (14, 12, 20), (18, 16, 24), strict=True)
    )
    assert float(found.sigma_units.max()) > 5
    assert not found.sigma_units[mask == 0].any()


def test_equal_maps_do_not_differ() -> None:
    one = torch.randn(N, N, N)
    found = map_difference(one, 2 * one, soft_sphere(N, 12.0))
    assert not found.sigma_units.any()


def test_only_shells_that_are_asked_for_are_compared() -> None:
    one = torch.randn(N, N, N)
    fine = torch.fft.rfftn(torch.randn(N, N, N))
    fine[shell_numbers(N) < 14] = 0
    other = one + torch.fft.irfftn(fine, s=(N, N, N))
    everywhere = torch.ones(N, N, N)
    everything = map_difference(one, other, everywhere)
    coarse = map_difference(one, other, everywhere, match_up_to=8)
    assert coarse.sigma < 0.2 * everything.sigma


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        map_difference(torch.zeros(8, 8, 8), torch.zeros(8, 8, 8), torch.zeros(8, 8, 8))


def test_per_image_correlations_are_those_of_the_pairs() -> None:
    truth = torch.randn(3, 16, 16, 16)
    decoded = truth.clone()
    decoded[2] = torch.randn(16, 16, 16)
    curves = per_image_fsc(iter(decoded), (one for one in truth))
    assert curves.shape == (3, 9)
    expected = fourier_shell_correlation(decoded[2], truth[2]).numpy()
    np.testing.assert_allclose(curves[2], expected)
    resolution_A = per_image_resolution_A(curves, 2.0)
    assert resolution_A[0] == resolution_A[1] == 4.0
    assert resolution_A[2] > 8
    assert per_image_fsc([], []).shape == (0, 0)
    with pytest.raises(ValueError, match="shorter"):
        per_image_fsc(iter(decoded), iter(truth[:2]))
