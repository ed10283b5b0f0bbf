"""The header of an MRC file, checked against the size of the file before anything is read.

Layout after the MRC2014 format (Cheng et al. 2015, J. Struct. Biol. 192, 146), with what older
programs left out: the ``MAP`` stamp, the machine stamp, the axis order.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError
from cryoscope.io.atomic import explain_os_errors

HEADER_BYTES = 1024
_MODES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
_LARGEST_SIDE = 1 << 24
_STAMPS = {b"\x44\x44": "<", b"\x44\x41": "<", b"\x11\x11": ">"}
_IMOD_STAMP = 1146047817


@dataclass(frozen=True)
class MrcHeader:
    """Where the samples of an MRC file are and what they are.

    Attributes
    ----------
    shape
        (sections, rows, columns) as they lie in the file.
    dtype
        Sample type with byte order.
    offset
        Bytes before the first sample.
    cell_A
        Size of the cell along x, y, z.
    grid
        Samples of the cell along x, y, z.
    """

    path: Path
    shape: tuple[int, int, int]
    dtype: np.dtype[np.generic]
    offset: int
    cell_A: tuple[float, float, float]
    grid: tuple[int, int, int]

    @property
    def image_bytes(self) -> int:
        """Size of one section."""
        return self.shape[1] * self.shape[2] * self.dtype.itemsize

    def memmap(self) -> NDArray[np.generic]:
        """(sections, rows, columns) samples as they are, mapped read-only."""
        with explain_os_errors(self.path, action="read"):
            return np.memmap(self.path, self.dtype, "r", self.offset, self.shape)


def read_header(path: str | Path) -> MrcHeader:
    """Read and check the header of a map or a stack.

    Raises
    ------
    InputError
        Not an MRC file, a kind of sample that is not supported, or fewer bytes than the header
        promises; the message then says how many whole images there are.
    """
    path = Path(path)
    with explain_os_errors(path, action="read"), path.open("rb") as stream:
        raw = stream.read(HEADER_BYTES)
        file_bytes = stream.seek(0, 2)
    if raw[:2] == b"\x1f\x8b" or raw[:3] == b"BZh":
        raise InputError("the file is compressed", file=path, cure="Decompress it with gunzip")
    if len(raw) < HEADER_BYTES:
        raise InputError(
            f"not an MRC file: {len(raw)} bytes are less than its header",
            file=path,
            cure="Copy the file again",
        )
    order = _byte_order(raw, file_bytes, path)
    columns, rows, sections, mode = struct.unpack_from(f"{order}4i", raw, 0)
    grid = struct.unpack_from(f"{order}3i", raw, 28)
    cell_A = struct.unpack_from(f"{order}3f", raw, 40)
    (extended,) = struct.unpack_from(f"{order}i", raw, 92)
    if mode not in _MODES:
        raise InputError(
            f"samples of MRC mode {mode} are not supported",
            file=path,
            cure="Convert it to mode 2 (32-bit numbers), e.g. with relion_image_handler",
        )
    kind = "u1" if mode == 0 and _is_unsigned(raw, order) else _MODES[mode]
    header = MrcHeader(
        path,
        (sections, rows, columns),
        np.dtype(order + kind),
        HEADER_BYTES + extended,
        cell_A,
        grid,
    )
    _check_size(header, file_bytes)
    return header


def _check_size(header: MrcHeader, file_bytes: int) -> None:
    if header.offset < HEADER_BYTES or header.offset > file_bytes:
        raise InputError(
            "the size of the extended header is wrong",
            file=header.path,
            cure="Copy the file again, or write it anew",
        )
    whole = (file_bytes - header.offset) // header.image_bytes
    if whole < header.shape[0]:
        raise InputError(
            f"the file is truncated: {header.shape[0]:,} images of {header.shape[2]} x "
            f"{header.shape[1]} px announced, {whole:,} whole images present",
            file=header.path,
            cure="Copy the file again, or keep only the particles it holds",
        )


def _byte_order(raw: bytes, file_bytes: int, path: Path) -> str:
    fitting = [order for order in "<>" if _is_plausible(raw, order)]
    if not fitting:
        raise InputError(
            "this is not an MRC file (its first numbers are no image size)",
            file=path,
            cure="Give an .mrc, .mrcs or .map file",
        )
    if len(fitting) == 1:
        return fitting[0]
    stamped = _STAMPS.get(raw[212:214])
    if stamped is not None:
        return stamped
    exact = [order for order in fitting if _bytes_of_mode_0(raw, order) == file_bytes]
    return exact[0] if exact else fitting[0]


def _is_plausible(raw: bytes, order: str) -> bool:
    *sides, mode = struct.unpack_from(f"{order}4i", raw, 0)
    return all(0 < side < _LARGEST_SIDE for side in sides) and 0 <= mode <= 101


def _bytes_of_mode_0(raw: bytes, order: str) -> int:
    # both byte orders are plausible only for mode 0, whose number is the same in either
    columns, rows, sections = struct.unpack_from(f"{order}3i", raw, 0)
    (extended,) = struct.unpack_from(f"{order}i", raw, 92)
    return int(HEADER_BYTES + extended + columns * rows * sections)


def _is_unsigned(raw: bytes, order: str) -> bool:
    # IMOD says in bit 0 of its flags whether bytes are signed; elsewhere MRC2014 holds: signed
    stamp, flags = struct.unpack_from(f"{order}2i", raw, 152)
    return stamp == _IMOD_STAMP and not flags & 1
