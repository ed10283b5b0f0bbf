"""Optics groups and the per-particle parameters of the contrast transfer function."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Optics:
    """One optics group: how a set of images was taken and sampled."""

    pixel_size_A: float
    box_size_px: int
    voltage_kv: float = 300.0
    spherical_aberration_mm: float = 2.7
    amplitude_contrast: float = 0.1
    name: str = "opticsGroup1"

    def cropped(self, box_size_px: int) -> Optics:
        """The same field of view sampled with fewer pixels (Fourier crop)."""
        pixel_size_A = self.pixel_size_A * self.box_size_px / box_size_px
        return replace(self, pixel_size_A=pixel_size_A, box_size_px=box_size_px)


@dataclass(frozen=True)
class CTFParams:
    """CTF parameters of N particles.

    Attributes
    ----------
    defocus_u_A, defocus_v_A
        (N,) defocus along the two principal directions in A, underfocus > 0.
    defocus_angle_deg
        (N,) angle from the image's x axis to the direction of ``defocus_u_A``.
    phase_shift_deg
        (N,) phase plate shift.
    b_factor_A2
        (N,) envelope exp(-B k^2 / 4).
    scale
        (N,) amplitude of the particle's signal.
    optics_group
        (N,) 0-based index into the tuple of optics groups.
    """

    defocus_u_A: NDArray[np.float64]
    defocus_v_A: NDArray[np.float64]
    defocus_angle_deg: NDArray[np.float64]
    phase_shift_deg: NDArray[np.float64]
    b_factor_A2: NDArray[np.float64]
    scale: NDArray[np.float64]
    optics_group: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.defocus_u_A)

    def take(self, index: NDArray[np.integer] | slice) -> CTFParams:
        """The rows at ``index``, in its order."""
        return CTFParams(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    @classmethod
    def uniform(
        cls, count: int, defocus_A: float | NDArray[np.floating], *, astigmatism_A: float = 0.0
    ) -> CTFParams:
        """``count`` particles of one optics group, without phase plate or envelope."""
        defocus = np.broadcast_to(np.asarray(defocus_A, dtype=np.float64), (count,))
        return cls(
            defocus_u_A=defocus + astigmatism_A / 2,
            defocus_v_A=defocus - astigmatism_A / 2,
            defocus_angle_deg=np.zeros(count),
            phase_shift_deg=np.zeros(count),
            b_factor_A2=np.zeros(count),
            scale=np.ones(count),
            optics_group=np.zeros(count, dtype=np.int64),
        )
