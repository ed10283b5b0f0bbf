"""Particles: images read when asked for, with everything known about each of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cryoscope.data.optics import CTFParams, Optics
from cryoscope.data.poses import Poses


class ImageSource(Protocol):
    """Images that are read on demand."""

    @property
    def box_size_px(self) -> int:
        """Side of the square images."""
        ...

    def __len__(self) -> int: ...

    def read(self, index: NDArray[np.integer]) -> NDArray[np.float32]:
        """(len(index), y, x) float32 images in the order of ``index``."""
        ...

    def take(self, index: NDArray[np.integer]) -> ImageSource:
        """The images at ``index``, still unread."""
        ...


@dataclass(frozen=True)
class ParticleSource:
    """The file particles came from and the 0-based row of each in its particle table."""

    file: Path
    row: NDArray[np.int64]


@dataclass(frozen=True)
class Particles:
    """N particles.

    Attributes
    ----------
    images
        Lazy images; all of one box size.
    optics
        Optics groups; ``ctf.optics_group`` indexes them.
    ctf
        Table of N CTF parameters.
    poses
        Table of N poses, or None where the file has none.
    half_set
        (N,) 1 or 2.
    uid
        (N,) one string per particle, unique and stable (RELION: image name).
    source
        Where each particle stands in the user's file.
    """

    images: ImageSource
    optics: tuple[Optics, ...]
    ctf: CTFParams
    poses: Poses | None
    half_set: NDArray[np.int8]
    uid: NDArray[np.str_]
    source: ParticleSource

    def __len__(self) -> int:
        return len(self.uid)

    @property
    def box_size_px(self) -> int:
        """Side of the images."""
        return self.images.box_size_px

    @property
    def pixel_size_A(self) -> float:
        """Pixel size of the first optics group."""
        return self.optics[0].pixel_size_A

    def take(self, index: NDArray[np.integer]) -> Particles:
        """The particles at ``index``, in its order."""
        return replace(
            self,
            images=self.images.take(index),
            ctf=self.ctf.take(index),
            poses=None if self.poses is None else self.poses.take(index),
            half_set=self.half_set[index],
            uid=self.uid[index],
            source=ParticleSource(self.source.file, self.source.row[index]),
        )
