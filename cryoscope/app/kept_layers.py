"""Kept states in the 3-D view: two layers each, over the shown state or beside it."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Surface
from napari.utils.colormaps import Colormap
from qtpy.QtCore import QObject, Signal

from cryoscope.app import theme
from cryoscope.app.napari_bridge import (
    BACKBONE_LAYER,
    DENSITY_LAYER,
    DENSITY_OPACITY,
    NapariBridge,
    SurfaceData,
    surface_data,
    units_beside,
)
from cryoscope.app.qt_bridge import QtBridge
from cryoscope.session import residues

OVERLAID_OPACITY = 0.4
_NOTHING: SurfaceData = (
    np.zeros((3, 3), dtype=np.float32),
    np.array([[0, 1, 2]], dtype=np.int32),
    np.zeros(3, dtype=np.float32),
)


@dataclass
class _Pair:
    """The layers of one kept state, and what they were made from."""

    backbone: Surface
    density: Surface
    made_from: tuple[Any, ...] = ()


class KeptLayers(QObject):
    """Draws ``session.kept_states`` as ``session.scene`` arranges them.

    Side by side is napari's grid: every state has a part of the view to itself, and one camera
    turns them all.

    Attributes
    ----------
    named_in_cells
        Whether something names the states in their cells: the label over the view then does not.

    Signals
    -------
    arranged ()
        States may have moved to other cells, or have changed.
    """

    arranged = Signal()

    def __init__(self, session: Any, bridge: QtBridge, view: NapariBridge) -> None:
        super().__init__(view)
        self._session, self._view, self._viewer = session, view, view.viewer
        self.named_in_cells = False
        self._pairs: dict[str, _Pair] = {}
        self._stubs: list[Surface] = []
        self._order: list[int] = []
        self._shape = (1, 1)
        for field in ("kept_states", "scene", "backbone_colour", "residue_motion"):
            bridge.watch(field, lambda _value: self.refresh())
        view.drawn.connect(lambda _state: self._arrange())
        view.range_changed.connect(lambda _maximum: self.refresh())
        self._viewer.layers.events.removed.connect(self._forget)
        self._viewer.canvas.grid.events.shape.connect(self._keep_size)

    def close(self) -> None:
        """Let go of the viewer."""
        self._viewer.layers.events.removed.disconnect(self._forget)
        self._viewer.canvas.grid.events.shape.disconnect(self._keep_size)

    @property
    def viewer(self) -> Any:
        """The viewer that the states are drawn in."""
        return self._viewer

    @property
    def grid_shape(self) -> tuple[int, int]:
        """Rows and columns of cells."""
        rows, columns = self._viewer.canvas.grid.actual_shape(self._viewer.layers)
        return int(rows), int(columns)

    def cells(self) -> list[tuple[tuple[int, int], Any | None]]:
        """Every cell (row, column) that shows a state, and which kept one; None for the shown."""
        if not self._viewer.canvas.grid.enabled or self._session.shown is None:
            return []
        kept = {one.name: one for one in self._session.kept_states}
        owners: dict[int, Any | None] = {
            id(layer): kept[name]
            for name, pair in self._pairs.items()
            if name in kept
            for layer in (pair.backbone, pair.density)
        }
        owners |= {id(layer): None for layer in (*self._view.layers, *self._stubs)}
        layers, found = self._viewer.layers, []
        for cell, indices in self._viewer.canvas.grid.iter_viewboxes(layers):
            known = [owners[id(layers[i])] for i in indices if id(layers[i]) in owners]
            if known:
                found.append((cell, known[0]))
        return found

    def refresh(self) -> None:
        """Draw the states that are kept now."""
        kept = self._session.kept_states
        names = {one.name for one in kept}
        for name in [name for name in self._pairs if name not in names]:
            pair = self._pairs.pop(name)
            for layer in (pair.backbone, pair.density):
                if layer in self._viewer.layers:
                    self._viewer.layers.remove(layer)
        for one in kept:
            self._draw(one)
        self._tell_legend()
        self._arrange()

    def _draw(self, kept: Any) -> None:
        pair = self._pairs.get(kept.name)
        if pair is None:
            pair = self._pairs[kept.name] = _Pair(
                self._add(f"{kept.name} (backbone)"), self._add(f"{kept.name} (density)")
            )
        scene, by = self._session.scene, self._session.backbone_colour
        beside = scene.layout == "grid"
        look = self._view.backbone_look if beside else None
        colours = (kept.colour, by, scene.surface == "plain", look and look[1])
        made_from = (kept.shown, scene.backbone, scene.layout, *colours)
        if made_from != pair.made_from:
            pair.made_from = made_from
            self._fill(kept, pair, beside)
        for layer, there in (
            (pair.backbone, len(kept.shown.coords_A) > 0),
            (pair.density, kept.shown.isosurface is not None),
        ):
            wanted = kept.visible and there
            if layer.visible != wanted:
                layer.visible = wanted

    def _fill(self, kept: Any, pair: _Pair, beside: bool) -> None:
        own = Colormap([[*theme.rgb(kept.colour), 1.0]] * 2, name=f"kept {kept.colour}")
        mesh = residues.backbone_mesh(self._session, kept.shown)
        pair.backbone.data = surface_data(mesh) or _NOTHING
        colours, maximum = self._view.backbone_look if beside else (own, 1.0)
        pair.backbone.colormap = colours
        pair.backbone.contrast_limits_range = (0.0, maximum)
        pair.backbone.contrast_limits = (0.0, maximum)
        surface = kept.shown.isosurface
        pair.density.data = (None if surface is None else surface_data(surface)) or _NOTHING
        pair.density.colormap = own
        alone = len(kept.shown.coords_A) == 0
        pair.density.opacity = DENSITY_OPACITY if not alone else 1.0 if beside else OVERLAID_OPACITY
        if alone and beside:
            pair.density.blending = "opaque"
        else:
            # About something solid a veil must not cover what lies before it.
            solid = alone or self._session.scene.surface != "plain"
            pair.density.blending = "translucent" if solid else "translucent_no_depth"

    def _add(self, name: str) -> Surface:
        layer = Surface(
            _NOTHING,
            name=name,
            shading="smooth",
            blending="opaque",
            visible=False,
            units=units_beside(self._viewer),
        )
        layer.events.visible.connect(lambda _event: self.arranged.emit())
        self._viewer.layers.append(layer)
        return layer

    # Side by side

    def _arrange(self) -> None:
        """Backbones below the veils; or, side by side, the two layers of every state together."""
        grid = self._viewer.canvas.grid
        beside = self._session.scene.layout == "grid" and bool(self._pairs)
        states = [self._shown_pair(beside)]
        # In the order in which they are listed: one that has been renamed keeps its place.
        names = [one.name for one in self._session.kept_states if one.name in self._pairs]
        pairs = [self._pairs[name] for name in names]
        states += [[pair.backbone, pair.density] for pair in pairs]
        if beside:
            wanted = [layer for pair in states for layer in pair]
        else:
            wanted = [layer for place in (0, 1) for pair in states for layer in pair[place:][:1]]
        wanted = [layer for layer in wanted if layer is not None]
        order = [id(layer) for layer in wanted]
        if order != [id(layer) for layer in list(self._viewer.layers)[: len(wanted)]]:
            for place, layer in enumerate(wanted):
                there = self._viewer.layers.index(layer)
                if there != place:
                    self._viewer.layers.move(there, place)
        if beside and grid.stride != 2:
            grid.stride = 2
        if grid.enabled != beside:
            grid.enabled = beside
        self._keep_size()
        self.arranged.emit()

    def _keep_size(self, _event: Any = None) -> None:
        """Zoom so that a state takes as much of its cell as it took of the view, or of its cell."""
        shape = self.grid_shape
        if shape == self._shape:
            return
        height, width = (float(side) for side in self._viewer.canvas.size)
        was, now = (min(height / rows, width / columns) for rows, columns in (self._shape, shape))
        self._shape = shape
        if was > 0 and now > 0:
            self._viewer.scene.camera.zoom *= now / was

    def _shown_pair(self, beside: bool) -> list[Surface | None]:
        """The layers of the shown state; in the grid one that is missing leaves its place empty."""
        pair = list(self._view.layers)
        if not beside:
            return pair
        for place, name in enumerate((BACKBONE_LAYER, DENSITY_LAYER)):
            if pair[place] is None:
                stub = next((one for one in self._stubs if one.name.startswith(name)), None)
                if stub is None:
                    stub = self._add(f"{name}: none")
                    self._stubs.append(stub)
                pair[place] = stub
        return pair

    def _tell_legend(self) -> None:
        """Where every kept state comes from, beside its colour."""
        lines = [
            f"<br><span style='color:{one.colour}'>■</span> {html.escape(one.name)}: "
            f"{html.escape(one.shown.label)}"
            + (f" · {one.shown.box_text}" if one.shown.box_text else "")
            for one in self._session.kept_states
            if one.visible
        ]
        in_cells = self.named_in_cells and self._session.scene.layout == "grid"
        self._view.set_legend("" if in_cells else "".join(lines))

    def _forget(self, event: Any) -> None:
        self._stubs = [layer for layer in self._stubs if layer is not event.value]
        for name, pair in list(self._pairs.items()):
            if event.value is pair.backbone or event.value is pair.density:
                del self._pairs[name]
