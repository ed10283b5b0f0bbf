"""Latents as ``.npz``: plain arrays, uncompressed, no pickles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError, Latents
from cryoscope.io.array_archive import read_arrays, write_arrays

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
    write_arrays(path, arrays)


def read_latents(path: Path) -> Latents:
    """Read what :func:`write_latents` wrote.

    Raises
    ------
    InputError
        If the file is missing, damaged, or its arrays do not belong together.
    """
    names_of_arrays = ("z", "uid", "run_id", "epoch", "log_var", "shift_A")
    arrays = read_arrays(path, names_of_arrays, what="latents", cure=_CURE)
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
