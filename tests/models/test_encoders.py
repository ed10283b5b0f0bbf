from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from cryoscope.models.encoders import BeadViewEncoder, FourierMLPEncoder
from cryoscope.physics.fourier import make_band
from cryoscope.physics.imaging import rotate_to_image
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
    encoder = BeadViewEncoder(here_A, band, (4.0,), (8,), 4)
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
    encoder = FourierMLPEncoder(band, 12.0, (16,), 6)
    matched = torch.randn(3, len(band), dtype=torch.complex64)
    before = encoder(matched, rotations(3))
    fine = band.k_per_A > 1 / 12.0
    matched[:, fine] = 7.0
    assert before.shape == (3, 6)
    assert torch.equal(encoder(matched, rotations(3)), before)
    matched[:, ~fine] += 1.0
    assert not torch.allclose(encoder(matched, rotations(3)), before)
