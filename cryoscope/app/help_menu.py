"""Entries of the menus that help to find one's way: themes, panels, keys, palette, tour."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QAction, QActionGroup, QKeySequence
from qtpy.QtWidgets import QDockWidget, QMenu

from cryoscope.app.about import show_about
from cryoscope.app.appearance import CHOICES
from cryoscope.app.documentation import show_documentation
from cryoscope.app.palette import CommandPalette
from cryoscope.app.shortcuts import ShortcutSheet
from cryoscope.app.tour import start_tour

if TYPE_CHECKING:
    from cryoscope.app.window import CryoscopeWindow

SHEET_KEYS = ("F1", "?")
PALETTE_KEYS = "Ctrl+Shift+P"


def fill_help(window: CryoscopeWindow, menu: QMenu) -> None:
    """Put the palette, the sheet of shortcuts and the tour into the Help menu."""
    palette = CommandPalette(window)
    _entry(menu, "Find a command…", [PALETTE_KEYS], palette.open)
    _entry(menu, "Keyboard shortcuts", SHEET_KEYS, lambda: show_sheet(window))
    menu.addSeparator()
    _entry(menu, "Tour of the window", (), lambda: start_tour(window))
    _entry(menu, "Documentation", (), lambda: show_documentation(window.main))
    menu.addSeparator()
    _entry(menu, "About Cryoscope", (), lambda: show_about(window.main))
    window.palette = palette


def show_sheet(window: CryoscopeWindow) -> ShortcutSheet:
    """Open the sheet of shortcuts beside the work: it does not stop the window."""
    sheet = ShortcutSheet(window)
    sheet.show()
    return sheet


def fill_panels(window: CryoscopeWindow, menu: QMenu) -> None:
    """Go to a panel by its number: Ctrl+1 and on, in the order of the window."""
    inner = menu.addMenu("Go to panel")
    for number, dock in enumerate(window.docks.values(), start=1):
        keys = [f"Ctrl+{number}"] if number < 10 else []
        _entry(inner, dock.windowTitle(), keys, lambda dock=dock: _raise(dock))


def fill_themes(window: CryoscopeWindow, menu: QMenu) -> None:
    """Choose the theme."""
    inner = menu.addMenu("Theme")
    group = QActionGroup(inner)
    choices: dict[str, QAction] = {}
    for name, text in CHOICES:
        choices[name] = action = inner.addAction(text)
        action.setCheckable(True)
        group.addAction(action)
        action.triggered.connect(lambda _on, name=name: window.appearance.choose(name))

    def refresh() -> None:
        chosen = choices.get(window.appearance.chosen)
        if chosen is not None:
            chosen.setChecked(True)

    refresh()
    inner.aboutToShow.connect(refresh)


def _raise(dock: QDockWidget) -> None:
    dock.show()
    dock.raise_()
    first = dock.widget().nextInFocusChain()
    if first is not None and dock.isAncestorOf(first):
        first.setFocus(Qt.FocusReason.ShortcutFocusReason)


def _entry(menu: QMenu, text: str, keys: list[str] | tuple[str, ...], slot: object) -> None:
    action = menu.addAction(text)
    action.setShortcuts([QKeySequence(one) for one in keys])
    action.triggered.connect(lambda _checked=False: slot())  # type: ignore[operator]
