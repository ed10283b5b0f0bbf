"""The lines and words of a STAR file, found without a Python loop over its rows."""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError

Content = bytes | mmap.mmap
_Result = TypeVar("_Result")

_CHUNK_BYTES = 1 << 23
_THREADS_AT_MOST = 4
_MARK = b"\xef\xbb\xbf"  # what Windows editors put before UTF-8
_SPACE = 32
_HASH = ord("#")
_QUOTE_OPENS = re.compile(rb"[ \t\n]['\"]")
_VALUE = re.compile(
    r"'(?P<single>.*?)'(?=[ \t]|$)|\"(?P<double>.*?)\"(?=[ \t]|$)|(?P<word>[^ \t]+)"
)
_HEADER = re.compile(rb"data_(\S*)(?:\s+#.*)?\s*$", re.IGNORECASE | re.DOTALL)


def text_from_bytes(value: bytes) -> str:
    """UTF-8 text; bytes that are not UTF-8 survive as surrogates, as in Python's file names."""
    return value.decode("utf-8", errors="surrogateescape")


def split_values(line: bytes, column_count: int) -> list[str]:
    """The values of one row: words, or text in quotes; a comment after the last is dropped.

    A quote opens only where a word begins and closes only where one ends, so that ``it's`` and
    ``5'-end`` are plain words.
    """
    values: list[str] = []
    for match in _VALUE.finditer(text_from_bytes(line).rstrip("\r\n")):
        if len(values) == column_count and match[0].startswith("#"):
            break
        values.append(match[match.lastgroup or 0])
    return values


def end_of_values(line: bytes, column_count: int) -> int:
    """Where the last value of a row ends; what follows is blank or a comment."""
    text = text_from_bytes(line).rstrip("\r\n")
    ends = [match.end() for match in islice(_VALUE.finditer(text), column_count)]
    return len(text[: ends[-1]].encode("utf-8", "surrogateescape"))


def in_threads(work: Callable[[int, int], _Result], pieces: list[tuple[int, int]]) -> list[_Result]:
    """What `work` makes of every piece, in their order; `work` leaves Python's lock."""
    threads = min(_THREADS_AT_MOST, os.cpu_count() or 1, len(pieces))
    if threads < 2:
        return [work(begin, end) for begin, end in pieces]
    with ThreadPoolExecutor(threads, thread_name_prefix="star") as pool:
        return list(pool.map(work, *zip(*pieces, strict=True)))


@dataclass(frozen=True)
class Lines:
    """Where the lines of a file are.

    Attributes
    ----------
    content
        The whole file; a large one is mapped, not read.
    start
        (L + 1,) offset of every line, and of the end.
    words
        (L,) number of words between blanks.
    first
        (L,) offset of the first word (of the line where it has none).
    """

    content: Content
    start: NDArray[np.int64]
    words: NDArray[np.int64]
    first: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.words)

    def line(self, at: int) -> bytes:
        """One line with its line end."""
        return self.content[self.start[at] : self.start[at + 1]]

    def word(self, at: int) -> bytes:
        """The first word of a line."""
        words = self.content[self.first[at] : self.start[at + 1]].split(None, 1)
        return words[0] if words else b""

    def header_name(self, at: int) -> str | None:
        """``x`` where the line is the block header ``data_x``."""
        match = _HEADER.match(self.content[self.first[at] : self.start[at + 1]])
        return None if match is None else text_from_bytes(match[1])

    def next_significant(self, at: int) -> int:
        """The first line from `at` on that is neither blank nor a comment; L if there is none."""
        while at < len(self) and (self.words[at] == 0 or self.content[self.first[at]] == _HASH):
            at += 1
        return at

    def starting_with(self, keyword: bytes) -> NDArray[np.int64]:
        """Lines that consist of a word beginning with `keyword` (and perhaps a comment)."""
        byte = self.byte
        found = np.flatnonzero(self.words > 0)
        for offset, letter in enumerate(keyword):
            position = self.first[found] + offset
            found, position = found[position < len(byte)], position[position < len(byte)]
            found = found[(byte[position] | _SPACE) == (letter | _SPACE)]
        alone = [
            at
            for at in found.tolist()
            if self.words[at] == 1
            or self.content[self.first[at] : self.start[at + 1]].split(None, 2)[1][:1] == b"#"
        ]
        return np.array(alone, dtype=np.int64)

    def rows(self, first: int, end: int, column_count: int) -> NDArray[np.int64]:
        """Lines of [first, end) that are rows of a table: neither blank nor a comment.

        ``# text`` is a comment; ``#text`` is one unless the line has as many words as columns.
        """
        words = self.words[first:end]
        significant = words > 0
        byte = self.byte
        filled = np.flatnonzero(significant)
        marked = filled[byte[self.first[first:end][filled]] == _HASH]
        if len(marked):
            after = np.minimum(self.first[first:end][marked] + 1, len(byte) - 1)
            significant[marked] = (words[marked] == column_count) & (byte[after] > _SPACE)
        return np.flatnonzero(significant) + first

    def has_quotes(self, first: int, end: int) -> bool:
        """Whether any word of the lines [first, end) begins with a quote."""
        begin, stop = max(int(self.start[first]) - 1, 0), int(self.start[end])
        if self.content.find(b"'", begin, stop) < 0 and self.content.find(b'"', begin, stop) < 0:
            return False
        return _QUOTE_OPENS.search(self.content, begin, stop) is not None

    @cached_property
    def byte(self) -> NDArray[np.uint8]:
        """The whole file, byte by byte."""
        return _bytes_of(self.content)

    @cached_property
    def eight(self) -> NDArray[np.uint64]:
        """The file without its last bytes, eight at a time."""
        return eights(self.byte)


def _bytes_of(content: Content) -> NDArray[np.uint8]:
    return np.frombuffer(content, dtype=np.uint8)


def eights(byte: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Bytes as numbers of 64 bits, without the last few."""
    return byte[: len(byte) // 8 * 8].view("<u8")


def read_content(path: Path) -> Content:
    """The bytes of a file; a large one is mapped into memory (OSError where that fails)."""
    with path.open("rb") as stream:
        if os.fstat(stream.fileno()).st_size < _CHUNK_BYTES:
            return stream.read()
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)


def index_lines(content: Content, path: Path) -> Lines:
    """Find lines and count words, a few megabytes at a time.

    Raises
    ------
    InputError
        The file holds control characters (it is not text) or line ends of old Macintoshes.
    """
    from cryoscope.io.star_kernels import index_piece

    begin = len(_MARK) if content[: len(_MARK)] == _MARK else 0
    none = np.zeros(0, dtype=np.int64)
    size = len(content)
    if begin == size:
        return Lines(content, np.array([size], dtype=np.int64), none, none)
    byte = _bytes_of(content)
    eight = eights(byte)
    pieces = []
    while begin < size:
        newline = content.find(b"\n", min(begin + _CHUNK_BYTES, size) - 1)
        pieces.append((begin, size if newline < 0 else newline + 1))
        begin = pieces[-1][1]
    found = in_threads(lambda a, b: index_piece(byte, eight, a, b), pieces)
    if any(bad >= 0 for *_, bad, _ in found):
        raise InputError(
            "this is not a text file", file=path, cure="Give a .star file written by RELION"
        )
    if any(returns for *_, returns in found):
        raise InputError(
            "single carriage returns instead of line ends",
            file=path,
            cure="Save the file with Unix line ends",
        )
    start, words, first = (np.concatenate([part[i] for part in found]) for i in range(3))
    return Lines(content, np.append(start, size), words, first)
