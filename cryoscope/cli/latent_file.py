"""Latents of states from a file that the user made."""

from __future__ import annotations

from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError

_LIMIT_BYTES = 1 << 30
_CURE = (
    "Give one state per row: .npy, .npz with an array z, .csv with columns z1, z2..., or plain"
    " numbers as .txt"
)


def read_states(file: Path, dims: int) -> NDArray[np.float64]:
    """(states, dims) latents from .npy, .npz (array ``z``), .csv (columns z1..zd) or .txt.

    Raises
    ------
    InputError
        If the file is missing or does not hold finite rows of ``dims`` numbers.
    """
    from cryoscope.io.atomic import explain_os_errors

    with explain_os_errors(file, action="read"):
        if file.stat().st_size > _LIMIT_BYTES:
            raise InputError("the file is too large for a list of states", file=file, cure=_CURE)
        try:
            table = np.asarray(_read(file, dims), dtype=np.float64)
        except (ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
            raise InputError("no latents can be read from it", file=file, cure=_CURE) from error
    if table.ndim == 1 and table.size == dims:
        table = table[None]
    if table.ndim != 2 or table.shape[1] != dims or len(table) == 0:
        shape = " x ".join(map(str, table.shape))
        raise InputError(
            f"it holds {shape} numbers; this run's latents have {dims} dimensions",
            file=file,
            cure=_CURE,
        )
    broken = np.flatnonzero(~np.isfinite(table).all(axis=1))
    if len(broken):
        raise InputError(
            "a latent is not a number", file=file, row=int(broken[0]) + 1, cure="Correct that row"
        )
    return table


def read_curve(file: Path) -> NDArray[np.float64]:
    """(k, 2) points x, y of a drawn curve: columns x, y (or the first two) of a .csv or .txt.

    Raises
    ------
    InputError
        If the file is missing or does not hold two or more finite points.
    """
    import pandas as pd

    from cryoscope.io.atomic import explain_os_errors

    cure = "Give one point per row: .csv with columns x and y, or two plain numbers as .txt"
    with explain_os_errors(file, action="read"):
        if file.stat().st_size > _LIMIT_BYTES:
            raise InputError("the file is too large for a curve", file=file, cure=cure)
        try:
            if file.suffix.lower() == ".csv":
                table = pd.read_csv(file)
                named = ["x", "y"] if {"x", "y"} <= set(table.columns) else table.columns[:2]
                points = table[list(named)].to_numpy(dtype=np.float64)
            else:
                points = np.loadtxt(file, ndmin=2)
        except (ValueError, KeyError, TypeError) as error:
            raise InputError("no points can be read from it", file=file, cure=cure) from error
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 2 or not np.isfinite(points).all():
        raise InputError("these are not two or more points x, y", file=file, cure=cure)
    return points


def _read(file: Path, dims: int) -> NDArray[np.floating]:
    suffix = file.suffix.lower()
    if suffix == ".npy":
        return np.asarray(np.load(file, allow_pickle=False))
    if suffix == ".npz":
        with np.load(file, allow_pickle=False) as arrays:
            return np.asarray(arrays["z"])
    if suffix == ".csv":
        import pandas as pd

        table = pd.read_csv(file)
        return np.asarray(table[[f"z{i + 1}" for i in range(dims)]])
    return np.loadtxt(file, ndmin=2)
