"""Networks from a latent to a deformation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cryoscope.models.encoders import mlp


class OffsetMLP(nn.Module):
    """z -> one offset per anchor; its last layer starts at zero: training starts at the reference.

    Parameters
    ----------
    latent_dim, widths
        Sizes of the network.
    reference_A
        (N, 3) anchors at rest.
    remove_net_motion
        Project the offsets onto zero net translation and infinitesimal rotation.
    """

    reference_A: Tensor
    rigid_basis: Tensor

    def __init__(
        self,
        latent_dim: int,
        widths: Sequence[int],
        reference_A: Tensor,
        *,
        remove_net_motion: bool = False,
    ) -> None:
        super().__init__()
        self.net = mlp([latent_dim, *widths, reference_A.numel()])
        last = self.net[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.remove_net_motion = remove_net_motion
        self.register_buffer("reference_A", reference_A.float(), persistent=False)
        self.register_buffer("rigid_basis", rigid_basis(reference_A).float(), persistent=False)

    def forward(self, z: Tensor) -> Tensor:
        """(B, d) -> (B, N, 3) deformed anchors."""
        offset = self.net(z)
        if self.remove_net_motion:
            offset = offset - (offset @ self.rigid_basis) @ self.rigid_basis.T
        result: Tensor = self.reference_A + offset.view(len(z), -1, 3)
        return result


def rigid_basis(reference_A: Tensor) -> Tensor:
    """(3N, 6) orthonormal basis of net translations and small rotations about the centre."""
    centred = (reference_A - reference_A.mean(0)).double()
    axes = torch.eye(3, dtype=torch.float64)
    columns = [axis.expand_as(centred).reshape(-1) for axis in axes]
    columns += [torch.linalg.cross(axis.expand_as(centred), centred).reshape(-1) for axis in axes]
    basis, triangle = torch.linalg.qr(torch.stack(columns, dim=1))
    return basis[:, triangle.diagonal().abs() > 1e-6]
