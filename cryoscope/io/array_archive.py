"""Plain arrays in one ``.npz``: uncompressed, no pickles, nothing allocated on a header's word."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError
from cryoscope.io.atomic import atomic_path, explain_os_errors


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write named arrays atomically."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def read_arrays(
    path: Path, names: tuple[str, ...], *, what: str, cure: str
) -> dict[str, NDArray[Any]]:
    """Those of the named arrays that are there; others are passed over.

    Parameters
    ----------
    what, cure
        What the file holds and what to do if it is damaged, for the message.

    Raises
    ------
    InputError
        If the file is missing or damaged. Nothing larger than the file itself is ever allocated.
    """
    arrays: dict[str, NDArray[Any]] = {}
    with explain_os_errors(path, action="read"):
        size_bytes = path.stat().st_size
        try:
            with zipfile.ZipFile(path) as archive:
                for member in archive.infolist():
                    name = member.filename.removesuffix(".npy")
                    if name not in names:
                        continue
                    if member.compress_type != zipfile.ZIP_STORED or member.file_size > size_bytes:
                        raise ValueError("a member is compressed or too large")
                    arrays[name] = _array_from_npy(archive.read(member))
        except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError) as error:
            raise InputError(f"damaged {what} file ({error})", file=path, cure=cure) from error
    return arrays


def _array_from_npy(data: bytes) -> NDArray[Any]:
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read_header is None:
        raise ValueError(f"unknown array format {version}")
    shape, fortran_order, dtype = read_header(stream)
    if dtype.hasobject or fortran_order or min(shape, default=0) < 0:
        raise ValueError("unexpected kind of array")
    if dtype.itemsize * prod(shape) != len(data) - stream.tell():
        raise ValueError("an array is shorter than its header says")
    return np.frombuffer(data, dtype=dtype, offset=stream.tell()).reshape(shape).copy()
