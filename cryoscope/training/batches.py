"""Batches of particles: order, and where the images wait."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cryoscope.data import Latents, Particles
from cryoscope.models.heads import Posterior
from cryoscope.models.interfaces import Batch, Digest, HeterogeneityModel
from cryoscope.models.likelihood import MatchedData
from cryoscope.physics.ctf import ctf_table
from cryoscope.physics.fourier import Band

#: What is made of the images is kept in memory up to this many bytes, else made batch by batch.
RESIDENT_BYTES = 3 * 1024**3


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
    fills_gaps
        Of a batch some of whose particles were seen before, only the others are looked at. Without,
        the whole batch is: sums over as many particles round alike, so that a run that was resumed
        continues with the same numbers.
    """

    def __init__(
        self,
        particles: Particles,
        band: Band,
        contrast: int,
        device: torch.device,
        *,
        fills_gaps: bool = False,
    ) -> None:
        assert particles.poses is not None
        self._images, self._band = particles.images, band
        self._contrast, self._device = float(contrast), device
        self._fills_gaps = fills_gaps
        self._rotation = torch.as_tensor(
            np.asarray(particles.poses.rotation, dtype=np.float32), device=device
        )
        self._shift_A = torch.as_tensor(
            np.asarray(particles.poses.shift_A, dtype=np.float32), device=device
        )
        self._ctf = ctf_table(particles.ctf, particles.optics).to(device)
        self._digest: Callable[[Batch], Digest] | None = None
        self._kept: Kept | None = None
        per_particle = len(band) * 8
        if len(particles) * per_particle <= RESIDENT_BYTES:
            self._kept = Kept(len(particles))

    def __len__(self) -> int:
        return len(self._rotation)

    def keep_digests(self, digest: Callable[[Batch], Digest]) -> None:
        """Keep what a model makes of every image, in place of its coefficients.

        Batches of particles that were seen before come with it. Nothing is kept where that would
        take more memory than is set aside.
        """
        first = _tensors(digest(self.batch(np.arange(1))))
        per_particle = sum(part.numel() * part.element_size() for part in first)
        if len(self) * per_particle <= RESIDENT_BYTES:
            self._digest, self._kept = digest, Kept(len(self))

    def batch(self, index: NDArray[np.int64]) -> Batch:
        """The particles at ``index``."""
        where = torch.as_tensor(index, device=self._device)
        batch = Batch(
            coefficients=torch.zeros(len(index), 0, dtype=torch.complex64, device=self._device),
            rotation=self._rotation[where],
            shift_A=self._shift_A[where],
            ctf=self._ctf.take(where),
            index=where,
        )
        if self._kept is None:
            return replace(batch, coefficients=self._coefficients(index))
        fresh = np.flatnonzero(~self._kept.seen(index))
        if len(fresh) == len(index) or (len(fresh) > 0 and not self._fills_gaps):
            made = self._made(batch, index)
            self._kept.put(index, where, made)
        else:
            if len(fresh) > 0:
                rows = torch.as_tensor(fresh, device=self._device)
                some = self._made(_some(batch, rows), index[fresh])
                self._kept.put(index[fresh], where[rows], some)
            made = self._kept.get(where)
        if self._digest is None:
            return replace(batch, coefficients=made[0])
        matched, power, total, looked = made
        return replace(batch, digest=Digest(MatchedData(matched, power, total), looked))

    def _made(self, batch: Batch, index: NDArray[np.int64]) -> tuple[Tensor, ...]:
        """What is kept of the particles at ``index``: their digest, or their coefficients."""
        coefficients = self._coefficients(index)
        if self._digest is None:
            return (coefficients,)
        return _tensors(self._digest(replace(batch, coefficients=coefficients)))

    def _coefficients(self, index: NDArray[np.int64]) -> Tensor:
        images = torch.as_tensor(self._images.read(index)).to(self._device)
        return self._band.transform(images) * self._contrast


class Kept:
    """Tensors of particles that were seen before.

    Parameters
    ----------
    count
        Number of all particles.
    """

    def __init__(self, count: int) -> None:
        self._seen = np.zeros(count, dtype=bool)
        self._tensors: tuple[Tensor, ...] = ()

    def seen(self, index: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether anything was put for each of the particles at ``index``."""
        return self._seen[index]

    def get(self, where: Tensor) -> tuple[Tensor, ...]:
        """What was put for particles, all of which were seen."""
        return tuple(part[where] for part in self._tensors)

    def put(self, index: NDArray[np.int64], where: Tensor, parts: tuple[Tensor, ...]) -> None:
        """Keep the rows of ``parts`` for the particles at ``index`` (``where`` on the device)."""
        if not self._tensors:
            count = len(self._seen)
            self._tensors = tuple(part.new_empty(count, *part.shape[1:]) for part in parts)
        for kept, part in zip(self._tensors, parts, strict=True):
            kept[where] = part
        self._seen[index] = True


def _some(batch: Batch, rows: Tensor) -> Batch:
    """The particles at ``rows`` of a batch, without their images."""
    assert batch.index is not None
    return Batch(
        coefficients=batch.coefficients[rows],
        rotation=batch.rotation[rows],
        shift_A=batch.shift_A[rows],
        ctf=batch.ctf.take(rows),
        index=batch.index[rows],
    )


def _tensors(digest: Digest) -> tuple[Tensor, ...]:
    data = digest.data
    return data.matched, data.power, data.total, digest.looked


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
    """Posteriors of the particles at ``rows`` (None: all), in that order, in CPU memory.

    Where ``chunk`` particles at once are too many for the memory of the GPU, fewer are taken.
    """
    index = np.arange(len(data)) if rows is None else rows
    found: list[Posterior] = []
    start = 0
    while start < len(index):
        try:
            found.append(model.encode(data.batch(index[start : start + chunk])))
            start += chunk
            continue
        except torch.OutOfMemoryError:
            if chunk == 1:
                raise
        chunk = max(1, chunk // 2)

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
