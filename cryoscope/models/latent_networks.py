"""How the network is made that a deformation asks about a latent."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from cryoscope.models.networks import MLP, mlp


@dataclass(frozen=True)
class LatentNetwork:
    """The shape of a network of the latent.

    Attributes
    ----------
    latent_dim
        Dimensions of the latent.
    widths
        Hidden widths.
    activation
        One of :data:`cryoscope.models.networks.ACTIVATIONS`.
    residual
        Residual links between equal widths.
    """

    latent_dim: int
    widths: tuple[int, ...]
    activation: str = "relu"
    residual: bool = False

    def quiet(self, output_count: int) -> MLP:
        """A network of this shape that answers zero until it is trained."""
        net = mlp([self.latent_dim, *self.widths, output_count], self.activation, self.residual)
        nn.init.zeros_(net.last.weight)
        nn.init.zeros_(net.last.bias)
        return net
