"""Stacks of particle images: read on demand from any number of files, written atomically."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError
from cryoscope.io.atomic import atomic_path, explain_os_errors
from cryoscope.io.mrc_header import HEADER_BYTES, MrcHeader, read_header

_IMAGES_AT_ONCE = 256
_LABEL = b"Cryoscope"


class MrcStack:
    """One stack file, memory-mapped; its header is checked when it is opened.

    Parameters
    ----------
    path
        An ``.mrcs`` or ``.mrc`` file of modes 0, 1, 2, 6 or 12, of either byte order.

    Raises
    ------
    InputError
        See `cryoscope.io.mrc_header.read_header`.
    """

    def __init__(self, path: str | Path) -> None:
        self.header = read_header(path)
        self.images = self.header.memmap()

    def __len__(self) -> int:
        return self.header.shape[0]

    def read(self, frame: NDArray[np.integer]) -> NDArray[np.float32]:
        """(len(frame), y, x) float32 images at 0-based `frame`."""
        return self.images[frame].astype(np.float32)


class StackImages:
    """Images of particles, each an image of one of many stack files (an `ImageSource`).

    Use `open` to make one: it checks everything that can be checked without reading images.
    """

    def __init__(
        self,
        headers: tuple[MrcHeader, ...],
        file_index: NDArray[np.int64],
        frame: NDArray[np.int64],
    ) -> None:
        self._headers, self._file_index, self._frame = headers, file_index, frame

    @classmethod
    def open(
        cls,
        files: Sequence[Path],
        file_index: NDArray[np.integer],
        frame: NDArray[np.integer],
        *,
        table: str | Path,
        row: NDArray[np.integer] | None = None,
    ) -> StackImages:
        """Open the stacks and check that every particle has its image.

        Parameters
        ----------
        files
            The stack files.
        file_index
            (N,) which of `files` a particle is in.
        frame
            (N,) its 0-based image there.
        table
            The particle file, named in messages.
        row
            (N,) 0-based rows of the particles in `table`; None means 0, 1, 2, ...

        Raises
        ------
        InputError
            A stack is unreadable or truncated; images are not square, of odd side, or of
            different sides; a particle's image lies beyond the end of its stack.
        """
        which: NDArray[np.int64] = np.asarray(file_index, dtype=np.int64)
        image: NDArray[np.int64] = np.asarray(frame, dtype=np.int64)
        row = np.arange(len(image)) if row is None else row
        headers = [read_header(file) for file in files]
        used, first = np.unique(which, return_index=True)
        for file, particle in zip(used.tolist(), first.tolist(), strict=True):
            box = headers[int(used[0])].shape[2]
            _check_box(headers[file], box, table, int(row[particle]) + 1)
        lengths = np.array([header.shape[0] for header in headers], dtype=np.int64)
        beyond = np.flatnonzero((image < 0) | (image >= lengths[which]))
        if len(beyond):
            particle = int(beyond[0])
            header = headers[int(which[particle])]
            raise InputError(
                f"image {image[particle] + 1} of {header.path}, which holds {header.shape[0]} "
                f"images ({len(beyond):,} such rows)",
                file=table,
                row=int(row[particle]) + 1,
                cure="Give the stack that belongs to this file, or remove these rows",
            )
        return cls(tuple(headers), which, image)

    @property
    def box_size_px(self) -> int:
        """Side of the square images."""
        return self._headers[int(self._file_index[0])].shape[2] if len(self) else 0

    @property
    def files(self) -> tuple[Path, ...]:
        """The stack files."""
        return tuple(header.path for header in self._headers)

    @property
    def file_index(self) -> NDArray[np.int64]:
        """(N,) which of `files` a particle is in."""
        return self._file_index

    @property
    def frame(self) -> NDArray[np.int64]:
        """(N,) its 0-based image there."""
        return self._frame

    def __len__(self) -> int:
        return len(self._frame)

    def read(self, index: NDArray[np.integer]) -> NDArray[np.float32]:
        """(len(index), y, x) float32 images in the order of `index`.

        Files are read one after the other and each from its beginning to its end.
        """
        file_index, frame = self._file_index[index], self._frame[index]
        box = self.box_size_px
        images = np.empty((len(frame), box, box), dtype=np.float32)
        order = np.lexsort((frame, file_index))
        ends = np.flatnonzero(np.diff(file_index[order])) + 1
        for part in np.split(order, ends):
            if len(part):
                _read_images(self._headers[int(file_index[part[0]])], frame[part], part, images)
        return images

    def take(self, index: NDArray[np.integer]) -> StackImages:
        """The images at `index`, still unread."""
        return StackImages(self._headers, self._file_index[index], self._frame[index])


def _read_images(
    header: MrcHeader,
    frame: NDArray[np.int64],
    place: NDArray[np.int64],
    images: NDArray[np.float32],
) -> None:
    """Read images of one file, in rising order of `frame`, into ``images[place]``.

    Read, not mapped: this is faster for few images of many files, and a file that is cut off
    meanwhile is an error and not the end of the program.
    """
    as_they_are = header.dtype == images.dtype
    # What stands together in the file and in the result is read at once.
    together = (np.diff(frame) == 1) & (np.diff(place) == 1)
    begins = np.flatnonzero(np.append(True, ~together))
    with explain_os_errors(header.path, action="read"), header.path.open("rb", 0) as stream:
        for begin, end in pairwise([*begins.tolist(), len(frame)]):
            for first in range(begin, end, _IMAGES_AT_ONCE):
                count, to = min(end - first, _IMAGES_AT_ONCE), int(place[first])
                part = images[to : to + count]
                found = part if as_they_are else np.empty(part.shape, dtype=header.dtype)
                stream.seek(header.offset + int(frame[first]) * header.image_bytes)
                if stream.readinto(found.data.cast("B")) != found.nbytes:
                    raise InputError(
                        "the file is shorter than it was when it was opened",
                        file=header.path,
                        cure="Copy the file again, and open the particles again",
                    )
                if not as_they_are:
                    part[...] = found


def _check_box(header: MrcHeader, box: int, table: str | Path, row: int) -> None:
    _, rows, columns = header.shape
    if rows != columns:
        problem, cure = f"images of {header.path} are not square", "Extract square images"
    elif columns % 2:
        problem, cure = f"images of {header.path} have an odd box", "Extract with an even box"
    elif columns != box:
        problem = f"mixed box sizes: {box} px, and {header.path} has"
        cure = "Use particles of one box size, or rescale them to one"
    else:
        return
    raise InputError(f"{problem} ({columns} x {rows} px)", file=table, row=row, cure=cure)


class StackWriter:
    """Write an ``.mrcs`` file image by image; it appears when all are written, or not at all.

    Use as a context manager. Samples are float32; the header carries the pixel size and the
    statistics of all images.

    Parameters
    ----------
    path
        File to write.
    box_size_px
        Side of the square images.
    pixel_size_A
        Pixel size.
    count
        Number of images when known: a full disk then says how much to free.
    """

    def __init__(
        self, path: str | Path, box_size_px: int, pixel_size_A: float, *, count: int | None = None
    ) -> None:
        self.path, self.box_size_px, self.pixel_size_A = Path(path), box_size_px, pixel_size_A
        self.count = 0
        self._expected = count
        self._lowest, self._highest = np.inf, -np.inf
        self._sum = self._sum_of_squares = 0.0
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        needed = None if self._expected is None else self._expected * 4 * self.box_size_px**2
        with ExitStack() as cleanup:
            temporary = cleanup.enter_context(atomic_path(self.path, needed_bytes=needed))
            self._stream = cleanup.enter_context(temporary.open("r+b"))
            self._stream.write(bytes(HEADER_BYTES))
            cleanup.push(self._finish)  # runs first: before the file is closed and renamed
            self._cleanup = cleanup.pop_all()
        return self

    def append(self, images: NDArray[np.floating]) -> None:
        """Add (k, y, x) images, or one (y, x) image."""
        images = np.asarray(images, dtype="<f4")
        images = images.reshape(-1, *images.shape[-2:])
        side = self.box_size_px
        if images.shape[1:] != (side, side):
            raise ValueError(f"images of shape {images.shape[1:]}, not {(side, side)}")
        if len(images) == 0:
            return
        self._stream.write(np.ascontiguousarray(images).data)
        self.count += len(images)
        self._lowest = min(self._lowest, float(images.min()))
        self._highest = max(self._highest, float(images.max()))
        self._sum += float(images.sum(dtype=np.float64))
        self._sum_of_squares += float(np.square(images, dtype=np.float64).sum())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._cleanup.__exit__(kind, error, trace)

    def _finish(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            return
        if self.count == 0:
            raise InputError("there are no images to write", file=self.path)
        self._stream.seek(0)
        self._stream.write(self._header())

    def _header(self) -> bytes:
        side, count, samples = self.box_size_px, self.count, self.count * self.box_size_px**2
        mean = self._sum / samples
        deviation = max(self._sum_of_squares / samples - mean**2, 0.0) ** 0.5
        length_A = side * self.pixel_size_A
        header = bytearray(HEADER_BYTES)
        struct.pack_into("<4i", header, 0, side, side, count, 2)
        struct.pack_into("<3i", header, 28, side, side, count)
        struct.pack_into("<3f", header, 40, length_A, length_A, count * self.pixel_size_A)
        struct.pack_into("<3f3i", header, 52, 90.0, 90.0, 90.0, 1, 2, 3)
        struct.pack_into("<3f", header, 76, self._lowest, self._highest, mean)
        struct.pack_into("<i", header, 108, 20140)  # version of the format; space group 0: images
        header[208:216] = b"MAP \x44\x44\x00\x00"
        struct.pack_into("<fi", header, 216, deviation, 1)
        header[224 : 224 + 80] = _LABEL.ljust(80)
        return bytes(header)
