"""Atoms to the coefficients of a band by gridding: exact to 1e-4, many times faster on the CPU.

Atoms of each element are spread with a compact window on a grid a little finer than the band
needs; its Fourier transform, divided by that of the window, is the sum of the atoms' phases
(a non-uniform FFT of type 1), which the element's form factor multiplies. The window is Kaiser's
and Bessel's with the width of Beatty et al. (2005), doi:10.1109/TMI.2005.848376, eq. 5.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import next_fast_len
from scipy.special import i0, i1
from torch import Tensor

from cryoscope.physics.atom_kernels import WINDOW_PX, gather_atoms, spread_atoms
from cryoscope.physics.atoms import form_factors, project_atoms_fourier
from cryoscope.physics.fourier import Band

#: Samples of the grid per sample that the band needs, at least.
OVERSAMPLING = 1.5
_ROWS = 513
#: Images whose grids are held at a time.
_AT_ONCE = 8


def project_atoms_band(
    xy_A: Tensor,
    element_type: Tensor,
    scattering_a_A: Tensor,
    scattering_b_A2: Tensor,
    band: Band,
    *,
    b_factor_A2: Tensor | float = 0.0,
) -> Tensor:
    """Coefficients in a band of the projection of atoms: ``band.transform`` of the image.

    By gridding on the CPU in float32, else by ``physics.atoms.project_atoms_fourier`` up to the
    band's limit. Atoms are periodic in the box.

    Parameters
    ----------
    xy_A
        (B, n, 2) positions in the image plane, shifts added.
    element_type
        (n,) row of each atom in the coefficient tables.
    scattering_a_A, scattering_b_A2
        (types, 5), see :func:`~cryoscope.physics.atoms.form_factors`.
    b_factor_A2
        Blur of every atom, ``exp(-B k^2 / 4)``; may be learned.

    Returns
    -------
    (B, m) complex.
    """
    if xy_A.device.type == "cpu" and xy_A.dtype == torch.float32:
        factors = form_factors(scattering_a_A, scattering_b_A2, band.k_per_A)
        factors = factors * torch.exp(-0.25 * b_factor_A2 * band.k_per_A**2)
        return _grid(xy_A, element_type, factors, band)
    order_y, order_x = _orders(band)
    largest = int(torch.maximum(order_x, order_y.abs()).max())
    tables = (element_type, scattering_a_A, scattering_b_A2)
    box = (band.box_size_px, band.pixel_size_A)
    coefficients = project_atoms_fourier(
        xy_A, *tables, *box, b_factor_A2=b_factor_A2, largest_order=largest
    )
    rows = coefficients.shape[1]
    chosen = coefficients.flatten(1)[:, (order_y % rows) * (largest + 1) + order_x]
    return torch.view_as_complex(torch.view_as_real(chosen) * _parts(band, xy_A.dtype))


def _grid(xy_A: Tensor, element_type: Tensor, factors: Tensor, band: Band) -> Tensor:
    order_y, order_x = _orders(band)
    side_A = band.box_size_px * band.pixel_size_A
    needed = 2 * int(torch.maximum(order_x, order_y.abs()).max())
    half = max(math.ceil(OVERSAMPLING * needed / 2), WINDOW_PX)
    n = 2 * int(next_fast_len(half, real=True))
    # the origin is in the centre of the grid
    sign = 1.0 - 2.0 * ((order_x + order_y) % 2)
    window = _window_transform(order_x, n) * _window_transform(order_y, n)
    scale = sign * n / (band.box_size_px * band.pixel_size_A**2) / window
    weights = (factors * scale)[..., None] * _parts(band, torch.float32)
    xy_px = xy_A * (n / side_A) + n // 2
    index = (order_y % n) * (n // 2 + 1) + order_x
    coefficients: Tensor = _Gridding.apply(xy_px, weights, element_type, index, n)  # type: ignore[no-untyped-call]
    return coefficients


def _orders(band: Band) -> tuple[Tensor, Tensor]:
    """(m,) signed orders ky and kx of the coefficients; ky at Nyquist is negative."""
    half = band.box_size_px // 2
    row, column = band.index // (half + 1), band.index % (half + 1)
    return (row + half) % band.box_size_px - half, column


def _parts(band: Band, dtype: torch.dtype) -> Tensor:
    """(m, 2) ones, but zero for the imaginary part of what is its own mirror in the box."""
    half = band.box_size_px // 2
    order_y, order_x = _orders(band)
    own = (order_y % half == 0) & (order_x % half == 0)
    return torch.stack([torch.ones_like(own), ~own], dim=1).to(dtype)


def _beta() -> float:
    """Shape of the window for its width and the oversampling (Beatty et al., eq. 5)."""
    inner = (WINDOW_PX / OVERSAMPLING * (OVERSAMPLING - 0.5)) ** 2 - 0.8
    return math.pi * math.sqrt(inner)


def _window_transform(order: Tensor, n: int) -> Tensor:
    """Fourier transform of the window at ``order`` periods in ``n`` samples."""
    root = torch.sqrt(_beta() ** 2 - (math.pi * WINDOW_PX * order.double() / n) ** 2)
    return (WINDOW_PX * torch.sinh(root) / (root * float(i0(_beta())))).float()


@lru_cache(maxsize=1)
def _tables() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(rows, WINDOW_PX) values of the window, and their derivatives by the atom's position."""
    fraction = np.linspace(0, 1, _ROWS)[:, None]
    offset = fraction + np.arange(WINDOW_PX) - WINDOW_PX / 2
    root = np.sqrt(np.clip(1 - (2 * offset / WINDOW_PX) ** 2, 1e-12, None))
    value = i0(_beta() * root) / i0(_beta())
    slope = _beta() * i1(_beta() * root) / i0(_beta()) * 4 * offset / (WINDOW_PX**2 * root)
    return value.astype(np.float32), slope.astype(np.float32)


class _Gridding(torch.autograd.Function):
    """(B, N, 2) positions in samples and (T, m, 2) weights -> (B, m) weighted coefficients.

    A few images at a time, so that their grids stay in the cache.
    """

    @staticmethod
    def forward(
        ctx: Any, xy_px: Tensor, weights: Tensor, element_type: Tensor, index: Tensor, n: int
    ) -> Tensor:
        xy_px = xy_px.contiguous()
        keep = ctx.needs_input_grad[1]
        result = torch.empty(len(xy_px), len(index), 2)
        spectra = torch.empty(len(xy_px) if keep else 0, *weights.shape)
        for part in _parts_of(len(xy_px)):
            grids = torch.empty(len(xy_px[part]), len(weights), n, n)
            spread_atoms(xy_px[part].numpy(), element_type.numpy(), _tables()[0], grids.numpy())
            half = torch.fft.rfft2(grids, norm="ortho").flatten(2)
            chosen = torch.view_as_real(half.index_select(2, index))
            torch.sum(chosen * weights, 1, out=result[part])
            if keep:
                spectra[part] = chosen
        ctx.save_for_backward(xy_px, weights, element_type, index, spectra)
        ctx.n = n
        return torch.view_as_complex(result)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None, None, None, None]:
        xy_px, weights, element_type, index, spectra = ctx.saved_tensors
        n = ctx.n
        grad_xy = torch.empty_like(xy_px)
        gradient = torch.view_as_real(grad.contiguous())[:, None]
        # irfft2 counts every column but the first twice
        once = weights * torch.where(index % (n // 2 + 1) == 0, 1.0, 0.5)[:, None]
        for part in _parts_of(len(xy_px)):
            chosen = torch.view_as_complex(gradient[part] * once)
            half = torch.zeros(*chosen.shape[:2], n * (n // 2 + 1), dtype=torch.complex64)
            half.index_copy_(2, index, chosen)
            grids = torch.fft.irfft2(half.unflatten(2, (n, -1)), s=(n, n), norm="ortho")
            gather_atoms(
                xy_px[part].numpy(),
                element_type.numpy(),
                *_tables(),
                grids.numpy(),
                grad_xy[part].numpy(),
            )
        grad_weights = (spectra * gradient).sum(0) if ctx.needs_input_grad[1] else None
        return grad_xy, grad_weights, None, None, None


def _parts_of(count: int) -> list[slice]:
    return [slice(first, first + _AT_ONCE) for first in range(0, count, _AT_ONCE)]
