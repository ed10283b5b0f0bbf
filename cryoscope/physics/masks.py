"""Soft masks: 1 inside, a cosine edge, 0 outside."""

from __future__ import annotations

import math

import torch
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
