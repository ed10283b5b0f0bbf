from __future__ import annotations

import numpy as np
import pytest
import torch

from cryoscope.data import InputError, Structure
from cryoscope.models.coarse_grain import coarse_grain
from cryoscope.models.local_frames import CarriedCentres


def structure(names: list[str], residues: list[int], chains: list[str], coords: list) -> Structure:  # type: ignore[type-arg]
    n = len(names)
    return Structure(
        coords_A=np.array(coords, dtype=float),
        element=np.array([name[0] for name in names]),
        atom_name=np.array(names),
        residue_name=np.array(["ALA"] * n),
        residue_id=np.array(residues),
        chain_id=np.array(chains),
        insertion_code=np.array([""] * n),
        b_factor_A2=np.zeros(n),
        occupancy=np.ones(n),
    )


def helix(count: int, chain: str = "A", first: int = 1) -> Structure:
    """CA and CB of an ideal helix."""
    turn = np.deg2rad(100) * np.arange(count)
    ca = np.stack([2.3 * np.cos(turn), 2.3 * np.sin(turn), 1.5 * np.arange(count)], axis=1)
    cb = np.stack([3.3 * np.cos(turn), 3.3 * np.sin(turn), 1.5 * np.arange(count) - 0.5], axis=1)
    coords = np.stack([ca, cb], axis=1).reshape(-1, 3)
    numbers = [r for r in range(first, first + count) for _ in range(2)]
    return structure(["CA", "CB"] * count, numbers, [chain] * 2 * count, coords.tolist())


def test_one_bead_per_residue_with_its_scattering() -> None:
    beads = coarse_grain(helix(10))
    assert len(beads) == 10
    assert beads.bonded.all()
    assert np.allclose(beads.amplitude, 2 * 2.509, atol=0.01)  # f_e(0) of two carbons
    assert np.allclose(coarse_grain(helix(10), amplitude="electrons").amplitude, 12)


def test_the_centre_is_the_mass_and_its_spread_widens_the_bead() -> None:
    mass, ca = coarse_grain(helix(6)), coarse_grain(helix(6), centre="CA")
    atoms = helix(6).coords_A.reshape(6, 2, 3)
    assert np.allclose(mass.centre_A, atoms.mean(1))
    assert np.allclose(ca.centre_A, atoms[:, 0])
    half2 = ((atoms[:, 1] - atoms[:, 0]) ** 2).sum(1) / 4
    assert np.allclose(ca.variance_A2 - mass.variance_A2, half2 / 3)


def test_hydrogens_and_residues_without_ca_are_left_out_and_named() -> None:
    atoms = structure(
        ["CA", "HA", "O", "CA"],
        [1, 1, 2, 3],
        ["A"] * 4,
        [[0, 0, 0], [1, 0, 0], [3, 3, 3], [3.8, 0, 0]],
    )
    beads = coarse_grain(atoms)
    assert len(beads) == 2
    assert beads.skipped == ("A 2 ALA",)


def test_chains_and_gaps_are_not_bonded() -> None:
    coords = [[0, 0, 0], [3.8, 0, 0], [20, 0, 0], [21, 3.7, 0]]
    beads = coarse_grain(structure(["CA"] * 4, [1, 2, 9, 10], ["A", "A", "A", "B"], coords))
    assert beads.bonded.tolist() == [True, False, False]


def test_no_ca_is_an_error_that_names_the_file() -> None:
    atoms = structure(["P"], [1], ["A"], [[0, 0, 0]])
    with pytest.raises(InputError, match=r"rna\.pdb: no residue has a CA"):
        coarse_grain(atoms, file="rna.pdb")


def test_carried_centres_start_at_the_reference_and_turn_with_the_chain() -> None:
    beads = coarse_grain(helix(12))
    carried = CarriedCentres(beads)
    anchors = torch.as_tensor(beads.anchor_A).float()
    assert torch.allclose(
        carried(anchors[None])[0], torch.as_tensor(beads.centre_A).float(), atol=1e-4
    )
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(1)))[0]
    turn = turn * torch.sign(torch.det(turn))
    moved = carried(anchors[None] @ turn.T + 5.0)[0]
    assert torch.allclose(moved, torch.as_tensor(beads.centre_A).float() @ turn.T + 5.0, atol=1e-3)


def test_a_residue_on_its_own_keeps_its_offset_finite() -> None:
    lonely = helix(1)
    carried = CarriedCentres(coarse_grain(lonely))
    centre = carried(torch.as_tensor(lonely.coords_A[:1]).float()[None])
    assert torch.isfinite(centre).all()


def test_the_kernel_agrees_with_plain_torch_in_centres_and_gradients() -> None:
    beads = coarse_grain(helix(30))
    beads.bonded[12] = False  # two chains, whose ends borrow frames
    carried = CarriedCentres(beads)
    anchors = torch.as_tensor(beads.anchor_A).float() + torch.randn(6, 30, 3)
    pull = torch.randn(6, 30, 3)
    fast, slow = anchors.clone().requires_grad_(), anchors.clone().requires_grad_()
    ours, plain = carried(fast), carried.reference(slow)
    assert torch.allclose(ours, plain, atol=1e-4)
    (ours * pull).sum().backward()
    (plain * pull).sum().backward()
    assert fast.grad is not None
    assert slow.grad is not None
    assert float((fast.grad - slow.grad).norm() / slow.grad.norm()) < 1e-4
