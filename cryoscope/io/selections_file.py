"""Selections as one JSON file; masks are packed bits in base64.

A file that leaves its run carries the names of the particles of every selection too, so that it
is read back by them and not by order.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError, Selection
from cryoscope.io.json_file import read_json_object, write_json

FORMAT_VERSION = 1
SIZE_LIMIT_BYTES = 1024**3
_NAME_LIMIT, _NOTE_LIMIT, _COUNT_LIMIT = 1_000, 100_000, 10**9
_CURE = "Restore the file from a copy, or delete it and select again."


def write_selections(
    path: Path, selections: Sequence[Selection], *, uid: NDArray[np.str_] | None = None
) -> None:
    """Write all fields of ``selections`` atomically.

    Parameters
    ----------
    uid
        (N,) names of all particles, to be written with every selection.
    """
    rows: list[dict[str, Any]] = [
        {
            "name": selection.name,
            "colour": selection.colour,
            "note": selection.note,
            "made_by": selection.made_by,
            "particle_count": int(selection.mask.size),
            "mask_base64": base64.b64encode(np.packbits(selection.mask).tobytes()).decode(),
        }
        for selection in selections
    ]
    if uid is not None:
        for row, selection in zip(rows, selections, strict=True):
            row["uid"] = uid[selection.mask].tolist()
    write_json(path, {"format": FORMAT_VERSION, "selections": rows})


def read_selections(path: Path, *, particle_count: int | None = None) -> list[Selection]:
    """Read what :func:`write_selections` wrote.

    Parameters
    ----------
    particle_count
        The number of particles that every mask must have, where it is known.

    Raises
    ------
    InputError
        If the file is damaged, of a newer format, or for another number of particles.
    """
    content = read_json_object(path, limit_bytes=SIZE_LIMIT_BYTES)
    version, rows = content.get("format"), content.get("selections")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise InputError(
            f"the selections have format {version}; this program reads format {FORMAT_VERSION}",
            file=path,
            cure="Update Cryoscope.",
        )
    if version != FORMAT_VERSION or not isinstance(rows, list):
        raise InputError("not a file of selections", file=path, cure=_CURE)
    selections = [_selection(row, path, number) for number, row in enumerate(rows, start=1)]
    for number, selection in enumerate(selections, start=1):
        if particle_count is not None and selection.mask.size != particle_count:
            raise InputError(
                f"selection {number} is for {selection.mask.size:,} particles, "
                f"but there are {particle_count:,}",
                file=path,
                cure="Use the selections of this run.",
            )
    return selections


def _selection(row: Any, path: Path, number: int) -> Selection:
    try:
        texts = [str(row[key]) for key in ("name", "colour", "note")]
        count, packed_text, made_by = row["particle_count"], row["mask_base64"], row["made_by"]
        packed = base64.b64decode(packed_text, validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise InputError(f"selection {number} is damaged", file=path, cure=_CURE) from error
    sizes_fit = all(
        len(text) <= limit
        for text, limit in zip(texts, (_NAME_LIMIT, _NAME_LIMIT, _NOTE_LIMIT), strict=True)
    )
    count_fits = isinstance(count, int) and 0 <= count <= _COUNT_LIMIT
    if not (sizes_fit and count_fits and isinstance(made_by, dict)):
        raise InputError(f"selection {number} is damaged", file=path, cure=_CURE)
    if len(packed) != (count + 7) // 8:
        raise InputError(
            f"selection {number} has {len(packed) * 8} bits for {count} particles",
            file=path,
            cure=_CURE,
        )
    mask = np.unpackbits(np.frombuffer(packed, dtype=np.uint8), count=count).astype(np.bool_)
    return Selection(texts[0], mask, texts[1], texts[2], made_by)
