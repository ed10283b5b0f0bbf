"""What the window remembers from one time to the next: folders, and what has been shown."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QSettings

ORGANISATION = APPLICATION = "Cryoscope"
_FOLDER, _SEEN = "folders", "seen"


def settings() -> QSettings:
    """Where it is kept: the user's own settings of this program."""
    return QSettings(
        QSettings.Format.IniFormat, QSettings.Scope.UserScope, ORGANISATION, APPLICATION
    )


def folder_of(kind: str) -> Path | None:
    """The folder that a dialog of this kind was left in, if it is still there."""
    text = settings().value(f"{_FOLDER}/{kind}", "", type=str)
    folder = Path(text) if text else None
    return folder if folder is not None and folder.is_dir() else None


def remember_folder(kind: str, folder: Path) -> None:
    """Begin there the next time that a dialog of this kind is opened."""
    settings().setValue(f"{_FOLDER}/{kind}", str(folder.absolute()))


def seen(what: str) -> bool:
    """Whether the user has been shown something that is shown once."""
    return bool(settings().value(f"{_SEEN}/{what}", False, type=bool))


def remember_seen(what: str, value: bool = True) -> None:
    """Do not show it again by itself."""
    settings().setValue(f"{_SEEN}/{what}", value)
