"""DCD trajectories (CHARMM, NAMD, X-PLOR): records of float32 x, y and z of every frame.

Layout, from the format notes of the CHARMM and NAMD manuals: Fortran records, each between two
int32 of its length: the header (``CORD`` and 20 int32: [0] frames, [8] fixed atoms, [10] unit
cells, [11] a fourth dimension, [19] CHARMM version), the titles, the number of atoms; then for
every frame the unit cell (where [10]), x, y, z, and the fourth dimension (where [11]).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError
from cryoscope.io.atomic import atomic_path, explain_os_errors

_TITLE_LIMIT_BYTES = 1024**2
_CURE = "Copy the file again, or write the trajectory anew."


@dataclass(frozen=True)
class _Header:
    byte_order: str
    frames: int
    atoms: int
    has_cell: bool
    has_fourth_dimension: bool
    size_bytes: int


def read_dcd(
    path: str | Path, *, atoms: NDArray[np.integer] | NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """Read the coordinates of all frames.

    Parameters
    ----------
    atoms
        Index or mask of the atoms to read; None reads all n.

    Returns
    -------
    (frames, n, 3) xyz positions in A.

    Raises
    ------
    InputError
        If the file is missing, no DCD file, cut off, or has fixed atoms.
    """
    path = Path(path)
    _, records = _open(path)
    for key, first in _markers(records):
        broken = np.flatnonzero(records[key] != first)
        if len(broken):
            raise InputError(f"frame {broken[0] + 1} is damaged", file=path, cure=_CURE)
    index = slice(None) if atoms is None else np.asarray(atoms)
    axes = [records[axis][:, index] for axis in ("x", "y", "z")]
    coords_A = np.stack(axes, axis=-1).astype(np.float32, copy=False)
    if not np.isfinite(coords_A).all():
        frame = int(np.flatnonzero(~np.isfinite(coords_A).all(axis=(1, 2)))[0]) + 1
        raise InputError(
            f"frame {frame} has coordinates that are not numbers", file=path, cure=_CURE
        )
    return coords_A


def dcd_shape(path: str | Path) -> tuple[int, int]:
    """Frames and atoms of a DCD file, without reading its coordinates."""
    header, records = _open(Path(path))
    return len(records), header.atoms


def write_dcd(path: str | Path, coords_A: NDArray[np.floating]) -> None:
    """Write (frames, n, 3) xyz positions in A as a little-endian DCD file, atomically.

    Raises
    ------
    InputError
        If there is nothing to write, or the file cannot be written.
    """
    coords_A = np.asarray(coords_A)
    path = Path(path)
    if coords_A.ndim != 3 or coords_A.shape[2] != 3 or coords_A.size == 0:
        raise InputError(
            f"coordinates {coords_A.shape} are not frames of atoms",
            file=path,
            cure="Export at least one frame of at least one atom.",
        )
    frames, atoms, _ = coords_A.shape
    control = np.zeros(20, dtype="<i4")
    control[[0, 1, 2, 3, 19]] = frames, 1, 1, frames, 24
    control[9:10] = np.array([1.0], dtype="<f4").view("<i4")  # time step: one unit a frame
    title = b"Written by Cryoscope".ljust(80)
    parts = (b"CORD" + control.tobytes(), struct.pack("<i", 1) + title, struct.pack("<i", atoms))
    frame_type = _frame_type("<", atoms, has_cell=False, has_fourth_dimension=False)
    record = np.zeros(1, dtype=frame_type)
    for key, length in _markers(record):
        record[key] = length
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        for part in parts:
            marker = struct.pack("<i", len(part))
            file.write(marker + part + marker)
        for frame in coords_A:
            for axis, name in enumerate(("x", "y", "z")):
                record[name][0] = frame[:, axis]
            file.write(record.tobytes())


def _frame_type(
    byte_order: str, atoms: int, *, has_cell: bool, has_fourth_dimension: bool
) -> np.dtype[Any]:
    fields: list[tuple[Any, ...]] = []
    parts: list[tuple[str, str, int]] = [(axis, "f4", atoms) for axis in ("x", "y", "z")]
    if has_cell:
        parts.insert(0, ("cell", "f8", 6))
    if has_fourth_dimension:
        parts.append(("w", "f4", atoms))
    for name, kind, count in parts:
        fields.append((f"{name}_head", f"{byte_order}i4"))
        fields.append((name, f"{byte_order}{kind}", (count,)))
        fields.append((f"{name}_tail", f"{byte_order}i4"))
    return np.dtype(fields)


def _markers(records: NDArray[Any]) -> list[tuple[str, int]]:
    """Names of the length markers of a frame, and the length each must hold."""
    names = [name for name in records.dtype.names or () if not name.endswith(("_head", "_tail"))]
    return [
        (f"{name}_{end}", records.dtype[name].itemsize)
        for name in names
        for end in ("head", "tail")
    ]


def _open(path: Path) -> tuple[_Header, NDArray[Any]]:
    """The header, and the frames memory-mapped: nothing is allocated."""
    with explain_os_errors(path, action="read"):
        size_bytes = path.stat().st_size
        header = _read_header(path)
        frame_type = _frame_type(
            header.byte_order,
            header.atoms,
            has_cell=header.has_cell,
            has_fourth_dimension=header.has_fourth_dimension,
        )
        whole, rest = divmod(size_bytes - header.size_bytes, frame_type.itemsize)
        # Programs that write as they go leave 0 frames in the header until they finish.
        if rest or whole == 0 or header.frames not in (0, whole):
            raise InputError(
                f"the header announces {header.frames} frames of {header.atoms} atoms, but the "
                f"file holds {whole} whole ones",
                file=path,
                cure=_CURE,
            )
        records = np.memmap(path, dtype=frame_type, mode="r", offset=header.size_bytes)
    return header, records


def _read_header(path: Path) -> _Header:
    with path.open("rb") as file:
        start = file.read(92)
        orders = [
            o for o in "<>" if len(start) == 92 and struct.unpack(f"{o}i", start[:4])[0] == 84
        ]
        if not orders or start[4:8] != b"CORD" or start[88:92] != start[:4]:
            raise InputError(
                "not a DCD file of coordinates",
                file=path,
                cure="Give a trajectory in DCD format with 4-byte record lengths.",
            )
        order = orders[0]
        control = struct.unpack(f"{order}20i", start[8:88])
        titles = _record(file.read(4), order, path)
        if titles > _TITLE_LIMIT_BYTES:
            raise InputError("the DCD header is damaged", file=path, cure=_CURE)
        file.seek(titles + 4, 1)
        tail = file.read(12)
        if len(tail) < 12 or _record(tail[:4], order, path) != 4:
            raise InputError("the DCD header is damaged", file=path, cure=_CURE)
        (atoms,) = struct.unpack(f"{order}i", tail[4:8])
        size_bytes = file.tell()
    if control[8] != 0:
        raise InputError(
            f"{control[8]} atoms are fixed and not stored in every frame",
            file=path,
            cure="Write the trajectory anew with all atoms in every frame.",
        )
    # A record length is a signed 32-bit number of bytes.
    if not 0 < atoms < 2**29 or control[0] < 0:
        raise InputError("the DCD header is damaged", file=path, cure=_CURE)
    is_charmm = control[19] != 0
    return _Header(
        byte_order=order,
        frames=control[0],
        atoms=atoms,
        has_cell=is_charmm and control[10] == 1,
        has_fourth_dimension=is_charmm and control[11] == 1,
        size_bytes=size_bytes,
    )


def _record(marker: bytes, byte_order: str, path: Path) -> int:
    if len(marker) < 4 or (length := struct.unpack(f"{byte_order}i", marker)[0]) < 0:
        raise InputError("the DCD header is damaged", file=path, cure=_CURE)
    return int(length)
