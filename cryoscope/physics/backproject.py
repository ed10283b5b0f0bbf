"""Maps from particle images: CTF-weighted trilinear insertion of central slices.

Least squares with the trilinear interpolation as the model of a slice's surroundings: every voxel
is ``sum(CTF F) / (sum(CTF^2) + lambda)`` over the coefficients F that fall beside it, each with its
trilinear share.
"""

from __future__ import annotations

import math

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cryoscope.physics.backproject_kernels import LANES, insert_slices
from cryoscope.physics.ctf import CTFTable, ctf

#: Images that are transformed and inserted at a time.
_CHUNK = 128
#: See `Backprojector.finish`.
REGULARISATION = 0.3
#: Images and coefficients that the shares of the threads are estimated from.
_PROBE_IMAGES, _PROBE_POINTS = 32, 256


def half_planes(images: Tensor, box_size_px: int) -> Tensor:
    """Half-planes of images, cut to the frequencies that a smaller box holds (Fourier crop).

    Parameters
    ----------
    images
        (B, y, x) real images of even side.
    box_size_px
        Even side n of the box whose coefficients are wanted, at most that of the images.

    Returns
    -------
    (B, n, n // 2 + 1) complex, as the orthonormal transform of the cropped images (pixel values
    keep their scale), origin in the corner. The line and the column at the new Nyquist frequency
    hold one of its two signs.
    """
    full_px = images.shape[-1]
    if box_size_px == full_px:
        return torch.fft.rfft2(images, norm="ortho")
    half = box_size_px // 2
    # Columns are cut before the second transform: the rest of them is never needed.
    columns = torch.fft.rfft(images, dim=-1, norm="ortho")[..., : half + 1]
    lines = torch.fft.fft(columns, dim=-2, norm="ortho")
    cut = torch.cat([lines[:, :half], lines[:, full_px - half :]], dim=1)
    return cut * (box_size_px / full_px)


class Backprojector:
    """Accumulates slices, and gives the map.

    Only the half-space is kept: ``4 (N + 1)^2 (N / 2 + 1)`` float32 with ``N = pad n``. What comes
    out is the same to the last bit for any number of threads (`numba.set_num_threads`).

    Parameters
    ----------
    box_size_px
        Even side n of the map; images of a larger box are Fourier-cropped to it.
    pixel_size_A
        Voxel size of the map.
    pad
        Samples per Fourier voxel along each axis: 2 halves the error of interpolation, for eight
        times the memory, and needs views enough to fill the voxels.
    """

    def __init__(self, box_size_px: int, pixel_size_A: float, *, pad: int = 1) -> None:
        if box_size_px < 4 or box_size_px % 2 or pad < 1 or not pixel_size_A > 0:
            raise ValueError(f"no map of {box_size_px} px of {pixel_size_A} A, padded {pad} times")
        self.box_size_px, self.pixel_size_A, self.pad = box_size_px, pixel_size_A, pad
        self.count = 0
        self._reach = pad * box_size_px // 2
        side = 2 * self._reach + 1
        self._grid = np.zeros((side, side, self._reach + 1, LANES), dtype=np.float32)
        self._lines, kx, ky = _coefficients(box_size_px)
        width_A = box_size_px * pixel_size_A
        self._kx_per_A = torch.as_tensor(kx / width_A).float()
        self._ky_per_A = torch.as_tensor(ky / width_A).float()
        self._probe = _probe(kx, ky)

    def insert(
        self,
        images: Tensor,
        rotation: Tensor,
        shift_A: Tensor,
        ctf_table: CTFTable,
        *,
        weights: Tensor | None = None,
    ) -> None:
        """Add the slices of B images.

        Parameters
        ----------
        images
            (B, y, x) of even side, at least that of the map, on the CPU.
        rotation
            (B, 3, 3) map -> image (convention 3).
        shift_A
            (B, 2) where the particle lies in the image (convention 5).
        ctf_table
            B particles.
        weights
            (B,) of the images; None: 1.

        Raises
        ------
        ValueError
            When images are not square, smaller than the map, or of odd side.
        """
        side = images.shape[-1]
        if images.dim() != 3 or images.shape[1] != side or side % 2 or side < self.box_size_px:
            raise ValueError(f"images of {tuple(images.shape)} for a map of {self.box_size_px} px")
        for start in range(0, len(images), _CHUNK):
            here = slice(start, start + _CHUNK)
            self.insert_half_planes(
                half_planes(images[here], self.box_size_px),
                rotation[here],
                shift_A[here],
                ctf_table.take(torch.arange(len(images))[here]),
                weights=None if weights is None else weights[here],
            )

    def insert_half_planes(
        self,
        spectra: Tensor,
        rotation: Tensor,
        shift_A: Tensor,
        ctf_table: CTFTable,
        *,
        weights: Tensor | None = None,
    ) -> None:
        """As :meth:`insert`, from (B, n, n // 2 + 1) half-planes of the map's box."""
        turn = rotation[:, :2].numpy().astype(np.float64) * self.pad
        along_x, along_y = self._phases(shift_A.numpy())
        transfer = ctf(ctf_table, self._kx_per_A, self._ky_per_A)
        weight = torch.ones(len(spectra)) if weights is None else weights
        insert_slices(
            np.ascontiguousarray(spectra.numpy(), dtype=np.complex64),
            along_x,
            along_y,
            np.ascontiguousarray(transfer.numpy(), dtype=np.float32),
            np.ascontiguousarray(weight.numpy(), dtype=np.float32),
            turn.astype(np.float32),
            self._lines,
            self._shares(turn),
            self._grid,
        )
        self.count += len(spectra)

    def plus(self, other: Backprojector) -> Backprojector:
        """A third one, with the slices of both."""
        mine, theirs = ((b.box_size_px, b.pixel_size_A, b.pad) for b in (self, other))
        if mine != theirs:
            raise ValueError(f"{mine} and {theirs} do not add up")
        both = Backprojector(self.box_size_px, self.pixel_size_A, pad=self.pad)
        np.add(self._grid, other._grid, out=both._grid)
        both.count = self.count + other.count
        return both

    def sums(self) -> tuple[NDArray[np.complex64], NDArray[np.float32]]:
        """What was accumulated: ``sum(CTF F)`` and ``sum(CTF^2)`` per voxel of the half-space.

        Both are (N + 1, N + 1, N / 2 + 1): kz and ky from -N / 2 to N / 2, kx from 0 on. F is of
        the orthonormal transform of the images.
        """
        value = self._grid[..., 0] + 1j * self._grid[..., 1]
        weight = self._grid[..., 2].copy()
        # The half-space takes one of every pair of mirrors; its face holds both.
        face, face_weight = value[:, :, 0].copy(), weight[:, :, 0].copy()
        value[:, :, 0] += face[::-1, ::-1].conj()
        weight[:, :, 0] += face_weight[::-1, ::-1]
        return value, weight

    def finish(self, regularisation: float = REGULARISATION, *, gridding: bool = False) -> Tensor:
        """The map of what was inserted so far.

        Parameters
        ----------
        regularisation
            ``lambda`` over the mean of ``sum(CTF^2)`` over the whole grid, corners included: a
            Wiener filter for a signal as strong as ``1 / regularisation`` times the noise of the
            mean voxel, at all frequencies. The same number as ``--reg-weight`` of ``cryodrgn
            backproject_voxel``, whose default is 1. The default here is smaller: on simulated sets
            it agrees better with the truth, as fine detail is less damped.
        gridding
            Whether to divide by ``sinc^2(r / N)``, the transform of the trilinear shares, which
            dims the map away from its centre: by a third where a particle reaches 0.35 boxes from
            it. Amplitudes become right, and noise outside the particle grows by up to 2.5, which
            is why it is off by default. At the faces of the box, and beyond, the divisor stays
            that of the faces.

        Returns
        -------
        (n, n, n) float32 [z, y, x], origin at sample n // 2. Projections of it (sums over samples)
        have the scale of the images. Zero while nothing is inserted.
        """
        value, weight = self.sums()
        side = 2 * self._reach
        value, weight = value[:side, :side], weight[:side, :side]  # -N / 2 to N / 2 - 1
        floor = regularisation * float(weight.mean(dtype=np.float64))
        known = weight > 1e-6 * float(weight.max(initial=0.0))
        spectrum = np.divide(value, weight + np.float32(floor), where=known, out=0 * value)
        signed = torch.fft.ifftshift(torch.as_tensor(spectrum), dim=(0, 1))
        # orthonormal planes -> sums over the box: n
        volume = torch.fft.irfftn(signed, s=(side,) * 3) * self.box_size_px
        volume = torch.fft.fftshift(volume)
        begin = (side - self.box_size_px) // 2
        here = slice(begin, begin + self.box_size_px)
        volume = volume[here, here, here]
        return volume / self._dimming() if gridding else volume.contiguous()

    def _dimming(self) -> Tensor:
        axis = torch.arange(self.box_size_px, dtype=torch.float32) - self.box_size_px // 2
        square = (axis / (2 * self._reach)) ** 2
        radius = (square[:, None, None] + square[:, None] + square).sqrt()
        return torch.sinc(radius.clamp(max=0.5 / self.pad)) ** 2

    def _phases(
        self, shift_A: NDArray[np.floating]
    ) -> tuple[NDArray[np.complex64], NDArray[np.complex64]]:
        """Phases along kx and ky that bring the particle to the corner of the image.

        ``exp(2 pi i k . shift)`` for the shift; alternating signs for the origin at n // 2.
        """
        n = self.box_size_px
        shift = np.asarray(shift_A, dtype=np.float64) / (n * self.pixel_size_A)
        along_x, along_y = np.arange(n // 2 + 1), np.fft.fftfreq(n, 1 / n)

        def phases(k: NDArray[np.floating], offset: NDArray[np.floating]) -> NDArray[np.complex64]:
            turned = np.exp(2j * np.pi * offset[:, None] * k) * (1 - 2 * (k % 2))
            return turned.astype(np.complex64)

        return phases(along_x.astype(np.float64), shift[:, 0]), phases(along_y, shift[:, 1])

    def _shares(self, turn: NDArray[np.float64]) -> NDArray[np.int64]:
        """Planes at which one thread's share ends and the next begins: as much work for each."""
        threads = min(numba.get_num_threads(), 2 * self._reach + 1)
        step = max(1, len(turn) // _PROBE_IMAGES)
        x, z = (self._probe @ turn[::step, :, axis].T for axis in (0, 2))
        parts = np.arange(1, threads) / threads
        cuts = np.quantile(np.where(x < 0, -z, z), parts) if len(turn) else np.zeros(threads - 1)
        planes = np.clip(np.ceil(cuts) + self._reach, 0, 2 * self._reach + 1)
        return np.concatenate([[0], planes, [2 * self._reach + 1]]).astype(np.int64)


def _coefficients(
    box_size_px: int,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Lines of the half-plane within Nyquist, see `insert_slices`, and kx, ky of the m of them."""
    half = box_size_px // 2
    lines, kx, ky = [], [], []
    for number in range(box_size_px):
        signed = number if number < half else number - box_size_px
        if abs(signed) >= half:
            continue
        count = math.ceil(math.sqrt(half**2 - signed**2))  # |k| < Nyquist
        lines.append((number, signed, count))
        kx.append(np.arange(count, dtype=np.float64))
        ky.append(np.full(count, float(signed)))
    return np.array(lines, dtype=np.int64), np.concatenate(kx), np.concatenate(ky)


def _probe(kx: NDArray[np.float64], ky: NDArray[np.float64]) -> NDArray[np.float64]:
    """A few coefficients, (., 2) kx and ky, spread evenly over all of them."""
    some = np.linspace(0, len(kx) - 1, _PROBE_POINTS).astype(np.int64)
    return np.stack([kx[some], ky[some]], axis=1)
