"""Restraints: kernels against plain torch, gates, sampling and what settings make of beads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from cryoscope.data import InputError, Structure
from cryoscope.models.coarse_grain import Beads, coarse_grain
from cryoscope.models.pair_energies import (
    clash_energies,
    clash_energy_reference,
    pair_energies,
    pair_energy_reference,
    pair_variance_reference,
    pair_variances,
)
from cryoscope.models.pair_lists import bonded_pairs, distances_A, elastic_pairs
from cryoscope.models.restraints import (
    ClashPotential,
    PairPotential,
    SampledPotential,
    centring,
    make_restraint,
)
from cryoscope.training.config import RestraintConfig

SHAPES = ["quadratic", "robust", "log", "one-sided", "repulsive", "linear"]


def chain(count: int = 60) -> np.ndarray:
    rng = np.random.default_rng(0)
    steps = rng.normal(size=(count, 3))
    return np.cumsum(3.8 * steps / np.linalg.norm(steps, axis=1, keepdims=True), axis=0)


def protein(residues: int = 12) -> Structure:
    """Two chains of serines: N, CA, C, O, CB, OG of each residue."""
    names = ["N", "CA", "C", "O", "CB", "OG"]
    local_A = np.array(
        [[-1, 1, 0], [0, 0, 0], [1, 1, 0], [1, 2, 0.5], [0.3, -1, 1], [0.5, -2, 1.5]], dtype=float
    )
    coords_A = (chain(residues)[:, None] + local_A).reshape(-1, 3)
    count = len(coords_A)
    return Structure(
        coords_A=coords_A,
        element=np.array([name[0] for name in names] * residues),
        atom_name=np.array(names * residues),
        residue_name=np.array(["SER"] * count),
        residue_id=np.repeat(np.arange(residues), 6),
        chain_id=np.repeat(np.where(np.arange(residues) < residues // 2, "A", "B"), 6),
        insertion_code=np.array([""] * count),
        b_factor_A2=np.zeros(count),
        occupancy=np.ones(count),
    )


def beads_of(kind: str) -> Beads:
    return coarse_grain(protein(), kind=kind, centre="CA")


def agree(
    potential: Callable[[Tensor], Tensor], plain: Callable[[Tensor], Tensor], coords: Tensor
) -> None:
    """Energies and gradients of a module in float32 and of plain torch in float64."""
    fast, slow = coords.clone().requires_grad_(), coords.double().requires_grad_()
    weight = torch.arange(1.0, len(coords) + 1)
    energy, expected = potential(fast), plain(slow)
    assert torch.allclose(energy.double(), expected, rtol=1e-4)
    (energy * weight).sum().backward()
    (expected * weight.double()).sum().backward()
    assert fast.grad is not None
    assert slow.grad is not None
    assert float((fast.grad - slow.grad).norm() / slow.grad.norm()) < 1e-4


@pytest.mark.parametrize("shape", SHAPES)
def test_kernels_agree_with_plain_torch(shape: str) -> None:
    reference = chain()
    pairs = elastic_pairs(reference, np.ones(59, dtype=bool), 12.0)
    potential = PairPotential(pairs, distances_A(reference, pairs), shape=shape, width_A=1.5)
    coords = torch.as_tensor(reference).float() + torch.randn(7, 60, 3)
    lists = (potential.pairs, potential.d0_A.double(), potential.gate.double())
    agree(potential, lambda x: pair_energy_reference(x, *lists, shape, 1.5)[0], coords)
    # float64 has no kernel: the module falls to plain torch
    assert torch.allclose(potential(coords.double()).float(), potential(coords), rtol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_reference_is_the_gradient_of_its_energy(shape: str) -> None:
    pairs = torch.as_tensor(bonded_pairs(np.ones(5, dtype=bool)))
    d0_A = torch.full((5,), 3.8, dtype=torch.float64)
    generator = torch.Generator().manual_seed(2)
    noise = 0.3 * torch.randn(1, 6, 3, generator=generator)
    coords = (torch.as_tensor(chain(6)) + noise).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: pair_energy_reference(x, pairs, d0_A, torch.ones(5).double(), shape, 1.0)[0],
        coords,
    )


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("quadratic", [1, 0, 4]),
        ("robust", [1 / 2, 0, 4 / 5]),
        ("log", [np.log(4 / 9) ** 2, 0, np.log(25 / 9) ** 2]),
        ("one-sided", [0, 0, 4]),
        ("repulsive", [1, 0, 0]),
        ("linear", [1, 0, 0]),
    ],
)
def test_energies_of_two_beads(shape: str, expected: list[float]) -> None:
    coords = torch.zeros(3, 2, 3)
    coords[:, 1, 0] = torch.tensor([2.0, 3.0, 5.0])
    potential = PairPotential(np.array([[0, 1]]), np.array([3.0]), shape=shape)
    assert potential(coords).tolist() == pytest.approx(expected, abs=1e-6)


def test_at_rest_nothing_pulls() -> None:
    reference = chain()
    pairs = elastic_pairs(reference, np.ones(59, dtype=bool), 10.0)
    energy = PairPotential(pairs, distances_A(reference, pairs))(
        torch.as_tensor(reference).float()[None]
    )
    assert float(energy) == pytest.approx(0, abs=1e-6)


def test_the_gate_releases_the_most_variable_pairs_and_is_state() -> None:
    pairs = np.array([[0, 1], [2, 3], [4, 5], [6, 7]])
    potential = PairPotential(pairs, np.full(4, 1.0), release_fraction=0.25, reduce="mean")
    coords = torch.zeros(8, 8, 3)
    coords[:, 5, 0] = torch.linspace(0, 10, 8)  # pair 2 moves
    coords[:, 1, 0] = 1.0
    coords[:, 3, 0] = 3.0
    potential.train()
    energy = potential(coords)
    assert potential.gate.tolist() == [1, 1, 0, 1]
    assert potential.kept_fraction == 0.75
    assert energy.tolist() == pytest.approx([(0 + 4 + 1) / 3] * 8)
    assert set(potential.state_dict()) == {"gate", "calls"}


def test_what_varies_is_the_distance_or_its_error() -> None:
    coords = torch.zeros(2, 4, 3)
    coords[:, 1, 0] = torch.tensor([1.0, 3.0])  # d0 = 2: distance varies, squared error does not
    coords[:, 3, 0] = torch.tensor([4.0, 4.5])
    pairs, d0_A = np.array([[0, 1], [2, 3]]), np.full(2, 2.0)
    gates = {}
    for released_by in ("distance", "error"):
        potential = PairPotential(pairs, d0_A, release_fraction=0.5, release_by=released_by)
        potential(coords)
        gates[released_by] = potential.gate.tolist()
    assert gates == {"distance": [0, 1], "error": [1, 0]}


@pytest.mark.parametrize("of_error", [False, True])
def test_variances_agree_with_plain_torch(of_error: bool) -> None:
    coords = torch.as_tensor(chain()).float() + torch.randn(9, 60, 3)
    pairs = torch.as_tensor(elastic_pairs(chain(), np.ones(59, dtype=bool), 9.0))
    d0_A = torch.rand(len(pairs)) * 5 + 3
    fast = pair_variances(coords, pairs, d0_A, of_error)
    slow = pair_variance_reference(coords.double(), pairs, d0_A.double(), of_error)
    assert torch.allclose(fast.double(), slow, rtol=1e-3)


def test_the_share_is_taken_within_chains_and_pairs_between_them_stay() -> None:
    pairs = np.array([[i, i + 6] for i in range(6)])
    group = np.array([0, 0, 1, 1, -1, -1])
    coords = torch.zeros(5, 12, 3)
    amount = torch.tensor([4.0, 5.0, 0.1, 0.2, 9.0, 9.0])
    coords[:, 6:, 0] = 10 + amount * torch.linspace(-1, 1, 5)[:, None]
    potential = PairPotential(pairs, np.full(6, 10.0), release_fraction=0.5, group=group)
    potential(coords)
    assert potential.gate.tolist() == [1, 0, 1, 0, 1, 1]


@pytest.mark.parametrize("shape", ["repulsive", "linear"])
def test_clashes_agree_with_all_pairs_in_plain_torch(shape: str) -> None:
    bonded = np.ones(79, dtype=bool)
    bonded[40] = False
    coords = torch.rand(5, 80, 3) * 14
    potential = ClashPotential(bonded, 4.0, shape=shape)
    agree(
        potential,
        lambda x: clash_energy_reference(x, potential.bonded, 4.0, shape)[0],
        coords,
    )


def test_the_mean_of_clashes_is_over_those_that_clash() -> None:
    coords = torch.full((2, 3, 3), 0.0)
    coords[:, 1, 0], coords[:, 2, 0] = 3.0, 50.0
    coords[1, 2, 0] = 5.0  # a second clash, in the second structure
    bonded = np.zeros(2, dtype=bool)
    listed = PairPotential(
        np.array([[0, 1], [0, 2], [1, 2]]), np.full(3, 4.0), shape="repulsive", reduce="mean"
    )
    for potential in (ClashPotential(bonded, 4.0, reduce="mean"), listed):
        energy = potential(coords)
        assert float(energy.mean()) == pytest.approx((1 + 1 + 4) / 3)
        assert potential(coords + 100 * torch.arange(3)[:, None]).tolist() == [0, 0]


def test_far_beads_do_not_clash() -> None:
    far = torch.arange(30.0).view(1, 10, 3) * 5
    assert float(ClashPotential(np.ones(9, dtype=bool))(far)) == 0


@pytest.mark.parametrize("flung_A", [0.0, 60.0, 5e3, 1e12])
def test_clashes_are_found_wherever_a_bead_is_flung(flung_A: float) -> None:
    # from a grid of a few cells to one whose cells are wider than the protein
    coords = torch.randn(3, 80, 3, generator=torch.Generator().manual_seed(2)) * 7
    coords[1, 40] += flung_A
    bonded = np.arange(79) != 30
    bonds = torch.from_numpy(bonded)
    energy, count = clash_energies(coords, bonds, 4.0, "repulsive")
    expected, number = clash_energy_reference(coords, bonds, 4.0)
    assert torch.allclose(energy, expected, rtol=1e-5)
    assert count.tolist() == number.tolist()
    assert min(count.tolist()) > 10


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_coordinates_that_are_no_numbers_break_nothing(value: float) -> None:
    coords = torch.full((2, 12, 3), value)
    coords[0, 1:] = torch.arange(33.0).view(11, 3)
    energy, _ = clash_energies(coords, torch.ones(11, dtype=torch.bool), 4.0, "repulsive")
    assert energy.shape == (2,)


@pytest.mark.parametrize("structures", [1, 16, 70, 150])
def test_pair_energies_do_not_depend_on_how_structures_are_split(structures: int) -> None:
    generator = torch.Generator().manual_seed(3)
    coords = torch.randn(structures, 30, 3, generator=generator) * 6
    pairs = torch.triu_indices(30, 30, 1).T.contiguous()
    rest = torch.rand(len(pairs), generator=generator) * 8 + 1
    weight = (torch.rand(len(pairs), generator=generator) > 0.3).float()
    together = pair_energies(coords, pairs, rest, weight, "robust", 1.5)
    expected = pair_energy_reference(coords, pairs, rest, weight, "robust", 1.5)
    assert torch.allclose(together[0], expected[0], rtol=1e-5)
    assert torch.equal(together[1], expected[1])


def test_no_pairs_cost_nothing() -> None:
    pairs = elastic_pairs(np.zeros((1, 3)), np.zeros(0, dtype=bool), 12.0)
    coords = torch.zeros(4, 1, 3, requires_grad=True)
    for reduce in ("sum", "mean"):
        potential = PairPotential(pairs, np.zeros(0), release_fraction=0.5, reduce=reduce)
        assert torch.equal(potential(coords), torch.zeros(4))
        assert potential.kept_fraction == 1.0


@pytest.mark.parametrize("reduce", ["sum", "mean"])
def test_random_pairs_have_the_expectation_of_all_pairs(reduce: str) -> None:
    beads, moved = beads_of("CA"), torch.as_tensor(chain(12)).float()[None] * 1.1
    settings = RestraintConfig(pairs="geometry", shape="log", reduce=reduce)  # type: ignore[arg-type]
    every = make_restraint(beads, settings)
    share = make_restraint(beads, replace(settings, sample="random", pair_count=40))
    assert isinstance(share, SampledPotential)
    drawn = torch.stack([share(moved) for _ in range(400)])
    assert float(drawn.mean()) == pytest.approx(float(every(moved)), rel=0.02)
    assert int(share.draws) == 400


def test_random_pairs_go_on_where_they_stopped() -> None:
    coords = torch.as_tensor(chain(30)).float()[None] + torch.randn(1, 30, 3)
    run, resumed = (SampledPotential(np.arange(30), chain(30), 50) for _ in range(2))
    for _ in range(3):
        run(coords)
    resumed.load_state_dict(run.state_dict())
    expected = [float(run(coords)) for _ in range(2)]
    assert [float(resumed(coords)) for _ in range(2)] == expected
    assert expected[0] != expected[1]
    resumed.eval()
    assert float(resumed(coords)) == float(resumed(coords))


KINDS: dict[str, dict[str, object]] = {
    "bonds": {"length_A": 3.8},
    "elastic": {"shape": "robust", "release_fraction": 0.2, "release_per_chain": True},
    "geometry": {"shape": "log", "reduce": "mean"},
    "clash": {"shape": "repulsive", "cutoff_A": 4.0},
    "clash-static": {"shape": "repulsive", "cutoff_A": 6.0},
    "repulsion": {"shape": "repulsive", "cutoff_A": 5.0, "reduce": "mean"},
}


@pytest.mark.parametrize("pairs", KINDS)
def test_restraints_of_the_trace_are_the_same_for_every_kind_of_bead(pairs: str) -> None:
    settings = RestraintConfig(pairs=pairs, **KINDS[pairs])  # type: ignore[arg-type]
    trace_A = torch.as_tensor(protein().coords_A).float().view(-1, 6, 3)[:, 1]
    trace_A = trace_A + torch.randn(4, 12, 3, generator=torch.Generator().manual_seed(1))
    energies, gradients = [], []
    for kind in ("CA", "CA+SC", "atoms"):
        beads = beads_of(kind)
        positions = torch.as_tensor(beads.anchor_A).float().repeat(4, 1, 1)
        positions[:, beads.trace] = trace_A
        positions.requires_grad_()
        energy = make_restraint(beads, settings)(positions)
        energy.sum().backward()
        assert positions.grad is not None
        off = np.setdiff1d(np.arange(len(beads)), beads.trace)
        assert not positions.grad[:, off].any()
        energies.append(energy.detach())
        gradients.append(positions.grad[:, beads.trace])
    assert float(energies[0].min()) > 0
    for energy, gradient in zip(energies[1:], gradients[1:], strict=True):
        torch.testing.assert_close(energy, energies[0])
        torch.testing.assert_close(gradient, gradients[0])


def test_side_chains_are_held_only_when_too_far() -> None:
    beads = beads_of("CA+SC")
    settings = RestraintConfig(pairs="side-chains", shape="one-sided")
    restraint = make_restraint(beads, settings)
    at_rest = torch.as_tensor(beads.anchor_A).float()[None]
    assert float(restraint(at_rest)) == pytest.approx(0, abs=1e-6)
    far = at_rest.clone()
    bead, side = beads.side_chains[3]
    away = torch.nn.functional.normalize(far[0, side] - far[0, bead], dim=0)
    far[0, side] = far[0, bead] + away * (float(beads.side_chain_length_A[3]) + 2)
    assert float(restraint(far)) == pytest.approx(4, rel=1e-4)
    with pytest.raises(InputError, match="side-chain"):
        make_restraint(beads_of("CA"), settings)


def test_geometry_asks_for_a_sample_where_all_pairs_are_too_many() -> None:
    settings = RestraintConfig(pairs="geometry", shape="log", sample="nearest", pair_count=4)
    restraint = make_restraint(beads_of("CA"), settings)
    assert isinstance(restraint, PairPotential)
    assert 24 <= len(restraint.pairs) <= 48
    # a share that is no smaller than all pairs is all pairs
    settings = RestraintConfig(pairs="geometry", shape="log", sample="random", pair_count=500)
    restraint = make_restraint(beads_of("CA"), settings)
    assert isinstance(restraint, PairPotential)
    assert len(restraint.pairs) == 66


def test_centring_is_the_mean_square_of_the_centroid() -> None:
    positions = torch.tensor([[[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]])
    assert centring(positions).tolist() == [4.0]
