"""The loops over the bytes of a STAR file, compiled; they run without Python's lock.

Imported by functions, not by modules: numba takes half a second that other formats do not need.
Eight bytes are looked at together where nothing happens in them: byte-wise comparisons on a 64-bit
number, as in Mycroft's test for a zero byte (Warren, Hacker's Delight, 2nd ed., section 6-1).
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from cryoscope.io.machine_words import bytes_below, eight_from, set_bits

_LOW = np.uint64(0x7F7F7F7F7F7F7F7F)
_HIGH = np.uint64(0x8080808080808080)
_SPACES = np.uint64(0x2020202020202020)
_ABOVE_SPACE = np.uint64(0x5F5F5F5F5F5F5F5F)  # carries into the high bit from 33 on
_TOP, _EIGHT = np.uint64(56), np.uint64(8)
# Offsets are turned to unsigned numbers in the hottest places: numba then leaves out the test for
# negative ones, which count from the end.
_EXACT_POWERS = 10.0 ** np.arange(23)  # the powers of ten that a double holds exactly
_LARGEST_EXACT = np.uint64(1 << 53)
_DIGITS_AT_MOST = 19  # more overflow 64 bits
_AT, _DOT, _MINUS, _PLUS, _ZERO = (np.uint8(ord(c)) for c in "@.-+0")
_ZEROS = np.uint64(0x3030303030303030)
_NOT_A_DIGIT = np.uint64(0x7676767676767676)  # carries into the high bit from 10 on
_NIBBLES = np.uint64(0x0F0F0F0F0F0F0F0F)
_PAIRS, _QUADS = np.uint64(0x00FF00FF00FF00FF), np.uint64(0x0000FFFF0000FFFF)
_TENS, _HUNDREDS = np.uint64(2561), np.uint64(6553601)
_TEN_THOUSANDS = np.uint64(42949672960001)
_SIXTEEN, _THIRTY_TWO, _NONE = np.uint64(16), np.uint64(32), np.uint64(0)
_WHOLE_POWERS = 10 ** np.arange(9, dtype=np.uint64)
_ROWS_TOGETHER = 8
_AHEAD = 24  # bytes that a number of the usual form is looked for in
TEXT, SKIP = -2, -1


@njit(inline="always", error_model="numpy")
def _digits_from(byte: NDArray[np.uint8], at: int) -> tuple[np.uint64, int]:
    """The number that up to eight digits make, and how many there are.

    Digits are added in pairs, fours and eights (D. Lemire, "Quickly parsing eight digits", 2018).
    """
    x = eight_from(byte, at) ^ _ZEROS
    count = bytes_below((((x & _LOW) + _NOT_A_DIGIT) | x) & _HIGH)
    if count == 0:
        return _NONE, 0
    x = (x << np.uint64(64 - 8 * count)) & _NIBBLES
    x = ((x * _TENS) >> _EIGHT) & _PAIRS
    x = ((x * _HUNDREDS) >> _SIXTEEN) & _QUADS
    return (x * _TEN_THOUSANDS) >> _THIRTY_TWO, count


@njit(inline="always", error_model="numpy")
def _next_word(byte: NDArray[np.uint8], at: int, size: int) -> int:
    """The first byte from `at` on that is not blank; the caller knows that there is one."""
    while at + 8 <= size:
        x = eight_from(byte, at)
        step = bytes_below((((x & _LOW) + _ABOVE_SPACE) | x) & _HIGH)
        at += step
        if step < 8:
            return at
    while byte[np.uintp(at)] <= 32:
        at += 1
    return at


@njit(inline="always", error_model="numpy")
def _end_of_word(byte: NDArray[np.uint8], at: int, size: int) -> int:
    """The first blank from `at` on, or the end of the file."""
    while at + 8 <= size:
        x = eight_from(byte, at)
        step = bytes_below(~(((x & _LOW) + _ABOVE_SPACE) | x) & _HIGH)
        at += step
        if step < 8:
            return at
    while at < size and byte[np.uintp(at)] > 32:
        at += 1
    return at


@njit(cache=True, nogil=True, error_model="numpy")
def _larger(values: NDArray[np.int64]) -> NDArray[np.int64]:
    longer = np.empty(2 * len(values), dtype=np.int64)
    longer[: len(values)] = values
    return longer


@njit(cache=True, nogil=True, error_model="numpy")
def index_piece(
    byte: NDArray[np.uint8], eight: NDArray[np.uint64], begin: int, end: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], int, int]:
    """Lines of [begin, end), which starts where a line does.

    Parameters
    ----------
    byte, eight
        The whole file, byte by byte and (its whole part) in eights.

    Returns
    -------
    Per line: offset, number of words, offset of the first word (of the line where it has none);
    the offset of the first byte that is no text, or -1; carriage returns without a line end.
    """
    start = np.empty((end - begin) // 64 + 16, dtype=np.int64)
    words, first = np.empty_like(start), np.empty_like(start)
    line, line_start, line_words, line_first = 0, begin, 0, begin
    after_blank, returns = True, 0
    at = begin
    while at < end:
        if at & 7 == 0 and line_words > 0:
            before = np.uint64(0) if after_blank else np.uint64(0x80)
            count, place = 0, at >> 3
            while place < end >> 3:
                x = eight[np.uintp(place)]
                if ((x - _SPACES) & ~x & _HIGH) != 0:  # a byte below 32
                    break
                filled = (((x & _LOW) + _ABOVE_SPACE) | x) & _HIGH
                count += set_bits(filled & ~((filled << _EIGHT) | before))
                before = filled >> _TOP
                place += 1
            line_words += count
            after_blank, at = before == 0, place << 3
            if at >= end:
                break
        code = byte[np.uintp(at)]
        if code > 32:
            if after_blank:
                if line_words == 0:
                    line_first = at
                line_words += 1
            after_blank = False
        else:
            after_blank = True
            if code == 10:
                if line == len(start):
                    start, words, first = _larger(start), _larger(words), _larger(first)
                start[line], words[line], first[line] = line_start, line_words, line_first
                line, line_words, line_start, line_first = line + 1, 0, at + 1, at + 1
            elif code == 13:
                returns += at + 1 == len(byte) or byte[at + 1] != 10
            elif code != 32 and code != 9:
                return start[:0], words[:0], first[:0], at, returns
        at += 1
    if line_start < end:
        if line == len(start):
            start, words, first = _larger(start), _larger(words), _larger(first)
        start[line], words[line], first[line] = line_start, line_words, line_first
        line += 1
    return start[:line], words[:line], first[:line], -1, returns


@njit(inline="always", error_model="numpy")
def _number(byte: NDArray[np.uint8], at: int, size: int) -> tuple[float, int]:
    """A plain decimal number, rounded as Python's float rounds it, and where reading ended.

    NaN where the word is none, or where the rounding is not sure.
    """
    first = byte[np.uintp(at)]
    negative = int(first == _MINUS)  # signs are as good as random: no branch on them
    at += negative + int(first == _PLUS)
    mantissa, power, digits, end, whole = _NONE, 0, 0, at, False
    if at + _AHEAD <= size:
        mantissa, digits = _digits_from(byte, at)
        end, whole = at + digits, digits < 8
        if whole and byte[np.uintp(end)] == _DOT:
            fraction, count = _digits_from(byte, end + 1)
            mantissa = mantissa * _WHOLE_POWERS[count] + fraction
            power, digits, end, whole = -count, digits + count, end + 1 + count, count < 8
    if not whole:
        mantissa, power, digits, end = _long_number(byte, at, size)
    at = end
    if digits == 0 or digits > _DIGITS_AT_MOST or mantissa > _LARGEST_EXACT:
        return np.nan, at
    if at < size and byte[np.uintp(at)] > 32:
        exponent, at = _exponent(byte, at, size)
        power += exponent
    if power < -22 or power > 22:
        return np.nan, at
    # both operands are exact, so that the one rounding is the right one
    value = np.float64(np.int64(mantissa))
    value = value / _EXACT_POWERS[-power] if power < 0 else value * _EXACT_POWERS[power]
    return value * np.float64(1 - 2 * negative), at


@njit(cache=True, nogil=True, error_model="numpy")
def _long_number(byte: NDArray[np.uint8], at: int, size: int) -> tuple[np.uint64, int, int, int]:
    """Mantissa, power of ten, number of digits and end of a number of any length."""
    mantissa, begin, power, points = _NONE, at, 0, 0
    while at < size:
        digit = np.uint8(byte[np.uintp(at)] - _ZERO)
        if digit > 9:
            break
        mantissa = mantissa * np.uint64(10) + np.uint64(digit)
        at += 1
    if at < size and byte[np.uintp(at)] == _DOT:
        at += 1
        after, points = at, 1
        while at < size:
            digit = np.uint8(byte[np.uintp(at)] - _ZERO)
            if digit > 9:
                break
            mantissa = mantissa * np.uint64(10) + np.uint64(digit)
            at += 1
        power = after - at
    return mantissa, power, at - begin - points, at


@njit(cache=True, nogil=True, error_model="numpy")
def _exponent(byte: NDArray[np.uint8], at: int, size: int) -> tuple[int, int]:
    """What follows the digits, ``e-05``, and where it ends; 999 where it is something else."""
    if byte[at] | 32 != 101:
        return 999, at
    at += 1
    below = at < size and byte[at] == _MINUS
    if below or (at < size and byte[at] == _PLUS):
        at += 1
    exponent, begin = 0, at
    while at < size and byte[at] > 32:
        digit = np.uint8(byte[at] - 48)
        if digit > 9 or at - begin > 2:
            return 999, at
        exponent = exponent * 10 + int(digit)
        at += 1
    if at == begin:
        return 999, at
    return -exponent if below else exponent, at


@njit(cache=True, nogil=True, error_model="numpy")
def parse_rows(
    byte: NDArray[np.uint8],
    eight: NDArray[np.uint64],
    row_start: NDArray[np.int64],
    from_row: int,
    to_row: int,
    kind: NDArray[np.int64],
    numbers: NDArray[np.float64],
    begin: NDArray[np.int64],
    length: NDArray[np.int32],
) -> None:
    """Values of some rows, whose numbers of words are known to be right.

    Parameters
    ----------
    byte, eight
        As of `index_piece`.
    row_start
        (R,) offsets of the rows; those from `from_row` to before `to_row` are read.
    kind
        One entry per column up to the last that is wanted: SKIP, the place of its values in
        `numbers`, or TEXT minus the place of its values in `begin` and `length`.
    numbers
        (places, R); NaN where a value is no plain number.
    begin, length
        (places, R) where a value stands in the file.
    """
    size = len(byte)
    place = np.empty(_ROWS_TOGETHER, dtype=np.int64)
    # Where a word begins is known when the one before it has been read: several rows at a time
    # keep the processor busy while it waits for that.
    for first in range(from_row, to_row, _ROWS_TOGETHER):
        together = min(_ROWS_TOGETHER, to_row - first)
        for i in range(together):
            place[i] = row_start[first + i]
        for column in range(len(kind)):
            wanted = kind[column]
            for i in range(together):
                word = at = _next_word(byte, place[i], size)
                if wanted >= 0:
                    value, at = _number(byte, at, size)
                    numbers[wanted, first + i] = value
                if at < size and byte[np.uintp(at)] > 32:
                    at = _end_of_word(byte, at, size)
                if wanted <= TEXT:
                    begin[TEXT - wanted, first + i] = word
                    length[TEXT - wanted, first + i] = at - word
                place[i] = at


@njit(cache=True, nogil=True, error_model="numpy")
def copy_text(
    byte: NDArray[np.uint8],
    begin: NDArray[np.int64],
    length: NDArray[np.int32],
    code: NDArray[np.uint32],
    plain: NDArray[np.bool_],
) -> None:
    """Fill (R, longest) code points from values in the file; `plain` is False where not ASCII."""
    for row in range(len(begin)):
        start, count, every = begin[row], length[row], np.uint8(0)
        for i in range(count):
            value = byte[start + i]
            every |= value
            code[row, i] = value
        for i in range(count, code.shape[1]):
            code[row, i] = 0
        plain[row] = every < 128


@njit(cache=True, nogil=True, error_model="numpy")
def split_image_names(
    byte: NDArray[np.uint8],
    begin: NDArray[np.int64],
    length: NDArray[np.int32],
    frame: NDArray[np.int64],
    stack_begin: NDArray[np.int64],
    repeats: NDArray[np.bool_],
) -> int:
    """Take ``000001@stack.mrcs`` apart: 0-based image, and where the name of the stack begins.

    ``repeats`` tells that the stack is that of the row before. Returns the first row of another
    form, or -1.
    """
    for row in range(len(begin)):
        at, end, number = begin[row], begin[row] + length[row], 0
        digits = 0
        while at < end and byte[at] != _AT:
            digit = np.uint8(byte[at] - 48)
            digits += 1
            if digit > 9 or digits > 12:
                return row
            number = number * 10 + int(digit)
            at += 1
        if number == 0 or at + 1 >= end:
            return row
        frame[row], stack_begin[row] = number - 1, at + 1
        repeats[row] = row > 0 and same_bytes(
            byte, at + 1, end, stack_begin[row - 1], begin[row - 1] + length[row - 1]
        )
    return -1


@njit(cache=True, nogil=True, error_model="numpy")
def same_bytes(byte: NDArray[np.uint8], a: int, a_end: int, b: int, b_end: int) -> bool:
    """Whether two parts of the file are the same."""
    if a_end - a != b_end - b:
        return False
    at = a_end - a - 1
    while at >= 0 and byte[a + at] == byte[b + at]:  # names differ at their ends
        at -= 1
    return at < 0
