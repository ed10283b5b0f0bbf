"""From features to the latent posterior, and to corrections of the pose."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cryoscope.models.networks import mlp
from cryoscope.models.whole_batch import batch_mean, batch_noise


@dataclass(frozen=True, eq=False)
class Posterior:
    """Diagonal Gaussian over the latent, or a point (``log_var`` None).

    Attributes
    ----------
    mean
        (B, d).
    log_var
        (B, d) or None.
    shift_A
        (B, 2) residual in-plane shift, where the model finds one.
    """

    mean: Tensor
    log_var: Tensor | None
    shift_A: Tensor | None = None

    def sample(self, generator: torch.Generator) -> Tensor:
        """(B, d) one draw per particle; the mean of a point posterior."""
        if self.log_var is None:
            return self.mean
        noise = batch_noise(self.mean, generator)
        return self.mean + torch.exp(0.5 * self.log_var) * noise

    def kl(self, free_bits: float = 0.0) -> Tensor:
        """(B,) divergence from the standard normal in nats.

        Each dimension's batch mean below ``free_bits`` nats costs nothing.
        """
        if self.log_var is None:
            return self.mean.new_zeros(len(self.mean))
        each = 0.5 * (self.mean**2 + self.log_var.exp() - self.log_var - 1)
        if free_bits > 0:
            each = each * (batch_mean(each.detach()) > free_bits)
        return each.sum(1)


class LatentHead(nn.Module):
    """Features -> posterior; variances start small and stay bounded.

    Parameters
    ----------
    feature_count
        Features of the encoder.
    dim
        Dimensions of the latent.
    kind
        ``"gaussian"``, or ``"deterministic"`` for a point.
    widths
        Hidden layers; none: one linear layer.
    """

    def __init__(self, feature_count: int, dim: int, kind: str, widths: Sequence[int] = ()) -> None:
        super().__init__()
        self.dim, self.kind = dim, kind
        self.net = mlp([feature_count, *widths, 2 * dim if kind == "gaussian" else dim])

    def forward(self, features: Tensor) -> Posterior:
        """(B, feature_count) -> posterior."""
        found = self.net(features)
        if self.kind == "deterministic":
            return Posterior(found, None)
        mean, raw = found.split(self.dim, dim=1)
        return Posterior(mean, (raw - 3.0).clamp(-12.0, 4.0))


class BoundedHead(nn.Module):
    """Features -> a vector no longer than a limit, zero before training.

    The raw vector keeps its direction; its length r becomes ``limit tanh(r)``.

    Parameters
    ----------
    feature_count
        Features of the encoder.
    widths
        Hidden layers.
    dim
        Components of the vector.
    limit
        Its greatest length.
    """

    def __init__(self, feature_count: int, widths: Sequence[int], dim: int, limit: float) -> None:
        super().__init__()
        self.limit = limit
        self.net = mlp([feature_count, *widths, dim])
        nn.init.zeros_(self.net.last.weight)
        nn.init.zeros_(self.net.last.bias)

    def forward(self, features: Tensor) -> Tensor:
        """(B, feature_count) -> (B, dim)."""
        raw: Tensor = self.net(features)
        length = torch.linalg.vector_norm(raw, dim=1, keepdim=True).clamp_min(1e-6)
        return raw * (self.limit * torch.tanh(length) / length)


class ShiftHead(BoundedHead):
    """Features -> residual shift in A, no longer than ``limit_A``.

    (B, 2) in the plane of the image; or (B, 3) in the frame of the map, for features that are in
    it (``axes`` 3). It is added to the given shift (convention 5). Zero before training.
    """

    def __init__(
        self, feature_count: int, widths: Sequence[int], limit_A: float, axes: int = 2
    ) -> None:
        super().__init__(feature_count, widths, axes, limit_A)


class RotationHead(BoundedHead):
    """Features -> (B, 3) residual rotation vector in rad, by no more than ``limit_deg``.

    ``physics.imaging.rotation_matrix`` makes it a matrix. Zero before training.
    """

    def __init__(self, feature_count: int, widths: Sequence[int], limit_deg: float) -> None:
        super().__init__(feature_count, widths, 3, math.radians(limit_deg))
