from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cryoscope.models.deformers import OffsetMLP
from cryoscope.models.normal_modes import rigid_motions


def chain_A(beads: int) -> Tensor:
    turn = torch.arange(beads) * math.radians(100)
    return torch.stack([2.3 * turn.cos(), 2.3 * turn.sin(), 1.5 * torch.arange(beads)], dim=1)


def shaken(deformer: OffsetMLP) -> OffsetMLP:
    last = deformer.net[-1]
    assert isinstance(last, nn.Linear)
    nn.init.normal_(last.weight)
    nn.init.normal_(last.bias)
    return deformer


def test_training_starts_at_the_reference_and_can_leave_it() -> None:
    deformer = OffsetMLP(3, (16,), chain_A(30), mode_count=4)
    moved = deformer(torch.randn(5, 3))
    assert torch.equal(moved, chain_A(30).expand(5, -1, -1))
    (moved**2).sum().backward()
    last = deformer.net[-1]
    assert isinstance(last, nn.Linear)
    assert last.weight.grad is not None
    assert float(last.weight.grad.abs().max()) > 0


def test_net_motion_is_removed_only_where_asked_for() -> None:
    reference_A = chain_A(30)
    basis = torch.as_tensor(rigid_motions(reference_A.double().numpy())).float()
    z = torch.randn(5, 3)
    for remove in (False, True):
        deformer = shaken(OffsetMLP(3, (16,), reference_A, remove_net_motion=remove))
        offset_A = (deformer(z) - reference_A).detach().flatten(1)
        net_A = float((offset_A @ basis).norm() / offset_A.norm())
        assert (net_A < 1e-5) == remove
        assert float(offset_A.norm()) > 1


def test_a_unit_of_the_softest_mode_moves_by_its_scale() -> None:
    deformer = OffsetMLP(3, (16,), chain_A(40), mode_count=6, mode_scale_A=1.7)
    rms_A = deformer.modes.view(40, 3, -1).pow(2).sum(1).mean(0).sqrt()
    assert float(rms_A[0]) == pytest.approx(1.7, rel=1e-5)
    assert np.all(np.diff(rms_A.numpy()) <= 1e-6)


def test_a_loose_part_leaves_the_other_modes_their_size() -> None:
    whole = OffsetMLP(3, (16,), chain_A(40), mode_count=4)
    loose_A = torch.cat([chain_A(40), torch.tensor([[300.0, 0, 0]])])
    loose = OffsetMLP(3, (16,), loose_A, mode_count=12)
    sizes = loose.modes.norm(dim=0) / math.sqrt(41)
    # three free motions of the single bead, then the modes of the chain, none of them frozen
    assert torch.allclose(sizes[:4], torch.ones(4), atol=1e-3)
    assert float(sizes[4]) > 0.5 * float(whole.modes.norm(dim=0)[1] / math.sqrt(40))


def test_free_offsets_alone_are_possible() -> None:
    deformer = shaken(OffsetMLP(2, (8,), chain_A(10), mode_count=0))
    assert deformer(torch.zeros(1, 2)).shape == (1, 10, 3)
