from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from cryoscope.models.weights import RestraintTerm, measure_ratios


class Square(nn.Module):
    def forward(self, positions_A: Tensor) -> Tensor:
        return (positions_A**2).sum((1, 2))


def term(schedule: str, weight: float = 2.0, ramp_steps: int = 4) -> RestraintTerm:
    settings = SimpleNamespace(weight=weight, schedule=schedule, ramp_steps=ramp_steps)
    return RestraintTerm(Square(), settings)


def test_a_ramp_rises_while_training_only() -> None:
    ramp, one = term("ramp"), torch.ones(1)
    assert [float(ramp.weigh(one, one)) for _ in range(6)] == [0.5, 1.0, 1.5, 2.0, 2.0, 2.0]
    assert int(ramp.eval().steps) == 6
    ramp.weigh(one, one)
    assert int(ramp.steps) == 6
    assert float(term("constant").weigh(one, one)) == 2.0


def test_the_ratio_balances_the_two_pulls() -> None:
    balanced = term("gradient-ratio", weight=0.9)
    positions = torch.randn(3, 5, 3, requires_grad=True)
    energy = balanced.energy(positions)
    measure_ratios([(balanced, energy)], positions, 30 * positions.sum((1, 2)))
    (data_pull,) = torch.autograd.grad((30 * positions).sum(), positions)
    (pull,) = torch.autograd.grad(
        balanced.weigh(balanced.energy(positions), energy).sum(), positions
    )
    assert float(pull.norm() / data_pull.norm()) == pytest.approx(0.9, rel=1e-4)


def test_a_restraint_at_rest_has_no_weight_yet() -> None:
    balanced = term("gradient-ratio")
    positions = torch.zeros(3, 5, 3, requires_grad=True)
    energy = balanced.energy(positions)
    measure_ratios([(balanced, energy)], positions, positions.sum((1, 2)))
    assert float(balanced.ratio) == 0
    assert balanced.due


def test_weak_images_bend_less() -> None:
    by_signal, one = term("signal", weight=3.0), torch.ones(2)
    assert by_signal.weigh(one, torch.tensor([-150.0, -250.0])).tolist() == [6.0, 6.0]
    assert by_signal.weigh(one, torch.tensor([-1.0, 2.0])).tolist() == pytest.approx([0.3, 0.3])
