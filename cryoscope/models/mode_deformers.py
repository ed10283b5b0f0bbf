"""Deformations along the normal modes of an elastic network, alone or with free offsets."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cryoscope.models.latent_networks import LatentNetwork
from cryoscope.models.normal_modes import LEAST_STIFFNESS

Array = NDArray[np.float64]


class OffsetMLP(nn.Module):
    """z -> one offset per bead, as slow collective modes plus free offsets.

    The last layer starts at zero: training starts at the reference. Domains that move far do so
    along the softest modes of an elastic network before single beads find wrong density to fill;
    the free offsets correct what straight modes cannot do.

    Parameters
    ----------
    bead_count
        Number of beads N.
    eigenvalues, modes
        (k,) and orthonormal (3N, k); none for free offsets alone.
    mode_scale_A
        RMS displacement in A that a unit coefficient of the softest mode makes; that of the
        others falls with the square root of their eigenvalue. Modes that strain nothing (loose
        parts) count as the softest that does.
    network
        Its shape.
    """

    modes: Tensor
    eigenvalues: Tensor
    unit_A: Tensor

    def __init__(
        self,
        bead_count: int,
        eigenvalues: Array,
        modes: Array,
        network: LatentNetwork,
        *,
        mode_scale_A: float = 1.0,
    ) -> None:
        super().__init__()
        unit_A = _softness(eigenvalues) * mode_scale_A
        scaled = torch.as_tensor(modes * (unit_A * math.sqrt(bead_count))).float().contiguous()
        self.bead_count = bead_count
        self.net = network.quiet(3 * bead_count + len(eigenvalues))
        # Saved: the signs of modes, and pairs of equal stiffness, differ between machines.
        self.register_buffer("modes", scaled)
        self.register_buffer("unit_A", torch.as_tensor(unit_A).float(), persistent=False)
        self.register_buffer("eigenvalues", torch.as_tensor(eigenvalues).float(), persistent=False)

    def forward(self, x_A: Tensor, z: Tensor) -> Tensor:
        """(B, N, 3) beads and (B, d) latents -> (B, N, 3) deformed beads."""
        free, slow = self.net(z).split([3 * self.bead_count, self.modes.shape[1]], dim=1)
        result: Tensor = x_A + torch.addmm(free, slow, self.modes.T).view(len(z), -1, 3)
        return result

    def mode_prior(self, z: Tensor) -> Tensor:
        """(B,) sum over the modes of (RMS displacement x eigenvalue)^2."""
        slow = self.net(z)[:, 3 * self.bead_count :]
        return (slow * (self.unit_A * self.eigenvalues)).square().sum(1)


class ModeDeformer(nn.Module):
    """Normal modes alone: ``x = x0 + sqrt(N / k) U c`` (Nashed et al. 2022, and aNiMAte's scale).

    With the scale, the root mean square of the coefficients c is the RMSD in A; unscaled
    orthonormal modes would need coefficients near 100 for a domain motion.

    Parameters
    ----------
    eigenvalues, modes
        (k,) and orthonormal (3N, k).
    from_latent
        The coefficients are the latent itself (k = d), else a network's answer to it,
        zero at first.
    network
        Shape of that one.

    Raises
    ------
    ValueError
        When the latent is to be the coefficients and their numbers differ.
    """

    modes: Tensor
    eigenvalues: Tensor

    def __init__(
        self,
        eigenvalues: Array,
        modes: Array,
        network: LatentNetwork,
        *,
        from_latent: bool,
    ) -> None:
        super().__init__()
        count = len(eigenvalues)
        if from_latent and count != network.latent_dim:
            raise ValueError(f"{network.latent_dim} latent dimensions for {count} modes")
        self.coefficients: nn.Module = nn.Identity() if from_latent else network.quiet(count)
        scaled = modes * math.sqrt(len(modes) / 3 / max(count, 1))
        self.register_buffer("modes", torch.as_tensor(scaled).float().contiguous())
        self.register_buffer("eigenvalues", torch.as_tensor(eigenvalues).float(), persistent=False)

    def forward(self, x_A: Tensor, z: Tensor) -> Tensor:
        """(B, N, 3) beads and (B, d) latents -> (B, N, 3) deformed beads."""
        result: Tensor = x_A + (self.coefficients(z) @ self.modes.T).view(len(z), -1, 3)
        return result

    def mode_prior(self, z: Tensor) -> Tensor:
        """(B,) sum over the modes of (coefficient x eigenvalue)^2, aNiMAte's ``nma_reg``."""
        result: Tensor = (self.coefficients(z) * self.eigenvalues).square().sum(1)
        return result


def _softness(eigenvalues: Array) -> Array:
    """(k,) amplitude of each mode at equal energy, that of the softest with any being 1."""
    strained = eigenvalues[eigenvalues > LEAST_STIFFNESS]
    if len(strained) == 0:
        return np.ones_like(eigenvalues)
    return np.asarray(np.sqrt(strained.min() / eigenvalues.clip(strained.min())))
