"""Gaussian beads: projections, maps, and what of their shape is learned."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from cryoscope.data import Structure
from cryoscope.models.coarse_grain import Beads, coarse_grain
from cryoscope.models.densities import (
    MOST_LOG_WIDTH,
    NARROWEST_PX,
    BeadDensity,
    BeadShape,
    make_density_shape,
)
from cryoscope.models.form_factor_density import FormFactorShape
from cryoscope.models.interfaces import Density
from cryoscope.models.learned_shape import MOST_B_A2
from cryoscope.physics.fourier import make_band
from cryoscope.physics.imaging import shift_phase
from cryoscope.training.config import BeadConfig


def density(states: int = 2, beads: int = 12) -> Density:
    generator = torch.Generator().manual_seed(3)
    centres_A = (torch.rand(states, beads, 3, generator=generator) - 0.5) * 24
    mass = torch.rand(beads, generator=generator) + 0.5
    return BeadDensity(centres_A, mass, torch.full((beads,), 2.4))


def beads_of(kind: str = "CA") -> Beads:
    names = np.array(["CA", "C", "O"] * 4)
    count = len(names)
    atoms = Structure(
        coords_A=np.random.default_rng(1).normal(size=(count, 3))
        + 8 * np.repeat(np.eye(4, 3), 3, axis=0),
        element=np.array([name[0] for name in names]),
        atom_name=names,
        residue_name=np.repeat(["GLY", "ALA", "GLY", "TRP"], 3),
        residue_id=np.repeat(np.arange(4), 3),
        chain_id=np.array(["A"] * count),
        insertion_code=np.array([""] * count),
        b_factor_A2=np.zeros(count),
        occupancy=np.ones(count),
    )
    return coarse_grain(atoms, kind=kind, centre="CA")


def test_a_map_summed_along_the_beam_is_the_projection() -> None:
    upright = torch.eye(3).expand(2, 3, 3)
    made = density()
    image = made.project(upright, 40, 1.5)
    summed = made.voxelize(40, 1.5).sum(1) * 1.5
    assert float((image - summed).norm() / image.norm()) < 1e-3


def test_a_map_is_zyx_and_holds_the_mass() -> None:
    one = BeadDensity(torch.tensor([[[6.0, 3.0, -4.5]]]), torch.tensor([2.0]), torch.tensor([2.0]))
    values = one.voxelize(32, 1.5)[0]
    z, y, x = (int(i) for i in np.unravel_index(int(values.argmax()), values.shape))
    assert (z - 16, y - 16, x - 16) == (-3, 2, 4)
    assert abs(float(values.sum()) * 1.5**3 - 2.0) < 1e-3


def test_in_the_band_a_shift_moves_the_image() -> None:
    made, band = density(), make_band(40, 1.5)
    rotation = torch.linalg.qr(torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(1)))[0]
    plain = made.project_band(rotation, band)
    assert torch.equal(plain, band.transform(made.project(rotation, 40, 1.5)))
    shift_A = torch.tensor([[2.0, -3.3], [0.7, 1.1]])
    moved = made.project_band(rotation, band, shift_A)
    expected = plain * shift_phase(shift_A, band.kx_per_A, band.ky_per_A)
    assert float((moved - expected).norm() / expected.norm()) < 1e-3


def test_beads_are_never_narrower_than_the_pixels_carry_nor_blurred_without_end() -> None:
    shape = BeadShape(beads_of(), BeadConfig(b_factor_A2=1.0))
    assert torch.allclose(shape.sigma_A(8.0), torch.full((4,), 8.0 * NARROWEST_PX))
    with torch.no_grad():
        shape.log_b_factor.fill_(50.0)
    assert float(shape.sigma_A(1.0).detach()[0]) < (MOST_B_A2 / 78 + 5) ** 0.5


def test_without_blur_beads_have_their_own_width_and_nothing_is_learned() -> None:
    beads = beads_of()
    shape = BeadShape(beads, BeadConfig(b_factor_A2=0.0, learn_blur=False))
    own_A = torch.as_tensor(beads.variance_A2).float().sqrt()
    torch.testing.assert_close(shape.sigma_A(0.5), own_A)
    assert float(shape.amplitude.mean()) == pytest.approx(1.0)
    assert list(shape.parameters()) == []
    assert shape.state_dict() == {}


def test_a_given_blur_adds_its_variance() -> None:
    beads = beads_of()
    expected = torch.as_tensor(beads.variance_A2).float() + 60 / (8 * math.pi**2)
    for learned in (False, True):
        shape = BeadShape(beads, BeadConfig(b_factor_A2=60.0, learn_blur=learned))
        torch.testing.assert_close(shape.sigma_A(0.5) ** 2, expected)
        assert len(list(shape.parameters())) == learned


@pytest.mark.parametrize(("kind", "size"), [("tied", 1), ("type", 3), ("bead", 4)])
def test_factors_of_widths_and_masses_are_learned(kind: str, size: int) -> None:
    beads = beads_of()
    settings = BeadConfig(
        learn_width=kind,  # type: ignore[arg-type]
        learn_amplitude=kind,  # type: ignore[arg-type]
        amplitude_scale=0.1,
        b_factor_A2=0.0,
        learn_blur=False,
    )
    shape = BeadShape(beads, settings)
    assert shape.width_factor.log_factor.shape == (size,)
    assert float(shape.amplitude.detach().mean()) == pytest.approx(0.1)
    before_A, before = shape.sigma_A(0.1).detach(), shape.amplitude.detach()
    row = {"tied": 0, "type": int(beads.bead_type[2]), "bead": 2}[kind]
    with torch.no_grad():
        shape.width_factor.log_factor[row] = math.log(2)
        shape.amplitude_factor.log_factor[row] = math.log(3)
    same = {"tied": [0, 1, 2, 3], "type": [0, 2], "bead": [2]}[kind]
    changed = torch.ones(4)
    changed[same] = 2
    torch.testing.assert_close(shape.sigma_A(0.1), before_A * changed)
    torch.testing.assert_close(shape.amplitude, before * (changed * 2 - 1))
    made = shape.density(torch.as_tensor(beads.centre_A).float()[None], 1.0)
    made.project(torch.eye(3)[None], 32, 1.0).square().sum().backward()
    for factor in (shape.width_factor, shape.amplitude_factor):
        assert factor.log_factor.grad is not None
        assert factor.log_factor.grad.abs().min() > 0
    with torch.no_grad():
        shape.width_factor.log_factor.fill_(90.0)
    torch.testing.assert_close(shape.sigma_A(0.1), before_A * math.exp(MOST_LOG_WIDTH))


def test_atoms_have_form_factors_and_beads_are_gaussians() -> None:
    atoms = make_density_shape(beads_of("atoms"), BeadConfig(coarse_grain="atoms"))
    assert isinstance(atoms, FormFactorShape)
    assert isinstance(make_density_shape(beads_of(), BeadConfig()), BeadShape)
