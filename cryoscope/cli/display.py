"""Running a child that opens a window: on the display there is, or on a virtual one."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence

from cryoscope.data import InputError

_VIRTUAL_SCREEN = ("-a", "-s", "-screen 0 1920x1200x24 +extension GLX")


def on_a_display(command: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """A command and its environment, with a virtual display where there is no real one.

    Raises
    ------
    InputError
        When there is no display and none can be made.
    """
    environment = dict(os.environ)
    has_display = environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")
    if not sys.platform.startswith("linux") or has_display:
        return list(command), environment
    virtual = shutil.which("xvfb-run")
    if virtual is None:
        raise InputError(
            "there is no display, and xvfb-run is not installed", cure="apt install xvfb"
        )
    environment |= {"LIBGL_ALWAYS_SOFTWARE": "1", "QT_QPA_PLATFORM": "xcb"}
    return [virtual, *_VIRTUAL_SCREEN, *command], environment
