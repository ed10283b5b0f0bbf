"""The latent posterior: its parameters, a draw from it, its divergence from the prior."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Posterior:
    """Diagonal Gaussian over the latent, or a point (``log_var`` None).

    Attributes
    ----------
    mean
        (B, d).
    log_var
        (B, d) or None.
    """

    mean: Tensor
    log_var: Tensor | None

    def sample(self, generator: torch.Generator) -> Tensor:
        """(B, d) one draw per particle; the mean of a point posterior."""
        if self.log_var is None:
            return self.mean
        noise = torch.randn(self.mean.shape, generator=generator, device=generator.device)
        return self.mean + torch.exp(0.5 * self.log_var) * noise.to(self.mean.device)

    def kl(self, free_bits: float = 0.0) -> Tensor:
        """(B,) divergence from the standard normal in nats.

        Each dimension's batch mean below ``free_bits`` nats costs nothing.
        """
        if self.log_var is None:
            return self.mean.new_zeros(len(self.mean))
        each = 0.5 * (self.mean**2 + self.log_var.exp() - self.log_var - 1)
        if free_bits > 0:
            each = each * (each.detach().mean(0, keepdim=True) > free_bits)
        return each.sum(1)


class LatentHead(torch.nn.Module):
    """Splits an encoder's output into a posterior; variances start small and stay bounded."""

    def __init__(self, dim: int, kind: str) -> None:
        super().__init__()
        self.dim, self.kind = dim, kind

    @property
    def input_count(self) -> int:
        """Numbers per image this head needs."""
        return 2 * self.dim if self.kind == "gaussian" else self.dim

    def forward(self, features: Tensor) -> Posterior:
        """(B, input_count) -> posterior."""
        if self.kind == "deterministic":
            return Posterior(features, None)
        mean, raw = features.split(self.dim, dim=1)
        return Posterior(mean, (raw - 3.0).clamp(-12.0, 4.0))
