"""The one FFT pair, frequency grids and the band of Fourier coefficients that is trained on.

DC is in the corner, the real-space origin in the centre of the box (convention 6). Transforms are
orthonormal: white noise of variance 1 per pixel has E|F|^2 = 1 per coefficient, and sums of squares
are equal on both sides (Parseval).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor


def frequencies_per_A(
    box_size_px: int, pixel_size_A: float, device: torch.device | str = "cpu"
) -> tuple[Tensor, Tensor]:
    """Frequencies of the half-plane in 1/A: ``kx`` (n // 2 + 1,) and ``ky`` (n,)."""
    kx = torch.fft.rfftfreq(box_size_px, pixel_size_A, device=device)
    ky = torch.fft.fftfreq(box_size_px, pixel_size_A, device=device)
    return kx, ky


def checkerboard(box_size_px: int, device: torch.device | str = "cpu") -> Tensor:
    """(n, n // 2 + 1) signs that move the real-space origin from the corner to sample n // 2."""
    y = torch.arange(box_size_px, device=device)[:, None]
    x = torch.arange(box_size_px // 2 + 1, device=device)[None, :]
    return 1.0 - 2.0 * ((x + y) % 2).to(torch.float32)


def rfft2_centred(images: Tensor) -> Tensor:
    """(..., n, n) real images -> (..., n, n // 2 + 1) coefficients about the centre of the box."""
    n = images.shape[-1]
    return torch.fft.rfft2(images, norm="ortho") * checkerboard(n, images.device)


def irfft2_centred(coefficients: Tensor) -> Tensor:
    """Inverse of :func:`rfft2_centred`."""
    n = coefficients.shape[-2]
    signed = coefficients * checkerboard(n, coefficients.device)
    return torch.fft.irfft2(signed, s=(n, n), norm="ortho")


@dataclass(frozen=True, eq=False)
class Band:
    """The Fourier coefficients of the half-plane up to a band-limit, as a flat list of m.

    Attributes
    ----------
    box_size_px, pixel_size_A
        The box the coefficients belong to.
    index
        (m,) positions in the flattened (n, n // 2 + 1) half-plane.
    kx_per_A, ky_per_A, k_per_A
        (m,) frequency and its length in 1/A.
    shell
        (m,) integer shell number, ``round(|k| n pixel)``.
    weight
        (m,) 2 where a coefficient also stands for its mirror, else 1 (columns that hold both), so
        that ``sum(weight |F|^2)`` is the sum over the whole plane.
    sign
        (m,) checkerboard sign.
    """

    box_size_px: int
    pixel_size_A: float
    index: Tensor
    kx_per_A: Tensor
    ky_per_A: Tensor
    k_per_A: Tensor
    shell: Tensor
    weight: Tensor
    sign: Tensor

    def __len__(self) -> int:
        return len(self.index)

    def to(self, device: torch.device | str) -> Band:
        """The same band on another device."""
        moved: dict[str, Any] = {
            f.name: value.to(device)
            if isinstance(value := getattr(self, f.name), Tensor)
            else value
            for f in fields(self)
        }
        return Band(**moved)

    @property
    def shell_count(self) -> int:
        """Number of shells, DC included."""
        return int(self.shell.max()) + 1

    def transform(self, images: Tensor) -> Tensor:
        """(B, n, n) real images -> (B, m) complex coefficients about the centre of the box."""
        return _BandTransform.apply(images, self)  # type: ignore[no-untyped-call]

    def embed(self, coefficients: Tensor) -> Tensor:
        """(B, m) coefficients -> (B, n, n) band-limited real images (inverse of transform)."""
        return self._embed(coefficients * self.sign)

    def _embed(self, signed: Tensor) -> Tensor:
        n = self.box_size_px
        half = signed.new_zeros(len(signed), n * (n // 2 + 1))
        half.index_copy_(1, self.index, signed)
        return torch.fft.irfft2(half.view(-1, n, n // 2 + 1), s=(n, n), norm="ortho")


def make_band(
    box_size_px: int,
    pixel_size_A: float,
    resolution_A: float = 0.0,
    *,
    with_dc: bool = True,
    device: torch.device | str = "cpu",
) -> Band:
    """The coefficients with |k| <= 1 / resolution_A (0 = Nyquist, the inscribed circle)."""
    kx, ky = frequencies_per_A(box_size_px, pixel_size_A, device)
    nyquist_per_A = 0.5 / pixel_size_A
    limit_per_A = min(1.0 / resolution_A, nyquist_per_A) if resolution_A > 0 else nyquist_per_A
    k = torch.sqrt(ky[:, None] ** 2 + kx[None, :] ** 2)
    inside = k <= limit_per_A * (1 + 1e-6)
    # On the columns kx = 0 and kx = Nyquist every coefficient has its mirror in the same column.
    column_weight = torch.full_like(kx, 2.0)
    column_weight[0] = column_weight[-1] = 1.0
    if not with_dc:
        inside[0, 0] = False
    index = torch.nonzero(inside.flatten()).squeeze(1)
    grid_y, grid_x = torch.meshgrid(ky, kx, indexing="ij")
    return Band(
        box_size_px=box_size_px,
        pixel_size_A=float(pixel_size_A),
        index=index,
        kx_per_A=grid_x.flatten()[index],
        ky_per_A=grid_y.flatten()[index],
        k_per_A=k.flatten()[index],
        shell=torch.round(k.flatten()[index] * box_size_px * pixel_size_A).long(),
        weight=column_weight.expand(len(ky), -1).flatten()[index],
        sign=checkerboard(box_size_px, device).flatten()[index],
    )


class _BandTransform(torch.autograd.Function):
    """rfft2 and gather; backward is one inverse real FFT, where torch's own is a complex one."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, band: Band) -> Tensor:
        ctx.band = band
        half = torch.fft.rfft2(images, norm="ortho").flatten(1)
        return half.index_select(1, band.index) * band.sign

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        # irfft2 counts every column but the first and last twice: divide by that.
        band: Band = ctx.band
        return band._embed(gradient * (band.sign / band.weight)), None
