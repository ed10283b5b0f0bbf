"""Versions of Cryoscope and of everything it stands on, for the About box and the command line."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

from cryoscope import __version__
from cryoscope.io import extensions

COMPUTING = ("numpy", "scipy", "torch", "numba", "scikit-learn", "scikit-image", "pandas")
FILES = ("gemmi", "mrcfile", "starfile", "safetensors", "pydantic")
WINDOW = ("napari", "vispy", "qtpy", "psygnal")
#: Distributions of the Qt bindings that the window can run on, the one we test first.
QT_BINDINGS = ("PySide6-Essentials", "PyQt6")


def version_of(distribution: str) -> str:
    """The installed version; "" where it is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def qt_binding() -> str:
    """The distribution of the installed Qt binding that is tried first; "" without one."""
    return next((name for name in QT_BINDINGS if version_of(name)), "")


def versions() -> list[tuple[str, str]]:
    """Names and versions, Cryoscope's first; packages that are not installed are left out."""
    names = [*COMPUTING, *FILES, *WINDOW, qt_binding()]
    found = [(name, version_of(name)) for name in names if name]
    brought = {
        one.distribution for group in extensions.GROUPS for one in extensions.installed(group)
    }
    added = [(one.rpartition(" ")[0], one.rpartition(" ")[2]) for one in sorted(brought)]
    return [
        ("cryoscope", __version__),
        ("Python", platform.python_version()),
        ("system", f"{platform.system()} {platform.release()} {platform.machine()}"),
        *((name, number) for name, number in found if number),
        *added,
    ]


def versions_text() -> str:
    """One line each, for a report of a problem."""
    lines = [f"{name} {number}" for name, number in versions()]
    return "\n".join([*lines, f"in {sys.prefix}"])
