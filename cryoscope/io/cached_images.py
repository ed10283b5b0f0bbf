"""Prepared images of a particle cache, read from where it lies on the disk."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import Particles


class CachedImages:
    """Prepared images of a cache (an `ImageSource`); background N(0, 1).

    They are kept as float32 or float16 and always handed out as float32.
    """

    def __init__(self, images: NDArray[Any], index: NDArray[np.integer] | None = None) -> None:
        self._images = images
        self._index = index

    @property
    def box_size_px(self) -> int:
        """Side of the square images."""
        return int(self._images.shape[2])

    def __len__(self) -> int:
        return len(self._images) if self._index is None else len(self._index)

    def read(self, index: NDArray[np.integer]) -> NDArray[np.float32]:
        """(len(index), y, x) float32 images in the order of ``index``."""
        index = np.asarray(index)
        found = self._images[index if self._index is None else self._index[index]]
        return np.array(found, dtype=np.float32)

    def read_all(self) -> NDArray[np.float32]:
        """All images in memory."""
        found = self._images if self._index is None else self._images[self._index]
        return np.array(found, dtype=np.float32)

    def take(self, index: NDArray[np.integer]) -> CachedImages:
        """The images at ``index``, still unread."""
        index = np.asarray(index)
        return CachedImages(self._images, index if self._index is None else self._index[index])


def cached_particles(particles: Particles, cached: CachedImages) -> Particles:
    """The same particles with their prepared images, and optics sampled as these are."""
    if len(cached) != len(particles):
        raise ValueError(f"{len(cached)} cached images for {len(particles)} particles")
    optics = tuple(group.cropped(cached.box_size_px) for group in particles.optics)
    return replace(particles, images=cached, optics=optics)
