"""Rigid segments whose ends are learned."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from cryoscope.models.latent_networks import LatentNetwork
from cryoscope.models.rigid_deformers import LEAST_RADIUS_A
from cryoscope.physics.imaging import rotation_matrix

#: cryoSPHERE's temperature of the memberships: the smaller, the harder the segments.
TEMPERATURE = 0.05


class SoftSegments(nn.Module):
    """z -> one rotation and one translation per segment, blended by each bead's memberships.

    A Gaussian mixture over the number of the residue says how much of a bead belongs to each
    segment (cryoSPHERE: Ducrocq et al. 2025); its centres, widths and shares are learned with the
    network, here as point estimates under a Gaussian prior (:meth:`segment_prior`), where the
    paper has a distribution of them. It starts as segments of equal length, and at rest.

    Parameters
    ----------
    reference_A
        (N, 3) beads at rest.
    mass
        (N,) of the beads.
    place
        (N,) number of each bead's residue along the chains; chains far apart from each other.
    segment
        (N,) int64 segment of each bead at first, 0 to S - 1, each with at least one bead.
    network
        Shape of the one that answers in A as that of ``RigidSegments`` does.
    """

    place: Tensor
    mass: Tensor
    first_centre: Tensor
    first_width: Tensor
    radius_A: Tensor

    def __init__(
        self,
        reference_A: Tensor,
        mass: Tensor,
        place: Tensor,
        segment: Tensor,
        network: LatentNetwork,
    ) -> None:
        super().__init__()
        self.count = int(segment.max()) + 1
        own = [place[segment == number].double() for number in range(self.count)]
        centre = torch.stack([one.mean() for one in own]).float()
        # Neighbouring Gaussians cross half way between them: at the ends of equal segments.
        width = torch.stack([(one.max() - one.min() + 1) / 2 for one in own]).float()
        self.net = network.quiet(6 * self.count)
        self.register_buffer("place", place.float()[:, None], persistent=False)
        self.register_buffer("mass", (mass / mass.mean()).float()[:, None], persistent=False)
        self.register_buffer("first_centre", centre, persistent=False)
        self.register_buffer("first_width", width, persistent=False)
        # In units of the first widths, so that one learning rate suits all.
        self.centre_step = nn.Parameter(torch.zeros(self.count))
        self.log_width = nn.Parameter(torch.zeros(self.count))
        self.log_share = nn.Parameter(torch.zeros(self.count))
        with torch.no_grad():
            weight, centre_A = self._bodies(reference_A.float()[None], self.memberships())
            away_A2 = (reference_A.float()[:, None] - centre_A).square().sum(-1)
            radius_A = (weight * away_A2).sum(0).sqrt().clamp_min(LEAST_RADIUS_A)
        self.register_buffer("radius_A", radius_A[:, None], persistent=False)

    def memberships(self) -> Tensor:
        """(N, S) how much of each bead belongs to each segment; rows add up to 1."""
        width = self.first_width * self.log_width.exp()
        centre = self.first_centre + self.first_width * self.centre_step
        away = (self.place - centre) / width
        log_density = self.log_share.log_softmax(0) - width.log() - away.square() / 2
        return (log_density / TEMPERATURE).softmax(1)

    def segment_prior(self) -> Tensor:
        """Half the mean square distance of the mixture's parameters from where they began."""
        parameters = torch.stack([self.centre_step, self.log_width, self.log_share])
        return parameters.square().sum(0).mean() / 2

    def forward(self, x_A: Tensor, z: Tensor) -> Tensor:
        """(B, N, 3) beads and (B, d) latents -> (B, N, 3) deformed beads."""
        share = self.memberships()
        turn_A, shift_A = self.net(z).view(len(z), self.count, 6).split(3, dim=2)
        vector = (turn_A / self.radius_A).reshape(-1, 3)
        turn = rotation_matrix(vector).view(len(z), self.count, 3, 3)
        turn = turn - torch.eye(3, device=turn.device)
        _, centre_A = self._bodies(x_A, share)
        shift_A = shift_A - (turn @ centre_A[..., None]).squeeze(-1)
        turns = torch.einsum("ns,bsij->bnij", share, turn)
        moved: Tensor = (turns @ x_A[..., None]).squeeze(-1) + share @ shift_A
        return x_A + moved

    def _bodies(self, x_A: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
        """(N, S) share of each bead in each body's mass, and (B, S, 3) centres of mass."""
        mass = share * self.mass
        weight = mass / mass.sum(0).clamp_min(math.sqrt(torch.finfo(mass.dtype).tiny))
        return weight, weight.T @ x_A
