"""Batches of particles: order, and where the images wait."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cryoscope.data import Latents, Particles
from cryoscope.models.heads import Posterior
from cryoscope.models.interfaces import Batch, HeterogeneityModel
from cryoscope.physics.ctf import ctf_table
from cryoscope.physics.fourier import Band

#: Coefficients are kept in memory up to this many bytes, else transformed batch by batch.
RESIDENT_BYTES = 2 * 1024**3


class TrainingSet:
    """Particles as tensors on one device.

    Parameters
    ----------
    particles
        Cached particles with poses.
    band
        The coefficients that are trained on, on the device.
    contrast
        Factor of every image: +1 protein bright, -1 dark.
    device
        Where batches are wanted.
    """

    def __init__(
        self, particles: Particles, band: Band, contrast: int, device: torch.device
    ) -> None:
        assert particles.poses is not None
        self._images, self._band = particles.images, band
        self._contrast, self._device = float(contrast), device
        self._rotation = torch.as_tensor(
            np.asarray(particles.poses.rotation, dtype=np.float32), device=device
        )
        self._shift_A = torch.as_tensor(
            np.asarray(particles.poses.shift_A, dtype=np.float32), device=device
        )
        self._ctf = ctf_table(particles.ctf, particles.optics).to(device)
        self._resident: Tensor | None = None
        self._loaded = np.zeros(len(particles), dtype=bool)
        if len(particles) * len(band) * 8 <= RESIDENT_BYTES:
            self._resident = torch.empty(
                len(particles), len(band), dtype=torch.complex64, device=device
            )

    def __len__(self) -> int:
        return len(self._rotation)

    def batch(self, index: NDArray[np.int64]) -> Batch:
        """The particles at ``index``."""
        where = torch.as_tensor(index, device=self._device)
        return Batch(
            coefficients=self._coefficients(index, where),
            rotation=self._rotation[where],
            shift_A=self._shift_A[where],
            ctf=self._ctf.take(where),
        )

    def _coefficients(self, index: NDArray[np.int64], where: Tensor) -> Tensor:
        if self._resident is not None and self._loaded[index].all():
            return self._resident[where]
        images = torch.as_tensor(self._images.read(index)).to(self._device)
        coefficients = self._band.transform(images) * self._contrast
        if self._resident is not None:
            self._resident[where] = coefficients
            self._loaded[index] = True
        return coefficients


def epoch_order(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """The order of the particles in an epoch; the same for the same seed, on any machine."""
    return np.random.default_rng([seed, epoch]).permutation(count).astype(np.int64)


@torch.no_grad()
def encode_set(
    model: HeterogeneityModel,
    data: TrainingSet,
    rows: NDArray[np.int64] | None = None,
    chunk: int = 1024,
) -> Posterior:
    """Posteriors of the particles at ``rows`` (None: all), in that order, in CPU memory."""
    index = np.arange(len(data)) if rows is None else rows
    found = [
        model.encode(data.batch(index[start : start + chunk]))
        for start in range(0, len(index), chunk)
    ]

    def joined(parts: list[Tensor | None]) -> Tensor | None:
        known = [part.cpu() for part in parts if part is not None]
        return torch.cat(known) if known else None

    mean = torch.cat([part.mean.cpu() for part in found])
    log_var = joined([part.log_var for part in found])
    return Posterior(mean, log_var, joined([part.shift_A for part in found]))


def to_latents(
    posterior: Posterior, uid: NDArray[np.str_], *, run_id: str = "", epoch: int = 0
) -> Latents:
    """Posteriors as the record that is kept and shown."""

    def plain(values: Tensor | None) -> NDArray[np.float32] | None:
        return None if values is None else values.numpy()

    log_var, shift_A = plain(posterior.log_var), plain(posterior.shift_A)
    return Latents(posterior.mean.numpy(), log_var, uid, run_id, epoch, shift_A)
