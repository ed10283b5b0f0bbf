"""The residue that is pointed out, as a ball in the 3-D view; and pointing at others there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from napari.layers import Surface
from napari.utils.colormaps import Colormap
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer, Signal
from vispy.geometry import create_sphere

from cryoscope import conventions
from cryoscope.app import theme
from cryoscope.app.napari_bridge import NapariBridge, units_beside
from cryoscope.app.qt_bridge import QtBridge
from cryoscope.session import actions, residues

LAYER = "marked residue"
RADIUS_A, ROWS = 2.0, 10
CLICK_PX, HOVER_MS = 4.0, 50


class ResidueMarker(QObject):
    """Draws the marked residue where it is in the shown state, and finds those under the pointer.

    Signals
    -------
    hovered (place)
        The pointer is over a residue of the backbone (its place from 0); -1 for none.
    """

    hovered = Signal(int)

    def __init__(self, session: Any, bridge: QtBridge, view: NapariBridge) -> None:
        super().__init__(view)
        self._session, self._view, self._viewer = session, view, view.viewer
        self._layer: Surface | None = None
        self._over = -1
        self._ray: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(HOVER_MS)
        self._rest.timeout.connect(self._look)
        sphere = create_sphere(rows=ROWS, cols=2 * ROWS, radius=RADIUS_A)
        self._vertices = sphere.get_vertices().astype(np.float32)
        self._faces = sphere.get_faces().astype(np.int32)
        self._viewer.mouse_drag_callbacks.append(self._press)
        self._viewer.mouse_move_callbacks.append(self._move)
        self._viewer.layers.events.removed.connect(self._forget)
        view.drawn.connect(lambda _state: self.refresh())
        bridge.watch("marked_residue", lambda _place: self.refresh())

    def close(self) -> None:
        """Let go of the viewer."""
        self._rest.stop()
        self._viewer.mouse_drag_callbacks.remove(self._press)
        self._viewer.mouse_move_callbacks.remove(self._move)
        self._viewer.layers.events.removed.disconnect(self._forget)

    def refresh(self) -> None:
        """Put the ball where the marked residue is."""
        place_A = residues.residue_place_A(self._session, self._session.marked_residue)
        if place_A is None:
            if self._layer is not None and self._layer.visible:
                self._layer.visible = False
            return
        vertices = conventions.zyx_from_xyz(self._vertices + place_A).astype(np.float32)
        data = (vertices, self._faces, np.ones(len(vertices), dtype=np.float32))
        if self._layer is None:
            colour = [*theme.rgb(theme.ACCENT), 1.0]
            self._layer = Surface(
                data,
                name=LAYER,
                colormap=Colormap([colour, colour], name="marked"),
                contrast_limits=(0.0, 1.0),
                shading="smooth",
                # Without depth: seen also where it lies behind something.
                blending="translucent_no_depth",
                units=units_beside(self._viewer),
            )
            self._viewer.layers.append(self._layer)
            return
        self._layer.data = data
        if not self._layer.visible:
            self._layer.visible = True

    def _press(self, _viewer: Any, event: Any) -> Iterator[None]:
        """A click, unlike a drag, marks the residue under the pointer."""
        start, plain = np.array(event.pos), event.button == 1 and not event.modifiers
        ray = _ray(event)
        moved = 0.0
        yield
        while event.type == "mouse_move":
            moved = max(moved, float(np.abs(np.array(event.pos) - start).max()))
            yield
        if plain and moved < CLICK_PX and ray is not None:
            place = residues.residue_at_ray(self._session, *ray)
            if place is not None:
                actions.mark_residue(self._session, place)

    def _move(self, _viewer: Any, event: Any) -> None:
        self._ray = _ray(event)
        if not self._rest.isActive():
            self._rest.start()

    def _look(self) -> None:
        ray = self._ray
        place = None if ray is None else residues.residue_at_ray(self._session, *ray)
        over = -1 if place is None else place
        if over != self._over:
            self._over = over
            self.hovered.emit(over)

    def _forget(self, event: Any) -> None:
        if event.value is self._layer:
            self._layer = None


def _ray(event: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """A point and the direction of the line of sight under the pointer, as xyz."""
    if event.view_direction is None or len(event.position) < 3:
        return None
    at: NDArray[np.float64] = np.array(event.position[-3:], dtype=np.float64)
    along: NDArray[np.float64] = np.array(event.view_direction[-3:], dtype=np.float64)
    return np.asarray(conventions.xyz_from_zyx(at)), np.asarray(conventions.xyz_from_zyx(along))
