"""What a model promises to the loop, to the decoder and to whoever adds another model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self, runtime_checkable

import torch
from torch import Tensor, nn

from cryoscope.models.heads import Posterior
from cryoscope.models.likelihood import MatchedData
from cryoscope.physics.ctf import CTFTable
from cryoscope.physics.fourier import Band


@dataclass(frozen=True, eq=False)
class Digest:
    """What of B images stays the same while a model trains.

    Attributes
    ----------
    data
        The images folded with CTF, shift and noise.
    looked
        (B, ...) what the encoder looks at (``networks.Encoder.look``).
    """

    data: MatchedData
    looked: Tensor


@dataclass(frozen=True, eq=False)
class Batch:
    """B images in a band, with poses and CTF.

    Attributes
    ----------
    coefficients
        (B, m) complex Fourier coefficients (``physics.fourier.Band``); m = 0 in a batch that
        comes with its digest.
    rotation, shift_A
        (B, 3, 3) map -> image and (B, 2) (conventions 3 and 5).
    ctf
        B rows.
    index
        (B,) which of all particles they are.
    digest
        As the model made it of these images before (``HeterogeneityModel.digest``).
    """

    coefficients: Tensor
    rotation: Tensor
    shift_A: Tensor
    ctf: CTFTable
    index: Tensor | None = None
    digest: Digest | None = None


@dataclass(frozen=True, eq=False)
class Losses:
    """What a batch costs a model.

    Attributes
    ----------
    terms
        (B,) costs by name. ``data`` is minus the log-likelihood gained over an empty image (or the
        model's own data term), ``kl`` is not weighted yet, all others are.
    posterior
        Of the batch's latents.
    motion_A2
        (B,) mean square distance of the anchors from the reference; no gradient.
    """

    terms: dict[str, Tensor]
    posterior: Posterior
    motion_A2: Tensor


class Density(Protocol):
    """Densities of B states."""

    def project(self, rotation: Tensor, box_size_px: int, pixel_size_A: float) -> Tensor:
        """(B, n, n) projections after (B, 3, 3) rotations, without shift or CTF."""
        ...

    def project_band(self, rotation: Tensor, band: Band, shift_A: Tensor | None = None) -> Tensor:
        """(B, m) coefficients of the projections, moved by (B, 2) shifts; no CTF."""
        ...

    def voxelize(self, box_size_px: int, voxel_size_A: float) -> Tensor:
        """(B, n, n, n) maps [z, y, x]."""
        ...


def go_on() -> None:
    """Nobody asks for a map to be left unfinished."""


@runtime_checkable
class Interruptible(Protocol):
    """A density that calls ``check`` between the pieces of a long map; it may raise."""

    check: Callable[[], None]


class HeterogeneityModel(Protocol):
    """An ``nn.Module`` from images to latents and from latents to densities.

    It is made by ``factory(beads, band, noise_power, config)``, all tensors on the device it will
    live on, and knows nothing about files, devices or plots. ``beads`` is None without atoms.
    A model that keeps a vector per particle (``latent.kind`` table or given) has
    ``start_latents(z)``, called with (N, d) before anything else. A model may have
    ``digest(batch) -> Digest``: what it makes of the images whatever its parameters are; later
    batches of the same particles come with it, and without coefficients.
    """

    @property
    def latent_dim(self) -> int:
        """Dimensions d of the latent."""
        ...

    @property
    def reference_A(self) -> Tensor:
        """(K, 3) backbone trace (CA, P or C1') at rest; K = 0 in a model without atoms."""
        ...

    def encode(self, batch: Batch) -> Posterior:
        """Latent posterior of a batch."""
        ...

    def positions(self, z: Tensor) -> Tensor:
        """(B, d) latents -> (B, N, 3) all beads in A."""
        ...

    def anchors(self, z: Tensor) -> Tensor:
        """(B, d) latents -> (B, K, 3) deformed backbone trace in A."""
        ...

    def decode(self, z: Tensor) -> Density:
        """(B, d) latents -> densities of B states."""
        ...

    def losses(self, batch: Batch, generator: torch.Generator, phase: str = "main") -> Losses:
        """Everything that training minimises; latents are drawn with ``generator``.

        ``phase`` is the kind of the phase (``training.config.PhaseConfig``) the step is in.
        """
        ...

    def reset_coordinates(self) -> None:
        """Undo what training has done to coordinates, at the end of a warm-up."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """As of ``nn.Module``."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """As of ``nn.Module``."""
        ...

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any:
        """As of ``nn.Module``."""
        ...

    def to(self, device: torch.device) -> Self:
        """As of ``nn.Module``."""
        ...

    def train(self) -> Self:
        """As of ``nn.Module``."""
        ...

    def eval(self) -> Self:
        """As of ``nn.Module``."""
        ...
