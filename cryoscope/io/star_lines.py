"""The lines and words of a STAR file, found without a Python loop over its rows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError

_CHUNK_BYTES = 1 << 24
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


@dataclass(frozen=True)
class Lines:
    """Where the lines of a file are.

    Attributes
    ----------
    content
        The whole file.
    start
        (L + 1,) offset of every line, and of the end.
    words
        (L,) number of words between blanks.
    first
        (L,) offset of the first word (of the line where it has none).
    """

    content: bytes
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
        byte = self._bytes()
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
        byte = self._bytes()
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

    def _bytes(self) -> NDArray[np.uint8]:
        return np.frombuffer(self.content, dtype=np.uint8)


def index_lines(content: bytes, path: Path) -> Lines:
    """Find lines and count words, a few megabytes at a time.

    Raises
    ------
    InputError
        The file holds control characters (it is not text) or line ends of old Macintoshes.
    """
    if content.startswith(b"\xef\xbb\xbf"):  # the mark that Windows editors put before UTF-8
        content = content[3:]
    if b"\r" in content and content.count(b"\r") != content.count(b"\r\n"):
        raise InputError(
            "single carriage returns instead of line ends",
            file=path,
            cure="Save the file with Unix line ends",
        )
    start, words, first = [], [], []
    begin = 0
    while begin < len(content):
        end = min(begin + _CHUNK_BYTES, len(content))
        newline = content.find(b"\n", end - 1)
        end = len(content) if newline < 0 else newline + 1
        piece = np.frombuffer(content, dtype=np.uint8, count=end - begin, offset=begin)
        line_start, line_words, line_first = _index_piece(piece, path)
        start.append(line_start + begin)
        words.append(line_words)
        first.append(line_first + begin)
        begin = end
    start.append(np.array([len(content)]))
    none = np.zeros(0, dtype=np.int64)
    return Lines(
        content,
        np.concatenate(start).astype(np.int64),
        np.concatenate([none, *words]),
        np.concatenate([none, *first]),
    )


def _index_piece(
    piece: NDArray[np.uint8], path: Path
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    blank = piece <= _SPACE
    if (blank & (piece != 32) & (piece != 10) & (piece != 9) & (piece != 13)).any():
        raise InputError(
            "this is not a text file", file=path, cure="Give a .star file written by RELION"
        )
    begins = ~blank
    begins[1:] &= blank[:-1]
    word = np.flatnonzero(begins)
    line_end = np.flatnonzero(piece == 10) + 1
    if len(line_end) == 0 or line_end[-1] != len(piece):
        line_end = np.append(line_end, len(piece))
    line_start = np.concatenate([[0], line_end[:-1]])
    edge = np.searchsorted(word, np.append(line_start, len(piece)))
    counts = np.diff(edge)
    first = line_start.copy()
    first[counts > 0] = word[edge[:-1][counts > 0]]
    return line_start.astype(np.int64), counts.astype(np.int64), first.astype(np.int64)
