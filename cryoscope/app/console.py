"""napari's Python console, with the session in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from cryoscope.app import dialogs
from cryoscope.session import actions

if TYPE_CHECKING:
    from cryoscope.app.window import CryoscopeWindow

TITLE = "Python console"
MISSING_TEXT = (
    "The Python console is not installed. Install it with: pip install napari-console  "
    "(then start Cryoscope again)."
)


@contextmanager
def _environment_kept() -> Iterator[None]:
    """IPython tells all that this process starts later to write in colours, into files as well."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)


def toggle_console(window: CryoscopeWindow) -> None:
    """Show or hide the console, which knows ``session``, ``actions`` and ``viewer``."""
    if find_spec("napari_console") is None:
        dialogs.show_error(window.main, MISSING_TEXT)
        return
    view = window.viewer.window._qt_viewer
    made_before = view._console is not None
    with _environment_kept():
        if not made_before:
            window.viewer.update_console({"session": window.session, "actions": actions})
        view.toggle_console_visibility()
    if not made_before and view._console is not None:
        window.viewer.update_console({"session": window.session, "actions": actions})
        view.dockConsole.setWindowTitle(TITLE)
        window.main.tabifyDockWidget(window.docks["log"], view.dockConsole)
        view.dockConsole.raise_()
