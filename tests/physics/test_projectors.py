from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from cryoscope.physics.fourier import make_band
from cryoscope.physics.imaging import rotate_to_image, shift_phase
from cryoscope.physics.projectors import REACH, project_beads, project_dense, project_splat
from cryoscope.physics.splat_kernels import LOOPS, window_number


def beads(count: int, spread_A: float) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    xy_A = (torch.rand(5, count, 2) - 0.5) * spread_A
    return xy_A, torch.rand(count) * 3 + 1, torch.rand(count) * 1.5 + 1.5


@pytest.mark.parametrize(
    ("box", "pixel_size_A", "count"), [(32, 2.0, 40), (64, 1.6, 214), (48, 3.0, 300)]
)
def test_splat_and_dense_agree_in_images_and_gradients(
    box: int, pixel_size_A: float, count: int
) -> None:
    # the last case puts beads across the border of the box too
    arguments = beads(count, box * pixel_size_A * (1.1 if box == 48 else 0.7))

    def run(project) -> list[Tensor]:  # type: ignore[no-untyped-def]
        leaves = [a.clone().requires_grad_() for a in arguments]
        images = project(*leaves, box, pixel_size_A)
        images.backward(torch.sin(torch.arange(images.numel()).float()).view_as(images))
        return [images.detach(), *[leaf.grad for leaf in leaves]]

    for fast, reference in zip(run(project_splat), run(project_dense), strict=True):
        assert float((fast - reference).norm() / reference.norm()) < 1e-3


def test_the_splats_gradient_is_the_slope_of_its_images() -> None:
    # finite differences of the kernel itself, in float32: a step of 0.02 A
    xy_A, amplitude, sigma_A = beads(6, 20.0)
    pattern = torch.cos(torch.arange(5 * 32 * 32).float() / 7).view(5, 32, 32)

    def value(a: Tensor, m: Tensor, s: Tensor) -> Tensor:
        return (project_splat(a, m, s, 32, 1.5) * pattern).double().sum()

    leaves = [t.clone().requires_grad_() for t in (xy_A, amplitude, sigma_A)]
    value(*leaves).backward()
    for which, leaf in enumerate(leaves):
        for place in (0, leaf.numel() // 2, leaf.numel() - 1):
            step = torch.zeros(leaf.numel())
            step[place] = 0.02
            step = step.view_as(leaf)
            up = [a.detach() + (step if i == which else 0) for i, a in enumerate(leaves)]
            down = [a.detach() - (step if i == which else 0) for i, a in enumerate(leaves)]
            slope = float(value(*up) - value(*down)) / 0.04
            assert leaf.grad is not None
            assert slope == pytest.approx(float(leaf.grad.flatten()[place]), rel=0.02, abs=2e-4)


def test_a_projection_holds_the_mass_of_its_beads() -> None:
    xy_A, amplitude, sigma_A = beads(30, 20.0)
    images = project_beads(xy_A, amplitude, sigma_A, 64, 1.2)
    assert torch.allclose(images.sum((1, 2)) * 1.2**2, amplitude.sum().expand(5), rtol=2e-3)


def test_a_bead_has_the_gaussian_transform_of_its_convention() -> None:
    sigma_A, pixel_size_A, box = 2.5, 1.2, 64
    band = make_band(box, pixel_size_A, 6.0)
    place_A = torch.tensor([[[3.3, -5.1]]])
    image = project_dense(place_A, torch.tensor([7.0]), torch.tensor([sigma_A]), box, pixel_size_A)
    # an orthonormal transform of samples = continuous transform / (box pixel^2)
    measured = band.transform(image)[0] * box * pixel_size_A**2
    phase = shift_phase(place_A[0], band.kx_per_A, band.ky_per_A)[0]
    expected = 7.0 * torch.exp(-2 * math.pi**2 * sigma_A**2 * band.k_per_A**2) * phase
    assert torch.allclose(measured, expected, atol=2e-3)


def test_rotation_is_map_to_image_on_columns() -> None:
    turn = torch.tensor([[[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]])
    assert rotate_to_image(torch.tensor([[[5.0, 2.0, 9.0]]]), turn).tolist() == [[[-2.0, 5.0]]]


def test_a_bead_wider_than_the_window_is_refused() -> None:
    with pytest.raises(ValueError, match="too wide"):
        project_splat(torch.zeros(1, 1, 2), torch.ones(1), torch.tensor([200.0]), 64, 1.0)


def test_beads_outside_the_box_leave_no_trace() -> None:
    far = torch.full((1, 2, 2), 500.0, requires_grad=True)
    images = project_splat(far, torch.ones(2), torch.ones(2), 32, 1.0)
    images.sum().backward()
    assert float(images.detach().abs().max()) == 0
    assert far.grad is not None
    assert np.all(far.grad.numpy() == 0)


@pytest.mark.parametrize("sigma_px", [0.6, 0.9, 1.3, 1.8, 2.3, 4.0])
def test_beads_of_every_window_agree_with_the_dense_projector(sigma_px: float) -> None:
    # every window and the loops; beads across the border and far outside too
    torch.manual_seed(1)
    xy_A = (torch.rand(2, 30, 2) - 0.5) * 40
    xy_A[0, 0], xy_A[1, 1] = 90.0, -90.0
    numbers = {window_number(s, REACH, 32) for s in (0.6, 0.9, 1.3, 1.8, 2.3, 4.0)}
    assert numbers == set(range(LOOPS + 1))
    leaves = (xy_A, torch.rand(30) + 1, torch.full((30,), sigma_px))
    pattern = torch.randn(2, 32, 32)
    found = []
    for project in (project_splat, project_dense):
        own = [leaf.clone().requires_grad_() for leaf in leaves]
        images = project(*own, 32, 1.0)
        found.append([images, *torch.autograd.grad((images * pattern).sum(), own)])
    for fast, reference in zip(*found, strict=True):
        assert float((fast - reference).norm() / reference.norm()) < 1e-3


def test_a_window_wider_than_the_box_is_not_used() -> None:
    assert window_number(0.6, REACH, 7) == LOOPS
    xy_A = torch.tensor([[[0.4, -1.1]]])
    arguments = (xy_A, torch.ones(1), torch.ones(1), 6, 1.0)
    assert torch.allclose(project_splat(*arguments), project_dense(*arguments), atol=1e-4)
