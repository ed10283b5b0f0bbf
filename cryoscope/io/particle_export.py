"""Some particles written for the programs that come next; what is written is said and recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryoscope.data import InputError, Particles, Selection
from cryoscope.io.atomic import explain_os_errors, write_text_atomic
from cryoscope.io.cryodrgn_files import write_indices
from cryoscope.io.cryosparc import export_cs_subset
from cryoscope.io.export_record import record_path, write_record
from cryoscope.io.image_names import refuse_climbing
from cryoscope.io.particle_tables import NAME_COLUMN, TABLE_SUFFIXES, write_particle_table
from cryoscope.io.relion import export_subset
from cryoscope.io.selections_file import write_selections

EXPORTED_SUFFIXES = (".star", ".cs", ".pkl", ".txt", ".json", *TABLE_SUFFIXES)
_OWN_ROWS = (".star", ".cs")
_NUMBERS = (".pkl", ".txt")
_NAME_LENGTH = 200


@dataclass(frozen=True)
class Exported:
    """What was written: how many rows of which file, in which order, and the file's SHA-256."""

    file: Path
    source: Path
    count: int
    all_count: int
    order: str
    sha256: str

    def words(self) -> str:
        """One sentence about it."""
        order = "in its order" if self.order == "source" else "in the order given"
        return (
            f"{self.count:,} of {self.all_count:,} rows of {self.source.name}, {order}: "
            f"{self.file} (SHA-256 {self.sha256[:12]}...)"
        )


def export_rows(
    particles: Particles,
    mask: ArrayLike,
    out: str | Path,
    *,
    columns: Mapping[str, NDArray[Any]] | None = None,
    selection: Selection | None = None,
) -> Exported:
    """Write some particles in the form that the suffix of `out` names.

    ``.star`` and ``.cs`` hold the rows of the user's own file, unchanged; ``.pkl`` (cryoDRGN's
    ``--ind``) and ``.txt`` the 0-based numbers of these rows; ``.csv`` and ``.parquet`` names and
    `columns`. Beside each stands a record of the file, its rows, their order and hashes (see
    `export_record`). ``.json`` holds the selection and the names of its particles.
    `selection_import.read_selections_of` reads all of them back.

    Parameters
    ----------
    columns
        (N,) values of every particle: of ``.star`` columns to add behind the user's (numbers,
        names with ``_``), of ``.csv`` and ``.parquet`` those after the name.
    selection
        What ``.json`` keeps of it: name, colour, note, how it was made.

    Raises
    ------
    InputError
        The selection is empty, the particles come from a file of another kind, an image's name
        climbs out of its folder, or `out` cannot be written.
    """
    out, chosen = Path(out), np.asarray(mask, dtype=bool)
    kind, source = out.suffix.lower(), particles.source.file
    if kind not in EXPORTED_SUFFIXES:
        raise InputError(
            f"particles are written as {', '.join(EXPORTED_SUFFIXES)}", file=out, cure="Name it so."
        )
    if chosen.shape != (len(particles),):
        raise ValueError(f"a mask of shape {chosen.shape} for {len(particles)} particles")
    if not chosen.any():
        raise InputError("the selection is empty", file=out, cure="Select some particles")
    if kind in _OWN_ROWS and source.suffix.lower() != kind:
        raise InputError(
            f"the particles come from {source.name}, whose rows cannot be written as {kind}",
            file=out,
            cure=f"Name the output {source.suffix.lower()}, or .pkl for row numbers",
        )
    place = np.flatnonzero(chosen)
    row = particles.source.row[place]
    if kind == ".star":
        refuse_climbing(particles.uid[place], row, source)
    with explain_os_errors(out):
        record_path(out).unlink(missing_ok=True)  # of an older export: it would not fit
    _write(particles, chosen, out, columns or {}, selection)
    expanded = kind == ".star" and any("#" in uid for uid in particles.uid[place].tolist())
    record = write_record(
        out,
        source,
        particles.uid,
        place,
        row,
        list_names=expanded or kind in _NUMBERS,
        beside=kind != ".json",
    )
    order, sha256 = record["particles"]["order"], record["export"]["sha256"]
    return Exported(out, source, len(place), len(particles), order, sha256)


def _write(
    particles: Particles,
    chosen: NDArray[np.bool_],
    out: Path,
    columns: Mapping[str, NDArray[Any]],
    selection: Selection | None,
) -> None:
    kind = out.suffix.lower()
    if kind == ".star":
        export_subset(particles, chosen, out, columns={n: v[chosen] for n, v in columns.items()})
    elif kind == ".cs":
        export_cs_subset(particles, chosen, out)
    elif kind in TABLE_SUFFIXES:
        values = {name: column[chosen] for name, column in columns.items()}
        write_particle_table(out, {NAME_COLUMN: particles.uid[chosen], **values})
    elif kind == ".json":
        made_by = {"kind": "export", "source": str(particles.source.file)}
        kept = selection or Selection(out.stem[:_NAME_LENGTH], chosen, made_by=made_by)
        write_selections(out, [replace(kept, mask=chosen)], uid=particles.uid)
    else:
        write_row_numbers(out, particles.source.row[chosen])


def write_row_numbers(out: Path, row: NDArray[np.integer]) -> None:
    """Write 0-based row numbers as ``.pkl`` (one int64 array) or as text, one per line."""
    if out.suffix.lower() == ".pkl":
        write_indices(out, row)
    else:
        write_text_atomic(out, "".join(f"{number}\n" for number in row.tolist()))
