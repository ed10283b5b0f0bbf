"""Which projects were open lately: one small file in the user's own folder for settings."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from cryoscope.data import InputError
from cryoscope.io.atomic import explain_os_errors
from cryoscope.io.json_file import read_json_object, write_json

MOST_RECENT = 10
_SIZE_LIMIT_BYTES = 1 << 20
_LONGEST_PATH = 4096


def settings_folder() -> Path:
    """Where this user's settings of Cryoscope are kept on this system."""
    if configured := os.environ.get("XDG_CONFIG_HOME"):
        return Path(configured) / "cryoscope"
    if sys.platform == "win32" and (roaming := os.environ.get("APPDATA")):
        return Path(roaming) / "cryoscope"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "cryoscope"
    return Path.home() / ".config" / "cryoscope"


def read_recent() -> list[Path]:
    """Projects that were open lately, the last one first; none where the file cannot be read."""
    path = settings_folder() / "recent-projects.json"
    try:
        listed = read_json_object(path, limit_bytes=_SIZE_LIMIT_BYTES).get("projects")
    except InputError:
        return []
    if not isinstance(listed, list):
        return []
    texts = [one for one in listed if isinstance(one, str) and 0 < len(one) <= _LONGEST_PATH]
    return [Path(text) for text in dict.fromkeys(texts) if "\0" not in text][:MOST_RECENT]


def write_recent(projects: Sequence[Path]) -> None:
    """Remember projects, the last one first (InputError where that cannot be written)."""
    folder = settings_folder()
    with explain_os_errors(folder, option="XDG_CONFIG_HOME"):
        folder.mkdir(parents=True, exist_ok=True)
    texts = [str(path) for path in projects][:MOST_RECENT]
    write_json(folder / "recent-projects.json", {"format": 1, "projects": texts})
