from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from cryoscope.models.latent_networks import LatentNetwork
from cryoscope.models.rigid_deformers import RigidMotion, RigidSegments, equal_segments

NETWORK = LatentNetwork(2, (8,))


def distances_A(positions_A: torch.Tensor) -> torch.Tensor:
    return torch.cdist(positions_A.double(), positions_A.double())


def moved(rest_A: torch.Tensor, segment: torch.Tensor, size: float) -> torch.Tensor:
    step = RigidSegments(rest_A, torch.ones(len(rest_A)), segment, NETWORK)
    torch.nn.init.normal_(step.net.last.bias, std=size)
    return step(rest_A[None], torch.zeros(1, 2))[0].detach()


def test_segments_are_rigid_and_move_apart() -> None:
    rest_A = torch.randn(30, 3) * 10
    segment = torch.arange(30) // 10
    now_A = moved(rest_A, segment, 5.0)
    for number in range(3):
        own = segment == number
        assert torch.allclose(distances_A(now_A[own]), distances_A(rest_A[own]), atol=1e-3)
    assert float((distances_A(now_A) - distances_A(rest_A)).abs().max()) > 1


def test_a_segment_turns_about_its_centre_of_mass() -> None:
    rest_A = torch.tensor([[0.0, 0, 0], [4.0, 0, 0], [50.0, 0, 0], [53.0, 0, 0]])
    mass = torch.tensor([1.0, 3.0, 1.0, 2.0])
    step = RigidSegments(rest_A, mass, torch.tensor([0, 0, 1, 1]), NETWORK)
    quarter_A = math.pi / 2 * float(step.radius_A[0])
    assert float(step.radius_A[0]) == pytest.approx(math.sqrt(3.0))
    with torch.no_grad():
        step.net.last.bias[2] = quarter_A  # about z
        step.net.last.bias[9:12] = torch.tensor([0.0, 1.0, 0.0])
    now_A = step(rest_A.expand(2, -1, -1), torch.zeros(2, 2))[1]
    expected_A = [[3.0, -3.0, 0], [3.0, 1.0, 0], [50.0, 1.0, 0], [53.0, 1.0, 0]]
    assert torch.allclose(now_A, torch.tensor(expected_A), atol=1e-5)


def test_the_centre_is_that_of_the_moved_beads() -> None:
    rest_A = torch.randn(12, 3) * 5
    step = RigidSegments(rest_A, torch.ones(12), torch.arange(12) // 6, NETWORK)
    with torch.no_grad():
        step.net.last.bias[:3] = torch.tensor([1.0, 2.0, -1.0])
    elsewhere_A = rest_A + 100.0
    now_A = step(elsewhere_A[None], torch.zeros(1, 2))[0]
    assert torch.allclose(now_A[:6].mean(0), elsewhere_A[:6].mean(0), atol=1e-3)
    assert torch.allclose(now_A[6:], elsewhere_A[6:], atol=1e-4)


def test_the_whole_turns_about_its_centre_of_mass_and_moves() -> None:
    rest_A = torch.tensor([[10.0, 0, 0], [12.0, 0, 0]])
    step = RigidMotion(rest_A, torch.ones(2), NETWORK)
    assert step.radius_A == pytest.approx(1.0)
    with torch.no_grad():
        step.net.last.bias[:] = torch.tensor([0, 0, math.pi / 2, 0, 0, 7.0])
    now_A = step(rest_A[None], torch.zeros(1, 2))[0]
    assert torch.allclose(now_A, torch.tensor([[11.0, -1, 7], [11.0, 1, 7]]), atol=1e-5)


def test_gradients_are_finite_where_nothing_turns() -> None:
    rest_A = torch.randn(9, 3)
    for step in (
        RigidSegments(rest_A, torch.ones(9), torch.arange(9) // 3, NETWORK),
        RigidMotion(rest_A, torch.ones(9), NETWORK),
    ):
        x_A = rest_A.expand(2, -1, -1).clone().requires_grad_()
        (step(x_A, torch.randn(2, 2)) * torch.randn(9, 3)).sum().backward()
        slopes = [x_A.grad, step.net.last.weight.grad, step.net.last.bias.grad]
        assert all(slope is not None and slope.isfinite().all() for slope in slopes)
        assert float(step.net.last.bias.grad[:3].abs().max()) > 0


def test_segments_of_one_chain_are_equal() -> None:
    assert equal_segments(np.zeros(10, dtype=int), 3).tolist() == [0, 0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert equal_segments(np.zeros(4, dtype=int), 4).tolist() == [0, 1, 2, 3]


def test_no_segment_spans_two_chains() -> None:
    chain = np.repeat([0, 1, 2], [20, 5, 9])
    segment = equal_segments(chain, 7)
    assert np.unique(segment).tolist() == list(range(7))
    assert all(len(np.unique(chain[segment == number])) == 1 for number in range(7))
    assert [len(np.unique(segment[chain == c])) for c in range(3)] == [4, 1, 2]


def test_residues_of_a_chain_may_stand_apart_in_the_file() -> None:
    chain = np.array([0, 0, 1, 1, 1, 0, 0])
    assert equal_segments(chain, 3).tolist() == [0, 0, 2, 2, 2, 1, 1]


def test_fewer_segments_than_chains_are_still_equal() -> None:
    assert equal_segments(np.arange(6), 2).tolist() == [0, 0, 0, 1, 1, 1]
