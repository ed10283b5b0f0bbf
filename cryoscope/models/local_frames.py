"""Bead centres carried by the local frames of their neighbours along the chain."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from cryoscope.models.coarse_grain import Beads


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
        return anchor_A + torch.einsum("bnij,ni->bnj", self._frames(anchor_A), self.local_offset)

    def _frames(self, anchor_A: Tensor) -> Tensor:
        """(B, N, 3, 3) orthonormal frames, rows e1, e2, e3."""
        here = anchor_A[:, self.here]
        back = here - anchor_A[:, self.before]
        forth = anchor_A[:, self.after] - here
        along = nn.functional.normalize(back + forth, dim=-1, eps=1e-3)
        bend = back - forth
        bend = bend - (bend * along).sum(-1, keepdim=True) * along
        bend = nn.functional.normalize(bend, dim=-1, eps=1e-2)
        return torch.stack([along, bend, torch.linalg.cross(along, bend)], dim=-2)


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
