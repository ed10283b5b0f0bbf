"""The bars of tabs below and above docks that share a place."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMainWindow, QTabBar


def hide_spare_tabs(main: QMainWindow) -> None:
    """Hide the bars that Qt leaves behind while docks are tabbed one after the other.

    Such a bar has some of the tabs of another one and peeps out wherever a dock leaves room.
    """
    bars = main.findChildren(QTabBar, options=Qt.FindChildOption.FindDirectChildrenOnly)
    tabs = {bar: {bar.tabText(place) for place in range(bar.count())} for bar in bars}
    for bar, names in tabs.items():
        if any(names < other for other in tabs.values()):
            bar.hide()
