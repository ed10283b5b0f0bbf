"""Rigid motions of the whole structure, or of segments of its chains, for each latent."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cryoscope.models.latent_networks import LatentNetwork
from cryoscope.physics.imaging import rotation_matrix

#: Bodies smaller than this turn as if they were this large.
LEAST_RADIUS_A = 1.0


class RigidSegments(nn.Module):
    """z -> one rotation and one translation per segment, about the segment's centre of mass.

    The network answers in A: six numbers per segment, of which the first three, divided by the
    segment's radius of gyration, are a rotation vector in radians. It starts at zero. Bonds between
    segments are left to a restraint.

    Parameters
    ----------
    reference_A
        (N, 3) beads at rest.
    mass
        (N,) of the beads.
    segment
        (N,) int64 segment of each bead, 0 to S - 1, each with at least one bead.
    network
        Its shape.
    """

    segment: Tensor
    share: Tensor
    radius_A: Tensor

    def __init__(
        self,
        reference_A: Tensor,
        mass: Tensor,
        segment: Tensor,
        network: LatentNetwork,
    ) -> None:
        super().__init__()
        self.count = int(segment.max()) + 1
        weight = mass.double()
        total = torch.zeros(self.count, dtype=weight.dtype).index_add(0, segment, weight)
        share = weight / total[segment]
        self.net = network.quiet(6 * self.count)
        self.register_buffer("segment", segment, persistent=False)
        self.register_buffer("share", share.float()[:, None], persistent=False)
        positions_A = reference_A.float()
        away_A = positions_A - self._centres(positions_A[None])[0, segment]
        spread_A2 = torch.zeros(self.count, 1).index_add(
            0, segment, self.share * away_A.square().sum(1, keepdim=True)
        )
        radius_A = spread_A2.sqrt().clamp_min(LEAST_RADIUS_A)
        self.register_buffer("radius_A", radius_A, persistent=False)

    def forward(self, x_A: Tensor, z: Tensor) -> Tensor:
        """(B, N, 3) beads and (B, d) latents -> (B, N, 3) deformed beads."""
        turn_A, shift_A = self.net(z).view(len(z), self.count, 6).split(3, dim=2)
        vector = (turn_A / self.radius_A).reshape(-1, 3)
        rotation = rotation_matrix(vector).view(len(z), self.count, 3, 3)
        centre_A = self._centres(x_A)
        away_A = x_A - centre_A[:, self.segment]
        turned_A = (rotation[:, self.segment] @ away_A[..., None]).squeeze(-1)
        result: Tensor = turned_A + (centre_A + shift_A)[:, self.segment]
        return result

    def _centres(self, x_A: Tensor) -> Tensor:
        """(B, N, 3) -> (B, S, 3) centres of mass of the segments."""
        centres_A = x_A.new_zeros(len(x_A), self.count, 3)
        return centres_A.index_add(1, self.segment, x_A * self.share)


class RigidMotion(nn.Module):
    """z -> one rotation and one translation of the whole, about its centre of mass.

    The network answers in A, as that of :class:`RigidSegments`, and starts at zero.

    Parameters
    ----------
    reference_A
        (N, 3) beads at rest.
    mass
        (N,) of the beads.
    network
        Its shape.
    """

    share: Tensor

    def __init__(
        self,
        reference_A: Tensor,
        mass: Tensor,
        network: LatentNetwork,
    ) -> None:
        super().__init__()
        share = (mass.double() / mass.double().sum()).float()
        away_A = reference_A.float() - share @ reference_A.float()
        radius_A = float((share @ away_A.square()).sum().sqrt())
        self.radius_A = max(radius_A, LEAST_RADIUS_A)
        self.net = network.quiet(6)
        self.register_buffer("share", share, persistent=False)

    def forward(self, x_A: Tensor, z: Tensor) -> Tensor:
        """(B, N, 3) beads and (B, d) latents -> (B, N, 3) moved beads."""
        turn_A, shift_A = self.net(z).split(3, dim=1)
        rotation = rotation_matrix(turn_A / self.radius_A)
        centre_A = (self.share @ x_A)[:, None]
        result: Tensor = (x_A - centre_A) @ rotation.transpose(1, 2) + centre_A + shift_A[:, None]
        return result


def equal_segments(chain: NDArray[np.integer], count: int) -> NDArray[np.int64]:
    """(K,) segment of each residue: ``count`` runs of equal length, none across two chains.

    Every chain gets one segment, and every further one goes to the chain whose segments are
    longest. With fewer segments than chains, runs of equal length across chains.

    Parameters
    ----------
    chain
        (K,) chain of each residue along the trace.
    count
        Segments, 1 to K.
    """
    length = np.unique(chain, return_counts=True)[1]
    if count < len(length):
        return np.arange(len(chain)) * count // len(chain)
    parts = np.ones(len(length), dtype=np.int64)
    for _ in range(count - len(length)):
        parts[np.argmax(length / parts)] += 1
    begin = np.cumsum(parts) - parts
    runs = [b + np.arange(n) * p // n for b, n, p in zip(begin, length, parts, strict=True)]
    segment = np.empty(len(chain), dtype=np.int64)
    segment[np.argsort(chain, kind="stable")] = np.concatenate(runs)
    return segment
