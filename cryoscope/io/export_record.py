"""What an export is: ``subset.star`` is described by ``subset.star.json`` beside it.

The file itself stays as its program writes it (rows of a .star file byte for byte), so that what
is said of it stands apart. The record is JSON: `export`, the file's name and SHA-256; `source`, the
particle file with its number of particles and the SHA-256 of their names; `particles`, how many
rows were written, ``"source"`` or ``"given"`` for their order, and the SHA-256 of their names.
Where the file holds numbers instead of names, or where names repeat, `uid` lists them row by row.

A hash of names is that of their UTF-8 text, each followed by a line end, in the order of the rows.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError
from cryoscope.io.atomic import explain_os_errors
from cryoscope.io.json_file import read_json_object, write_json

FORMAT_VERSION = 1
SIZE_LIMIT_BYTES = 1 << 30


@dataclass(frozen=True)
class ExportRecord:
    """What was exported.

    Attributes
    ----------
    source
        Name of the particle file.
    count
        Rows that were written.
    uid_sha256
        Hash of their names, in their order.
    uid
        (count,) their names, where the record lists them.
    """

    source: str
    count: int
    uid_sha256: str
    uid: NDArray[np.str_] | None


def record_path(export: Path) -> Path:
    """Where the record of an export is."""
    return export.with_name(f"{export.name}.json")


def uid_sha256(uid: NDArray[np.str_]) -> str:
    """Hash of names in their order."""
    digest = hashlib.sha256()
    for begin in range(0, len(uid), 1 << 16):
        names = "\n".join(uid[begin : begin + (1 << 16)].tolist()) + "\n"
        digest.update(names.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def write_record(
    export: Path,
    source: Path,
    uid: NDArray[np.str_],
    chosen: NDArray[np.integer],
    row: NDArray[np.integer],
    *,
    list_names: bool,
    beside: bool = True,
) -> dict[str, Any]:
    """Write the record of an export that stands already, atomically; returns what it says.

    Parameters
    ----------
    source
        The particle file.
    uid
        Names of all its particles.
    chosen
        Places in `uid` of what was written, in its order.
    row
        Rows of the particle file that these are.
    list_names
        Keep the name of every row: what the export itself does not tell.
    beside
        Write it; False only returns it.
    """
    names = uid[chosen]
    content: dict[str, Any] = {
        "format": FORMAT_VERSION,
        "export": {"file": export.name, "sha256": _sha256(export)},
        "source": {"file": str(source), "particles": len(uid), "uid_sha256": uid_sha256(uid)},
        "particles": {
            "rows": len(names),
            "order": "source" if bool((np.diff(row) > 0).all()) else "given",
            "uid_sha256": uid_sha256(names),
        },
    }
    if list_names:
        content["uid"] = names.tolist()
    if beside:
        write_json(record_path(export), content)
    return content


def read_record(export: Path) -> ExportRecord | None:
    """The record of an export; None where there is none.

    Raises
    ------
    InputError
        The record is damaged, or is not about this file as it is now.
    """
    path = record_path(export)
    if not path.is_file():
        return None
    content = read_json_object(path, limit_bytes=SIZE_LIMIT_BYTES)
    try:
        version, listed = content["format"], content.get("uid")
        sha256, source = str(content["export"]["sha256"]), str(content["source"]["file"])
        count, names = content["particles"]["rows"], str(content["particles"]["uid_sha256"])
    except (KeyError, TypeError) as error:
        raise _damaged(path) from error
    fits = listed is None or (
        isinstance(listed, list) and len(listed) == count and all(type(u) is str for u in listed)
    )
    if version != FORMAT_VERSION or type(count) is not int or not fits:
        raise _damaged(path)
    uid = None if listed is None else np.array(listed, dtype=np.str_)
    if uid is not None and uid_sha256(uid) != names:
        raise _damaged(path)
    if sha256 != _sha256(export):
        raise InputError(
            f"the file was changed after it was exported (see {path.name})",
            file=export,
            cure=f"Export it again, or delete {path.name} if the change was meant",
        )
    return ExportRecord(source, count, names, uid)


def _damaged(path: Path) -> InputError:
    return InputError("this is no record of an export", file=path, cure="Delete it")


def _sha256(path: Path) -> str:
    with explain_os_errors(path, action="read"), path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
