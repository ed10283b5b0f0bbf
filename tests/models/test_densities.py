from __future__ import annotations

import numpy as np
import torch

from cryoscope.data import Structure
from cryoscope.models.coarse_grain import coarse_grain
from cryoscope.models.densities import MOST_B_A2, NARROWEST_PX, BeadDensity, BeadShape
from cryoscope.models.interfaces import Density


def density(states: int = 2, beads: int = 12) -> Density:
    generator = torch.Generator().manual_seed(3)
    centres_A = (torch.rand(states, beads, 3, generator=generator) - 0.5) * 24
    mass = torch.rand(beads, generator=generator) + 0.5
    return BeadDensity(centres_A, mass, torch.full((beads,), 2.4))


def test_a_map_summed_along_the_beam_is_the_projection() -> None:
    upright = torch.eye(3).expand(2, 3, 3)
    made = density()
    image = made.project(upright, 40, 1.5)
    summed = made.voxelize(40, 1.5).sum(1) * 1.5
    assert float((image - summed).norm() / image.norm()) < 1e-3


def test_a_map_is_zyx_and_holds_the_mass() -> None:
    one = BeadDensity(torch.tensor([[[6.0, 3.0, -4.5]]]), torch.tensor([2.0]), torch.tensor([2.0]))
    values = one.voxelize(32, 1.5)[0]
    z, y, x = np.unravel_index(int(values.argmax()), values.shape)
    assert (z - 16, y - 16, x - 16) == (-3, 2, 4)
    assert abs(float(values.sum()) * 1.5**3 - 2.0) < 1e-3


def test_beads_are_never_narrower_than_the_pixels_carry_nor_blurred_without_end() -> None:
    count = 3
    atoms = Structure(
        coords_A=np.arange(9.0).reshape(3, 3),
        element=np.array(["C"] * count),
        atom_name=np.array(["CA"] * count),
        residue_name=np.array(["GLY"] * count),
        residue_id=np.arange(count),
        chain_id=np.array(["A"] * count),
        insertion_code=np.array([""] * count),
        b_factor_A2=np.zeros(count),
        occupancy=np.ones(count),
    )
    shape = BeadShape(coarse_grain(atoms), 1.0)
    assert torch.allclose(shape.sigma_A(8.0), torch.full((count,), 8.0 * NARROWEST_PX))
    assert float(shape.sigma_A(1.0).detach()[0]) < 1.0
    with torch.no_grad():
        shape.log_b_factor.fill_(50.0)
    assert float(shape.sigma_A(1.0).detach()[0]) < (MOST_B_A2 / 78 + 5) ** 0.5
