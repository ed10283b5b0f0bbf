"""Panels of other distributions (entry points ``cryoscope.panels``), wherever they are shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QTabWidget, QVBoxLayout, QWidget

from cryoscope.app import theme
from cryoscope.app.qt_bridge import QtBridge
from cryoscope.app.widgets.scrolling import scrolling
from cryoscope.session.extensions import (
    PanelExtension,
    broken,
    broken_panel,
    panel_extensions,
    tell_broken,
)

if TYPE_CHECKING:
    from cryoscope.app.window import CryoscopeWindow

#: Where each area is, and the dock of ours whose place a panel there shares as a tab.
AREAS = {
    "left": (Qt.DockWidgetArea.LeftDockWidgetArea, "project"),
    "right": (Qt.DockWidgetArea.RightDockWidgetArea, ""),
    "bottom": (Qt.DockWidgetArea.BottomDockWidgetArea, "state"),
}
NONE_TEXT = (
    "No extension that is installed here adds a panel to Cryoscope. One that does is shown in "
    "this place; how to write one is said in Cryoscope's guide to extensions."
)


def add_extension_panels(window: CryoscopeWindow) -> None:
    """Make and dock every such panel; say which extensions are skipped because they are broken."""
    for name, extension, widget in _made(window.session, window.bridge):
        area, neighbour = AREAS[extension.area]
        window.add_panel(f"extension {name}", extension.title, area, widget, beside=neighbour)
    tell_broken(window.session)


class ExtensionTabs(QWidget):
    """Every such panel as a tab: for napari, whose widgets are listed before anything is loaded."""

    def __init__(self, session: Any, bridge: QtBridge) -> None:
        super().__init__()
        known = len(broken())
        self.tabs = QTabWidget(self)
        self.tabs.setDocumentMode(True)
        for _name, extension, widget in _made(session, bridge):
            self.tabs.addTab(scrolling(widget), extension.title)
        layout = QVBoxLayout(self)
        margin = 0 if self.tabs.count() else theme.MARGIN_PX
        layout.setContentsMargins(margin, margin, margin, margin)
        layout.addWidget(self.tabs)
        if self.tabs.count() == 0:
            self.tabs.hide()
            nothing = QLabel(NONE_TEXT)
            nothing.setWordWrap(True)
            nothing.setProperty("role", "muted")
            nothing.setAlignment(Qt.AlignmentFlag.AlignTop)
            layout.addWidget(nothing)
        if len(broken()) > known:
            tell_broken(session)


def _made(session: Any, bridge: QtBridge) -> Iterator[tuple[str, PanelExtension, QWidget]]:
    """Name, entry and widget of every panel that can be made; the others are noted as broken."""
    for name, extension in panel_extensions().items():
        try:
            widget = extension.make(session, bridge)
            if not isinstance(widget, QWidget):
                raise TypeError(f"make returns a {type(widget).__name__}, not a QWidget")
        # Whatever a plugin does must not keep the window from opening.
        except Exception as error:
            broken_panel(name, error)
            continue
        yield name, extension, widget
