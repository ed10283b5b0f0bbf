"""Pickles from outside: what is read, what is refused, and that nothing in them ever runs."""

from __future__ import annotations

import collections
import contextlib
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoscope.data import InputError
from cryoscope.io.safe_pickle import read_pickles, write_pickles

RAN: list[str] = []


def record(word: str) -> str:
    """What a hostile pickle would call."""
    RAN.append(word)
    return word


class Hostile:
    """Runs :func:`record` when it is unpickled by Python's own unpickler."""

    def __reduce__(self) -> tuple[Any, ...]:
        return record, ("ran",)


class Plain:
    """A class of somebody's own."""


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, tuple | list):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    return type(a) is type(b) and a == b


CONTENTS: list[Any] = [
    None,
    True,
    -(2**70),
    1.5,
    "äb",
    b"raw",
    [1, [2, (3,)], {"a": None, 5: 2.0}],
    (np.arange(6, dtype=np.int64).reshape(2, 3), np.zeros((0, 2), np.float32)),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.array([True, False]),
    np.array(["ab", "c"]),
    np.float32(2.5),
    np.int64(7),
    np.array(3.0),
    {"rot": np.eye(3)[None], "count": np.int32(4)},
]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("value", CONTENTS, ids=lambda value: type(value).__name__)
def test_plain_content_comes_back(tmp_path: Path, value: Any, protocol: int) -> None:
    if protocol < 2 and (isinstance(value, bytes) or type(value).__name__ == "bytes"):
        protocol = 2
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    (found,) = read_pickles(path)
    assert same(value, found)


def test_big_endian_arrays_become_native(tmp_path: Path) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(np.arange(3, dtype=">f4")))
    assert same(read_pickles(path)[0], np.arange(3, dtype=np.float32))


def test_several_in_one_file(tmp_path: Path) -> None:
    path = tmp_path / "z.1.pkl"
    write_pickles(path, np.ones(2), np.zeros(3))
    assert [len(part) for part in read_pickles(path)] == [2, 3]
    with pytest.raises(InputError, match="more than the 1 pickles"):
        read_pickles(path, at_most=1)


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (Hostile(), "record"),
        ([np.ones(2), Hostile()], "record"),
        (Plain(), "Plain"),
        (os.system, "system"),
        (collections.OrderedDict(a=1), "collections.OrderedDict"),
        ({1, 2}, "empty_set"),
        (np.array([Plain()], dtype=object), "Plain|array of the type 'O8'"),
        (np.zeros(2, dtype=[("a", "f4")]), "array of"),
        (np.ma.masked_array([1.0], [True]), "numpy.ma"),
        (1j, "builtins.complex|__builtin__.complex"),
    ],
)
def test_anything_else_is_refused_by_name(tmp_path: Path, value: Any, named: str) -> None:
    path = tmp_path / "x.pkl"
    for protocol in (0, 2, 4, 5):
        path.write_bytes(pickle.dumps(value, protocol=protocol))
        with pytest.raises(InputError) as caught:
            read_pickles(path)
        assert "\n" not in str(caught.value)
        if protocol >= 4:
            assert caught.match(named)
    assert RAN == []


def test_truncated(tmp_path: Path) -> None:
    path = tmp_path / "z.1.pkl"
    content = pickle.dumps(np.arange(1000.0)) + pickle.dumps(np.arange(3.0))
    for length in [*range(1, 200, 7), len(content) // 2, len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match=r"cut off|damaged|bytes in the file"):
            read_pickles(path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="empty"):
        read_pickles(path)


def test_sizes_are_bounded_by_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.pkl"
    # BINBYTES8, BYTEARRAY8 and LONG_BINPUT that ask for terabytes.
    huge = (2**45).to_bytes(8, "little")
    for hostile in (
        b"\x80\x05\x8e" + huge + b"abc.",
        b"\x80\x05\x96" + huge + b"abc.",
        b"\x80\x05K\x01r\xff\xff\xff\x7f.",
    ):
        path.write_bytes(hostile)
        try:
            assert read_pickles(path) == (1,)
        except InputError:
            continue
    content = pickle.dumps(np.zeros(4, np.uint8), protocol=2)
    wide = content.replace(b"K\x04\x85", b"J\xff\xff\xff\x7f\x85")
    assert wide != content
    path.write_bytes(wide)
    with pytest.raises(InputError, match="bytes in the file"):
        read_pickles(path)


def test_one_array_used_often_does_not_fill_the_memory(tmp_path: Path) -> None:
    array = np.zeros(100_000)
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps([array] * 1000))
    (found,) = read_pickles(path)
    assert found[0] is found[-1]
    nested: Any = []
    for _ in range(40):
        nested = [nested, nested]
    path.write_bytes(pickle.dumps(nested))
    assert len(read_pickles(path)[0]) == 2
    circle: list[Any] = []
    circle.append(circle)
    path.write_bytes(pickle.dumps(circle))
    with pytest.raises(InputError, match="nested too deeply"):
        read_pickles(path)


def test_weights_are_named(tmp_path: Path) -> None:
    path = tmp_path / "weights.pkl"
    path.write_bytes(b"PK\x03\x04....")
    with pytest.raises(InputError, match="archive"):
        read_pickles(path)


SEED = pickle.dumps((np.arange(6.0).reshape(2, 3), {"a": [1, "b"]})) + pickle.dumps(Hostile())


@given(
    st.lists(st.tuples(st.integers(0, len(SEED) - 1), st.integers(0, 255)), max_size=6),
    st.integers(0, len(SEED)),
    st.binary(max_size=20),
)
def test_mutated_pickles_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory,
    changes: list[tuple[int, int]],
    cut: int,
    inserted: bytes,
) -> None:
    content = bytearray(SEED)
    for place, byte in changes:
        content[place] = byte
    path = tmp_path_factory.getbasetemp() / "mutated.pkl"
    path.write_bytes(content[:cut] + inserted + content[cut:])
    with contextlib.suppress(InputError):
        read_pickles(path)
    assert RAN == []


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.pkl"
    path.write_bytes(b"\x80\x04" + content)
    with contextlib.suppress(InputError):
        read_pickles(path)


def global_name(module: str, name: str) -> bytes:
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n"


NDARRAY = global_name("numpy", "ndarray")
DTYPE = global_name("numpy", "dtype") + b"X\x02\x00\x00\x00f4\x85R"
RECONSTRUCT = global_name("numpy.core.multiarray", "_reconstruct")
FROMBUFFER = global_name("numpy.core.numeric", "_frombuffer")
EMPTY = RECONSTRUCT + NDARRAY + b"K\x00\x85C\x01b\x87R"
FOUR = b"C\x04\x00\x00\x80?"  # the bytes of one float32, 1.0
BY_HAND = {
    "an array that is never filled": (EMPTY, "no content"),
    "an array of another class": (RECONSTRUCT + DTYPE + b"\x85R", "unknown class"),
    "a state of one": (EMPTY + b"N\x85b", "an array is damaged"),
    "no byte order": (DTYPE + b"K\x03X\x01\x00\x00\x00?\x86b", "type of an array is damaged"),
    "a negative shape": (FROMBUFFER + b"(" + FOUR + DTYPE + b"J\xff\xff\xff\xff" +
                         b"X\x01\x00\x00\x00CtR", "shape of an array is damaged"),
    "an unknown order": (FROMBUFFER + b"(" + FOUR + DTYPE + b"K\x01" +
                         b"X\x01\x00\x00\x00KtR", "shape of an array is damaged"),
    "too few bytes": (FROMBUFFER + b"(" + FOUR + DTYPE + b"K\x02" +
                      b"X\x01\x00\x00\x00CtR", r"shape \(2,\) has 4 bytes"),
    "content that is no bytes": (FROMBUFFER + b"(NNK\x01NtR", "array of objects"),
    "a bare name": (NDARRAY, "a name, not a value"),
    "a call of a list": (b"]K\x01\x85R", "not a known name"),
    "a call without a tuple": (NDARRAY + b"NR", "not a known name"),
    "a call of a class": (NDARRAY + b")R", "calls ndarray"),
    "another encoding": (global_name("_codecs", "encode") +
                         b"X\x01\x00\x00\x00aX\x05\x00\x00\x00utf-8\x86R", "calls encode"),
    "bytes of something": (global_name("builtins", "bytes") + b"K\x05\x85R", "calls bytes"),
    "a state of a list": (b"]Nb", "no array"),
    "keys that are lists": (b"}]K\x01s", "neither text nor numbers"),
    "a key without a value": (b"(K\x01d", "neither text nor numbers"),
    "no mark": (b"K\x01t", "no mark"),
    "too few for a pair": (b"K\x01\x86", "too few objects"),
    "appended to a number": (b"K\x01K\x02a", "does not fit"),
    "a memory of nothing": (b"h\x07", "damaged"),
    "containers without end": (b"]" * 200 + b"a" * 199, "nested too deeply"),
    "itself": (b"]q\x00h\x00a", "nested too deeply|damaged"),
    "persistent": (b"Pabc\n", "persid"),
}  # fmt: skip


@pytest.mark.parametrize("case", BY_HAND)
def test_instructions_that_no_pickler_writes(case: str, tmp_path: Path) -> None:
    content, problem = BY_HAND[case]
    path = tmp_path / "x.pkl"
    path.write_bytes(b"\x80\x03" + content + b".")
    with pytest.raises(InputError, match=problem) as caught:
        read_pickles(path)
    assert "\n" not in str(caught.value)


def test_what_older_picklers_wrote_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.pkl"
    for content, expected in (
        (FROMBUFFER + b"(" + FOUR + DTYPE + b"K\x01X\x01\x00\x00\x00CtR", np.ones(1, np.float32)),
        (EMPTY + b"(K\x01K\x01\x85" + DTYPE + b"\x89" + FOUR + b"tb", np.ones(1, np.float32)),
        (global_name("__builtin__", "bytes") + b")R", b""),
        (b"K\x01K\x02(K\x030\x31\x30", 1),  # pops, and pops to a mark, leave what was before
        (b"]K\x052\x30a", [5]),
        (b"\x96\x02" + bytes(7) + b"ab", b"ab"),
    ):
        path.write_bytes(b"\x80\x05" + content + b".")
        (found,) = read_pickles(path)
        assert same(found, expected), content


def test_the_same_bytes_many_times_do_not_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "x.pkl"
    array = (
        FROMBUFFER + b"q\x00(C\xf0" + bytes(240) + b"q\x01" + DTYPE + b"q\x02"
        b"K\x3cX\x01\x00\x00\x00Cq\x03tR"
    )
    again = b"h\x00(h\x01h\x02K\x3ch\x03tR"
    path.write_bytes(b"\x80\x03(" + array + 40 * again + b"t.")
    with pytest.raises(InputError, match="larger than the file"):
        read_pickles(path)


def test_archives_and_files_too_large_are_not_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "weights.pkl"
    path.write_bytes(b"PK\x03\x04" + bytes(20))
    with pytest.raises(InputError, match=r"archive, not a pickle.*PyTorch"):
        read_pickles(path)
    monkeypatch.setattr("cryoscope.io.safe_pickle.SIZE_LIMIT_BYTES", 10)
    with pytest.raises(InputError, match="24 bytes are too many"):
        read_pickles(path)
