"""Images that fade to zero towards the edge of the box."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import ImageSource, Particles
from cryoscope.physics.masks import soft_disc

#: Where a window has fallen to zero, as a share of the half-box (cryoDRGN's).
WINDOW_END = 0.99


class WindowedImages:
    """The images of another source times a soft disc (an `ImageSource`).

    Parameters
    ----------
    images
        The images as they are.
    radius
        Share of the half-box up to which they stay so.
    """

    def __init__(self, images: ImageSource, radius: float) -> None:
        self._images, self._radius = images, radius
        half_px = images.box_size_px / 2
        edge_px = max(WINDOW_END - radius, 1 / half_px) * half_px
        disc = soft_disc(images.box_size_px, radius * half_px, edge_px=edge_px)
        self._window = disc.numpy().astype(np.float32)

    @property
    def box_size_px(self) -> int:
        """Side of the square images."""
        return self._images.box_size_px

    def __len__(self) -> int:
        return len(self._images)

    def read(self, index: NDArray[np.integer]) -> NDArray[np.float32]:
        """(len(index), y, x) float32 images in the order of ``index``."""
        return np.asarray(self._images.read(index) * self._window)

    def take(self, index: NDArray[np.integer]) -> WindowedImages:
        """The images at ``index``, still unread."""
        return WindowedImages(self._images.take(index), self._radius)


def windowed(particles: Particles, radius: float) -> Particles:
    """The same particles, their images fading from ``radius`` of the half-box to its edge."""
    return replace(particles, images=WindowedImages(particles.images, radius))
