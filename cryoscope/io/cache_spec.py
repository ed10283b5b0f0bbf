"""How the images of a particle cache are prepared, and what room that takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cryoscope.data import InputError, Particles
from cryoscope.io.image_preparation import background_mask


@dataclass(frozen=True)
class CacheSpec:
    """How images are prepared.

    Attributes
    ----------
    box_size_px
        Even side they are Fourier-cropped to.
    particle_radius_A
        Pixels further from the centre are background.
    contrast
        +1 where protein is bright in the data, -1 where it is dark (convention 7).
    float16
        Keep 16 bits a pixel: half the room, values rounded to one part in 2,000.
    """

    box_size_px: int
    particle_radius_A: float
    contrast: int
    float16: bool = False

    @property
    def dtype(self) -> str:
        """How a pixel is kept."""
        return "<f2" if self.float16 else "<f4"

    @property
    def image_bytes(self) -> int:
        """Room that one image takes."""
        return np.dtype(self.dtype).itemsize * self.box_size_px**2


@dataclass(frozen=True)
class CacheEstimate:
    """What making a cache will take, known before it starts.

    Attributes
    ----------
    image_count
        Images still to be prepared; 0 where a finished cache is used.
    needed_bytes, free_bytes
        Room on the disk for them, and what is free there.
    """

    image_count: int
    needed_bytes: int
    free_bytes: int

    def words(self) -> str:
        """``1.6 GB, 120 GB free``."""
        return f"{_amount(self.needed_bytes)}, {_amount(self.free_bytes)} free"


def check_spec(particles: Particles, spec: CacheSpec) -> float:
    """Refuse what does not fit; the pixel size in A of the cropped images.

    Raises
    ------
    InputError
        No particles, mixed pixel sizes, a box or a radius that the images do not allow.
    """
    if spec.contrast not in (1, -1):
        raise ValueError(f"contrast is +1 or -1, not {spec.contrast}")
    file, full_px = particles.source.file, particles.box_size_px
    if len(particles) == 0:
        raise InputError("there are no particles", file=file, cure="Choose at least one.")
    if spec.box_size_px % 2 or not 0 < spec.box_size_px <= full_px:
        raise InputError(
            f"images of {full_px} px cannot be cropped to {spec.box_size_px} px",
            file=file,
            cure=f"Choose an even --box-px of at most {full_px}.",
        )
    used = np.unique(particles.ctf.optics_group)
    sizes_A = [particles.optics[group].pixel_size_A for group in used.tolist()]
    if max(sizes_A) > min(sizes_A) * 1.0001:
        raise InputError(
            f"pixel sizes from {min(sizes_A)} to {max(sizes_A)} A are mixed",
            file=file,
            cure="Train on particles of one pixel size.",
        )
    pixel_size_A = float(sizes_A[0] * full_px / spec.box_size_px)
    outside = background_mask(spec.box_size_px, pixel_size_A, spec.particle_radius_A)
    if outside.mean() < 0.01 or outside.sum() < 16 or not spec.particle_radius_A > 0:
        raise InputError(
            f"a particle radius of {spec.particle_radius_A} A leaves no background in a box of "
            f"{sizes_A[0] * full_px:.0f} A",
            file=file,
            cure="Give a smaller particle radius, or extract with a larger box.",
        )
    return pixel_size_A


def _amount(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:,.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:,.1f} MB"
