"""Whether a map shows protein or its negative."""

from __future__ import annotations

import torch
from torch import Tensor

from cryoscope.physics.masks import soft_sphere

#: Low-pass at which the contrast is looked at, in A.
LUMPS_A = 20.0


def map_contrast(volume: Tensor, voxel_size_A: float) -> int:
    """+1 where a map is lumps of protein in emptiness, -1 where it is the negative of that.

    Protein fills little of a box, so that the values of a smooth map are skewed towards it.
    """
    n = len(volume)
    k2 = torch.fft.fftfreq(n, voxel_size_A) ** 2, torch.fft.rfftfreq(n, voxel_size_A) ** 2
    k2_per_A2 = k2[0][:, None, None] + k2[0][:, None] + k2[1]
    smooth = torch.fft.irfftn(
        torch.fft.rfftn(volume) * torch.exp(-2 * k2_per_A2 * LUMPS_A**2), s=(n, n, n)
    )
    values = smooth[soft_sphere(n, 0.4 * n, edge_px=1) > 0.5].double()
    return 1 if float(((values - values.mean()) ** 3).sum()) >= 0 else -1
