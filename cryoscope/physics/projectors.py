"""Gaussian beads to images: a fast local splat and the dense separable reference.

Both evaluate ``A (2 pi s^2)^-1 exp(-r^2 / 2 s^2)`` (convention 9 summed over z) at the pixel
centres of a box whose origin is sample n // 2, in mass per A^2.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cryoscope.physics.splat_kernels import (
    MAX_WINDOW_PX,
    splat_backward,
    splat_forward,
    window_number,
)

#: Standard deviations before which no bead is cut off; the error stays below 1e-3 of the image.
REACH = 4.3


def project_dense(
    xy_A: Tensor, amplitude: Tensor, sigma_A: Tensor, box_size_px: int, pixel_size_A: float
) -> Tensor:
    """Dense separable projection, one batched GEMM (cryoSTAR's way): the reference, and the GPU's.

    Parameters
    ----------
    xy_A
        (B, N, 2) bead positions in the image plane.
    amplitude, sigma_A
        (N,) mass and width.

    Returns
    -------
    (B, n, n) images [y, x].
    """
    centre = box_size_px // 2
    grid_A = (torch.arange(box_size_px, device=xy_A.device, dtype=xy_A.dtype) - centre) * (
        pixel_size_A
    )
    rate = (0.5 / sigma_A**2)[None, :, None]
    gx = torch.exp(-rate * (grid_A - xy_A[..., 0:1]) ** 2)
    gy = torch.exp(-rate * (grid_A - xy_A[..., 1:2]) ** 2)
    peak = (amplitude / (2 * math.pi * sigma_A**2))[None, :, None]
    return torch.bmm((gy * peak).transpose(1, 2), gx)


def project_splat(
    xy_A: Tensor,
    amplitude: Tensor,
    sigma_A: Tensor,
    box_size_px: int,
    pixel_size_A: float,
    *,
    reach: float = REACH,
) -> Tensor:
    """Local projection on the CPU; arguments and result as :func:`project_dense`.

    Raises
    ------
    ValueError
        When a bead is wider than the kernel's window allows.
    """
    _check_window(float(sigma_A.detach().max()), pixel_size_A, reach)
    images: Tensor = _Splat.apply(xy_A, amplitude, sigma_A, box_size_px, pixel_size_A, reach)  # type: ignore[no-untyped-call]
    return images


def project_beads(
    xy_A: Tensor, amplitude: Tensor, sigma_A: Tensor, box_size_px: int, pixel_size_A: float
) -> Tensor:
    """The faster projector of the device: splat on the CPU, dense GEMM on a GPU."""
    project = project_splat if xy_A.device.type == "cpu" else project_dense
    return project(xy_A, amplitude, sigma_A, box_size_px, pixel_size_A)


def gather_at_beads(
    images: Tensor, xy_A: Tensor, sigma_A: float, pixel_size_A: float, *, reach: float = 2.5
) -> tuple[Tensor, Tensor]:
    """What images show at the places of beads: the transpose of the projection, and its slope.

    Parameters
    ----------
    images
        (B, n, n).
    xy_A
        (B, N, 2) places in the image plane.
    sigma_A
        Width of the Gaussian window at each place.
    pixel_size_A
        Of the images.
    reach
        Standard deviations after which the window is cut off.

    Returns
    -------
    (B, N) window averages, and (B, N, 2) their derivatives along x and y in 1/A. No gradient.

    Raises
    ------
    ValueError
        When the window is wider than the kernel allows (CPU).
    """
    gather = _gather_local if images.device.type == "cpu" else gather_dense
    return gather(images.detach(), xy_A.detach(), sigma_A, pixel_size_A, reach)


def gather_dense(
    images: Tensor, xy_A: Tensor, sigma_A: float, pixel_size_A: float, reach: float
) -> tuple[Tensor, Tensor]:
    """As :func:`gather_at_beads`, in plain torch: the kernel's reference, and the GPU's way."""
    samples = torch.arange(images.shape[-1], device=images.device, dtype=xy_A.dtype)
    grid_A = (samples - images.shape[-1] // 2) * pixel_size_A
    offset_A = grid_A - xy_A[..., None]  # (B, N, 2, n)
    profile = torch.exp(-0.5 * (offset_A / sigma_A) ** 2)
    profile = profile * (offset_A.abs() <= reach * sigma_A) * pixel_size_A
    profile = profile / (math.sqrt(2 * math.pi) * sigma_A)
    slope = profile * offset_A / sigma_A**2
    rows = torch.bmm(profile[:, :, 1], images)  # (B, N, n) over x
    value = (rows * profile[:, :, 0]).sum(-1)
    along_x = (rows * slope[:, :, 0]).sum(-1)
    along_y = (torch.bmm(slope[:, :, 1], images) * profile[:, :, 0]).sum(-1)
    return value, torch.stack([along_x, along_y], dim=-1)


def _gather_local(
    images: Tensor, xy_A: Tensor, sigma_A: float, pixel_size_A: float, reach: float
) -> tuple[Tensor, Tensor]:
    """As :func:`gather_at_beads`, by the kernel of the splat's gradient."""
    _check_window(sigma_A, pixel_size_A, reach)
    box_size_px, sigma_px = images.shape[-1], sigma_A / pixel_size_A
    unit = 1 / (2 * math.pi * sigma_px**2)
    count = xy_A.shape[1]
    slope, sums = torch.empty_like(xy_A), torch.empty_like(xy_A)
    splat_backward(
        xy_A.contiguous().numpy(),
        pixel_size_A,
        np.full(count, unit / (sigma_px**2 * pixel_size_A), np.float32),
        np.full(count, sigma_px, np.float32),
        reach,
        True,
        window_number(sigma_px, reach, box_size_px),
        images.contiguous().numpy(),
        slope.numpy(),
        sums.numpy(),
    )
    return sums[..., 0] * unit, slope


def _check_window(sigma_A: float, pixel_size_A: float, reach: float) -> None:
    if 2 * reach * sigma_A / pixel_size_A > MAX_WINDOW_PX - 2:
        raise ValueError(f"a bead of sigma {sigma_A:.1f} A is too wide for the kernels")


class _Splat(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        xy_A: Tensor,
        amplitude: Tensor,
        sigma_A: Tensor,
        box_size_px: int,
        pixel_size_A: float,
        reach: float,
    ) -> Tensor:
        places = xy_A.detach().float().contiguous()
        sigma_px = (sigma_A.detach().float() / pixel_size_A).contiguous()
        unit = 1 / (2 * math.pi * (sigma_px * pixel_size_A) ** 2)
        peak = (amplitude.detach().float() * unit).contiguous()
        images = torch.zeros(len(places), box_size_px, box_size_px)
        window = window_number(float(sigma_px.max()), reach, box_size_px)
        splat_forward(
            places.numpy(),
            pixel_size_A,
            peak.numpy(),
            sigma_px.numpy(),
            reach,
            window,
            images.numpy(),
        )
        ctx.save_for_backward(places, peak, unit, sigma_px)
        ctx.pixel_size_A, ctx.reach, ctx.window = pixel_size_A, reach, window
        return images

    @staticmethod
    def backward(ctx: Any, grad_images: Tensor) -> tuple[Tensor | None, ...]:
        places, peak, unit, sigma_px = ctx.saved_tensors
        grad_xy = torch.empty_like(places)
        want_bead = ctx.needs_input_grad[1] or ctx.needs_input_grad[2]
        sums = places.new_empty(len(places), places.shape[1] if want_bead else 0, 2)
        splat_backward(
            places.numpy(),
            ctx.pixel_size_A,
            (peak / (sigma_px**2 * ctx.pixel_size_A)).numpy(),
            sigma_px.numpy(),
            ctx.reach,
            False,
            ctx.window,
            grad_images.contiguous().numpy(),
            grad_xy.numpy(),
            sums.numpy(),
        )
        if not want_bead:
            return grad_xy, None, None, None, None, None
        total, second = sums.sum(0).unbind(1)
        grad_sigma = peak * (second / sigma_px**3 - 2 * total / sigma_px) / ctx.pixel_size_A
        return grad_xy, unit * total, grad_sigma, None, None, None
