from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cryoscope.data import InputError, Structure
from cryoscope.models.coarse_grain import Beads, coarse_grain
from cryoscope.models.deformers import LearnedReference, NoNetMotion, make_deformer
from cryoscope.models.mode_deformers import ModeDeformer, OffsetMLP
from cryoscope.models.normal_modes import rigid_motions
from cryoscope.models.rigid_deformers import RigidMotion, RigidSegments
from cryoscope.training.model_config import DeformerConfig

SMALL = DeformerConfig(modes=4, widths=(16,))
EVERYTHING = replace(
    SMALL, learn_reference=True, segments=3, rigid_motion=True, remove_net_motion=True
)


def helix(residues: int, chain: str = "A", start_A: float = 0.0) -> Structure:
    """N, CA, CB, SG of cysteines along a coiled line."""
    turn = np.arange(residues) * math.radians(100)
    axis = np.stack([np.cos(turn), np.sin(turn), np.zeros(residues)], axis=1)
    up = np.stack([np.zeros(residues)] * 2 + [1.5 * np.arange(residues) + start_A], axis=1)
    places = [1.6 * axis + up - [0, 0, 0.8], 2.3 * axis + up, 3.3 * axis + up, 4.9 * axis + up]
    count = 4 * residues
    return Structure(
        coords_A=np.stack(places, axis=1).reshape(-1, 3),
        element=np.tile(["N", "C", "C", "S"], residues),
        atom_name=np.tile(["N", "CA", "CB", "SG"], residues),
        residue_name=np.full(count, "CYS"),
        residue_id=np.repeat(np.arange(1, residues + 1), 4),
        chain_id=np.full(count, chain),
        insertion_code=np.full(count, ""),
        b_factor_A2=np.zeros(count),
        occupancy=np.ones(count),
    )


def beads_of(residues: int, kind: str = "CA") -> Beads:
    return coarse_grain(helix(residues), kind=kind)


def shaken(module: nn.Module, size: float = 0.3) -> None:
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=size)


@pytest.mark.parametrize("kind", ["CA", "CA+SC", "atoms"])
@pytest.mark.parametrize(
    "settings",
    [SMALL, replace(SMALL, kind="modes", mode_coefficients="mlp"), EVERYTHING],
    ids=["offset-mlp", "modes", "everything"],
)
def test_training_starts_at_the_reference_and_can_leave_it(
    kind: str, settings: DeformerConfig
) -> None:
    beads = beads_of(20, kind)
    deformer = make_deformer(beads, 3, settings)
    rest_A = torch.as_tensor(beads.anchor_A).float()
    moved_A = deformer(torch.randn(5, 3))
    assert moved_A.shape == (5, len(beads), 3)
    assert torch.allclose(moved_A, rest_A.expand(5, -1, -1), atol=1e-4)
    (moved_A * torch.randn(5, len(beads), 3)).sum().backward()
    for step in deformer.steps:
        slopes = [p.grad for p in step.parameters() if p.grad is not None]
        assert not slopes or max(float(slope.abs().max()) for slope in slopes) > 0
        assert all(slope.isfinite().all() for slope in slopes)


def test_steps_act_in_the_order_of_the_settings() -> None:
    deformer = make_deformer(beads_of(20), 3, EVERYTHING)
    kinds = [LearnedReference, OffsetMLP, RigidSegments, RigidMotion, NoNetMotion]
    assert [type(step) for step in deformer.steps] == kinds


def test_without_any_step_nothing_moves() -> None:
    beads = beads_of(10)
    deformer = make_deformer(beads, 3, replace(SMALL, kind="none"))
    assert list(deformer.parameters()) == []
    assert torch.equal(deformer(torch.randn(2, 3))[1], deformer.reference_A)
    assert torch.equal(deformer.mode_prior(torch.randn(2, 3)), torch.zeros(2))
    deformer.reset()


def test_a_homogeneous_fit_moves_the_reference_for_all_alike() -> None:
    beads = beads_of(10)
    deformer = make_deformer(beads, 1, replace(SMALL, kind="none", learn_reference=True))
    target_A = deformer.reference_A + torch.randn(10, 3)
    step = torch.optim.SGD(deformer.parameters(), lr=0.25)
    for _ in range(40):
        step.zero_grad()
        (deformer(torch.randn(2, 1)) - target_A).square().sum().backward()
        step.step()
    assert torch.allclose(deformer(torch.zeros(1, 1))[0], target_A, atol=1e-3)


def test_reset_brings_back_what_was_there_at_first() -> None:
    deformer = make_deformer(beads_of(20), 3, EVERYTHING)
    before = [p.detach().clone() for p in deformer.parameters()]
    shaken(deformer)
    deformer.reset()
    after = list(deformer.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def net_share(deformer_output_A: Tensor, rest_A: Tensor) -> float:
    basis = torch.as_tensor(rigid_motions(rest_A.double().numpy())).float()
    offset_A = (deformer_output_A - rest_A).detach().flatten(1)
    return float((offset_A @ basis).norm() / offset_A.norm())


def test_net_motion_is_removed_only_where_asked_for() -> None:
    z = torch.randn(5, 3)
    for remove in (False, True):
        settings = replace(EVERYTHING, remove_net_motion=remove)
        deformer = make_deformer(beads_of(30, "CA+SC"), 3, settings)
        assert torch.allclose(deformer.net_motion_A(z), torch.zeros(5), atol=1e-4)
        shaken(deformer)
        assert (net_share(deformer(z), deformer.reference_A) < 1e-4) == remove
        assert (float(deformer.net_motion_A(z).detach().min()) > 0) == remove


def test_a_pure_translation_is_what_is_said_to_be_removed() -> None:
    rest_A = torch.randn(40, 3) * 10
    step = NoNetMotion(rest_A)
    moved_A = rest_A + torch.tensor([[[3.0, 0, 4.0]], [[0, 0, 0]]])
    assert torch.allclose(step(moved_A, torch.zeros(2, 1))[0], rest_A, atol=1e-4)
    assert step.removed_A(moved_A).tolist() == pytest.approx([5.0, 0.0], abs=1e-4)


def test_a_latent_of_mode_amplitudes_has_one_dimension_per_mode() -> None:
    settings = replace(SMALL, kind="modes")
    with pytest.raises(InputError, match=r"3 dimensions .* 4 normal modes.*latent\.dim=4"):
        make_deformer(beads_of(20), 3, settings)
    assert isinstance(make_deformer(beads_of(20), 4, settings).steps[0], ModeDeformer)


def test_more_modes_than_the_structure_has_are_refused() -> None:
    settings = replace(SMALL, kind="modes", modes=25, mode_coefficients="mlp")
    with pytest.raises(InputError, match=r"25 normal modes.*10 residues has 24.*24 or less"):
        make_deformer(beads_of(10), 3, settings)
    assert len(make_deformer(beads_of(10), 3, replace(settings, modes=24)).steps) == 1


def test_more_segments_than_residues_are_refused() -> None:
    with pytest.raises(InputError, match="5 residues"):
        make_deformer(beads_of(5), 3, replace(SMALL, segments=6))
