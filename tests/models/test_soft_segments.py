from __future__ import annotations

import torch

from cryoscope.models.field_deformers import FieldMLP
from cryoscope.models.latent_networks import LatentNetwork
from cryoscope.models.rigid_deformers import RigidSegments
from cryoscope.models.soft_segments import SoftSegments

NETWORK = LatentNetwork(2, (8,))


def made(count: int = 60, segments: int = 3) -> tuple[torch.Tensor, SoftSegments]:
    torch.manual_seed(1)
    rest_A = torch.randn(count, 3) * 10
    place = torch.arange(count)
    return rest_A, SoftSegments(
        rest_A, torch.ones(count), place, place // (count // segments), NETWORK
    )


def test_memberships_start_as_equal_segments_and_add_up() -> None:
    _, step = made()
    share = step.memberships()
    assert torch.allclose(share.sum(1), torch.ones(60))
    assert torch.equal(share.argmax(1), torch.arange(60) // 20)
    assert 0.4 < float(share[19, 0].detach()) < 0.999  # the residue at an end is shared
    assert float(share[10, 0].detach()) > 0.999


def test_it_starts_at_rest_and_hard_segments_move_as_rigid_ones_do() -> None:
    rest_A, step = made()
    z = torch.randn(4, 2)
    assert torch.allclose(step(rest_A.expand(4, -1, -1), z), rest_A.expand(4, -1, -1), atol=1e-5)
    rigid = RigidSegments(rest_A, torch.ones(60), torch.arange(60) // 20, NETWORK)
    torch.nn.init.normal_(step.net.last.bias, std=4.0)
    rigid.net.load_state_dict(step.net.state_dict())
    with torch.no_grad():
        step.log_width.fill_(-3.0)  # so narrow that every bead has one segment
        rigid.radius_A.copy_(step.radius_A)
        soft_A = step(rest_A[None], torch.zeros(1, 2))
        rigid_A = rigid(rest_A[None], torch.zeros(1, 2))
    assert float((rigid_A - rest_A).norm(dim=-1).max()) > 2
    assert torch.allclose(soft_A, rigid_A, atol=1e-3)


def test_where_segments_end_is_learned() -> None:
    rest_A, step = made(60, 2)
    moving = torch.zeros(60, 3)
    moving[:40, 0] = 6.0  # the true boundary is at 40, the first guess at 30
    optimiser = torch.optim.Adam(step.parameters(), lr=0.02)
    z = torch.zeros(1, 2)
    for _ in range(400):
        optimiser.zero_grad()
        (step(rest_A[None], z)[0] - rest_A - moving).square().mean().backward()
        optimiser.step()
    assert abs(int((step.memberships()[:, 0] > 0.5).sum()) - 40) <= 1
    assert float(step.segment_prior()) > 0


def test_prior_is_zero_at_first() -> None:
    assert float(made()[1].segment_prior()) == 0


def test_a_field_moves_neighbours_alike_and_starts_at_rest() -> None:
    torch.manual_seed(0)
    rest_A = torch.randn(50, 3) * 15
    rest_A[1] = rest_A[0] + 0.01
    step = FieldMLP(rest_A, LatentNetwork(2, (32, 32, 32), "elu"))
    z = torch.randn(3, 2)
    x_A = rest_A.expand(3, -1, -1)
    assert torch.equal(step(x_A, z), x_A)
    torch.nn.init.normal_(step.last.weight, std=1.0)
    moved_A = step(x_A, z) - x_A
    typical_A = float((moved_A[:, :, None] - moved_A[:, None]).norm(dim=-1).mean())
    assert float((moved_A[:, 0] - moved_A[:, 1]).norm(dim=-1).max()) < 0.1 * typical_A
    assert sum(p.numel() for p in step.parameters()) < 6_000  # whatever the number of beads
