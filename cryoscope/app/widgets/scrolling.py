"""Widgets below each other that can be scrolled where the window is too low for them."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget


def scrolling(*widgets: QWidget) -> QScrollArea:
    """An area that holds ``widgets``; the last one takes what room is left.

    Only upwards and downwards: they are never narrower than they must be.
    """
    inside = QWidget()
    layout = QVBoxLayout(inside)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(0)
    for widget in widgets:
        layout.addWidget(widget)
    layout.setStretch(len(widgets) - 1, 1)
    area = _Area()
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidgetResizable(True)
    area.setWidget(inside)
    return area


class _Area(QScrollArea):
    """As wide as what is in it needs, scroll bar included."""

    def resizeEvent(self, event: object) -> None:
        """Follow what is in it when that needs more room."""
        super().resizeEvent(event)
        bar = self.verticalScrollBar()
        room = bar.sizeHint().width() if bar.isVisible() else 0
        self.setMinimumWidth(self.widget().minimumSizeHint().width() + room)
