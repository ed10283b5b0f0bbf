from __future__ import annotations

import math

import torch

from cryoscope.conventions import other_hand
from cryoscope.physics.map_filters import filter_map


def wave(n: int, shell: int) -> torch.Tensor:
    x = torch.arange(n, dtype=torch.float32)
    return torch.cos(2 * math.pi * shell * x / n).expand(n, n, n).clone()


def test_a_b_factor_scales_a_wave_by_its_frequency() -> None:
    n, voxel_A, shell = 16, 2.0, 5
    k_per_A = shell / (n * voxel_A)
    found = filter_map(wave(n, shell), voxel_A, b_factor_A2=-80.0)
    expected = math.exp(20.0 * k_per_A**2) * wave(n, shell)
    assert torch.allclose(found, expected, atol=1e-4)


def test_a_low_pass_keeps_what_is_coarser_and_halves_its_edge() -> None:
    n, voxel_A = 32, 2.0
    cut_A = n * voxel_A / 8
    for shell, kept in ((4, 1.0), (8, 0.5), (12, 0.0)):
        found = filter_map(wave(n, shell), voxel_A, low_pass_A=cut_A)
        assert torch.allclose(found, kept * wave(n, shell), atol=1e-4)


def test_the_other_hand_keeps_the_origin_and_is_its_own_inverse() -> None:
    values = torch.randn(8, 8, 8, generator=torch.Generator().manual_seed(0)).numpy()
    mirrored = other_hand(values)
    assert (mirrored[4] == values[4]).all()
    assert (mirrored[5] == values[3]).all()
    assert (other_hand(mirrored) == values).all()
