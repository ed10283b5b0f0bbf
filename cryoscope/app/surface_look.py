"""Colours of the surface of the shown map, as ``session.scene`` says."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.utils.colormaps import Colormap
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal

from cryoscope.app import theme
from cryoscope.app.napari_bridge import NapariBridge
from cryoscope.app.qt_bridge import QtBridge
from cryoscope.data import Mesh
from cryoscope.session import surface_colours

#: Less than the other map, as much, more: two hues that no colour vision confuses.
_DIFFERENCE = ("#2166ac", "#92c5de", "#f2f2f2", "#fdb863", "#b35806")


def difference_colours(count: int = 256) -> NDArray[np.float32]:
    """(count, 4) RGBA in 0..1 from less (blue) over equal (white) to more (brown)."""
    anchors = np.array([theme.rgb(colour) for colour in _DIFFERENCE])
    where = np.linspace(0, len(anchors) - 1, count)
    channels = [np.interp(where, np.arange(len(anchors)), anchors[:, i]) for i in range(3)]
    return np.stack([*channels, np.ones(count)], axis=1).astype(np.float32)


class SurfaceColours(QObject):
    """Colours the surface of the shown map.

    Signals
    -------
    scale_changed (scale, colours)
        The :class:`~cryoscope.session.surface_colours.SurfaceScale` of what is shown now, and the
        (k, 4) colours from its lower to its upper end.
    """

    scale_changed = Signal(object, object)

    def __init__(self, session: Any, bridge: QtBridge, view: NapariBridge) -> None:
        super().__init__(view)
        self._session, self._view = session, view
        self._colours = {
            "difference": Colormap(difference_colours(), name="difference"),
            "motion": Colormap(theme.displacement_colours(), name="surface motion"),
        }
        self.scale = surface_colours.SurfaceScale()
        view.surface_mesh = self._mesh
        for field in ("scene", "kept_states", "residue_motion"):
            bridge.watch(field, lambda _value: self.refresh())

    def refresh(self) -> None:
        """Colour by what is asked for now."""
        was = self.scale
        self._rescale(self._view.drawn_state)
        if self.scale.title or was.title:
            self._view.redraw_density()

    def _mesh(self, state: Any) -> Mesh | None:
        self._rescale(state)
        return surface_colours.surface_mesh(self._session, state)

    def _rescale(self, state: Any) -> None:
        scale = surface_colours.surface_scale(self._session, state)
        if scale == self.scale:
            return
        self.scale = scale
        kind = "difference" if scale.low < 0 else "motion"
        look = (self._colours[kind], scale.low, scale.high) if scale.title else None
        self._view.set_surface_scale(look)
        self.scale_changed.emit(scale, self._colours[kind].colors)
