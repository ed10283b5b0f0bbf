"""Maps, and where they come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Provenance:
    """How a map was made: decoded by a model, reconstructed from particles, or read from a file."""

    kind: Literal["decoded", "reconstructed", "file"]
    detail: str = ""
    run_id: str = ""
    epoch: int = -1
    z: tuple[float, ...] = ()
    particle_count: int = 0

    @property
    def of_many(self) -> bool:
        """Whether the map stands for many particles: reconstructed, or a mean of decoded maps."""
        return self.kind == "reconstructed" or (self.kind == "decoded" and self.detail != "")

    @property
    def label_of_model(self) -> str:
        """Of a decoded map, which model it is from."""
        return f"decoded by the model ({self.run_id}, epoch {self.epoch})"

    def label(self) -> str:
        """The words shown beside the map."""
        if self.kind == "decoded":
            return f"{self.detail}, {self.label_of_model}" if self.detail else self.label_of_model
        if self.kind == "reconstructed":
            made = f"reconstructed from {self.particle_count:,} particles"
            return f"{made} ({self.detail})" if self.detail else made
        return f"read from {self.detail}"


@dataclass(frozen=True)
class Volume:
    """A map ``values[z, y, x]``; ``origin_A`` is the xyz position of sample (0, 0, 0)."""

    values: NDArray[np.float32]
    voxel_size_A: float
    origin_A: tuple[float, float, float]
    provenance: Provenance = Provenance("file")

    @property
    def width_A(self) -> float:
        """Side of the box along x."""
        return self.values.shape[-1] * self.voxel_size_A

    @classmethod
    def centred(
        cls, values: NDArray[np.float32], voxel_size_A: float, provenance: Provenance
    ) -> Volume:
        """A cubic map whose sample n // 2 lies at the origin (convention 2)."""
        corner_A = -(values.shape[0] // 2) * voxel_size_A
        return cls(values, voxel_size_A, (corner_A, corner_A, corner_A), provenance)


@dataclass(frozen=True)
class HalfMaps:
    """Two maps from disjoint halves of the particles."""

    half1: Volume
    half2: Volume
