"""The menu bar: our verbs first, napari's own menus gathered in one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtGui import QAction, QKeySequence
from qtpy.QtWidgets import QDockWidget, QMenu, QMenuBar

from cryoscope.app.help_menu import fill_help, fill_panels, fill_themes
from cryoscope.app.project_menu import fill_console, fill_copies, fill_projects

if TYPE_CHECKING:
    from cryoscope.app.window import CryoscopeWindow

TITLES = {"layer list": "napari layer list", "layer controls": "napari layer controls"}


def add_menus(window: CryoscopeWindow) -> None:
    """Put File, Edit and View before the rest; napari's own menus move into one."""
    bar = window.main.menuBar()
    napari_menus = [action for action in bar.actions() if action.menu() is not None]
    file, edit, view = QMenu("&File", bar), QMenu("&Edit", bar), QMenu("&View", bar)
    napari, assistance = QMenu("&napari", bar), QMenu("&Help", bar)
    _fill_file(window, file)
    _fill_edit(window, edit)
    _fill_view(window, view)
    fill_panels(window, view)
    fill_themes(window, view)
    fill_help(window, assistance)
    for action in napari_menus:
        bar.removeAction(action)
        napari.addAction(action)
        _drop_shortcuts(action.menu(), bar, _shortcuts(file, edit, view, assistance))
    for menu in (file, edit, view, napari, assistance):
        bar.addMenu(menu)


def _fill_file(window: CryoscopeWindow, menu: QMenu) -> None:
    fill_projects(window, menu)
    _add(menu, "Open files…", window.project.ask_files, QKeySequence("Ctrl+O"))
    _add(menu, "Open run folder…", window.project.ask_run, QKeySequence("Ctrl+Shift+O"))
    menu.addSeparator()
    bring = _add(menu, "Import a selection…", window.selections.ask_import)
    export = _add(menu, "Export selected particles…", window.selections.ask_export)
    table = _add(menu, "Export latents and covariates…", window.selections.ask_table)
    trajectory = _add(menu, "Export trajectory…", window.state.ask_trajectory)
    menu.addSeparator()
    _add(menu, "Quit", window.main.close, QKeySequence("Ctrl+Q"))

    def refresh() -> None:
        bring.setEnabled(window.selections.can_import)
        export.setEnabled(window.selections.export.isEnabled())
        table.setEnabled(window.selections.can_export_table)
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
    fill_copies(window, menu)

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
    fill_console(window, menu)
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
    taken = set()
    for action in (action for menu in menus for action in menu.actions()):
        taken |= {keys.toString() for keys in action.shortcuts()}
        inner = action.menu()
        if isinstance(inner, QMenu):
            taken |= _shortcuts(inner)
    return taken


def _drop_shortcuts(menu: QMenu, bar: QMenuBar, taken: set[str]) -> None:
    """Free the shortcuts that are ours from napari's actions, or neither would work."""
    for action in menu.actions():
        if action.menu() is not None:
            _drop_shortcuts(action.menu(), bar, taken)
        else:
            kept = [keys for keys in action.shortcuts() if keys.toString() not in taken]
            if len(kept) < len(action.shortcuts()):
                action.setShortcuts(kept)
