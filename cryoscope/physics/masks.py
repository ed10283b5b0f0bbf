"""Soft masks: 1 inside, a cosine edge, 0 outside."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor


def soft_disc(box_size_px: int, radius_px: float, *, edge_px: float = 5.0) -> Tensor:
    """(n, n) disc about sample n // 2 with a cosine edge that starts at ``radius_px``."""
    return _soft_ball(box_size_px, radius_px, edge_px, dimensions=2)


def soft_sphere(box_size_px: int, radius_px: float, *, edge_px: float = 5.0) -> Tensor:
    """(n, n, n) ball about sample n // 2 with a cosine edge that starts at ``radius_px``."""
    return _soft_ball(box_size_px, radius_px, edge_px, dimensions=3)


def _soft_ball(box_size_px: int, radius_px: float, edge_px: float, dimensions: int) -> Tensor:
    axis2 = (torch.arange(box_size_px, dtype=torch.float32) - box_size_px // 2) ** 2
    square = axis2
    for _ in range(dimensions - 1):
        square = square[..., None] + axis2
    depth = ((square.sqrt() - radius_px) / edge_px).clamp(0, 1)
    return 0.5 * (1 + torch.cos(math.pi * depth))


def map_mask(
    volume: Tensor,
    voxel_size_A: float,
    *,
    low_pass_A: float = 15.0,
    threshold: float = 0.0,
    dilate_A: float = 6.0,
    edge_A: float = 10.0,
) -> Tensor:
    """A soft mask about what is dense in a map: threshold, dilate, cosine edge.

    Parameters
    ----------
    volume
        (n, n, n) map, protein positive.
    voxel_size_A
        Its sampling.
    low_pass_A
        The map is smoothed by ``exp(-2 (k low_pass_A)^2)`` first; 0: not at all.
    threshold
        Density of the smoothed map above which a voxel is dense. 0: half of the 99.99th percentile
        within the inscribed ball. Clusters smaller than a tenth of the largest are noise and are
        left out then.
    dilate_A
        How far from what is dense the mask stays 1.
    edge_A
        Width of the cosine edge outside that.

    Returns
    -------
    (n, n, n) float32 in [0, 1]; all 0 where nothing is above the threshold.
    """
    values = volume.detach().cpu().numpy().astype(np.float32)
    if low_pass_A > 0:
        # exp(-2 pi^2 s^2 k^2) is the transform of a Gaussian of width s
        values = ndimage.gaussian_filter(values, low_pass_A / (math.pi * voxel_size_A))
    if threshold > 0:
        dense = values > threshold
    else:
        inside = soft_sphere(len(values), len(values) / 2 - 1, edge_px=1).numpy() > 0.5
        dense = inside & (values > max(float(np.percentile(values[inside], 99.99)) / 2, 0.0))
        dense = _large_clusters(dense)
    if not dense.any():
        return torch.zeros(volume.shape)
    distance_A = ndimage.distance_transform_edt(~dense, sampling=voxel_size_A)
    depth = np.clip((distance_A - dilate_A) / max(edge_A, 1e-6), 0, 1)
    return torch.as_tensor((0.5 * (1 + np.cos(np.pi * depth))).astype(np.float32))


def _large_clusters(dense: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What is left of a map of voxels without the clusters below a tenth of the largest."""
    label, count = ndimage.label(dense)
    sizes = np.bincount(label.ravel(), minlength=count + 1)
    sizes[0] = 0
    return np.asarray((sizes >= max(1, sizes.max() / 10))[label])
