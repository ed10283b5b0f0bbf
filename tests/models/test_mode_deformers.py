from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from cryoscope.models.latent_networks import LatentNetwork
from cryoscope.models.mode_deformers import ModeDeformer, OffsetMLP
from cryoscope.models.normal_modes import elastic_modes

NETWORK = LatentNetwork(3, (16,))


def chain_A(beads: int) -> np.ndarray:
    turn = np.arange(beads) * math.radians(100)
    return np.stack([2.3 * np.cos(turn), 2.3 * np.sin(turn), 1.5 * np.arange(beads)], axis=1)


def offset_mlp(positions_A: np.ndarray, count: int, scale_A: float = 1.0) -> OffsetMLP:
    values, modes = elastic_modes(positions_A, count)
    return OffsetMLP(len(positions_A), values, modes, NETWORK, mode_scale_A=scale_A)


def test_a_unit_of_the_softest_mode_moves_by_its_scale() -> None:
    rms_A = offset_mlp(chain_A(40), 6, 1.7).modes.view(40, 3, -1).pow(2).sum(1).mean(0).sqrt()
    assert float(rms_A[0]) == pytest.approx(1.7, rel=1e-5)
    assert np.all(np.diff(rms_A.numpy()) <= 1e-6)


def test_a_loose_part_leaves_the_other_modes_their_size() -> None:
    whole = offset_mlp(chain_A(40), 4)
    loose = offset_mlp(np.concatenate([chain_A(40), [[300.0, 0, 0]]]), 12)
    sizes = loose.modes.norm(dim=0) / math.sqrt(41)
    # three free motions of the single bead, then the modes of the chain, none of them frozen
    assert torch.allclose(sizes[:4], torch.ones(4), atol=1e-3)
    assert float(sizes[4]) > 0.5 * float(whole.modes.norm(dim=0)[1] / math.sqrt(40))


def test_free_offsets_alone_are_possible() -> None:
    deformer = offset_mlp(chain_A(10), 0)
    nn.init.normal_(deformer.net.last.bias)
    rest_A = torch.zeros(2, 10, 3)
    moved_A = deformer(rest_A, torch.zeros(2, 3))
    assert torch.equal(moved_A[0].flatten(), deformer.net.last.bias)
    assert torch.equal(deformer.mode_prior(torch.zeros(2, 3)), torch.zeros(2))


def test_slow_and_free_offsets_add_up() -> None:
    deformer = offset_mlp(chain_A(10), 2)
    bias = deformer.net.last.bias
    with torch.no_grad():
        bias[:3] = torch.tensor([1.0, 2.0, 3.0])
        bias[-2:] = torch.tensor([0.5, -2.0])
    moved_A = deformer(torch.zeros(1, 10, 3), torch.randn(1, 3))[0]
    expected_A = (deformer.modes @ bias[-2:].detach()).view(10, 3)
    expected_A[0] += bias[:3].detach()
    assert torch.allclose(moved_A, expected_A, atol=1e-5)


def test_the_latent_is_the_rmsd_of_the_structure() -> None:
    values, modes = elastic_modes(chain_A(40), 3)
    deformer = ModeDeformer(values, modes, NETWORK, from_latent=True)
    z = torch.tensor([[2.0, 2.0, -2.0], [0.0, 3.0, 0.0]])
    rmsd_A = deformer(torch.zeros(2, 40, 3), z).square().sum(2).mean(1).sqrt()
    assert rmsd_A.tolist() == pytest.approx([2.0, 3.0 / math.sqrt(3)], rel=1e-5)


def test_the_mode_prior_charges_stiff_modes_more() -> None:
    values, modes = elastic_modes(chain_A(40), 3)
    deformer = ModeDeformer(values, modes, NETWORK, from_latent=True)
    z = torch.tensor([[1.0, 2.0, 0.5], [0, 0, 0]])
    expected = float(((z[0].numpy() * values) ** 2).sum())
    assert deformer.mode_prior(z).tolist() == pytest.approx([expected, 0.0], rel=1e-5)


def test_coefficients_may_be_a_networks() -> None:
    values, modes = elastic_modes(chain_A(40), 7)
    deformer = ModeDeformer(values, modes, NETWORK, from_latent=False)
    z = torch.randn(2, 3)
    assert torch.equal(deformer(torch.ones(2, 40, 3), z), torch.ones(2, 40, 3))
    nn.init.normal_(deformer.coefficients.last.bias)
    assert float((deformer(torch.zeros(2, 40, 3), z)).norm()) > 0.1
    assert float(deformer.mode_prior(z).min()) > 0


def test_a_latent_of_another_size_is_refused() -> None:
    values, modes = elastic_modes(chain_A(40), 7)
    with pytest.raises(ValueError, match="3 latent dimensions for 7 modes"):
        ModeDeformer(values, modes, NETWORK, from_latent=True)


def test_modes_travel_with_the_parameters() -> None:
    for deformer in (offset_mlp(chain_A(10), 3), offset_mlp(chain_A(10), 0)):
        saved = deformer.state_dict()
        assert "modes" in saved
        assert all(tensor.is_contiguous() for tensor in saved.values())
