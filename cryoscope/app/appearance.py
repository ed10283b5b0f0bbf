"""Dark and light: which theme the window has, switched while it is open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.settings import get_settings
from napari.utils.theme import get_theme
from qtpy.QtCore import QObject
from qtpy.QtWidgets import QAbstractButton, QApplication, QWidget

from cryoscope.app import theme
from cryoscope.app.widgets.tool_icons import tool_icon

if TYPE_CHECKING:
    from cryoscope.app.window import CryoscopeWindow

#: napari's names of its themes, and how we call them.
CHOICES = (("dark", "Dark"), ("light", "Light"), ("system", "As the desktop"))


class Appearance(QObject):
    """Keeps our colours in step with the theme of napari's viewer, whoever changes it.

    The choice is one of napari's own settings, so it is the same in napari and remembered by it.
    """

    def __init__(self, window: CryoscopeWindow) -> None:
        super().__init__(window)
        self._window = window
        window.viewer.events.theme.connect(self.follow)
        hints = QApplication.styleHints()
        if hasattr(hints, "colorSchemeChanged"):
            hints.colorSchemeChanged.connect(self.follow)
        self.follow()

    @property
    def chosen(self) -> str:
        """``dark``, ``light``, ``system``, or the theme of a napari plugin."""
        return str(self._window.viewer.theme)

    def choose(self, name: str) -> None:
        """Take a theme of :data:`CHOICES`, now and from now on."""
        get_settings().appearance.theme = name
        if self._window.viewer.theme != name:  # as when napari had it as its setting already
            self._window.viewer.theme = name

    def follow(self, _event: Any = None) -> None:
        """Take the colours of the viewer's theme: a plugin's theme is dark or light as well."""
        before = theme.STYLE
        if theme.use(get_theme(self.chosen).type):
            self._dress(before)

    def close(self) -> None:
        """Follow no more."""
        self._window.viewer.events.theme.disconnect(self.follow)

    def _dress(self, before: str) -> None:
        window = self._window
        for widget in window.main.findChildren(QWidget):
            if widget.styleSheet() == before:
                widget.setStyleSheet(theme.STYLE)
            name = widget.property("drawn_icon")
            if name and isinstance(widget, QAbstractButton):
                widget.setIcon(tool_icon(name))
        if window.session is not None:
            window.napari_bridge.retint()
            window.bridge.refresh()
        for dock in window.docks.values():
            for widget in dock.widget().findChildren(QWidget):
                widget.update()
