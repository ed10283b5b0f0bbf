"""How states are drawn in the 3-D view, and those that were kept to be compared: records."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from cryoscope.session.records import ShownState

Layout = Literal["overlay", "grid"]
BackboneStyle = Literal["tube", "ribbon"]
SurfaceColour = Literal["plain", "displacement", "motion", "difference"]
LAYOUTS: tuple[str, ...] = get_args(Layout)
BACKBONE_STYLES: tuple[str, ...] = get_args(BackboneStyle)
SURFACE_COLOURS: tuple[str, ...] = get_args(SurfaceColour)


@dataclass(frozen=True)
class Scene:
    """How states are drawn.

    Attributes
    ----------
    layout
        Kept states lie over the shown one, or beside it under the same camera.
    backbone
        A tube, or a ribbon with helices and strands.
    surface
        What the surface of the map is coloured by.
    against
        Name of the kept state that ``"difference"`` is to.
    """

    layout: Layout = "overlay"
    backbone: BackboneStyle = "tube"
    surface: SurfaceColour = "plain"
    against: str = ""


@dataclass(frozen=True, eq=False)
class KeptState:
    """A state that stays in the view while others come and go.

    Attributes
    ----------
    name, colour
        Its own name, and the ``#rrggbb`` it is drawn in.
    shown
        The state as it was shown.
    visible
        Whether it is drawn.
    place
        Where it was found, e.g. ``"PC1 1.25, PC2 0.50"``, or how many particles it is made from;
        empty while unknown.
    """

    name: str
    colour: str
    shown: ShownState = field(repr=False)
    visible: bool = True
    place: str = ""
