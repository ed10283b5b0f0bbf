"""Entries of the menus for projects, for copying what was done, and for the console."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtGui import QAction, QKeySequence
from qtpy.QtWidgets import QApplication, QMenu

from cryoscope.app import dialogs
from cryoscope.app.console import toggle_console
from cryoscope.session import actions

if TYPE_CHECKING:
    from cryoscope.app.window import CryoscopeWindow

NEW_NAME = "cryoscope-project"


def fill_projects(window: CryoscopeWindow, menu: QMenu) -> None:
    """New, open, recent, save and save as: at the top of the File menu."""
    session = window.session
    _entry(menu, "New project…", "Ctrl+N", partial(ask_new, window))
    _entry(menu, "Open project…", "Ctrl+Alt+O", partial(ask_open, window))
    recent = menu.addMenu("Open recent project")
    recent.setToolTipsVisible(True)
    _entry(menu, "Save project", "Ctrl+S", partial(save, window)).setToolTip(
        "An open project is saved by itself a moment after every change"
    )
    _entry(menu, "Save project as…", "Ctrl+Shift+S", partial(ask_save_as, window))
    menu.addSeparator()
    menu.aboutToShow.connect(lambda: actions.list_recent(session))
    window.bridge.watch("recent_projects", partial(_list_recent, window, recent))
    actions.list_recent(session)


def fill_copies(window: CryoscopeWindow, menu: QMenu) -> None:
    """What was done last, as a command and as Python; and the log of all of it."""
    menu.addSeparator()
    command = _entry(menu, "Copy last action as command", "", partial(_copy_last, window, True))
    python = _entry(
        menu, "Copy last action as Python", "Ctrl+Alt+C", partial(_copy_last, window, False)
    )
    _entry(menu, "Show the log", "Ctrl+L", lambda: window.desk.show_log())
    menu.setToolTipsVisible(True)

    def refresh() -> None:
        last = window.session.journal.last_action()
        python.setEnabled(last is not None)
        python.setToolTip("" if last is None else last.python[:300])
        command.setEnabled(last is not None and bool(last.command))
        command.setToolTip(
            last.command[:300]
            if last is not None and last.command
            else "The last action has no command of its own: copy it as Python"
        )

    menu.aboutToShow.connect(refresh)


def fill_console(window: CryoscopeWindow, menu: QMenu) -> None:
    """The Python console, in the View menu."""
    console = _entry(menu, "Python console", "Ctrl+Shift+C", partial(toggle_console, window))
    console.setToolTip("Type Python beside the window: session, actions and viewer are there")
    menu.setToolTipsVisible(True)


def ask_new(window: CryoscopeWindow) -> None:
    """Let the user name a folder, and make an empty project in it."""
    folder = dialogs.ask_new_folder(window.main, "New project", NEW_NAME)
    if folder is not None:
        actions.new_project(window.session, folder)


def ask_open(window: CryoscopeWindow) -> None:
    """Let the user choose a project, and open it."""
    folder = dialogs.ask_folder(window.main, "Open the folder of a project")
    if folder is not None:
        actions.open_project(window.session, folder)


def save(window: CryoscopeWindow) -> None:
    """Save the open project; without one, ask where to make one."""
    if window.session.project is None:
        ask_save_as(window)
        return
    window.desk.keep_window()
    actions.save_project(window.session)


def ask_save_as(window: CryoscopeWindow) -> None:
    """Let the user name a folder, and make what is open a project in it."""
    folder = dialogs.ask_new_folder(window.main, "Save project as", _suggestion(window.session))
    if folder is not None:
        actions.save_project(window.session, folder)


def _suggestion(session: Any) -> str:
    for path in (
        session.run and session.run.folder.parent,
        session.particles and session.particles.file.parent,
    ):
        if path:
            return str(Path(path) / NEW_NAME)
    return NEW_NAME


def _list_recent(window: CryoscopeWindow, menu: QMenu, recent: tuple[Any, ...]) -> None:
    menu.clear()
    menu.setEnabled(bool(recent))
    for one in recent:
        text = one.path.name if one.there else f"{one.path.name} (not there)"
        action = menu.addAction(text.replace("&", "&&"))
        action.setEnabled(one.there)
        action.setToolTip(str(one.path) if one.there else f"Moved or removed: {one.path}")
        action.triggered.connect(
            lambda _checked=False, path=one.path: actions.open_project(window.session, path)
        )
    missing = [one.path for one in recent if not one.there]
    if missing:
        menu.addSeparator()
        action = menu.addAction("Forget those that are not there")
        action.triggered.connect(lambda _checked=False: _forget(window, missing))


def _forget(window: CryoscopeWindow, paths: list[Path]) -> None:
    for path in paths:
        actions.forget_recent(window.session, path)
    window.status.say(f"{len(paths)} taken off the list of recent projects")


def _copy_last(window: CryoscopeWindow, command: bool) -> None:
    last = window.session.journal.last_action()
    text = "" if last is None else (last.command if command else last.python)
    if text:
        QApplication.clipboard().setText(text)
        window.status.say(f"Copied: {text[:200]}")


def _entry(menu: QMenu, text: str, keys: str, slot: Any) -> QAction:
    action = menu.addAction(text)
    action.setShortcut(QKeySequence(keys))
    action.triggered.connect(lambda _checked=False: slot())
    return action
