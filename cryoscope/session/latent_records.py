"""What is shown of the latents: which picture, coloured by what, and one particle of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

ViewKind = Literal["pc", "dims", "volume", "umap"]
CovariateKind = Literal["continuous", "cyclic", "discrete"]


@dataclass(frozen=True)
class LatentView:
    """Which picture of the latents: principal components, dimensions, volume PCs, or UMAP.

    ``x`` and ``y`` are the 1-based components or dimensions along the axes; UMAP has none.
    """

    kind: ViewKind = "pc"
    x: int = 1
    y: int = 2


@dataclass(frozen=True, eq=False)
class Covariate:
    """Something known of every particle.

    Attributes
    ----------
    name, label, unit
        Its key, e.g. ``"defocus"``; its name for people; its unit, or empty.
    values
        (N,) float32 in the order of the latents, NaN where unknown; of a discrete one the 0-based
        category.
    kind
        A cyclic one is an angle that comes round.
    categories
        Names of the categories of a discrete one.
    table
        (256, 3) colours from the low to the high end, or (categories, 3).
    colour_range
        Values at the ends of the colour table.
    edges, counts
        (bins + 1,) and (bins,) histogram; of a discrete one the number of each category.
    """

    name: str
    label: str
    unit: str
    values: NDArray[np.float32] = field(repr=False)
    kind: CovariateKind
    categories: tuple[str, ...]
    table: NDArray[np.uint8] = field(repr=False)
    colour_range: tuple[float, float]
    edges: NDArray[np.float64] = field(repr=False)
    counts: NDArray[np.int64] = field(repr=False)

    @property
    def title(self) -> str:
        """Label and unit."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


@dataclass(frozen=True)
class CovariateChoice:
    """A covariate that particles can be coloured by; ``why_not`` says why it cannot be now."""

    name: str
    label: str
    why_not: str = ""


@dataclass(frozen=True, eq=False)
class ParticleCard:
    """One particle: its place in the picture, its row, its name, and how it looks.

    Attributes
    ----------
    row
        0-based row among all particles; ``file_row`` counts from 1 in the particle file.
    image
        (y, x) uint8, low-passed; None where it cannot be read, which ``remark`` explains.
    values
        What it is coloured by, as text; empty when by density.
    """

    row: int
    file_row: int
    name: str
    xy: tuple[float, float]
    image: NDArray[np.uint8] | None = field(repr=False)
    remark: str
    values: str
