"""Questions and messages: every dialog of the window."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QMessageBox, QWidget

from cryoscope.app.remembered import folder_of, remember_folder

OPEN_FILTER = (
    "Particles, structures, maps (*.star *.cs *.csg *.pdb *.ent *.cif *.mmcif *.mrc *.map *.ccp4 "
    "*.gz);;All files (*)"
)
STAR_FILTER = "RELION particles (*.star)"
MAP_FILTER = "Map (*.mrc *.map *.ccp4);;All files (*)"
CSV_FILTER = "Table (*.csv)"
TRAJECTORY_FILTER = "Multi-model PDB (*.pdb);;mmCIF (*.cif)"


def ask_files(parent: QWidget, folder: str = "") -> list[Path]:
    """Files to open; empty when the user thinks better of it."""
    names, _ = QFileDialog.getOpenFileNames(
        parent, "Open", _begin_in("open files", folder), OPEN_FILTER
    )
    paths = [Path(name) for name in names]
    if paths:
        remember_folder("open files", paths[0].parent)
    return paths


def ask_map(parent: QWidget, title: str, folder: str = "") -> Path | None:
    """A map to be read, or None."""
    name, _ = QFileDialog.getOpenFileName(parent, title, _begin_in(title, folder), MAP_FILTER)
    if not name:
        return None
    remember_folder(title, Path(name).parent)
    return Path(name)


def ask_folder(parent: QWidget, title: str, folder: str = "") -> Path | None:
    """An existing folder, or None."""
    name = QFileDialog.getExistingDirectory(parent, title, _begin_in(title, folder))
    if not name:
        return None
    # One chooses among the folders beside it the next time.
    remember_folder(title, Path(name).parent)
    return Path(name)


def ask_save(parent: QWidget, title: str, suggestion: str, filters: str) -> Path | None:
    """Where to write, with a suffix of the chosen filter added when none was typed; or None."""
    name, chosen = QFileDialog.getSaveFileName(parent, title, _suggest(title, suggestion), filters)
    if not name:
        return None
    path = Path(name)
    remember_folder(title, path.parent)
    if not path.suffix:
        path = path.with_suffix(chosen[chosen.index("*") + 1 :].split(")")[0].split()[0])
    return path


def ask_new_folder(parent: QWidget, title: str, suggestion: str) -> Path | None:
    """The name of a folder to be made, or None."""
    name, _ = QFileDialog.getSaveFileName(parent, title, _suggest(title, suggestion), "Folder (*)")
    if not name:
        return None
    remember_folder(title, Path(name).parent)
    return Path(name)


def _begin_in(kind: str, folder: str) -> str:
    """The folder that was used last for this kind of thing; ``folder`` the first time."""
    last = folder_of(kind)
    return folder if last is None else str(last)


def _suggest(kind: str, suggestion: str) -> str:
    """A suggested file, in the folder that was used last for this kind of thing."""
    last = folder_of(kind)
    return suggestion if last is None else str(last / Path(suggestion).name)


def show_error(parent: QWidget, text: str) -> QMessageBox:
    """Say one line that went wrong, without stopping the window."""
    box = QMessageBox(parent)
    box.setWindowTitle("Cryoscope")
    box.setIcon(QMessageBox.Icon.Warning)
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setText(text)
    box.setStandardButtons(QMessageBox.StandardButton.Ok)
    box.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    box.open()
    return box


def confirm_close(parent: QWidget) -> bool:
    """Whether to close although a run is training."""
    box = QMessageBox(parent)
    box.setWindowTitle("Close Cryoscope?")
    box.setIcon(QMessageBox.Icon.Question)
    box.setText("Training is still running.")
    box.setInformativeText(
        "Closing stops it after saving a checkpoint; the run can be resumed later."
    )
    close = box.addButton("Save checkpoint and close", QMessageBox.ButtonRole.AcceptRole)
    stay = box.addButton("Keep training", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(stay)
    box.setEscapeButton(stay)
    box.exec()
    return box.clickedButton() is close
