"""Colours of residues: the same in the sequence, in the plot and on the backbone."""

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
from cryoscope.session import residues

# Told apart with any colour vision (after Okabe and Ito); chains beyond these begin again.
CHAIN_COLOURS = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#d55e00", "#8f98ff")


def chain_table() -> NDArray[np.float32]:
    """(k, 4) RGBA in 0..1 of the chains."""
    return np.array([[*theme.rgb(colour), 1.0] for colour in CHAIN_COLOURS], dtype=np.float32)


def residue_colours(
    values: NDArray[np.floating] | None, by: str, maximum: float, count: int
) -> NDArray[np.float32]:
    """(count, 4) RGBA in 0..1; grey where there are no values."""
    if values is None or len(values) != count:
        return np.tile(np.array([0.5, 0.53, 0.57, 1.0], dtype=np.float32), (count, 1))
    if by == "chain":
        table = chain_table()
        return table[values.astype(np.int64) % len(table)]
    table = theme.displacement_colours()
    place = np.nan_to_num(values) / max(maximum, 1e-6) * (len(table) - 1)
    return table[np.clip(np.round(place), 0, len(table) - 1).astype(np.int64)]


class BackboneColours(QObject):
    """Colours the backbone of the 3-D view as ``session.backbone_colour`` says.

    Signals
    -------
    scale_changed (title, maximum)
        What the colours mean, from 0 to the maximum (0: they are no scale).
    """

    scale_changed = Signal(str, float)

    def __init__(self, session: Any, bridge: QtBridge, view: NapariBridge) -> None:
        super().__init__(view)
        self._session, self._view = session, view
        view.backbone_mesh = self._mesh
        view.range_changed.connect(self._tell_displacement)
        for field in ("backbone_colour", "residue_motion", "structure", "scene"):
            bridge.watch(field, lambda _value: self.refresh())

    def refresh(self) -> None:
        """Colour by what is asked for now."""
        by = self._session.backbone_colour
        maximum = residues.colour_range(self._session, by)
        if by != "chain" and maximum <= 0:
            by = "displacement"  # until the motion is measured
        if by == "displacement":
            self._view.set_backbone_scale(None, 0.0)
            maximum = self._view.displacement_range_A
        elif by == "chain":
            table = chain_table()
            steps = Colormap(table, name="chains", interpolation="zero", controls=_steps(table))
            self._view.set_backbone_scale(steps, float(len(table)))
        else:
            colours = Colormap(theme.displacement_colours(), name=f"backbone {by}")
            self._view.set_backbone_scale(colours, maximum)
        title = "one colour per chain" if by == "chain" else residues.TITLES[by]
        self.scale_changed.emit(title, maximum)
        self._view.redraw_backbone()

    def _mesh(self, state: Any) -> Mesh:
        mesh = residues.backbone_mesh(self._session, state)
        if self._session.backbone_colour == "chain" and mesh.values is not None:
            # Into the middle of the step of its colour.
            steps = np.mod(mesh.values, len(CHAIN_COLOURS)) + np.float32(0.5)
            return Mesh(mesh.vertices_A, mesh.faces, steps.astype(np.float32))
        return mesh

    def _tell_displacement(self, maximum_A: float) -> None:
        if self._session.backbone_colour == "displacement":
            self.scale_changed.emit(residues.TITLES["displacement"], maximum_A)


def _steps(table: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.linspace(0.0, 1.0, len(table) + 1, dtype=np.float32)
