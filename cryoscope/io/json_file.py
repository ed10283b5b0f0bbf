"""Small JSON files, read within bounds and written atomically."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from cryoscope.data import InputError
from cryoscope.io.atomic import explain_os_errors, write_text_atomic

SIZE_LIMIT_BYTES = 16 * 1024**2


def plain(value: object) -> Any:
    """Numpy scalars and arrays and paths as plain JSON values (``default`` of ``json.dumps``)."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not plain JSON")


def write_json(path: Path, value: object) -> None:
    """Write ``value`` to ``path`` atomically; not-a-number is written as Python's ``NaN``."""
    write_text_atomic(path, json.dumps(value, indent=1, default=plain) + "\n")


def read_json_object(path: Path, *, limit_bytes: int = SIZE_LIMIT_BYTES) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    InputError
        If the file is missing, larger than ``limit_bytes``, or not a JSON object.
    """
    with explain_os_errors(path, action="read"):
        size_bytes = path.stat().st_size
        if size_bytes > limit_bytes:
            raise InputError(
                f"the file has {size_bytes:,} bytes; at most {limit_bytes:,} are expected",
                file=path,
                cure="Check that it is the right file.",
            )
        data = path.read_bytes()
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"not readable as JSON ({error})", file=path, cure="Restore the file from a copy."
        ) from error
    if not isinstance(value, dict):
        raise InputError(
            "a JSON object is expected", file=path, cure="Restore the file from a copy."
        )
    return value
