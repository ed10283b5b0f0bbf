from __future__ import annotations

import numpy as np
import pytest
import torch

from cryoscope.models.restraints import (
    ClashPotential,
    PairPotential,
    bonded_pairs,
    clash_energy_reference,
    elastic_pairs,
    pair_energy_reference,
)


def chain(count: int = 60) -> np.ndarray:
    rng = np.random.default_rng(0)
    steps = rng.normal(size=(count, 3))
    return np.cumsum(3.8 * steps / np.linalg.norm(steps, axis=1, keepdims=True), axis=0)


@pytest.mark.parametrize("shape", ["quadratic", "robust", "log"])
def test_kernels_agree_with_plain_torch(shape: str) -> None:
    reference = chain()
    pairs = elastic_pairs(reference, np.ones(59, dtype=bool), 12.0)
    d0_A = np.linalg.norm(reference[pairs[:, 0]] - reference[pairs[:, 1]], axis=1)
    potential = PairPotential(pairs, d0_A, shape=shape, width_A=1.5)
    coords = torch.as_tensor(reference).float() + torch.randn(7, 60, 3)
    fast, slow = coords.clone().requires_grad_(), coords.double().requires_grad_()
    weight = torch.arange(1.0, 8.0)
    energy = potential(fast)
    expected = pair_energy_reference(
        slow, potential.pairs, potential.d0_A.double(), potential.gate.double(), shape, 1.5
    )
    assert torch.allclose(energy.double(), expected, rtol=1e-4)
    (energy * weight).sum().backward()
    (expected * weight.double()).sum().backward()
    assert fast.grad is not None
    assert slow.grad is not None
    assert float((fast.grad - slow.grad).norm() / slow.grad.norm()) < 1e-4


@pytest.mark.parametrize("shape", ["quadratic", "robust", "log"])
def test_the_reference_is_the_gradient_of_its_energy(shape: str) -> None:
    reference = chain(6)
    pairs = bonded_pairs(np.ones(5, dtype=bool))
    d0_A = torch.full((5,), 3.8, dtype=torch.float64)
    coords = (torch.as_tensor(reference) + 0.3 * torch.randn(1, 6, 3)).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: pair_energy_reference(
            x, torch.as_tensor(pairs), d0_A, torch.ones(5).double(), shape, 1.0
        ),
        coords,
    )


def test_at_rest_nothing_pulls() -> None:
    reference = chain()
    pairs = elastic_pairs(reference, np.ones(59, dtype=bool), 10.0)
    d0_A = np.linalg.norm(reference[pairs[:, 0]] - reference[pairs[:, 1]], axis=1)
    energy = PairPotential(pairs, d0_A)(torch.as_tensor(reference).float()[None])
    assert float(energy) == pytest.approx(0, abs=1e-6)


def test_elastic_pairs_leave_bonded_neighbours_out_but_not_chain_ends() -> None:
    line = np.stack([np.arange(4) * 3.8, np.zeros(4), np.zeros(4)], axis=1)
    pairs = elastic_pairs(line, np.array([True, False, True]), 4.0)
    assert pairs.tolist() == [[1, 2]]


def test_the_gate_releases_the_most_variable_pairs() -> None:
    pairs = np.array([[0, 1], [2, 3], [4, 5], [6, 7]])
    potential = PairPotential(pairs, np.full(4, 1.0), release_fraction=0.25)
    coords = torch.zeros(8, 8, 3)
    coords[:, 5, 0] = torch.linspace(0, 10, 8)  # pair 2 moves
    coords[:, 1, 0] = 1.0
    coords[:, 3, 0] = 3.0
    potential.train()
    potential(coords)
    assert potential.gate.tolist() == [1, 1, 0, 1]
    state = potential.state_dict()
    assert set(state) == {"gate", "calls"}


def test_clashes_agree_with_all_pairs_in_plain_torch() -> None:
    bonded = np.ones(79, dtype=bool)
    bonded[40] = False
    coords = torch.rand(5, 80, 3) * 14
    potential = ClashPotential(bonded, 4.0)
    fast, slow = coords.clone().requires_grad_(), coords.double().requires_grad_()
    energy, expected = potential(fast), clash_energy_reference(slow, potential.bonded, 4.0)
    assert torch.allclose(energy.double(), expected, rtol=1e-5)
    energy.sum().backward()
    expected.sum().backward()
    assert fast.grad is not None
    assert slow.grad is not None
    assert torch.allclose(fast.grad.double(), slow.grad, atol=1e-4)


def test_far_beads_do_not_clash() -> None:
    far = torch.arange(30.0).view(1, 10, 3) * 5
    assert float(ClashPotential(np.ones(9, dtype=bool))(far)) == 0


def test_no_pairs_cost_nothing() -> None:
    pairs = elastic_pairs(np.zeros((1, 3)), np.zeros(0, dtype=bool), 12.0)
    potential = PairPotential(pairs, np.zeros(0), release_fraction=0.5)
    coords = torch.zeros(4, 1, 3, requires_grad=True)
    energy = potential(coords)
    assert torch.equal(energy, torch.zeros(4))
