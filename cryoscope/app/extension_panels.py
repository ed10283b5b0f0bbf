"""Panels of other distributions (entry points ``cryoscope.panels``), docked in the window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QWidget

from cryoscope.session.extensions import broken_panel, panel_extensions, tell_broken

if TYPE_CHECKING:
    from cryoscope.app.window import CryoscopeWindow

#: Where each area is, and the dock of ours whose place a panel there shares as a tab.
AREAS = {
    "left": (Qt.DockWidgetArea.LeftDockWidgetArea, "project"),
    "right": (Qt.DockWidgetArea.RightDockWidgetArea, ""),
    "bottom": (Qt.DockWidgetArea.BottomDockWidgetArea, "state"),
}


def add_extension_panels(window: CryoscopeWindow) -> None:
    """Make and dock every such panel; say which extensions are skipped because they are broken."""
    for name, extension in panel_extensions().items():
        try:
            widget = extension.make(window.session, window.bridge)
            if not isinstance(widget, QWidget):
                raise TypeError(f"make returns a {type(widget).__name__}, not a QWidget")
        # Whatever a plugin does must not keep the window from opening.
        except Exception as error:
            broken_panel(name, error)
            continue
        area, neighbour = AREAS[extension.area]
        window.add_panel(f"extension {name}", extension.title, area, widget, beside=neighbour)
    tell_broken(window.session)
