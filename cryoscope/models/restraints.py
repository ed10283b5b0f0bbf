"""Pair potentials: bonds, elastic networks and clashes as one family."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor, nn

from cryoscope.models.pair_kernels import (
    LOG,
    MIN_SQUARE_A2,
    QUADRATIC,
    ROBUST,
    clash_energy,
    distance_variance,
    pair_energy,
)

Array = NDArray[Any]
Kernel = Callable[[Array, Array], Array]

_SHAPES = {"quadratic": QUADRATIC, "robust": ROBUST, "log": LOG}


def bonded_pairs(bonded: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(P, 2) consecutive residues that are bonded."""
    first = np.flatnonzero(bonded)
    return np.stack([first, first + 1], axis=1)


def elastic_pairs(
    anchor_A: NDArray[np.float64], bonded: NDArray[np.bool_], cutoff_A: float
) -> NDArray[np.int64]:
    """(P, 2) pairs closer than the cutoff in the reference, bonded neighbours left out."""
    pairs = cKDTree(anchor_A).query_pairs(cutoff_A, output_type="ndarray").astype(np.int64)
    neighbours = np.zeros(len(anchor_A), dtype=bool)
    neighbours[:-1] = bonded
    low = pairs.min(axis=1)
    keep = ~((np.abs(pairs[:, 0] - pairs[:, 1]) == 1) & neighbours[low])
    pairs = np.sort(pairs[keep], axis=1)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


class PairPotential(nn.Module):
    """Energy of a list of pairs about their reference distances, summed per structure.

    Shapes: ``quadratic`` (d - d0)^2; ``robust`` (Geman-McClure) the same divided by
    ``1 + (d - d0)^2 / width^2``; ``log`` ln(d^2 / d0^2)^2 (Prins eq. 1).

    Parameters
    ----------
    pairs
        (P, 2) bead indices.
    d0_A
        (P,) reference distances.
    shape, width_A
        See above.
    release_fraction
        The share of pairs whose distance varies most over the batch is set free (as in cryoSTAR,
        by the variance of the distance). Refreshed every ``gate_every`` calls; part of the state.
    """

    pairs: Tensor
    d0_A: Tensor
    gate: Tensor
    calls: Tensor

    def __init__(
        self,
        pairs: NDArray[np.int64],
        d0_A: NDArray[np.float64],
        *,
        shape: str = "quadratic",
        width_A: float = 1.0,
        release_fraction: float = 0.0,
        gate_every: int = 8,
    ) -> None:
        super().__init__()
        self.shape, self.width_A = shape, float(width_A)
        self.release_fraction, self.gate_every = release_fraction, gate_every
        self.register_buffer("pairs", torch.as_tensor(pairs), persistent=False)
        self.register_buffer("d0_A", torch.as_tensor(d0_A).float(), persistent=False)
        self.register_buffer("gate", torch.ones(len(pairs)))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, coords_A: Tensor) -> Tensor:
        """(B, N, 3) positions -> (B,) energies."""
        if self.training and self.release_fraction > 0 and len(self.pairs) > 0:
            if int(self.calls) % self.gate_every == 0:
                self._refresh_gate(coords_A.detach())
            self.calls += 1
        if coords_A.device.type == "cpu" and coords_A.dtype == torch.float32:
            energy: Tensor = _KernelEnergy.apply(coords_A, self._kernel)  # type: ignore[no-untyped-call]
            return energy
        return pair_energy_reference(
            coords_A, self.pairs, self.d0_A, self.gate, self.shape, self.width_A
        )

    def _kernel(self, coords_A: Array, gradient: Array) -> Array:
        pairs, d0_A, gate = _numpy(self.pairs), _numpy(self.d0_A), _numpy(self.gate)
        return pair_energy(coords_A, pairs, d0_A, gate, _SHAPES[self.shape], self.width_A, gradient)

    def _refresh_gate(self, coords_A: Tensor) -> None:
        if len(self.pairs) == 0:
            return
        if coords_A.device.type == "cpu":
            variance = torch.from_numpy(distance_variance(_numpy(coords_A), _numpy(self.pairs)))
        else:
            i, j = self.pairs.T
            variance = (coords_A[:, i] - coords_A[:, j]).norm(dim=-1).var(dim=0, unbiased=False)
        keep = max(1, round(len(variance) * (1 - self.release_fraction)))
        limit = variance.kthvalue(keep).values
        self.gate.copy_((variance <= limit).float())


class ClashPotential(nn.Module):
    """Sum of ``(distance - d)^2`` over all non-bonded pairs closer than ``distance``."""

    bonded: Tensor

    def __init__(self, bonded: NDArray[np.bool_], distance_A: float = 4.0) -> None:
        super().__init__()
        self.distance_A = float(distance_A)
        self.register_buffer("bonded", torch.as_tensor(bonded), persistent=False)

    def forward(self, coords_A: Tensor) -> Tensor:
        """(B, N, 3) positions -> (B,) energies."""
        if coords_A.device.type == "cpu" and coords_A.dtype == torch.float32:
            energy: Tensor = _KernelEnergy.apply(coords_A, self._kernel)  # type: ignore[no-untyped-call]
            return energy
        return clash_energy_reference(coords_A, self.bonded, self.distance_A)

    def _kernel(self, coords_A: Array, gradient: Array) -> Array:
        return clash_energy(coords_A, _numpy(self.bonded), self.distance_A, gradient)


def pair_energy_reference(
    coords_A: Tensor, pairs: Tensor, d0_A: Tensor, weight: Tensor, shape: str, width_A: float
) -> Tensor:
    """The pair energies in plain torch: the kernels' reference, and the GPU's way."""
    difference = coords_A[:, pairs[:, 0]] - coords_A[:, pairs[:, 1]]
    square = (difference**2).sum(-1)
    if shape == "log":
        value = torch.log(square.clamp_min(MIN_SQUARE_A2) / d0_A**2) ** 2
    else:
        value = (torch.sqrt(square.clamp_min(1e-12)) - d0_A) ** 2
        if shape == "robust":
            value = value / (1 + value / width_A**2)
    return (value * weight).sum(-1)


def clash_energy_reference(coords_A: Tensor, bonded: Tensor, distance_A: float) -> Tensor:
    """The clash energies in plain torch over all pairs."""
    count = coords_A.shape[1]
    i, j = torch.triu_indices(count, count, 1, device=coords_A.device)
    keep = ~((j - i == 1) & bonded[i.clamp_max(count - 2)])
    i, j = i[keep], j[keep]
    distance = torch.sqrt(((coords_A[:, i] - coords_A[:, j]) ** 2).sum(-1).clamp_min(1e-6))
    return ((distance_A - distance).clamp_min(0) ** 2).sum(-1)


def _numpy(tensor: Tensor) -> Array:
    return tensor.detach().contiguous().numpy()


class _KernelEnergy(torch.autograd.Function):
    """Energies by ``kernel(coords, gradient)``, which fills the gradient in the same pass."""

    @staticmethod
    def forward(ctx: Any, coords_A: Tensor, kernel: Kernel) -> Tensor:
        gradient = torch.zeros_like(coords_A)
        energy = kernel(_numpy(coords_A), gradient.numpy())
        ctx.save_for_backward(gradient)
        return torch.from_numpy(energy).float()

    @staticmethod
    def backward(ctx: Any, grad_energy: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * grad_energy[:, None, None], None
