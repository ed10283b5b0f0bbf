"""Where particles are written to and selections are read from: kinds of files, in words."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QWidget

from cryoscope.app.remembered import folder_of, remember_folder

EXPORT, IMPORT, TABLE = "Export particles", "Import a selection", "Export latents and covariates"
WITH_COLUMNS = "RELION particles, with latents and selections as columns behind yours (*.star)"
_OWN_ROWS = {
    ".star": ("RELION particles: your rows as they are (*.star)", WITH_COLUMNS),
    ".cs": ("cryoSPARC particles: your records as they are (*.cs)",),
}
_ANY = (
    "cryoDRGN indices, for --ind (*.pkl)",
    "Row numbers, from 0 (*.txt)",
    "Selection with its name, colour and note (*.json)",
    "Table of latents and covariates (*.csv)",
    "Table of latents and covariates (*.parquet)",
)
_TABLES = "CSV table (*.csv);;Parquet table (*.parquet)"
_SELECTIONS = (
    "Any export of particles (*.star *.cs *.pkl *.txt *.npy *.json *.csv *.parquet);;All files (*)"
)


def export_kinds(source_suffix: str) -> tuple[str, ...]:
    """Kinds of files that particles of such a file can be written as."""
    return (*_OWN_ROWS.get(source_suffix, ()), *_ANY)


def ask_export(parent: QWidget, suggestion: str, source_suffix: str) -> tuple[Path, bool] | None:
    """Where to write particles, and whether with columns added; None if nowhere."""
    path, chosen = _ask_save(parent, EXPORT, suggestion, ";;".join(export_kinds(source_suffix)))
    return None if path is None else (path, chosen == WITH_COLUMNS)


def ask_table(parent: QWidget, suggestion: str) -> Path | None:
    """Where to write the table of all particles, or None."""
    return _ask_save(parent, TABLE, suggestion, _TABLES)[0]


def ask_selection(parent: QWidget, folder: str = "") -> Path | None:
    """A file whose particles shall be selected, or None."""
    last = folder_of(IMPORT)
    name, _ = QFileDialog.getOpenFileName(
        parent, IMPORT, folder if last is None else str(last), _SELECTIONS
    )
    if not name:
        return None
    remember_folder(IMPORT, Path(name).parent)
    return Path(name)


def _ask_save(parent: QWidget, title: str, suggestion: str, kinds: str) -> tuple[Path | None, str]:
    last = folder_of(title)
    start = suggestion if last is None else str(last / Path(suggestion).name)
    name, chosen = QFileDialog.getSaveFileName(parent, title, start, kinds)
    if not name:
        return None, chosen
    path = Path(name)
    remember_folder(title, path.parent)
    suffix = chosen[chosen.rindex("*") + 1 :].rstrip(")") if "*." in chosen else ""
    return (path.with_name(path.name + suffix) if not path.suffix else path), chosen
