"""The volume model: image -> latent -> Fourier coefficients of a map -> image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from cryoscope.data import InputError
from cryoscope.models.coarse_grain import Beads
from cryoscope.models.data_terms import DataTerm
from cryoscope.models.digest import digest_of
from cryoscope.models.encoders import make_encoder
from cryoscope.models.heads import LatentHead, Posterior
from cryoscope.models.interfaces import Batch, Density, Digest, Losses
from cryoscope.models.likelihood import MatchedData
from cryoscope.models.volume_density import VolumeDensity, slice_points
from cryoscope.models.volume_field import VolumeField
from cryoscope.physics.fourier import Band

#: Kinds of latent that are held per particle, not encoded from its image.
HELD = ("table", "given")


class VolumeModel(nn.Module):
    """A neural volume with an encoder (cryoDRGN's VAE), a table of latents, or neither.

    - An encoder of any kind but bead-view, latent gaussian or deterministic: an autoencoder.
    - Encoder none: one map for all particles; the latent is zero.
    - Latent table: one free vector per particle, trained with the network (auto-decoder).
    - Latent given: one fixed vector per particle, for instance of an atomic model (density stage).

    Parameters
    ----------
    beads
        Not looked at; a volume needs no atoms.
    band
        Coefficients that are trained on, on the device the model will live on.
    noise_power
        (m,) noise variance per coefficient. The network's output is in units of the square root
        of its mean, so that training starts alike whatever the scale of the images.
    config
        A ``training.config.TrainConfig``: encoder, latent, pose, volume, loss and phases are read.

    Attributes
    ----------
    latent_table
        (N, d) latents of the particles, a parameter for ``table`` and a buffer for ``given``;
        None until :meth:`start_latents` has made them (or a checkpoint has).

    Raises
    ------
    InputError
        For settings that need atoms or an output of known scale.
    """

    noise_power: Tensor
    reference_A: Tensor
    latent_table: Tensor | None
    kept: Tensor
    factor: Tensor

    def __init__(self, beads: Beads | None, band: Band, noise_power: Tensor, config: Any) -> None:
        super().__init__()
        _refuse(config)
        self.band, self.config = band, config
        self.held = config.latent.kind in HELD
        self.register_buffer("noise_power", noise_power)
        nowhere = torch.zeros(0, 3, device=noise_power.device)
        self.register_buffer("reference_A", nowhere, persistent=False)
        self.encoder = None if self.held else make_encoder(None, band, config.encoder)
        self.feature_count = 0 if self.encoder is None else self.encoder.feature_count
        if self.feature_count:
            widths = config.encoder.head_widths
            self.head = LatentHead(self.feature_count, self.latent_dim, config.latent.kind, widths)
        self.field = VolumeField(band.box_size_px, self.latent_dim, config.volume)
        self.field.amplitude.fill_(float(noise_power.mean().sqrt()))
        self.data_term = DataTerm(config.loss, band)
        self.register_buffer("latent_table", None)
        self.register_load_state_dict_pre_hook(  # type: ignore[no-untyped-call]
            _make_room_for_latents
        )
        kept, factor = pairs_once(band)
        self.register_buffer("kept", kept, persistent=False)
        self.register_buffer("factor", factor, persistent=False)

    @property
    def latent_dim(self) -> int:
        """Dimensions of the latent."""
        dim: int = self.config.latent.dim
        return dim

    def start_latents(self, z: Tensor) -> None:
        """Hold (N, d) latents of the particles, in the order of ``Batch.index``; once.

        Raises
        ------
        ValueError
            When the latent is encoded, or of another dimension.
        """
        if not self.held or z.ndim != 2 or z.shape[1] != self.latent_dim:
            raise ValueError(
                f"latents of shape {tuple(z.shape)} for a model of {self.latent_dim} dimensions "
                f"and kind {self.config.latent.kind!r}"
            )
        table = z.detach().to(self.noise_power.device, torch.float32).clone()
        if self.config.latent.kind == "given":
            self.latent_table = table
            return
        self._buffers.pop("latent_table", None)
        self.latent_table = nn.Parameter(table)

    def digest(self, batch: Batch) -> Digest:
        """What of a batch stays the same while this model trains."""
        return digest_of(batch, self.encoder, self.band, self.noise_power, self.config)

    def encode(self, batch: Batch) -> Posterior:
        """Latent posterior of a batch."""
        return self._posterior(batch, self.digest(batch) if self.feature_count else None)

    def _posterior(self, batch: Batch, digest: Digest | None) -> Posterior:
        """Encoded, looked up, or zero."""
        if self.held:
            if self.latent_table is None or batch.index is None:
                raise ValueError("latents are held per particle: start_latents, and Batch.index")
            return Posterior(self.latent_table[batch.index], None)
        if digest is None or self.encoder is None or not self.feature_count:
            return Posterior(batch.rotation.new_zeros(len(batch.rotation), self.latent_dim), None)
        posterior: Posterior = self.head(self.encoder.read(digest.looked))
        return posterior

    def positions(self, z: Tensor) -> Tensor:
        """(B, d) -> (B, 0, 3): there are no beads."""
        return z.new_zeros(len(z), 0, 3)

    def anchors(self, z: Tensor) -> Tensor:
        """(B, d) -> (B, 0, 3): there is no backbone."""
        return self.positions(z)

    def decode(self, z: Tensor) -> Density:
        """(B, d) -> densities of B states."""
        return VolumeDensity(self.field, z, self.band.box_size_px, self.band.pixel_size_A)

    def losses(self, batch: Batch, generator: torch.Generator, phase: str = "main") -> Losses:
        """Data term and KL of one draw from each image's posterior; the phase changes nothing."""
        digest = self.digest(batch)
        data, posterior = digest.data, self._posterior(batch, digest)
        z = posterior.sample(generator)
        # Of every pair of mirrored coefficients one is evaluated, and counts for both.
        kx, ky = self.band.kx_per_A[self.kept], self.band.ky_per_A[self.kept]
        points = slice_points(batch.rotation, kx, ky) * self.band.pixel_size_A
        projection = self.field.coefficients(points, z)
        once = MatchedData(
            data.matched[:, self.kept] * self.factor,
            data.power[:, self.kept] * self.factor,
            data.total,
        )
        loss = self.config.loss
        terms = {
            "data": loss.data_weight * self.data_term(projection, once),
            "kl": posterior.kl(self.config.latent.free_bits),
        }
        return Losses(terms, posterior, data.total.new_zeros(len(z)))

    def reset_coordinates(self) -> None:
        """There are none."""


def pairs_once(band: Band) -> tuple[Tensor, Tensor]:
    """One coefficient of every pair F(-k) = conj F(k) that the band holds both of.

    Returns
    -------
    (u,) positions in the band, and (u,) 2 where the one stands for two in the band, else 1.
    """
    n = band.box_size_px
    row, column = band.index // (n // 2 + 1), band.index % (n // 2 + 1)
    paired = (column == 0) & (row != 0) & (row != n // 2)
    kept = torch.nonzero(~(paired & (row > n // 2))).squeeze(1)
    return kept, 1.0 + paired[kept].to(band.weight.dtype)


def _refuse(config: Any) -> None:
    """Settings that a volume model cannot follow."""
    if config.loss.scale not in ("image", "model"):
        raise InputError(
            f"a volume model has no use for the intensity {config.loss.scale!r}: the first map is "
            "a guess, and nothing can be measured by it",
            cure="Set loss.scale to model (its own), or to image",
        )
    if config.pose.shift or config.pose.rotation:
        raise InputError(
            "the volume model takes poses as they are",
            cure="Set pose.shift and pose.rotation to false",
        )
    if any(phase.kind == "zero-init" for phase in config.phases):
        raise InputError(
            "a volume model has no deformation that a zero-init phase could undo",
            cure="Leave the phases empty",
        )


def _make_room_for_latents(
    model: VolumeModel, state_dict: Mapping[str, Any], prefix: str, *_: Any
) -> None:
    """A checkpoint's table of latents, where there is none yet, is of the checkpoint's size."""
    found = state_dict.get(prefix + "latent_table")
    if model.held and found is not None and model.latent_table is None:
        model.start_latents(torch.as_tensor(found))
