"""Bead centres carried by the local frames of their neighbours along the chain."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor, nn

from cryoscope.models.coarse_grain import Beads
from cryoscope.models.frame_kernels import (
    LEAST_ALONG_A,
    LEAST_BEND_A,
    carry_backward,
    carry_forward,
)

#: Trace atoms among which the frame of a residue without a chain is looked for, itself included.
NEIGHBOURS = 8


class CarriedCentres(nn.Module):
    """Bead centres from anchors: each offset turns with the frame of trace atoms i-1, i, i+1.

    A residue's mass is not at its CA (P, C1'); an offset fixed in space would not follow a domain
    that rotates. An anchor may carry two beads; those not of the trace carry one, in their place.
    """

    carrier: Tensor
    before: Tensor
    here: Tensor
    after: Tensor
    local_offset: Tensor

    def __init__(self, beads: Beads) -> None:
        super().__init__()
        corners = np.tile(np.arange(len(beads)), (3, 1))
        corners[:, beads.trace] = beads.trace[
            np.stack(frame_atoms(beads.bonded, beads.anchor_A[beads.trace]))
        ]
        carrier = beads.carrier
        for name, index in zip(("before", "here", "after"), corners[:, carrier], strict=True):
            self.register_buffer(name, torch.as_tensor(index), persistent=False)
        self.register_buffer("carrier", torch.as_tensor(carrier), persistent=False)
        anchor = torch.as_tensor(beads.anchor_A, dtype=torch.float32)
        offset = torch.as_tensor(beads.centre_A - beads.anchor_A[carrier], dtype=torch.float32)
        frames = self._frames(anchor[None])[0]
        self.register_buffer(
            "local_offset", torch.einsum("nij,nj->ni", frames, offset), persistent=False
        )

    def forward(self, anchor_A: Tensor) -> Tensor:
        """(B, N, 3) anchors -> (B, M, 3) bead centres."""
        if anchor_A.device.type == "cpu" and anchor_A.dtype == torch.float32:
            centres_A: Tensor = _Carry.apply(anchor_A, self)  # type: ignore[no-untyped-call]
            return centres_A
        return self.reference(anchor_A)

    def reference(self, anchor_A: Tensor) -> Tensor:
        """The same in plain torch: the kernel's reference, and the GPU's way."""
        offset_A = torch.einsum("bmij,mi->bmj", self._frames(anchor_A), self.local_offset)
        return anchor_A[:, self.carrier] + offset_A

    def _frames(self, anchor_A: Tensor) -> Tensor:
        """(B, M, 3, 3) orthonormal frames, rows e1, e2, e3."""
        return chain_frames(anchor_A, self.before, self.here, self.after)


def chain_frames(anchor_A: Tensor, before: Tensor, here: Tensor, after: Tensor) -> Tensor:
    """Orthonormal frames along a chain.

    Parameters
    ----------
    anchor_A
        (B, N, 3) positions.
    before, here, after
        (M,) three corners of each frame, as from :func:`frame_atoms`.

    Returns
    -------
    (B, M, 3, 3) frames, rows e1 (along the chain), e2 (to the outside of the bend), e3. Axes that
    the corners do not define are zero.
    """
    middle = anchor_A[:, here]
    back = middle - anchor_A[:, before]
    forth = anchor_A[:, after] - middle
    along = nn.functional.normalize(back + forth, dim=-1, eps=LEAST_ALONG_A)
    bend = back - forth
    bend = bend - (bend * along).sum(-1, keepdim=True) * along
    bend = nn.functional.normalize(bend, dim=-1, eps=LEAST_BEND_A)
    return torch.stack([along, bend, torch.linalg.cross(along, bend)], dim=-2)


class _Carry(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, anchor_A: Tensor, carried: CarriedCentres) -> Tensor:
        anchors = anchor_A.detach().contiguous()
        count = len(carried.carrier)
        centres = anchors.new_empty(len(anchors), count, 3)
        frames = anchors.new_empty(len(anchors), count, 11)
        carry_forward(
            anchors.numpy(),
            carried.carrier.numpy(),
            carried.before.numpy(),
            carried.here.numpy(),
            carried.after.numpy(),
            carried.local_offset.numpy(),
            centres.numpy(),
            frames.numpy(),
        )
        ctx.carried, ctx.shape = carried, anchors.shape
        ctx.save_for_backward(frames)
        return centres

    @staticmethod
    def backward(ctx: Any, grad_centres: Tensor) -> tuple[Tensor, None]:
        (frames,) = ctx.saved_tensors
        carried: CarriedCentres = ctx.carried
        gradient = grad_centres.new_zeros(ctx.shape)
        carry_backward(
            grad_centres.contiguous().numpy(),
            carried.carrier.numpy(),
            carried.before.numpy(),
            carried.here.numpy(),
            carried.after.numpy(),
            carried.local_offset.numpy(),
            frames.numpy(),
            gradient.numpy(),
        )
        return gradient, None


def frame_atoms(
    bonded: NDArray[np.bool_], trace_A: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Trace atoms i-1, i, i+1 of every residue's frame; ends of a chain borrow their neighbour's.

    Pieces of one or two residues have no bend of their own: their frames go through the nearest
    trace atoms in space, which as a rule belong to the same domain.

    Parameters
    ----------
    bonded, trace_A
        (K - 1,) and (K, 3), see :class:`~cryoscope.models.coarse_grain.Beads`.
    """
    count = len(bonded) + 1
    start = np.concatenate([[True], ~bonded])
    stop = np.concatenate([~bonded, [True]])
    here = np.arange(count)
    here = here + start.astype(int) - stop.astype(int)
    alone = start & stop
    here[alone] = np.flatnonzero(alone)
    before = np.where(np.concatenate([[False], bonded])[here], here - 1, here)
    after = np.where(np.concatenate([bonded, [False]])[here], here + 1, here)
    short = np.flatnonzero((before == here) | (after == here))
    if len(short) and count > 2:
        tree = cKDTree(trace_A)
        _, near = tree.query(trace_A[short], k=min(NEIGHBOURS, count))
        for i, others in zip(short.tolist(), near, strict=True):
            before[i], here[i], after[i] = _best_corners(i, others[others != i], trace_A)
    return before, here, after


def _best_corners(
    i: int, others: NDArray[np.int64], trace_A: NDArray[np.float64]
) -> tuple[int, int, int]:
    """The nearest atom, atom i, and the atom that makes the frame widest open."""
    first = trace_A[others[0]] - trace_A[i]
    arms = trace_A[others[1:]] - trace_A[i]
    along = trace_A[others[1:]] - trace_A[others[0]]
    area = np.linalg.norm(np.cross(first, arms), axis=1)
    length = np.linalg.norm(arms, axis=1) * np.linalg.norm(along, axis=1)
    return int(others[0]), i, int(others[1 + np.argmax(area / np.maximum(length, 1e-6))])
