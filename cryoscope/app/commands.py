"""Everything that the window can do, gathered from what it is made of.

Nothing is registered twice: the entries of the menus, the buttons of the panels, the values that a
verb offers and the verbs themselves are looked up when somebody asks. The sheet of keyboard
shortcuts and the command palette are both made from this list.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtGui import QAction, QKeySequence
from qtpy.QtWidgets import (
    QAbstractButton,
    QApplication,
    QCheckBox,
    QDockWidget,
    QMenu,
    QPushButton,
    QToolButton,
)

from cryoscope.app.widgets.latent_bars import VIEWS
from cryoscope.session import actions

if TYPE_CHECKING:
    from cryoscope.app.window import CryoscopeWindow

NAPARI, PYTHON = "napari", "Python"


@dataclass(frozen=True)
class Command:
    """One thing to do.

    Attributes
    ----------
    name, group
        What it is called, and where it is found.
    run
        Does it.
    keys
        Its keyboard shortcuts as they are written on keys, or empty.
    tip
        What it does, or why it cannot be done now.
    enabled
        Whether it can be done now.
    """

    name: str
    group: str
    run: Callable[[], None]
    keys: tuple[str, ...] = ()
    tip: str = ""
    enabled: bool = True


def commands_of(window: CryoscopeWindow) -> list[Command]:
    """Everything to do in a window now: menus first, then panels, values, and Python's verbs.

    What is in a menu and on a button under one name is listed once.
    """
    listed = {command.name.lower(): command for command in _menus(window)}
    others: list[Command] = []
    for command in (*_panels(window), *_values(window), *_verbs(window)):
        entry = listed.get(command.name.lower())
        if entry is None or entry.group == NAPARI:
            others.append(command)
        else:
            listed[command.name.lower()] = replace(
                entry, keys=entry.keys or command.keys, tip=entry.tip or command.tip
            )
    return sorted([*listed.values(), *others], key=lambda one: one.group in (NAPARI, PYTHON))


def _menus(window: CryoscopeWindow) -> Iterator[Command]:
    for action in window.main.menuBar().actions():
        menu = action.menu()
        if isinstance(menu, QMenu):
            title = _plain(action.text())
            yield from _menu(menu, title, () if title == NAPARI else (title,))


def _menu(menu: QMenu, group: str, above: tuple[str, ...]) -> Iterator[Command]:
    if group != NAPARI:
        menu.aboutToShow.emit()  # its entries are enabled then
    for action in menu.actions():
        name, inner = _plain(action.text()), action.menu()
        if isinstance(inner, QMenu):
            yield from _menu(inner, group, (*above, name))
        elif name and not action.isSeparator():
            if group == "View" and action.isCheckable() and len(above) == 1:
                name = f"Show or hide: {name}"
            yield Command(
                " › ".join((*above[1:], name)) if group != NAPARI else " › ".join((*above, name)),
                group,
                action.trigger,
                _keys(action.shortcuts()),
                _tip(action),
                action.isEnabled(),
            )


def _tip(action: QAction) -> str:
    tip = _plain(action.toolTip())
    return "" if tip == _plain(action.text()).rstrip("…") else tip


def _panels(window: CryoscopeWindow) -> Iterator[Command]:
    for dock in window.docks.values():
        for button in dock.widget().findChildren(QAbstractButton):
            if not isinstance(button, (QPushButton, QToolButton, QCheckBox)):
                continue
            name = _button_name(button)
            menu = button.menu() if isinstance(button, (QPushButton, QToolButton)) else None
            if not name:
                continue
            if menu is not None:
                yield from _menu(menu, dock.windowTitle(), ("", name))
            else:
                yield Command(
                    name,
                    dock.windowTitle(),
                    partial(_press, dock, button),
                    _keys([button.shortcut()]),
                    button.toolTip(),
                    button.isEnabled(),
                )


def _button_name(button: QAbstractButton) -> str:
    """Its text; where that is a sign, its name for screen readers, or what its tip begins with."""
    text = _plain(button.text()).strip("▸▾▶◂ ")
    if sum(letter.isalnum() for letter in text) > 1:
        return text
    about = button.property("tip") or button.toolTip()
    name = button.accessibleName() or re.split(r"[:.\n]", about)[0]
    return name.partition(" [")[0]


def _press(dock: QDockWidget, button: QAbstractButton) -> None:
    dock.show()
    dock.raise_()
    button.click()


def _values(window: CryoscopeWindow) -> Iterator[Command]:
    """Presets, colours, pictures, selections, trajectories and jobs, each by its name."""
    session = window.session
    for name in actions.preset_names():
        yield Command(
            f"Method: {name}",
            "Training",
            partial(actions.choose_preset, session, name),
            (),
            f"Preset. {actions.preset_summary(name)}",
            session.run is None or not session.run.status.active,
        )
    for choice in actions.covariate_choices(session):
        yield Command(
            f"Colour particles by: {choice.label}",
            "Latent space",
            partial(actions.colour_by, session, choice.name),
            (),
            f"Not now: {choice.why_not}" if choice.why_not else "Colours of the latent plot",
            not choice.why_not,
        )
    views: tuple[tuple[Any, str, str, str], ...] = VIEWS
    for kind, text, _, tip in views:
        axes = actions.view_axes(session, kind) if session.latents is not None else 0
        yield Command(
            f"Picture of the latents: {text}",
            "Latent space",
            partial(actions.view_latents, session, kind),
            (),
            tip,
            axes > 0,
        )
    yield from _open_things(session)


def _open_things(session: Any) -> Iterator[Command]:
    for selection in session.selections:
        yield Command(
            f"Selection: {selection.name}",
            "Selections",
            partial(actions.activate_selection, session, selection.name),
            (),
            f"Make it the active one: {len(selection):,} particles. {selection.note}".strip(),
        )
    for path in session.trajectories:
        yield Command(
            f"Trajectory: {path.name}",
            "Trajectories",
            partial(actions.activate_path, session, path.name),
            (),
            "Look at this way through latent space",
        )
    for job in session.jobs:
        yield Command(
            f"Cancel: {job.text}",
            "Jobs",
            partial(actions.cancel_job, session, job.name),
            (),
            "Stop this work; nothing half-written stays",
            job.cancellable,
        )


def _verbs(window: CryoscopeWindow) -> Iterator[Command]:
    """The verbs as lines of Python, to be pasted into a console or a script."""
    for name in actions.__all__:
        verb = getattr(actions, name)
        if not inspect.isroutine(verb):
            continue
        line = python_line(name, verb)
        about = (inspect.getdoc(verb) or "").partition("\n")[0]
        yield Command(
            f"Copy as Python: {line}",
            PYTHON,
            partial(_copy, window, line),
            (),
            f"{about} ({name.replace('_', ' ')})",
        )


def python_line(name: str, verb: Callable[..., Any]) -> str:
    """A verb with the arguments that it needs, as it is called from Python."""
    needed = [
        one.name
        for one in inspect.signature(verb).parameters.values()
        if one.default is inspect.Parameter.empty
    ]
    return f"actions.{name}({', '.join(needed)})"


def _copy(window: CryoscopeWindow, line: str) -> None:
    QApplication.clipboard().setText(line)
    window.status.say(f"Copied: {line} – from cryoscope.session import actions")


def _plain(text: str) -> str:
    """The text of an entry without its underlined letter."""
    return text.replace("&&", "\0").replace("&", "").replace("\0", "&").strip()


def _keys(sequences: list[QKeySequence]) -> tuple[str, ...]:
    native = QKeySequence.SequenceFormat.NativeText
    return tuple(one.toString(native) for one in sequences if not one.isEmpty())
