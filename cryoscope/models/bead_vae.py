"""The atomic model: image -> latent -> deformed beads -> image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from cryoscope.models.coarse_grain import Beads
from cryoscope.models.deformers import OffsetMLP
from cryoscope.models.densities import BeadDensity, BeadShape
from cryoscope.models.encoders import make_encoder
from cryoscope.models.heads import LatentHead, Posterior
from cryoscope.models.interfaces import Batch, Losses
from cryoscope.models.likelihood import MatchedData, log_likelihood_gain, match_data
from cryoscope.models.local_frames import CarriedCentres
from cryoscope.models.restraints import (
    ClashPotential,
    PairPotential,
    bonded_pairs,
    elastic_pairs,
)
from cryoscope.physics.fourier import Band


class BeadVAE(nn.Module):
    """Variational autoencoder whose decoder deforms an atomic model.

    Parameters
    ----------
    beads
        The coarse-grained reference.
    band
        Coefficients that are trained on, on the device the model will live on.
    noise_power
        (m,) noise variance per coefficient.
    config
        A ``training.config.TrainConfig``: beads, encoder, latent, deformer and loss are read.
    """

    noise_power: Tensor

    def __init__(self, beads: Beads, band: Band, noise_power: Tensor, config: Any) -> None:
        super().__init__()
        self.band = band
        self.register_buffer("noise_power", noise_power)
        self.head = LatentHead(config.latent.dim, config.latent.kind)
        self.encoder = make_encoder(beads, band, config.encoder, self.head.input_count)
        self.deformer = OffsetMLP(
            config.latent.dim,
            config.deformer.widths,
            torch.as_tensor(beads.anchor_A),
            mode_count=config.deformer.modes,
            mode_scale_A=config.deformer.mode_scale_A,
            remove_net_motion=config.deformer.remove_net_motion,
        )
        self.centres: Callable[[Tensor], Tensor] = (
            CarriedCentres(beads) if config.beads.centre == "mass" else nn.Identity()
        )
        self.shape = BeadShape(beads, config.beads.b_factor_A2)
        self.free_bits = config.latent.free_bits
        self.restraints = nn.ModuleDict()
        self.restraint_weights: dict[str, float] = {}
        for settings in config.loss.restraints:
            self._add_restraint(beads, settings)

    @property
    def latent_dim(self) -> int:
        """Dimensions of the latent."""
        return self.head.dim

    @property
    def reference_A(self) -> Tensor:
        """(N, 3) anchors at rest."""
        return self.deformer.reference_A

    def match(self, batch: Batch) -> MatchedData:
        """The batch folded with CTF, shift and noise."""
        return match_data(batch.coefficients, batch.ctf, batch.shift_A, self.band, self.noise_power)

    def posterior(self, data: MatchedData, rotation: Tensor) -> Posterior:
        """Latent posterior of folded images."""
        posterior: Posterior = self.head(self.encoder(data.matched, rotation))
        return posterior

    def encode(self, batch: Batch) -> Posterior:
        """Latent posterior of a batch."""
        return self.posterior(self.match(batch), batch.rotation)

    def anchors(self, z: Tensor) -> Tensor:
        """(B, d) -> (B, N, 3) deformed anchor (CA) positions in A."""
        anchors_A: Tensor = self.deformer(z)
        return anchors_A

    def density_of(self, anchors_A: Tensor) -> BeadDensity:
        """The density around given anchors."""
        sigma_A = self.shape.sigma_A(self.band.pixel_size_A)
        return BeadDensity(self.centres(anchors_A), self.shape.amplitude, sigma_A)

    def decode(self, z: Tensor) -> BeadDensity:
        """(B, d) -> densities of B states."""
        return self.density_of(self.anchors(z))

    def losses(self, batch: Batch, generator: torch.Generator) -> Losses:
        """Data term, KL and restraints of one draw from each image's posterior."""
        data = self.match(batch)
        posterior = self.posterior(data, batch.rotation)
        anchors_A = self.anchors(posterior.sample(generator))
        density = self.density_of(anchors_A)
        images = density.project(batch.rotation, self.band.box_size_px, self.band.pixel_size_A)
        terms = {
            "data": -log_likelihood_gain(self.band.transform(images), data),
            "kl": posterior.kl(self.free_bits),
        }
        for name, restraint in self.restraints.items():
            terms[name] = self.restraint_weights[name] * restraint(anchors_A)
        motion_A2 = ((anchors_A.detach() - self.reference_A) ** 2).sum(-1).mean(1)
        return Losses(terms, posterior, motion_A2)

    def _add_restraint(self, beads: Beads, settings: Any) -> None:
        if settings.weight == 0:
            return
        if settings.pairs == "clash":
            potential: nn.Module = ClashPotential(beads.bonded, settings.cutoff_A)
        else:
            pairs = (
                bonded_pairs(beads.bonded)
                if settings.pairs == "bonds"
                else elastic_pairs(beads.anchor_A, beads.bonded, settings.cutoff_A)
            )
            ends = beads.anchor_A[pairs]
            distance_A = ((ends[:, 0] - ends[:, 1]) ** 2).sum(1) ** 0.5
            potential = PairPotential(
                pairs,
                distance_A,
                shape=settings.shape,
                width_A=settings.width_A,
                release_fraction=settings.release_fraction,
            )
        self.restraints[settings.pairs] = potential
        self.restraint_weights[settings.pairs] = settings.weight
