"""The atomic model: image -> features -> latent and pose -> deformed beads -> image."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from cryoscope.models.coarse_grain import Beads
from cryoscope.models.data_terms import DataTerm
from cryoscope.models.deformers import make_deformer
from cryoscope.models.densities import make_density_shape
from cryoscope.models.digest import digest_of
from cryoscope.models.encoders import make_encoder
from cryoscope.models.heads import LatentHead, Posterior, RotationHead, ShiftHead
from cryoscope.models.interfaces import Batch, Density, Digest, Losses
from cryoscope.models.local_frames import CarriedCentres
from cryoscope.models.restraints import centring, make_restraint
from cryoscope.models.weights import RestraintTerm, measure_ratios
from cryoscope.models.whole_batch import whole_batch
from cryoscope.physics.fourier import Band
from cryoscope.physics.imaging import rotation_matrix


class AtomicModel(nn.Module):
    """Every method that deforms an atomic model is one set of these pieces.

    Parameters
    ----------
    beads
        The coarse-grained reference.
    band
        Coefficients that are trained on, on the device the model will live on.
    noise_power
        (m,) noise variance per coefficient.
    config
        A ``training.config.TrainConfig``: beads, encoder, latent, pose, deformer and loss are read.
    """

    noise_power: Tensor
    reference_A: Tensor
    trace: Tensor

    def __init__(self, beads: Beads, band: Band, noise_power: Tensor, config: Any) -> None:
        super().__init__()
        self.band, self.config = band, config
        self.register_buffer("noise_power", noise_power)
        self.register_buffer("trace", torch.as_tensor(beads.trace), persistent=False)
        rest_A = torch.as_tensor(beads.anchor_A[beads.trace]).float()
        self.register_buffer("reference_A", rest_A, persistent=False)
        self._make_encoder(beads)
        self.deformer = make_deformer(beads, config.latent.dim, config.deformer)
        carried = config.beads.coarse_grain == "CA" and config.beads.centre != "CA"
        self.centres: Callable[[Tensor], Tensor] = (
            CarriedCentres(beads) if carried else nn.Identity()
        )
        self.shape = make_density_shape(beads, config.beads)
        self.data_term = DataTerm(config.loss, band)
        self.restraints = nn.ModuleDict(
            {
                settings.pairs: RestraintTerm(make_restraint(beads, settings), settings)
                for settings in config.loss.restraints
                if settings.weight > 0
            }
        )

    def _make_encoder(self, beads: Beads) -> None:
        config, widths = self.config, self.config.encoder.head_widths
        self.encoder = make_encoder(beads, self.band, config.encoder)
        self.feature_count = count = self.encoder.feature_count
        self.head = LatentHead(count, config.latent.dim, config.latent.kind, widths)
        # What an encoder that looks from the map finds, it finds in the frame of the map.
        self.in_map_frame = self.encoder.in_map_frame
        axes = 3 if self.in_map_frame else 2
        self.shift_head = ShiftHead(count, widths, config.pose.shift_limit_A, axes)
        self.rotation_head = RotationHead(count, widths, config.pose.rotation_limit_deg)
        for head, wanted in (
            (self.head, count > 0),
            (self.shift_head, config.pose.shift),
            (self.rotation_head, config.pose.rotation),
        ):
            if not wanted:  # its parameters would decay without ever being used
                head.requires_grad_(False)

    @property
    def latent_dim(self) -> int:
        """Dimensions of the latent."""
        dim: int = self.config.latent.dim
        return dim

    def digest(self, batch: Batch) -> Digest:
        """What of a batch stays the same while this model trains."""
        return digest_of(batch, self.encoder, self.band, self.noise_power, self.config)

    def posterior(self, features: Tensor) -> Posterior:
        """Latent posterior of encoded images; zero where there is no encoder."""
        if self.feature_count == 0:
            return Posterior(features.new_zeros(len(features), self.latent_dim), None)
        posterior: Posterior = self.head(features)
        return posterior

    def encode(self, batch: Batch) -> Posterior:
        """Latent posterior of a batch, with the shift correction where there is one."""
        features = self.encoder.read(self.digest(batch).looked)
        posterior = self.posterior(features)
        shift_A = self._shift_A(features, batch.rotation) if self.config.pose.shift else None
        return Posterior(posterior.mean, posterior.log_var, shift_A)

    def positions(self, z: Tensor) -> Tensor:
        """(B, d) -> (B, N, 3) all beads in A."""
        positions_A: Tensor = self.deformer(z)
        return positions_A

    def anchors(self, z: Tensor) -> Tensor:
        """(B, d) -> (B, K, 3) the deformed backbone trace in A."""
        return self.positions(z)[:, self.trace]

    def decode(self, z: Tensor) -> Density:
        """(B, d) -> densities of B states."""
        return self._density(self.positions(z))

    def _density(self, positions_A: Tensor) -> Density:
        density: Density = self.shape.density(self.centres(positions_A), self.band.pixel_size_A)
        return density

    def _shift_A(self, features: Tensor, rotation: Tensor) -> Tensor:
        """(B, 2) residual shifts in the plane of the images."""
        found: Tensor = self.shift_head(features)
        if self.in_map_frame:
            return (rotation[:, :2] @ found[:, :, None])[:, :, 0]
        return found

    def _pose(self, batch: Batch, features: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        """Rotations and residual shifts of the batch, and (B,) their cost."""
        settings, rotation = self.config.pose, batch.rotation
        cost = rotation.new_zeros(len(rotation))
        shift_A = None
        if settings.shift:
            shift_A = self._shift_A(features, rotation)
            cost = cost + (shift_A / settings.shift_limit_A).square().sum(1)
        if settings.rotation:
            turn = self.rotation_head(features)
            by = rotation_matrix(turn)
            rotation = rotation @ by if self.in_map_frame else by @ rotation
            cost = cost + (turn / math.radians(settings.rotation_limit_deg)).square().sum(1)
        return rotation, shift_A, settings.prior_weight * cost

    def losses(self, batch: Batch, generator: torch.Generator, phase: str = "main") -> Losses:
        """Data term, KL and restraints of one draw from each image's posterior."""
        digest = self.digest(batch)
        data, features = digest.data, self.encoder.read(digest.looked)
        posterior = self.posterior(features)
        z = posterior.sample(generator)
        positions_A = self.positions(z)
        trace_A = positions_A[:, self.trace]
        motion_A2 = ((trace_A - self.reference_A) ** 2).sum(-1).mean(1)
        if phase == "zero-init":
            return Losses({"deformation": motion_A2}, posterior, motion_A2.detach())
        rotation, shift_A, pose_cost = self._pose(batch, features)
        projection = self._density(positions_A).project_band(rotation, self.band, shift_A)
        if self.training:
            self.data_term.calibrate(projection.detach(), data)
        loss, cost = self.config.loss, self.data_term(projection, data)
        terms = {
            "data": loss.data_weight * cost,
            "kl": posterior.kl(self.config.latent.free_bits),
            **self._restrained(positions_A, cost),
        }
        if loss.centring_weight > 0:
            terms["centring"] = loss.centring_weight * centring(trace_A)
        if loss.mode_prior_weight > 0:
            terms["modes"] = loss.mode_prior_weight * self.deformer.mode_prior(z)
        if loss.segment_prior_weight > 0:
            terms["segments"] = loss.segment_prior_weight * self.deformer.segment_prior().expand(
                len(z)
            )
        if self.config.pose.prior_weight > 0:
            terms["pose"] = pose_cost
        return Losses(terms, posterior, motion_A2.detach())

    def _restrained(self, positions_A: Tensor, data: Tensor) -> dict[str, Tensor]:
        """Weighted energies by name; ``data`` is the (B,) data term."""
        terms: dict[str, RestraintTerm] = dict(self.restraints.items())  # type: ignore[arg-type]
        energies = {name: term.energy(positions_A) for name, term in terms.items()}
        if self.training:
            pulling = [(term, energies[name]) for name, term in terms.items()]
            measure_ratios(pulling, positions_A, data)
        every = whole_batch(data) if terms else data
        return {name: term.weigh(energies[name], every) for name, term in terms.items()}

    def reset_coordinates(self) -> None:
        """Coordinates, and the network that moves them, back to where they began."""
        self.deformer.reset()
