"""Restraints: bonds, side chains, elastic networks, geometry and clashes as one family of pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cryoscope.data import InputError
from cryoscope.models.coarse_grain import Beads
from cryoscope.models.pair_energies import clash_energies, pair_energies, pair_variances
from cryoscope.models.pair_kernels import MIN_SQUARE_A2
from cryoscope.models.pair_lists import (
    all_pairs,
    bonded_pairs,
    chain_of_pairs,
    distances_A,
    drawn_pairs,
    elastic_pairs,
    in_beads,
    nearest_pairs,
    watched_pairs,
)
from cryoscope.models.whole_batch import batch_count, batch_sum, whole_batch

#: Shapes whose mean is taken over the pairs that clash, as in cryoSTAR's code.
_CLASHES = ("repulsive", "linear")
#: First word of the stream of random pairs.
_STREAM = 20240


class PairPotential(nn.Module):
    """Energy of a list of pairs as a function of their distances d.

    Shapes: ``quadratic`` (d - d0)^2; ``robust`` (Geman-McClure) the same divided by
    ``1 + (d - d0)^2 / width^2``; ``log`` ln(d^2 / d0^2)^2 (Prins eq. 1, whose prefactor must be
    2 / (N (N - 1)), i.e. the mean); ``one-sided`` max(d - d0, 0)^2 (Cryofold eq. 3);
    ``repulsive`` max(d0 - d, 0)^2 (cryoSTAR); ``linear`` max(d0 - d, 0) (DynaMight).

    Parameters
    ----------
    pairs
        (P, 2) bead indices.
    d0_A
        (P,) reference distances.
    shape, width_A
        See above.
    reduce
        ``sum`` or ``mean`` over the pairs that are not set free. Of the two repulsive shapes it
        is the mean over the pairs that clash, in all structures of the batch together (as in
        cryoSTAR's code).
    release_fraction
        The share of pairs that varies most over the batch is set free. Refreshed every
        ``gate_every`` calls; part of the state.
    release_by
        What varies: ``distance`` (cryoSTAR eq. 7), or ``error``, (d - d0)^2 (its code). A pair
        that is displaced alike in every structure never varies, and is never set free.
    group
        (P,) the share is taken within each group; pairs of group -1 are never set free. Without,
        all pairs are one group.

    Attributes
    ----------
    gate
        (P,) 1 for pairs that hold, 0 for those set free.
    """

    pairs: Tensor
    d0_A: Tensor
    group: Tensor
    gate: Tensor
    calls: Tensor

    def __init__(
        self,
        pairs: NDArray[np.int64],
        d0_A: NDArray[np.float64],
        *,
        shape: str = "quadratic",
        width_A: float = 1.0,
        reduce: str = "sum",
        release_fraction: float = 0.0,
        release_by: str = "distance",
        group: NDArray[np.int64] | None = None,
        gate_every: int = 8,
    ) -> None:
        super().__init__()
        self.shape, self.width_A, self.reduce = shape, float(width_A), reduce
        self.release_fraction, self.gate_every = release_fraction, gate_every
        self.release_by = release_by
        if group is None:
            group = np.zeros(len(pairs), dtype=np.int64)
        self.register_buffer("pairs", torch.as_tensor(pairs), persistent=False)
        self.register_buffer("d0_A", torch.as_tensor(d0_A).float(), persistent=False)
        self.register_buffer("group", torch.as_tensor(group), persistent=False)
        self.register_buffer("gate", torch.ones(len(pairs)))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    @property
    def kept_fraction(self) -> float:
        """Share of the pairs that hold."""
        return float(self.gate.mean()) if len(self.gate) > 0 else 1.0

    def forward(self, positions_A: Tensor) -> Tensor:
        """(B, N, 3) positions -> (B,) energies."""
        if self.training and self.release_fraction > 0 and len(self.pairs) > 0:
            if int(self.calls) % self.gate_every == 0:
                self._refresh_gate(whole_batch(positions_A))
            self.calls += 1
        energy, strained = pair_energies(
            positions_A, self.pairs, self.d0_A, self.gate, self.shape, self.width_A
        )
        if self.reduce == "sum":
            return energy
        if self.shape in _CLASHES:
            return _mean_of_clashes(energy, strained)
        return energy / self.gate.sum().clamp_min(1)

    def _refresh_gate(self, positions_A: Tensor) -> None:
        variance = pair_variances(
            positions_A, self.pairs, self.d0_A, of_error=self.release_by == "error"
        )
        self.gate.fill_(1.0)
        for group in torch.unique(self.group).tolist():
            members = torch.nonzero(self.group == group).squeeze(1)
            if group < 0:
                continue
            keep = max(1, round(len(members) * (1 - self.release_fraction)))
            limit = variance[members].kthvalue(keep).values
            self.gate[members] = (variance[members] <= limit).float()


class SampledPotential(nn.Module):
    """All pairs of the trace, by a fresh random share of them at every step.

    Mean and sum are those of the pairs drawn, scaled so that their expectation is that over all
    pairs. Each call while training draws anew; otherwise the pairs of the next draw are used.

    Parameters
    ----------
    trace
        (K,) beads of the trace.
    reference_A
        (K, 3) their reference positions.
    pair_count
        Pairs per draw.
    length_A
        Rest length of all pairs; 0 = as in the reference.
    shape, width_A, reduce
        As of :class:`PairPotential`.
    """

    draws: Tensor

    def __init__(
        self,
        trace: NDArray[np.int64],
        reference_A: NDArray[np.float64],
        pair_count: int,
        *,
        length_A: float = 0.0,
        shape: str = "log",
        width_A: float = 1.0,
        reduce: str = "sum",
    ) -> None:
        super().__init__()
        self.trace, self.reference_A = trace, reference_A
        self.pair_count, self.length_A = pair_count, length_A
        self.shape, self.width_A, self.reduce = shape, float(width_A), reduce
        self.register_buffer("draws", torch.zeros((), dtype=torch.int64))

    def forward(self, positions_A: Tensor) -> Tensor:
        """(B, N, 3) positions -> (B,) energies."""
        beads = len(self.trace)
        drawn = drawn_pairs(beads, self.pair_count, (_STREAM, int(self.draws)))
        if self.training:
            self.draws += 1
        pairs = torch.from_numpy(in_beads(drawn, self.trace))
        rest_A = torch.from_numpy(_rest_lengths(self.reference_A, drawn, self.length_A)).float()
        device = positions_A.device
        energy, _ = pair_energies(
            positions_A,
            pairs.to(device),
            rest_A.to(device),
            torch.ones(self.pair_count, device=device),
            self.shape,
            self.width_A,
        )
        mean = energy / self.pair_count
        return mean if self.reduce == "mean" else mean * (beads * (beads - 1) / 2)


class ClashPotential(nn.Module):
    """Repulsion of all non-bonded trace beads that are now closer than ``distance``.

    Parameters
    ----------
    bonded
        (K - 1,) whether consecutive trace beads are bonded.
    distance_A
        Where repulsion begins.
    trace
        (K,) beads of the trace; without, every bead.
    shape
        ``repulsive`` (distance - d)^2, or ``linear`` (distance - d).
    reduce
        ``sum``, or ``mean`` over the pairs that clash in the batch.
    """

    bonded: Tensor
    trace: Tensor

    def __init__(
        self,
        bonded: NDArray[np.bool_],
        distance_A: float = 4.0,
        *,
        trace: NDArray[np.int64] | None = None,
        shape: str = "repulsive",
        reduce: str = "sum",
    ) -> None:
        super().__init__()
        self.distance_A, self.shape, self.reduce = float(distance_A), shape, reduce
        every = np.arange(len(bonded) + 1)
        trace = every if trace is None else trace
        self.leading = bool(np.array_equal(trace, every))
        self.register_buffer("bonded", torch.as_tensor(bonded), persistent=False)
        self.register_buffer("trace", torch.as_tensor(trace), persistent=False)

    def forward(self, positions_A: Tensor) -> Tensor:
        """(B, N, 3) positions -> (B,) energies."""
        count = len(self.trace)
        if not self.leading:
            positions_A = positions_A.index_select(1, self.trace)
        elif positions_A.shape[1] > count:
            positions_A = positions_A[:, :count]
        energy, strained = clash_energies(positions_A, self.bonded, self.distance_A, self.shape)
        return energy if self.reduce == "sum" else _mean_of_clashes(energy, strained)


def make_restraint(beads: Beads, settings: Any) -> nn.Module:
    """The restraint that settings ask for, without its weight: (B, N, 3) -> (B,).

    Parameters
    ----------
    beads
        N beads; pairs are of their backbone trace, but for side chains.
    settings
        A ``RestraintConfig``.

    Raises
    ------
    InputError
        Side chains without side-chain beads, or more pairs than can be held.
    """
    if settings.pairs in ("clash", "repulsion"):
        return ClashPotential(
            beads.bonded,
            settings.cutoff_A,
            trace=beads.trace,
            shape="linear" if settings.pairs == "repulsion" else "repulsive",
            reduce=settings.reduce,
        )
    options = {"shape": settings.shape, "width_A": settings.width_A, "reduce": settings.reduce}
    reference_A = beads.anchor_A[beads.trace]
    if settings.pairs == "geometry" and settings.sample == "random":
        count, every = settings.pair_count, len(beads.trace) * (len(beads.trace) - 1) // 2
        if count < every:
            return SampledPotential(
                beads.trace, reference_A, count, length_A=settings.length_A, **options
            )
    if settings.pairs == "side-chains":
        return PairPotential(*_side_chains(beads, settings.length_A), **options)
    pairs = _trace_pairs(beads, reference_A, settings)
    rest_A = _rest_lengths(reference_A, pairs, settings.length_A)
    if settings.pairs == "clash-static":
        rest_A = np.full(len(pairs), float(settings.cutoff_A))
    elastic = settings.pairs == "elastic"
    return PairPotential(
        in_beads(pairs, beads.trace),
        rest_A,
        release_fraction=settings.release_fraction if elastic else 0.0,
        release_by=settings.release_by,
        group=chain_of_pairs(beads.chain, pairs) if settings.release_per_chain else None,
        **options,
    )


def centring(positions_A: Tensor) -> Tensor:
    """(B,) mean over x, y and z of the squared centroid of (B, N, 3) positions (Prins' code)."""
    return positions_A.mean(1).square().mean(1)


def _trace_pairs(
    beads: Beads, reference_A: NDArray[np.float64], settings: Any
) -> NDArray[np.int64]:
    if settings.pairs == "bonds":
        return bonded_pairs(beads.bonded)
    if settings.pairs == "elastic":
        return elastic_pairs(reference_A, beads.bonded, settings.cutoff_A)
    if settings.pairs == "clash-static":
        return watched_pairs(reference_A, beads.bonded)
    if settings.sample == "nearest":
        return nearest_pairs(reference_A, settings.pair_count)
    return all_pairs(len(reference_A))


def _side_chains(beads: Beads, length_A: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    if len(beads.side_chains) == 0:
        raise InputError(
            "the side-chain restraint has no side-chain beads to hold",
            cure="Give a model with side chains and set beads.coarse_grain to CA+SC, or the weight "
            "of this restraint to 0",
        )
    longest_A = beads.side_chain_length_A
    return beads.side_chains, np.full(len(longest_A), length_A) if length_A > 0 else longest_A


def _rest_lengths(
    reference_A: NDArray[np.float64], pairs: NDArray[np.int64], length_A: float
) -> NDArray[np.float64]:
    if length_A > 0:
        return np.full(len(pairs), float(length_A))
    return distances_A(reference_A, pairs).clip(min=MIN_SQUARE_A2**0.5)


def _mean_of_clashes(energy: Tensor, strained: Tensor) -> Tensor:
    """(B,) energies whose mean is that of all clashing pairs of the batch."""
    return energy * (batch_count(energy) / batch_sum(strained).clamp_min(1))
