"""napari's layer controls, made when they are first looked at.

napari makes two dozen widgets for every layer, a fifth of a second each time, whether its dock is
shown or not. Ours is hidden at first, and most users never open it.
"""

from __future__ import annotations

from typing import Any

from napari._qt.layer_controls import QtLayerControlsContainer
from napari.utils.events import Event
from qtpy.QtWidgets import QDockWidget


def make_when_seen(viewer: Any, dock: QDockWidget) -> None:
    """Let the hidden ``dock`` learn of the viewer's layers only once it is shown."""
    controls = dock.findChild(QtLayerControlsContainer)
    if controls is None:
        return  # another napari, which makes them in its own way
    layers = viewer.layers
    links = (
        (layers.events.inserted, controls._add),
        (layers.events.removed, controls._remove),
        (layers.selection.events.changed, controls._populate),
    )
    for signal, slot in links:
        signal.disconnect(slot)
    made: list[bool] = []

    def make(visible: bool) -> None:
        if not visible or made:
            return
        made.append(True)
        for layer in layers:
            controls._add(Event("inserted", value=layer))
        for signal, slot in links:
            signal.connect(slot)
        controls._populate()

    dock.visibilityChanged.connect(make)
