"""What a landscape is made with, and what it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError

if TYPE_CHECKING:
    from cryoscope.analysis.landscape import MapComponents
    from cryoscope.analysis.landscape_map import LandscapeMap

LARGEST_BOX_PX = 128
#: In place of a mask's file: maps are compared in their whole box.
WHOLE_BOX = "box"


@dataclass(frozen=True)
class LandscapeSettings:
    """How a landscape is made.

    Attributes
    ----------
    sketch
        Particles at which maps are decoded: the nearest to the centres of so many k-means clusters.
    box_size_px
        Box of these maps, at most 128, over the whole field of view.
    states, linkage
        Agglomerative clustering of the maps.
    mask
        A map (.mrc) that is above 0.5 inside; "" for the union of the maps above their thresholds;
        :data:`WHOLE_BOX` for no mask.
    threshold
        Of the union mask, for all maps; None for half the 99.99th percentile of each.
    dilate_px
        By how much the union is widened, in voxels of the maps.
    components
        Principal components of the maps.
    samples
        Particles drawn at random whose maps are decoded too, to learn and to test the way from
        latents to components.
    """

    sketch: int = 500
    box_size_px: int = 64
    states: int = 10
    linkage: str = "average"
    mask: str = ""
    threshold: float | None = None
    dilate_px: float = 5.0
    components: int = 20
    samples: int = 500
    seed: int = 0

    def check(self) -> None:
        """Refuse what makes no sense (InputError), before any work."""
        from cryoscope.analysis.cluster import LINKAGES

        box = self.box_size_px
        if box % 2 or not 8 <= box <= LARGEST_BOX_PX:
            raise InputError(
                f"--box-px {box}", cure=f"Choose an even box from 8 to {LARGEST_BOX_PX} px"
            )
        if self.linkage not in LINKAGES:
            raise InputError(
                f"there is no linkage {self.linkage!r}", cure=f"Choose {', '.join(LINKAGES)}"
            )
        for name, value, least in (
            ("--sketch", self.sketch, 2),
            ("--states", self.states, 1),
            ("--components", self.components, 1),
            ("--samples", self.samples, 0),
        ):
            if value < least:
                raise InputError(f"{name} {value}", cure=f"Give {least} or more")
        if self.states > self.sketch:
            raise InputError(
                f"{self.states} states cannot be made of {self.sketch} maps",
                cure="Lower --states or raise --sketch",
            )


@dataclass(frozen=True)
class Landscape:
    """A finished landscape.

    Attributes
    ----------
    folder
        Where its files are.
    sketched
        (k,) particles at which maps were decoded, by falling size of their clusters.
    weight
        (k,) particles that each stands for.
    sketch_state
        (k,) state of each map, from 0, the state with most particles first.
    particle_state
        (N,) state of each particle, -1 without a latent.
    components
        Principal components of the maps.
    mapped
        Where all particles lie along them.
    figures
        What is printed.
    """

    folder: Path
    sketched: NDArray[np.int64]
    weight: NDArray[np.int64]
    sketch_state: NDArray[np.int64]
    particle_state: NDArray[np.int64]
    components: MapComponents
    mapped: LandscapeMap
    figures: dict[str, Any]


@dataclass(frozen=True)
class LandscapeState:
    """One state of a landscape: maps that are alike, and the particles they stand for.

    Attributes
    ----------
    number
        From 1, the state with most particles first.
    colour
        ``#rrggbb`` in tables and pictures.
    share
        Of the particles of all states, 0 to 1.
    maps
        Sketched maps in it.
    typical_row
        0-based particle whose map is most like the mean of the state's.
    xy
        Where that map lies along the first two components.
    """

    number: int
    colour: str
    particles: int
    share: float
    maps: int
    typical_row: int
    xy: tuple[float, float]

    @property
    def name(self) -> str:
        """The name of its selection."""
        return f"state {self.number}"


@dataclass(frozen=True, eq=False)
class LandscapeView:
    """A finished landscape as it is shown, read from the run folder.

    Attributes
    ----------
    folder
        Where its files are.
    epoch
        Of the latents and the model it was made from; -1 where that is not noted.
    settings
        What it was made with.
    maps, box_size_px, voxel_size_A, mask_share
        Maps that were compared, their box, and which part of it the mask is.
    variance_fraction
        Share of the maps' variance along each component, largest first.
    r2, placed_by
        Share of the variance of held-out maps that is foretold from their latents, and by what.
    states
        Those with most particles first.
    particle_state
        (N,) state of each particle from 0, -1 for none.
    scores
        (N, C) where particles lie along the first components, NaN for those without latents.
    picture, bounds
        (h, w, 4) -log of the density of particles in the plane of the first two components, and
        its (xmin, xmax, ymin, ymax).
    """

    folder: Path
    epoch: int
    settings: LandscapeSettings
    maps: int
    box_size_px: int
    voxel_size_A: float
    mask_share: float
    variance_fraction: tuple[float, ...]
    r2: float
    placed_by: str
    states: tuple[LandscapeState, ...]
    particle_state: NDArray[np.int64] = field(repr=False)
    scores: NDArray[np.float32] = field(repr=False)
    picture: NDArray[np.uint8] = field(repr=False)
    bounds: tuple[float, float, float, float]
