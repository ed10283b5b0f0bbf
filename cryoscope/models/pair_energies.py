"""Energies of pairs with their gradients: fused kernels on the CPU, plain torch elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numba import get_num_threads
from numpy.typing import NDArray
from torch import Tensor

from cryoscope.models.pair_kernels import (
    LINEAR,
    LOG,
    MIN_SQUARE_A2,
    ONE_SIDED,
    QUADRATIC,
    REPULSIVE,
    ROBUST,
    clash_energy,
    pair_energy,
    pair_variance,
)

Array = NDArray[Any]
Kernel = Callable[[Array, Array], tuple[Array, Array]]

_SHAPES = {
    "quadratic": QUADRATIC,
    "robust": ROBUST,
    "log": LOG,
    "one-sided": ONE_SIDED,
    "repulsive": REPULSIVE,
    "linear": LINEAR,
}


def pair_energies(
    coords_A: Tensor, pairs: Tensor, d0_A: Tensor, weight: Tensor, shape: str, width_A: float
) -> tuple[Tensor, Tensor]:
    """Weighted sums of pair energies of every structure.

    Parameters
    ----------
    coords_A
        (B, N, 3).
    pairs, d0_A, weight
        (P, 2) beads, (P,) reference distances and weights.
    shape, width_A
        As of :class:`~cryoscope.models.restraints.PairPotential`.

    Returns
    -------
    (B,) energies and (B,) numbers of pairs that have one.
    """
    if not _has_kernel(coords_A):
        return pair_energy_reference(coords_A, pairs, d0_A, weight, shape, width_A)
    arrays = (_numpy(pairs), _numpy(d0_A), _numpy(weight), _SHAPES[shape], width_A)

    def kernel(coords: Array, gradient: Array) -> tuple[Array, Array]:
        found: tuple[Array, Array] = pair_energy(coords, *arrays, gradient, get_num_threads())
        return found

    return _KernelEnergy.apply(coords_A, kernel)  # type: ignore[no-untyped-call]


def clash_energies(
    coords_A: Tensor, bonded: Tensor, distance_A: float, shape: str
) -> tuple[Tensor, Tensor]:
    """Energies of all pairs but bonded neighbours closer than a distance; as pair_energies."""
    if not _has_kernel(coords_A):
        return clash_energy_reference(coords_A, bonded, distance_A, shape)
    arrays = (_numpy(bonded), distance_A, _SHAPES[shape])

    def kernel(coords: Array, gradient: Array) -> tuple[Array, Array]:
        found: tuple[Array, Array] = clash_energy(coords, *arrays, gradient)
        return found

    return _KernelEnergy.apply(coords_A, kernel)  # type: ignore[no-untyped-call]


def pair_variances(coords_A: Tensor, pairs: Tensor, d0_A: Tensor, of_error: bool) -> Tensor:
    """(P,) variance over the structures of each pair's distance, or of ``(d - d0)^2``."""
    if not _has_kernel(coords_A):
        return pair_variance_reference(coords_A, pairs, d0_A, of_error)
    arrays = (_numpy(coords_A), _numpy(pairs), _numpy(d0_A))
    return torch.from_numpy(np.asarray(pair_variance(*arrays, of_error)))


def pair_energy_reference(
    coords_A: Tensor, pairs: Tensor, d0_A: Tensor, weight: Tensor, shape: str, width_A: float
) -> tuple[Tensor, Tensor]:
    """As :func:`pair_energies`, in plain torch: the kernel's reference, and the GPU's way."""
    difference = coords_A[:, pairs[:, 0]] - coords_A[:, pairs[:, 1]]
    square = (difference**2).sum(-1)
    if shape == "log":
        value = torch.log(square.clamp_min(MIN_SQUARE_A2) / d0_A**2) ** 2
    else:
        value = _of_strain(torch.sqrt(square.clamp_min(1e-12)) - d0_A, shape, width_A)
    value = value * weight
    return value.sum(-1), (value.detach() > 0).sum(-1)


def _of_strain(strain_A: Tensor, shape: str, width_A: float) -> Tensor:
    if shape == "linear":
        return (-strain_A).clamp_min(0)
    if shape == "one-sided":
        strain_A = strain_A.clamp_min(0)
    elif shape == "repulsive":
        strain_A = strain_A.clamp_max(0)
    square = strain_A**2
    return square / (1 + square / width_A**2) if shape == "robust" else square


def clash_energy_reference(
    coords_A: Tensor, bonded: Tensor, distance_A: float, shape: str = "repulsive"
) -> tuple[Tensor, Tensor]:
    """The clash energies in plain torch over all pairs; the kernel's reference."""
    count = coords_A.shape[1]
    i, j = torch.triu_indices(count, count, 1, device=coords_A.device)
    keep = ~((j - i == 1) & bonded[i.clamp_max(count - 2)])
    pairs = torch.stack([i[keep], j[keep]], dim=1)
    one = coords_A.new_ones(())
    return pair_energy_reference(coords_A, pairs, distance_A * one, one, shape, 1.0)


def pair_variance_reference(
    coords_A: Tensor, pairs: Tensor, d0_A: Tensor, of_error: bool
) -> Tensor:
    """(P,) variance over the structures of distances, or of (d - d0)^2, in plain torch."""
    strain_A = (coords_A[:, pairs[:, 0]] - coords_A[:, pairs[:, 1]]).norm(dim=-1) - d0_A
    varies: Tensor = strain_A**2 if of_error else strain_A
    return varies.var(dim=0, unbiased=False)


def _has_kernel(coords_A: Tensor) -> bool:
    return coords_A.device.type == "cpu" and coords_A.dtype == torch.float32


def _numpy(tensor: Tensor) -> Array:
    return tensor.detach().contiguous().numpy()


class _KernelEnergy(torch.autograd.Function):
    """Energies by ``kernel(coords, gradient)``, which fills the gradient in the same pass."""

    @staticmethod
    def forward(ctx: Any, coords_A: Tensor, kernel: Kernel) -> tuple[Tensor, Tensor]:
        gradient = torch.zeros(coords_A.shape)
        energy, strained = kernel(_numpy(coords_A), gradient.numpy())
        ctx.save_for_backward(gradient)
        count = torch.from_numpy(strained)
        ctx.mark_non_differentiable(count)
        return torch.from_numpy(energy).float(), count

    @staticmethod
    def backward(ctx: Any, grad_energy: Tensor, _: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * grad_energy[:, None, None], None
