"""Networks from a latent to a deformation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cryoscope.models.encoders import mlp
from cryoscope.models.normal_modes import elastic_modes, rigid_motions

#: Eigenvalues below this are those of parts that no spring joins.
LEAST_STIFFNESS = 1e-5


class OffsetMLP(nn.Module):
    """z -> one offset per anchor, as slow collective modes plus free offsets.

    The last layer starts at zero: training starts at the reference. Domains that move far do so
    along the softest modes of an elastic network before single beads find wrong density to fill;
    the free offsets correct what straight modes cannot do.

    Parameters
    ----------
    latent_dim, widths
        Sizes of the network.
    reference_A
        (N, 3) anchors at rest.
    mode_count
        Number of modes; 0 for free offsets alone.
    mode_scale_A
        RMS displacement in A that a unit coefficient of the softest mode makes; that of the
        others falls with the square root of their eigenvalue. Modes that strain nothing (loose
        parts) count as the softest that does.
    remove_net_motion
        Project the offsets onto zero net translation and infinitesimal rotation.
    """

    reference_A: Tensor
    modes: Tensor
    rigid_basis: Tensor

    def __init__(
        self,
        latent_dim: int,
        widths: Sequence[int],
        reference_A: Tensor,
        *,
        mode_count: int = 0,
        mode_scale_A: float = 1.0,
        remove_net_motion: bool = False,
    ) -> None:
        super().__init__()
        anchor_A = reference_A.double().numpy()
        values, modes = elastic_modes(anchor_A, mode_count)
        scaled = modes * (_softness(values) * mode_scale_A * math.sqrt(len(anchor_A)))
        self.net = mlp([latent_dim, *widths, reference_A.numel() + modes.shape[1]])
        last = self.net[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.remove_net_motion = remove_net_motion
        self.register_buffer("reference_A", reference_A.float(), persistent=False)
        self.register_buffer("modes", torch.as_tensor(scaled).float(), persistent=False)
        self.register_buffer(
            "rigid_basis", torch.as_tensor(rigid_motions(anchor_A)).float(), persistent=False
        )

    def forward(self, z: Tensor) -> Tensor:
        """(B, d) -> (B, N, 3) deformed anchors."""
        free, slow = self.net(z).split([self.reference_A.numel(), self.modes.shape[1]], dim=1)
        offset = free + slow @ self.modes.T
        if self.remove_net_motion:
            offset = offset - (offset @ self.rigid_basis) @ self.rigid_basis.T
        result: Tensor = self.reference_A + offset.view(len(z), -1, 3)
        return result


def _softness(eigenvalues: NDArray[np.float64]) -> NDArray[np.float64]:
    """(k,) amplitude of each mode at equal energy, that of the softest with any being 1."""
    strained = eigenvalues[eigenvalues > LEAST_STIFFNESS]
    if len(strained) == 0:
        return np.ones_like(eigenvalues)
    return np.asarray(np.sqrt(strained.min() / eigenvalues.clip(strained.min())))
