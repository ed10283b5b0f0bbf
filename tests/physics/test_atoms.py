"""Atoms against Gaussians summed in real space and against the slice theorem."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from cryoscope.physics.atoms import form_factors, project_atoms_fourier
from cryoscope.physics.fourier import frequencies_per_A, irfft2_centred
from cryoscope.physics.imaging import rotate_to_image
from cryoscope.physics.projectors import project_dense

# Five-Gaussian electron scattering factors of carbon and oxygen (International Tables C, 4.3.2.2).
A_A = torch.tensor(
    [[0.0893, 0.2563, 0.7570, 1.0487, 0.3575], [0.0974, 0.2921, 0.6910, 0.6990, 0.2039]]
)
B_A2 = torch.tensor(
    [[0.2465, 1.7100, 6.4094, 18.6113, 50.2523], [0.2067, 1.3815, 4.6943, 12.7105, 32.4726]]
)


@pytest.fixture
def atoms() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    return 8 * torch.randn(2, 30, 3, generator=generator), torch.arange(30) % 2


def test_images_are_the_sum_of_the_gaussians_on_a_fine_grid(atoms: tuple[Tensor, Tensor]) -> None:
    coords_A, kind = atoms
    box, pixel_A, b_factor_A2 = 128, 0.7, 150.0
    xy_A = coords_A[..., :2].double()
    coefficients = project_atoms_fourier(
        xy_A, kind, A_A.double(), B_A2.double(), box, pixel_A, b_factor_A2=b_factor_A2
    )
    expected = torch.zeros(2, box, box, dtype=torch.float64)
    for i in range(5):
        sigma_A = torch.sqrt((B_A2[kind, i] + b_factor_A2).double() / (8 * math.pi**2))
        expected += project_dense(xy_A, A_A[kind, i].double(), sigma_A, box, pixel_A)
    error = (irfft2_centred(coefficients) - expected).abs().max()
    assert error < 1e-5 * expected.max()


def test_coefficients_are_slices_of_the_structure_factor(atoms: tuple[Tensor, Tensor]) -> None:
    coords_A, kind = atoms
    box, pixel_A = 32, 1.5
    rotation = torch.linalg.qr(torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(1)))[0]
    got = project_atoms_fourier(
        rotate_to_image(coords_A, rotation), kind, A_A, B_A2, box, pixel_A, b_factor_A2=20.0
    )
    kx, ky = frequencies_per_A(box, pixel_A)
    in_image = torch.stack(
        [kx.expand(box, -1), ky[:, None].expand(-1, len(kx)), torch.zeros(box, len(kx))], dim=-1
    )
    in_map = torch.einsum("bji,yxj->byxi", rotation, in_image)
    k = in_image.norm(dim=-1)
    factors = form_factors(A_A, B_A2, k)[kind] * torch.exp(-20.0 * k**2 / 4)
    angle = -2 * math.pi * torch.einsum("byxi,bni->bnyx", in_map, coords_A)
    expected = (torch.polar(factors.expand_as(angle), angle)).sum(1) / (box * pixel_A**2)
    assert (got - expected).abs().max() < 2e-5 * expected.abs().max()


def test_atoms_in_many_pieces_add_up(
    atoms: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    xy_A, kind = atoms[0][..., :2], atoms[1]
    whole = project_atoms_fourier(xy_A, kind, A_A, B_A2, 16, 3.0)
    monkeypatch.setattr("cryoscope.physics.atoms._ATOMS_AT_ONCE", 4)
    pieces = project_atoms_fourier(xy_A, kind, A_A, B_A2, 16, 3.0)
    torch.testing.assert_close(pieces, whole, rtol=1e-4, atol=1e-5)


def test_mass_and_gradient(atoms: tuple[Tensor, Tensor]) -> None:
    coords_A, kind = atoms
    xy_A = coords_A[:1, :6, :2].double().requires_grad_()
    tables = (A_A.double(), B_A2.double())
    images = irfft2_centred(project_atoms_fourier(xy_A, kind[:6], *tables, 32, 2.0))
    assert images.sum().item() * 4 == pytest.approx(A_A.sum(1)[kind[:6]].sum().item(), rel=1e-5)

    def power(x: Tensor) -> Tensor:
        return project_atoms_fourier(x, kind[:6], *tables, 8, 2.0).abs().square().sum()

    assert torch.autograd.gradcheck(power, (xy_A,))
