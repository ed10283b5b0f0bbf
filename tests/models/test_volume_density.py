from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from cryoscope.models import volume_density
from cryoscope.models.volume_density import VolumeDensity
from cryoscope.models.volume_field import VolumeField
from cryoscope.physics.fourier import make_band, rfft2_centred
from cryoscope.training.config import VolumeConfig

BOX_PX, PIXEL_A = 16, 2.0
SETTINGS = VolumeConfig(widths=(16, 16), encoding_count=4)


@pytest.fixture
def density() -> VolumeDensity:
    torch.manual_seed(0)
    return VolumeDensity(VolumeField(BOX_PX, 2, SETTINGS), torch.randn(2, 2), BOX_PX, PIXEL_A)


def smooth() -> VolumeField:
    """A field times a Gaussian, so that its map ends within the box.

    A Hartley one: in the Fourier domain an untrained network is torn between the halves of space.
    """
    field = VolumeField(BOX_PX, 2, replace(SETTINGS, encoding="geometric-low", domain="hartley"))

    class Smooth(VolumeField):
        def coefficients(self, k: Tensor, z: Tensor) -> Tensor:
            # of 1 px: the box ends at 8 of them
            return field.coefficients(k, z) * torch.exp(-40 * k.square().sum(-1))

    return Smooth(BOX_PX, 2, SETTINGS)


def turns(*angles_deg: tuple[float, float, float]) -> Tensor:
    return torch.as_tensor(
        Rotation.from_euler("ZYZ", angles_deg, degrees=True).inv().as_matrix()
    ).float()


@torch.no_grad()
def test_a_projection_is_the_sum_of_the_voxels_along_the_beam(density: VolumeDensity) -> None:
    band = make_band(BOX_PX, PIXEL_A, 2.01 * PIXEL_A)  # short of Nyquist
    maps = density.voxelize(BOX_PX, PIXEL_A)
    along_z = density.project_band(torch.eye(3).expand(2, 3, 3), band)
    assert torch.allclose(along_z, band.transform(maps.sum(1)), atol=1e-4)
    # rows of R are the axes of the image in the map: here x = z_map, y = x_map, beam = y_map
    rotation = torch.tensor([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]]).expand(2, 3, 3)
    along_y = density.project_band(rotation, band)
    assert torch.allclose(along_y, band.transform(maps.sum(2).transpose(1, 2)), atol=1e-4)
    images = density.project(rotation, BOX_PX, PIXEL_A)
    assert torch.allclose(band.transform(images), along_y, atol=1e-4)


@torch.no_grad()
def test_a_quarter_turn_is_a_transposition(density: VolumeDensity) -> None:
    band = make_band(BOX_PX, PIXEL_A, 2.01 * PIXEL_A)
    upright = density.project_band(torch.eye(3).expand(2, 3, 3), band)
    turned = density.project_band(turns((90, 0, 0), (90, 0, 0)).round(), band)
    image, after = band.embed(upright), band.embed(turned)
    # x_image = R x_map with R = (rot 90).inv(): what was at +y comes to +x
    assert torch.allclose(after[:, 1:, 1:].flip(1), image[:, 1:, 1:].transpose(1, 2), atol=1e-4)


@torch.no_grad()
def test_a_slice_at_any_angle_is_near_that_of_the_voxels() -> None:
    density = VolumeDensity(smooth(), torch.zeros(1, 2), BOX_PX, PIXEL_A)
    rotation = turns((25, 40, 70))
    band = make_band(BOX_PX, PIXEL_A, 2.01 * PIXEL_A)
    found = density.project_band(rotation, band)[0]
    # the transform of the voxels at any frequency, by a direct sum
    voxels = density.voxelize(BOX_PX, PIXEL_A)[0]
    z, y, x = torch.meshgrid(*[torch.arange(BOX_PX) - BOX_PX // 2] * 3, indexing="ij")
    places = torch.stack([x, y, z], dim=-1).reshape(-1, 3).float()
    k = torch.stack([band.kx_per_A, band.ky_per_A], dim=1) @ rotation[0, :2] * PIXEL_A
    waves = torch.exp(-2j * torch.pi * (k @ places.T))
    expected = waves @ voxels.flatten().to(waves.dtype) / BOX_PX
    assert float((found - expected).norm() / expected.norm()) < 0.05


@torch.no_grad()
def test_a_preview_is_the_fourier_crop(density: VolumeDensity) -> None:
    full = density.voxelize(BOX_PX, PIXEL_A)
    half = density.voxelize(BOX_PX // 2, 2 * PIXEL_A)
    n = BOX_PX // 2
    transform = torch.fft.fftshift(
        torch.fft.fftn(torch.fft.ifftshift(full, dim=(1, 2, 3)), dim=(1, 2, 3)), dim=(1, 2, 3)
    )
    inner = transform[:, n // 2 + 1 : 3 * n // 2, n // 2 + 1 : 3 * n // 2, n // 2 + 1 : 3 * n // 2]
    own = torch.fft.fftshift(
        torch.fft.fftn(torch.fft.ifftshift(half, dim=(1, 2, 3)), dim=(1, 2, 3)), dim=(1, 2, 3)
    )[:, 1:, 1:, 1:]
    grid = torch.arange(1 - n // 2, n // 2)
    radius2 = grid[:, None, None] ** 2 + grid[:, None] ** 2 + grid**2
    inside = radius2 < (n // 2) ** 2
    # values stay, so that a level of contour is one in both
    assert torch.allclose(inner[:, inside] / BOX_PX**3, own[:, inside] / n**3, atol=1e-5)
    assert torch.all(own[:, radius2 > (n // 2) ** 2].abs() < 1e-3)


@torch.no_grad()
def test_chunks_change_nothing(density: VolumeDensity, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = density.voxelize(BOX_PX, PIXEL_A)
    monkeypatch.setattr(volume_density, "CHUNK_POINTS", 100)
    assert torch.allclose(density.voxelize(BOX_PX, PIXEL_A), whole, atol=1e-5)


@torch.no_grad()
def test_other_samplings_keep_the_values() -> None:
    density = VolumeDensity(smooth(), torch.zeros(1, 2), BOX_PX, PIXEL_A)
    rotation = turns((25, 40, 70))
    image = density.project(rotation, BOX_PX, PIXEL_A)
    finer = density.project(rotation, 2 * BOX_PX, PIXEL_A / 2)
    assert torch.allclose(finer[:, ::2, ::2], image, atol=2e-2 * float(image.abs().max()))
    wider = density.project(rotation, 2 * BOX_PX, PIXEL_A)
    middle = slice(BOX_PX // 2, 3 * BOX_PX // 2)
    assert torch.allclose(wider[:, middle, middle], image, atol=2e-2 * float(image.abs().max()))
    maps = density.voxelize(2 * BOX_PX, PIXEL_A / 2)[:, ::2, ::2, ::2]
    native = density.voxelize(BOX_PX, PIXEL_A)
    assert torch.allclose(maps, native, atol=2e-2 * float(native.abs().max()))


@torch.no_grad()
def test_a_shift_moves_the_image(density: VolumeDensity) -> None:
    band = make_band(BOX_PX, PIXEL_A, 2.01 * PIXEL_A)
    rotation = turns((25, 40, 70), (10, 20, 30))
    still = band.embed(density.project_band(rotation, band))
    shift_A = torch.tensor([[2 * PIXEL_A, -PIXEL_A]]).expand(2, 2)
    moved = band.embed(density.project_band(rotation, band, shift_A))
    assert torch.allclose(moved, still.roll((-1, 2), dims=(1, 2)), atol=1e-4)


def test_gradients_reach_the_network(density: VolumeDensity) -> None:
    band = make_band(BOX_PX, PIXEL_A)
    images = density.project(turns((25, 40, 70), (10, 20, 30)), BOX_PX, PIXEL_A)
    rfft2_centred(images).abs().sum().backward()
    assert all(
        part.grad is not None and bool(part.grad.abs().sum() > 0)
        for part in density.field.parameters()
    )
    assert len(band) > 0
