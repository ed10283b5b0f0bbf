"""Latents as ``.npz``: plain arrays, uncompressed, no pickles."""

from __future__ import annotations

import io
import zipfile
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError, Latents
from cryoscope.io.atomic import atomic_path, explain_os_errors

_CURE = "Delete the file; the run goes on without it."


def write_latents(path: Path, latents: Latents) -> None:
    """Write latents atomically.

    Arrays: ``z``, ``log_var``, ``shift_A`` (the two where known), ``uid`` (UTF-8), ``run_id``,
    ``epoch``.
    """
    arrays: dict[str, NDArray[Any]] = {
        "z": np.ascontiguousarray(latents.z, dtype=np.float32),
        # UTF-8 takes a quarter of the room of numpy's own strings.
        "uid": np.char.encode(latents.uid.astype(np.str_), "utf-8", "surrogateescape"),
        "run_id": np.array(latents.run_id),
        "epoch": np.array(latents.epoch, dtype=np.int64),
    }
    for name, values in (("log_var", latents.log_var), ("shift_A", latents.shift_A)):
        if values is not None:
            arrays[name] = np.ascontiguousarray(values, dtype=np.float32)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def read_latents(path: Path) -> Latents:
    """Read what :func:`write_latents` wrote.

    Raises
    ------
    InputError
        If the file is missing, damaged, or its arrays do not belong together.
    """
    arrays = _read_arrays(path, ("z", "uid", "run_id", "epoch", "log_var", "shift_A"))
    missing = [name for name in ("z", "uid", "run_id", "epoch") if name not in arrays]
    if missing:
        raise InputError(f"{', '.join(missing)} missing", file=path, cure=_CURE)
    z, uid = arrays["z"], arrays["uid"]
    log_var, shift_A = arrays.get("log_var"), arrays.get("shift_A")
    if z.dtype != np.float32 or z.ndim != 2 or uid.dtype.kind != "S" or uid.shape != z.shape[:1]:
        raise InputError("the arrays z and uid do not belong together", file=path, cure=_CURE)
    for name, values, shape in (
        ("log_var", log_var, z.shape),
        ("shift_A", shift_A, (len(z), 2)),
    ):
        if values is not None and (values.dtype != np.float32 or values.shape != shape):
            message = f"the arrays z and {name} do not belong together"
            raise InputError(message, file=path, cure=_CURE)
    if arrays["run_id"].shape != () or arrays["epoch"].shape != ():
        raise InputError("run_id and epoch must be single values", file=path, cure=_CURE)
    try:
        names = np.char.decode(uid, "utf-8", "surrogateescape")
        epoch = int(arrays["epoch"])
    except ValueError as error:
        raise InputError("uid or epoch is damaged", file=path, cure=_CURE) from error
    return Latents(z, log_var, names, str(arrays["run_id"]), epoch, shift_A)


def _read_arrays(path: Path, names: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """The named members; nothing larger than the file itself is ever allocated."""
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
            raise InputError(f"damaged latents file ({error})", file=path, cure=_CURE) from error
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
