"""Files that come with Cryoscope and that a window shows."""

from __future__ import annotations

from pathlib import Path

from cryoscope.io.resources import resource_path


def icon_path() -> Path:
    """The icon of the program (.png, 512 pixels)."""
    return resource_path("icons/cryoscope.png")
