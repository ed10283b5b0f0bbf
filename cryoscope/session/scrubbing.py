"""In which boxes a state is decoded: coarse under a moving hand, finer as soon as it rests.

The first answer for a place is what follows the hand; the run's own quick map comes when the hand
has rested for a moment, and the full box when it rests for longer. A newer place ends all that.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

#: The hand has come to rest, and has rested long enough for the full box.
SETTLED_S, RESTED_S = 0.15, 0.6
#: Box under a moving hand: this share of the quick one, within these limits.
MOVING_SHARE, LEAST_MOVING_PX, MOST_MOVING_PX = 2 / 3, 24, 64


class Stage(IntEnum):
    """How finely a place is decoded."""

    MOVING = 0
    PREVIEW = 1
    FULL = 2


@dataclass(frozen=True)
class Boxes:
    """The boxes of one run: that of a map that it decodes quickly, and its own; 0 if unknown."""

    preview_px: int = 0
    full_px: int = 0

    @property
    def moving_px(self) -> int:
        """Box of a map under a moving hand; the quick one where that is small already."""
        wanted = 2 * round(MOVING_SHARE * self.preview_px / 2)
        return min(max(wanted, LEAST_MOVING_PX), MOST_MOVING_PX, self.preview_px)

    def asked_px(self, stage: Stage) -> int | None:
        """What to ask the worker for at a stage: a box, 0 for its own, None for its quick one."""
        return {Stage.MOVING: self.moving_px, Stage.PREVIEW: None, Stage.FULL: 0}[stage]

    def first(self, *, by_hand: bool) -> Stage:
        """How a new place is decoded at first."""
        coarser = 0 < self.moving_px < self.preview_px
        return Stage.MOVING if by_hand and coarser else Stage.PREVIEW

    def after(self, stage: Stage, *, by_hand: bool) -> Stage | None:
        """How the same place is decoded next, if it is still looked at; None: it is done."""
        if stage is Stage.MOVING:
            return Stage.PREVIEW
        finer = stage is Stage.PREVIEW and self.full_px > self.preview_px > 0
        return Stage.FULL if finer and by_hand else None


def rest_s(stage: Stage) -> float:
    """How long the hand must have rested before a place is decoded at a stage."""
    return {Stage.MOVING: 0.0, Stage.PREVIEW: SETTLED_S, Stage.FULL: RESTED_S}[stage]
