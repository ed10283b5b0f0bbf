"""Which particles are trained on, and the noise-only control."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from torch import Tensor

from cryoscope.data import InputError, Particles
from cryoscope.physics.fourier import Band

Rows = NDArray[np.int64]

_HALF_SETS = {"half1": 1, "half2": 2}


def training_rows(
    particles: Particles, subset: str, held_out: float, seed: int
) -> tuple[Rows, Rows]:
    """The particles that are trained on, and those that are kept out, both in the file's order.

    The same particles, subset, share and seed give the same rows on any machine: nothing is saved.

    Parameters
    ----------
    particles
        All particles; ``half_set`` is the file's own, or the reader's seeded split where the file
        has none.
    subset
        ``"all"``, ``"half1"`` or ``"half2"``.
    held_out
        Share of the subset that is never trained on, below 1; any share above 0 keeps out at least
        one particle.
    seed
        Chooses which.

    Returns
    -------
    Rows trained on and rows held out, disjoint; together the subset.

    Raises
    ------
    InputError
        When the half-set is empty, or nothing is left to train on.
    """
    rows = np.arange(len(particles), dtype=np.int64)
    if subset in _HALF_SETS:
        rows = np.flatnonzero(particles.half_set == _HALF_SETS[subset]).astype(np.int64)
    elif subset != "all":
        raise ValueError(f"no subset {subset!r}")
    if len(rows) == 0:
        raise InputError(
            f"no particle is in half-set {subset.removeprefix('half')}",
            file=particles.source.file,
            cure="Check rlnRandomSubset, or train on all particles (data.subset=all)",
        )
    kept_out = 0 if held_out <= 0 else max(1, round(held_out * len(rows)))
    if kept_out >= len(rows):
        raise InputError(
            f"of {len(rows):,} particles {kept_out:,} would be held out and none trained on",
            file=particles.source.file,
            cure="Lower data.held_out",
        )
    # One draw for all particles: whether one is drawn early does not hang on the subset.
    priority = np.random.default_rng([seed, 1]).permutation(len(particles))[rows]
    order = np.argsort(priority, kind="stable")
    return np.sort(rows[order[kept_out:]]), np.sort(rows[order[:kept_out]])


class NoiseImages:
    """Images of noise alone (an `ImageSource`): Gaussian, with a given power per shell.

    Every image is made from the seed and the particle's own number whenever it is read, so that
    runs can be resumed, split and compared.

    Parameters
    ----------
    box_size_px
        Side of the images.
    shell_power
        (shells,) variance of a Fourier coefficient (orthonormal transform) by its rounded radius in
        the box; frequencies beyond the last shell take its value.
    number
        (N,) number of every particle, not negative.
    seed
        Of the control.
    """

    def __init__(
        self,
        box_size_px: int,
        shell_power: NDArray[np.floating],
        number: NDArray[np.integer],
        seed: int,
    ) -> None:
        self._box_px, self._shell_power, self._seed = box_size_px, np.asarray(shell_power), seed
        self._number = np.asarray(number, dtype=np.int64)
        ky = scipy.fft.fftfreq(box_size_px, 1 / box_size_px)
        kx = scipy.fft.rfftfreq(box_size_px, 1 / box_size_px)
        shell = np.rint(np.hypot(ky[:, None], kx[None, :])).astype(np.int64)
        power = self._shell_power[np.minimum(shell, len(self._shell_power) - 1)]
        self._amplitude = np.sqrt(power).astype(np.float32)

    @property
    def box_size_px(self) -> int:
        """Side of the square images."""
        return self._box_px

    def __len__(self) -> int:
        return len(self._number)

    def read(self, index: NDArray[np.integer]) -> NDArray[np.float32]:
        """(len(index), y, x) float32 images in the order of ``index``."""
        numbers = self._number[np.asarray(index)]
        n = self._box_px
        white = np.empty((len(numbers), n, n), dtype=np.float32)
        for image, number in zip(white, numbers.tolist(), strict=True):
            generator = np.random.default_rng([self._seed, 2, number])
            generator.standard_normal(dtype=np.float32, out=image)
        coloured = scipy.fft.rfft2(white) * self._amplitude
        return np.asarray(scipy.fft.irfft2(coloured, s=(n, n)), dtype=np.float32)

    def take(self, index: NDArray[np.integer]) -> NoiseImages:
        """The images at ``index``, still unread."""
        number = self._number[np.asarray(index)]
        return NoiseImages(self._box_px, self._shell_power, number, self._seed)


def with_noise_images(
    particles: Particles, band: Band, noise_power: Tensor, seed: int
) -> Particles:
    """The same particles, poses and CTFs, every image replaced by noise of the same spectrum.

    The noise-only control: there is nothing to find, so nothing may move.

    Parameters
    ----------
    particles
        Prepared particles; their rows in the user's file tell the images apart.
    band, noise_power
        The band that is trained and its (m,) noise variance, as measured outside the particles.
    seed
        Of the noise.
    """
    shells = band.shell.cpu().numpy()
    power = noise_power.detach().cpu().numpy().astype(np.float64)
    count = np.bincount(shells)
    known = np.flatnonzero(count)
    mean = np.bincount(shells, power)[known] / count[known]
    shell_power = np.interp(np.arange(len(count)), known, mean)
    images = NoiseImages(particles.box_size_px, shell_power, particles.source.row, seed)
    return replace(particles, images=images)
