"""What came of checking a selection against the data: frozen records."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import Volume
from cryoscope.session.associating import cautions_of
from cryoscope.session.records import ShownState

if TYPE_CHECKING:
    from cryoscope.analysis.association import Association
    from cryoscope.analysis.views import ViewMap
    from cryoscope.session.view_averages import ViewAverages

#: Resolutions that differ by less than this share are called the same.
SAME = 0.03


@dataclass(frozen=True, eq=False)
class Curve:
    """A correlation of two maps against spatial frequency.

    Attributes
    ----------
    frequency_per_A, correlation
        (s,) per shell, DC first.
    threshold
        The correlation that is called resolution.
    resolution_A
        Where the curve first falls below it; Nyquist where it never does.
    limited
        Whether it never does: the maps would have to be sampled finer to see more.
    """

    frequency_per_A: NDArray[np.float64] = field(repr=False)
    correlation: NDArray[np.float64] = field(repr=False)
    threshold: float
    resolution_A: float
    limited: bool = False

    @property
    def text(self) -> str:
        """The resolution in words."""
        return f"{self.resolution_A:.1f} Å" + (" (Nyquist)" if self.limited else "")


@dataclass(frozen=True, eq=False)
class Check:
    """A selection checked against its own images.

    Attributes
    ----------
    selection
        Its name.
    stage
        ``"preview"``: a coarse map of at most some thousand of its particles; ``"done"``.
    particle_count, half_counts
        Particles in the selection, and in the half-maps of ``map``.
    map
        Reconstructed from the particles; protein positive.
    fsc, control, decoded_fsc
        Of the half-maps; of the half-maps of as many particles drawn at random (None where the
        selection is everything, or in a preview); of ``map`` with the map that the model decodes at
        the mean latent of the selection (None where nothing decodes).
    decoded
        That state, ready to be shown.
    views
        Viewing directions of the selection beside those of all particles.
    averages
        Averages of the images by viewing direction, beside projections of ``map`` and of the
        decoded map; None in a preview, and where no direction has enough particles.
    associations
        Axes of the latents against viewing direction and defocus, over all particles.
    notes
        What could not be done, and why.
    folder
        Where the files are; None before they are written.
    """

    selection: str
    stage: Literal["preview", "done"]
    particle_count: int
    half_counts: tuple[int, int]
    map: Volume = field(repr=False)
    fsc: Curve
    control: Curve | None
    decoded_fsc: Curve | None
    decoded: ShownState | None = field(repr=False)
    views: ViewMap = field(repr=False)
    averages: ViewAverages | None = field(default=None, repr=False)
    associations: tuple[Association, ...] = ()
    notes: tuple[str, ...] = ()
    folder: Path | None = None

    @property
    def verdict(self) -> str:
        """What came out, in plain words."""
        if self.stage == "preview":
            used = sum(self.half_counts)
            some = "" if used == self.particle_count else f" of {self.particle_count:,}"
            best_A = 2 * self.map.voxel_size_A
            return f"Preview from {used:,}{some} particles, {best_A:.1f} Å at best."
        text = f"{self.particle_count:,} particles give {self.fsc.text}"
        if self.control is not None:
            text += f"; as many drawn at random give {self.control.text}: {self._against_chance()}"
        text += "."
        if self.decoded_fsc is not None:
            text += f" The decoded map agrees with theirs to {self.decoded_fsc.text}."
        return text

    def _against_chance(self) -> str:
        assert self.control is not None
        ours, chance = self.fsc.resolution_A, self.control.resolution_A
        if self.fsc.limited and self.control.limited:
            return "both reach the limit of the box"
        if ours < (1 - SAME) * chance:
            return "they are more alike than a random draw"
        if ours > (1 + SAME) * chance:
            return "they are less alike than a random draw"
        return "no more alike than a random draw"

    @property
    def warnings(self) -> tuple[str, ...]:
        """What speaks against taking the latents, or the selection, at face value."""
        found = []
        for caution in cautions_of(self.associations):
            found.append(f"{caution.text}. {caution.cure}")
        if self.views.differs:
            found.append(
                f"{100 * self.views.distance:.0f} % of the selection's views lie elsewhere than "
                f"those of all particles (chance {100 * self.views.chance:.0f} %): what sets "
                "this map apart may be how it was seen. Compare with a selection of the same views."
            )
        return tuple(found)
