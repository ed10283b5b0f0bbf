"""Form factors: band, images and maps are one density; gridding against the exact sum."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from cryoscope.data import InputError, Structure
from cryoscope.models.coarse_grain import Beads, coarse_grain
from cryoscope.models.densities import BeadShape
from cryoscope.models.form_factor_density import FormFactorDensity, FormFactorShape
from cryoscope.models.interfaces import Density
from cryoscope.physics.atom_gridding import project_atoms_band
from cryoscope.physics.atoms import atoms_to_map, form_factors, project_atoms_fourier
from cryoscope.physics.fourier import make_band
from cryoscope.physics.imaging import rotate_to_image, shift_phase
from cryoscope.training.config import BeadConfig

SETTINGS = BeadConfig(coarse_grain="atoms", b_factor_A2=40.0)
GENERATOR = torch.Generator().manual_seed(6)
ROTATION = torch.linalg.qr(torch.randn(3, 3, 3, generator=GENERATOR))[0]


def atoms(residues: int = 10) -> Beads:
    names = np.array(["N", "CA", "C", "O", "SG"] * residues)
    count = len(names)
    return coarse_grain(
        Structure(
            coords_A=np.random.default_rng(1).normal(size=(count, 3)) * 7,
            element=np.array([name[0] for name in names]),
            atom_name=names,
            residue_name=np.array(["CYS"] * count),
            residue_id=np.repeat(np.arange(residues), 5),
            chain_id=np.array(["A"] * count),
            insertion_code=np.array([""] * count),
            b_factor_A2=np.zeros(count),
            occupancy=np.ones(count),
        ),
        kind="atoms",
        centre="CA",
    )


def made(shape: FormFactorShape, beads: Beads, dtype: torch.dtype) -> FormFactorDensity:
    at_rest = torch.as_tensor(beads.anchor_A, dtype=dtype)
    noise = torch.randn(3, *at_rest.shape, generator=torch.Generator().manual_seed(3))
    return shape.density(at_rest + noise.to(dtype), 1.6)


def relative(value: Tensor, expected: Tensor) -> float:
    return float(((value - expected).abs().max() / expected.abs().max()).detach())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("resolution_A", [0.0, 5.0])
def test_the_band_is_that_of_the_image(dtype: torch.dtype, resolution_A: float) -> None:
    beads = atoms()
    density: Density = made(FormFactorShape(beads, SETTINGS), beads, dtype)
    band = make_band(40, 1.6, resolution_A)
    rotation = ROTATION.to(dtype)
    got = density.project_band(rotation, band)
    image = density.project(rotation, 40, 1.6)
    assert relative(got, band.transform(image)) < 1e-4
    shift_A = torch.tensor([[2.0, -3.3], [0.7, 1.1], [0, 5.0]])
    moved = density.project_band(rotation, band, shift_A.to(dtype))
    inner = band.k_per_A < 0.3  # the real part alone is kept at Nyquist
    phase = shift_phase(shift_A, band.kx_per_A, band.ky_per_A)
    assert relative(moved[:, inner], (got * phase)[:, inner]) < 1e-4


def test_gridding_is_exact_for_atoms_anywhere_and_has_the_gradient_of_the_exact_sum() -> None:
    beads = atoms()
    shape = FormFactorShape(beads, SETTINGS)
    band = make_band(32, 1.6, with_dc=False)
    weight = torch.randn(3, len(band), 2, generator=GENERATOR)
    results, slopes = [], []
    for dtype in (torch.float32, torch.float64):
        xy_A = rotate_to_image(torch.as_tensor(beads.anchor_A)[None] * 3, ROTATION.double())
        xy_A = xy_A.to(dtype).requires_grad_()  # far out of the box: periodic
        blur = torch.tensor(40.0, dtype=dtype, requires_grad=True)
        tables = (shape.element_type, shape.a_A.to(dtype), shape.b_A2.to(dtype))
        got = project_atoms_band(xy_A, *tables, band, b_factor_A2=blur)
        (torch.view_as_real(got) * weight).sum().backward()
        assert xy_A.grad is not None
        assert blur.grad is not None
        results.append(got.detach())
        slopes.append((xy_A.grad, blur.grad))
    assert relative(*results) < 1e-4
    assert relative(slopes[0][0], slopes[1][0]) < 1e-3
    assert relative(slopes[0][1], slopes[1][1]) < 1e-4


def test_fewer_orders_are_a_part_of_all() -> None:
    beads = atoms()
    shape = FormFactorShape(beads, SETTINGS)
    xy_A = torch.as_tensor(beads.anchor_A)[None, :, :2].double()
    tables = (shape.element_type, shape.a_A.double(), shape.b_A2.double())
    every = project_atoms_fourier(xy_A, *tables, 32, 1.6)
    some = project_atoms_fourier(xy_A, *tables, 32, 1.6, largest_order=5)
    rows = [*range(6), *range(-5, 0)]
    assert some.shape == (1, 11, 6)
    assert relative(some, every[:, rows, :6]) < 1e-12
    assert torch.equal(project_atoms_fourier(xy_A, *tables, 32, 1.6, largest_order=16), every)


def test_a_map_summed_along_the_beam_is_the_projection() -> None:
    beads = atoms()
    density = made(FormFactorShape(beads, SETTINGS), beads, torch.float32)
    upright = torch.eye(3).expand(3, 3, 3)
    summed = density.voxelize(32, 1.6).sum(1) * 1.6
    assert relative(summed, density.project(upright, 32, 1.6)) < 1e-5


def test_the_transform_of_a_map_is_the_structure_factor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cryoscope.physics.atoms._PHASES_AT_ONCE", 8**2 * 3)
    beads = atoms(2)
    shape = FormFactorShape(beads, SETTINGS)
    coords_A = torch.as_tensor(beads.anchor_A).double()
    tables = (shape.element_type, shape.a_A.double(), shape.b_A2.double())
    made_map = atoms_to_map(coords_A, *tables, 8, 3.0, b_factor_A2=40.0)
    order = torch.arange(-3, 4)  # at Nyquist a real map keeps a part only
    kz, ky, kx = torch.meshgrid(order, order, order[order >= 0], indexing="ij")
    k_per_A = torch.stack([kx, ky, kz], dim=-1).double().view(-1, 3) / 24.0
    length = k_per_A.norm(dim=1)
    factor = form_factors(*tables[1:], length)[shape.element_type] * torch.exp(-10 * length**2)
    expected = torch.polar(factor, -2 * math.pi * coords_A @ k_per_A.T).sum(0)
    about_centre = torch.fft.rfftn(torch.fft.ifftshift(made_map)) * 3.0**3
    assert relative(about_centre[kz, ky, kx].flatten(), expected) < 1e-12


def test_blur_and_amplitude_are_learned() -> None:
    beads = atoms()
    settings = BeadConfig(coarse_grain="atoms", learn_amplitude="type", amplitude_scale=0.5)
    shape = FormFactorShape(beads, settings)
    band = make_band(32, 1.6)
    density = made(shape, beads, torch.float32)
    plain = made(FormFactorShape(beads, BeadConfig(coarse_grain="atoms")), beads, torch.float32)
    got = density.project_band(ROTATION, band)
    assert relative(got, 0.5 * plain.project_band(ROTATION, band)) < 1e-5
    got.abs().square().sum().backward()
    assert {name for name, _ in shape.named_parameters()} == {
        "log_b_factor",
        "amplitude_factor.log_factor",
    }
    for parameter in shape.parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().min() > 0


def test_without_blur_there_is_none() -> None:
    shape = FormFactorShape(atoms(), BeadConfig(b_factor_A2=0.0, learn_blur=False))
    assert float(shape.b_factor_A2) == 0
    assert list(shape.parameters()) == []


@pytest.mark.parametrize("wrong", [{"learn_width": "tied"}, {"learn_amplitude": "bead"}])
def test_what_atoms_cannot_learn_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(InputError, match="elements"):
        FormFactorShape(atoms(), BeadConfig(coarse_grain="atoms", **wrong))  # type: ignore[arg-type]


def test_gaussians_of_the_atoms_are_near_their_form_factors_at_low_resolution() -> None:
    beads, settings = atoms(), BeadConfig(coarse_grain="atoms")
    band = make_band(40, 1.6, 5.0, with_dc=False)
    factors = made(FormFactorShape(beads, settings), beads, torch.float32)
    gaussians = BeadShape(beads, settings).density(factors.coords_A, 1.6)
    exact = factors.project_band(ROTATION, band)
    near = gaussians.project_band(ROTATION, band)
    scale = (near.conj() * exact).real.sum() / near.abs().square().sum()
    assert float(((scale * near - exact).norm() / exact.norm()).detach()) < 1e-2
