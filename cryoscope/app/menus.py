"""The menu bar: our verbs first, napari's own menus gathered in one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtGui import QAction, QKeySequence
from qtpy.QtWidgets import QDockWidget, QMenu, QMenuBar

if TYPE_CHECKING:
    from cryoscope.app.window import CryoscopeWindow

TITLES = {"layer list": "napari layer list", "layer controls": "napari layer controls"}


def add_menus(window: CryoscopeWindow) -> None:
    """Put File, Edit and View before the rest; napari's own menus move into one."""
    bar = window.main.menuBar()
    napari_menus = [action for action in bar.actions() if action.menu() is not None]
    file, edit, view = QMenu("&File", bar), QMenu("&Edit", bar), QMenu("&View", bar)
    napari = QMenu("&napari", bar)
    _fill_file(window, file)
    _fill_edit(window, edit)
    _fill_view(window, view)
    for action in napari_menus:
        bar.removeAction(action)
        napari.addAction(action)
        _drop_shortcuts(action.menu(), bar, _shortcuts(file, edit))
    for menu in (file, edit, view, napari):
        bar.addMenu(menu)


def _fill_file(window: CryoscopeWindow, menu: QMenu) -> None:
    _add(menu, "Open files…", window.project.ask_files, QKeySequence("Ctrl+O"))
    _add(menu, "Open run folder…", window.project.ask_run, QKeySequence("Ctrl+Shift+O"))
    menu.addSeparator()
    export = _add(menu, "Export selected particles…", window.selections.ask_export)
    trajectory = _add(menu, "Export trajectory…", window.state.ask_trajectory)
    menu.addSeparator()
    _add(menu, "Quit", window.main.close, QKeySequence("Ctrl+Q"))

    def refresh() -> None:
        export.setEnabled(window.selections.export.isEnabled())
        trajectory.setEnabled(window.state.trajectory.isEnabled())

    menu.aboutToShow.connect(refresh)


def _fill_edit(window: CryoscopeWindow, menu: QMenu) -> None:
    undo = _add(menu, "Undo", window.selections.undo.click)
    redo = _add(menu, "Redo", window.selections.redo.click)
    menu.addSeparator()

    def check() -> None:
        window.docks["checking"].show()
        window.docks["checking"].raise_()
        window.checking.reconstruct()

    check_data = _add(menu, "Reconstruct the active selection", check, QKeySequence("Ctrl+R"))

    def refresh() -> None:
        undo.setEnabled(window.selections.undo.isEnabled())
        redo.setEnabled(window.selections.redo.isEnabled())
        check_data.setEnabled(window.checking.start.isEnabled())

    menu.aboutToShow.connect(refresh)


def _fill_view(window: CryoscopeWindow, menu: QMenu) -> None:
    _add(menu, "Reset view of the molecule", window.napari_bridge.fit_camera)
    _add(menu, "Show all particles", window.latent.canvas.fit)
    menu.addSeparator()
    for dock in window.docks.values():
        menu.addAction(dock.toggleViewAction())
    menu.addSeparator()
    for dock in window.main.findChildren(QDockWidget):
        if dock.windowTitle() in TITLES or dock.objectName() in TITLES:
            action = dock.toggleViewAction()
            action.setText(TITLES[dock.objectName() or dock.windowTitle()])
            menu.addAction(action)


def _add(menu: QMenu, text: str, slot: object, keys: QKeySequence | None = None) -> QAction:
    action = menu.addAction(text)
    action.triggered.connect(lambda _checked=False: slot())  # type: ignore[operator]
    if keys is not None:
        action.setShortcut(keys)
    return action


def _shortcuts(*menus: QMenu) -> set[str]:
    return {
        action.shortcut().toString()
        for menu in menus
        for action in menu.actions()
        if not action.shortcut().isEmpty()
    }


def _drop_shortcuts(menu: QMenu, bar: QMenuBar, taken: set[str]) -> None:
    """Free the shortcuts that are ours from napari's actions, or neither would work."""
    for action in menu.actions():
        if action.menu() is not None:
            _drop_shortcuts(action.menu(), bar, taken)
        elif action.shortcut().toString() in taken:
            action.setShortcut(QKeySequence())
