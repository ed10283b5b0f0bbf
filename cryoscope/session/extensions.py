"""Extensions as the window and the doctor see them: panels to add, and what does not work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from cryoscope.io import extensions
from cryoscope.io.extensions import Broken, Extension, broken, installed, report_broken
from cryoscope.io.reader_extensions import reader_suffixes
from cryoscope.models.extensions import model_extensions
from cryoscope.session.state import Session
from cryoscope.training.presets import preset_names

__all__ = [
    "Broken",
    "Extension",
    "PanelExtension",
    "broken",
    "broken_panel",
    "look_at_all",
    "panel_extensions",
    "tell_broken",
]


@dataclass(frozen=True)
class PanelExtension:
    """What an entry point of ``cryoscope.panels`` refers to.

    Attributes
    ----------
    title
        Of the dock, and of the line in the View menu.
    make
        From the session and a :class:`cryoscope.app.qt_bridge.QtBridge` to a ``QWidget``. The
        widget watches fields through the bridge and calls verbs; it writes no field itself.
    area
        Where the dock is at first.
    """

    title: str
    make: Callable[[Session, Any], Any]
    area: Literal["left", "right", "bottom"] = "bottom"


def panel_extensions() -> dict[str, PanelExtension]:
    """Panels of other distributions, by name."""
    return extensions.load(extensions.PANELS, _problem)


def broken_panel(name: str, error: Exception) -> None:
    """Note that a panel could not be made."""
    for one in installed(extensions.PANELS):
        if one.name == name:
            report_broken(one, error)


def look_at_all() -> list[tuple[Extension, str]]:
    """Load every extension that is installed: each with what is wrong with it, or ""."""
    preset_names()
    model_extensions()
    reader_suffixes()
    panel_extensions()
    wrong = {entry.extension: entry.error for entry in broken()}
    return [(one, wrong.get(one, "")) for group in extensions.GROUPS for one in installed(group)]


def tell_broken(session: Session) -> None:
    """Tell the user, in one line, which extensions are skipped; for the window, once it stands."""
    entries = broken()
    if entries:
        more = f" (and {len(entries) - 1} more)" if len(entries) > 1 else ""
        cure = "`cryoscope doctor` says more"
        session.notify(
            "warning", f"{str(entries[0])[:1].upper()}{str(entries[0])[1:]}{more}. {cure}"
        )


def _problem(value: Any) -> str:
    if not isinstance(value, PanelExtension):
        return f"it is a {type(value).__name__}, not a cryoscope.session.extensions.PanelExtension"
    if value.area not in ("left", "right", "bottom") or not callable(value.make):
        return "its area is not left, right or bottom, or its make cannot be called"
    return ""
