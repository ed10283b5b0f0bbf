"""Masked FSC and its correction: signal stays, what the mask brings about goes."""

from __future__ import annotations

import pytest
import torch

from cryoscope.physics.fsc import fourier_shell_correlation, shell_numbers
from cryoscope.physics.map_fsc import half_map_fsc, masked_fsc
from cryoscope.physics.masks import map_mask, soft_sphere

N, VOXEL_A = 48, 2.0


def low_passed(values: torch.Tensor, last_shell: int) -> torch.Tensor:
    spectrum = torch.fft.rfftn(values)
    spectrum[shell_numbers(len(values)) > last_shell] = 0
    return torch.fft.irfftn(spectrum, s=values.shape)


def particle() -> torch.Tensor:
    ball = soft_sphere(N, 9.0, edge_px=2)
    return low_passed((torch.randn(N, N, N) + 1) * ball, 8)


def test_signal_up_to_a_shell_is_found_there() -> None:
    signal = particle()
    halves = [signal + 0.4 * signal.std() * torch.randn(N, N, N) for _ in range(2)]
    found = half_map_fsc(halves[0], halves[1], soft_sphere(N, 12.0), VOXEL_A)
    assert (found.corrected[1:6] > 0.9).all()
    # the signal ends at shell 8, and the mask blurs it by a few
    assert N * VOXEL_A / 12 < found.resolution_A < N * VOXEL_A / 7
    assert found.corrected[14:].mean() < 0.05
    assert found.frequency_per_A[-1] == pytest.approx(0.5 / VOXEL_A)
    assert len(found.masked) == len(found.corrected) == N // 2 + 1


def test_what_a_tight_mask_brings_about_is_taken_away() -> None:
    """Both maps hold the same tight, hard mask: its edge correlates where nothing else does."""
    signal = particle()
    halves = [signal + 2 * signal.std() * torch.randn(N, N, N) for _ in range(2)]
    halves = [half + 3 for half in halves]  # a level of the solvent is no signal
    mask = (torch.rand(N, N, N) > 0.995).float() * soft_sphere(N, 14.0)
    found = half_map_fsc(halves[0], halves[1], mask, VOXEL_A)
    beyond = slice(found.randomised_from + 4, None)
    assert found.masked[beyond].mean() >= found.corrected[beyond].mean() - 0.02
    assert abs(found.corrected[beyond].mean()) < 0.15


def test_noise_has_no_resolution() -> None:
    halves = torch.randn(2, N, N, N)
    found = half_map_fsc(halves[0], halves[1], soft_sphere(N, 14.0), VOXEL_A)
    assert found.resolution_A > 30


def test_equal_maps_agree_to_nyquist() -> None:
    one = torch.randn(16, 16, 16)
    found = half_map_fsc(one, one, soft_sphere(16, 6.0, edge_px=2), VOXEL_A)
    assert found.resolution_A == 2 * VOXEL_A
    assert found.corrected == pytest.approx(1.0)


def test_the_same_seed_gives_the_same_curve() -> None:
    halves = torch.randn(2, 16, 16, 16)
    mask = soft_sphere(16, 6.0, edge_px=2)
    first, second = (half_map_fsc(halves[0], halves[1], mask, VOXEL_A, seed=3) for _ in range(2))
    assert (first.randomised == second.randomised).all()


def test_without_mask_it_is_the_plain_correlation() -> None:
    one, two = torch.randn(2, 16, 16, 16)
    assert torch.equal(masked_fsc(one, two), fourier_shell_correlation(one, two))


def test_a_mask_holds_the_particle_and_little_else() -> None:
    ball = soft_sphere(N, 8.0, edge_px=2)
    volume = ball + 0.3 * torch.randn(N, N, N)
    volume[4:6, 4:6, 4:6] = 1.5  # a speck of noise in a corner
    mask = map_mask(volume, VOXEL_A)
    assert bool((mask[ball > 0.9] > 0.99).all())
    assert float(mask[:10, :10, :10].max()) == 0
    assert float(mask.mean()) < 5 * float(ball.mean())
    assert float(mask.min()) == 0
    assert float(mask.max()) == 1
    steps = mask[N // 2, N // 2].diff().abs()
    assert float(steps.max()) < 0.5  # an edge, not a step


def test_threshold_and_margins_of_a_mask() -> None:
    volume = torch.zeros(N, N, N)
    volume[24, 24, 24] = 2.0
    mask = map_mask(volume, 1.0, low_pass_A=0, threshold=1.0, dilate_A=5.0, edge_A=4.0)
    line = mask[24, 24, 24:]
    assert line[:6].tolist() == [1.0] * 6
    assert float(line[7]) == pytest.approx(0.5, abs=1e-6)
    assert float(line[9:].max()) == 0
    assert not map_mask(volume, 1.0, low_pass_A=0, threshold=3.0).any()
    assert not map_mask(torch.zeros(N, N, N), 1.0).any()
