"""Bead centres carried by the local frames of their neighbours along the chain."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cryoscope.models.coarse_grain import Beads
from cryoscope.models.frame_kernels import (
    LEAST_ALONG_A,
    LEAST_BEND_A,
    carry_backward,
    carry_forward,
)


class CarriedCentres(nn.Module):
    """Bead centres from anchor positions: each offset turns with the frame of CA i-1, i, i+1.

    A side chain's mass is not at the CA; an offset fixed in space would not follow a domain that
    rotates.
    """

    before: Tensor
    here: Tensor
    after: Tensor
    local_offset: Tensor

    def __init__(self, beads: Beads) -> None:
        super().__init__()
        before, here, after = _frame_atoms(beads.bonded)
        anchor = torch.as_tensor(beads.anchor_A, dtype=torch.float32)
        offset = torch.as_tensor(beads.centre_A - beads.anchor_A, dtype=torch.float32)
        self.register_buffer("before", torch.as_tensor(before), persistent=False)
        self.register_buffer("here", torch.as_tensor(here), persistent=False)
        self.register_buffer("after", torch.as_tensor(after), persistent=False)
        frames = self._frames(anchor[None])[0]
        self.register_buffer(
            "local_offset", torch.einsum("nij,nj->ni", frames, offset), persistent=False
        )

    def forward(self, anchor_A: Tensor) -> Tensor:
        """(B, N, 3) anchors -> (B, N, 3) bead centres."""
        if anchor_A.device.type == "cpu" and anchor_A.dtype == torch.float32:
            centres_A: Tensor = _Carry.apply(anchor_A, self)  # type: ignore[no-untyped-call]
            return centres_A
        return self.reference(anchor_A)

    def reference(self, anchor_A: Tensor) -> Tensor:
        """The same in plain torch: the kernel's reference, and the GPU's way."""
        return anchor_A + torch.einsum("bnij,ni->bnj", self._frames(anchor_A), self.local_offset)

    def _frames(self, anchor_A: Tensor) -> Tensor:
        """(B, N, 3, 3) orthonormal frames, rows e1, e2, e3."""
        here = anchor_A[:, self.here]
        back = here - anchor_A[:, self.before]
        forth = anchor_A[:, self.after] - here
        along = nn.functional.normalize(back + forth, dim=-1, eps=LEAST_ALONG_A)
        bend = back - forth
        bend = bend - (bend * along).sum(-1, keepdim=True) * along
        bend = nn.functional.normalize(bend, dim=-1, eps=LEAST_BEND_A)
        return torch.stack([along, bend, torch.linalg.cross(along, bend)], dim=-2)


class _Carry(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, anchor_A: Tensor, carried: CarriedCentres) -> Tensor:
        anchors = anchor_A.detach().contiguous()
        centres = torch.empty_like(anchors)
        frames = anchors.new_empty(*anchors.shape[:2], 11)
        carry_forward(
            anchors.numpy(),
            carried.before.numpy(),
            carried.here.numpy(),
            carried.after.numpy(),
            carried.local_offset.numpy(),
            centres.numpy(),
            frames.numpy(),
        )
        ctx.carried = carried
        ctx.save_for_backward(frames)
        return centres

    @staticmethod
    def backward(ctx: Any, grad_centres: Tensor) -> tuple[Tensor, None]:
        (frames,) = ctx.saved_tensors
        carried: CarriedCentres = ctx.carried
        gradient = torch.zeros_like(grad_centres)
        carry_backward(
            grad_centres.contiguous().numpy(),
            carried.before.numpy(),
            carried.here.numpy(),
            carried.after.numpy(),
            carried.local_offset.numpy(),
            frames.numpy(),
            gradient.numpy(),
        )
        return gradient, None


def _frame_atoms(bonded: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices i-1, i, i+1 of every residue's frame; ends of a chain borrow their neighbour's."""
    count = len(bonded) + 1
    start = np.concatenate([[True], ~bonded])
    stop = np.concatenate([~bonded, [True]])
    here = np.arange(count)
    here = here + start.astype(int) - stop.astype(int)
    alone = start & stop
    here[alone] = np.flatnonzero(alone)
    before = np.where(np.concatenate([[False], bonded])[here], here - 1, here)
    after = np.where(np.concatenate([bonded, [False]])[here], here + 1, here)
    return before, here, after
