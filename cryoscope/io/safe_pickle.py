"""Pickles of other programs, read without running anything that is in them.

A pickle is a program. This reader knows only the instructions that build numbers, text, tuples,
lists, dictionaries and numpy arrays of numbers; whatever else a pickle names is refused by that
name and never looked up. No array is made before its size is compared with the bytes in the file.
"""

from __future__ import annotations

import pickle
import pickletools
import re
from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError
from cryoscope.io.atomic import atomic_path, explain_os_errors

SIZE_LIMIT_BYTES = 16 * 1024**3
_DEEPEST = 64
_DTYPE = re.compile(
    r"(\|b1|b1|\?|[<>=|]?[iu][1248]|[<>=|]?f[248]|[<>=|]?c(8|16)|[<>=|]?[SU]\d{1,6})"
)
_CURE = "Copy the file again, or write it anew with the program that made it"
_MARK = object()


class _Refused(Exception):
    """What is wrong with a pickle, in words for the user."""


class _Name:
    """One of the few global names that are known; nothing is imported for it."""

    def __init__(self, role: str) -> None:
        self.role = role


class _DType:
    """A dtype that is being described."""

    def __init__(self, code: str) -> None:
        if not _DTYPE.fullmatch(code):
            raise _Refused(f"it holds an array of the type {code[:40]!r}, not of numbers")
        self.value: np.dtype[Any] = np.dtype(code)

    def describe(self, state: Any) -> None:
        """Take in the byte order, which a pickle tells after the type."""
        if not (isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">", "|", "=")):
            raise _Refused("the type of an array is damaged")
        if any(part is not None for part in state[2:5]):
            raise _Refused("it holds an array of records, not of numbers")
        if state[1] != "|":
            self.value = self.value.newbyteorder(state[1])


class _Array:
    """An array whose content comes later in the file."""

    def __init__(self, value: NDArray[Any] | None = None) -> None:
        self.value = value

    def describe(self, state: Any) -> None:
        """Take in shape, type, order and bytes."""
        if not (isinstance(state, tuple) and len(state) in (4, 5)):
            raise _Refused("an array is damaged")
        shape, dtype, fortran, content = state[-4:]
        self.value = _array(content, dtype, shape, "F" if fortran else "C")


_NAMES: dict[tuple[str, str], _Name] = {
    ("numpy", "ndarray"): _Name("ndarray"),
    ("numpy", "dtype"): _Name("dtype"),
    # How the older protocols write bytes.
    ("_codecs", "encode"): _Name("encode"),
    ("__builtin__", "bytes"): _Name("bytes"),
    ("builtins", "bytes"): _Name("bytes"),
}
for _core in ("numpy.core", "numpy._core"):
    _NAMES[f"{_core}.multiarray", "_reconstruct"] = _Name("reconstruct")
    _NAMES[f"{_core}.multiarray", "scalar"] = _Name("scalar")
    _NAMES[f"{_core}.numeric", "_frombuffer"] = _Name("frombuffer")


def read_pickles(path: str | Path, *, at_most: int = 8) -> tuple[Any, ...]:
    """Read all pickles that follow each other in a file.

    Parameters
    ----------
    at_most
        How many are expected; more are refused.

    Returns
    -------
    One object each: None, bool, int, float, str, bytes, numpy scalars and arrays of numbers or
    text, and tuples, lists and dictionaries of these.

    Raises
    ------
    InputError
        The file is missing, empty, cut off, damaged, too large, or names anything else (by name).
    """
    path = Path(path)
    found: list[Any] = []
    with explain_os_errors(path, action="read"), path.open("rb") as file:
        size_bytes = path.stat().st_size
        if size_bytes > SIZE_LIMIT_BYTES:
            raise InputError(f"{size_bytes:,} bytes are too many for a pickle", file=path)
        if size_bytes == 0:
            raise InputError("the file is empty", file=path, cure=_CURE)
        if file.read(2) == b"PK":
            raise InputError(
                "this is an archive, not a pickle",
                file=path,
                cure="Weights of PyTorch are such; give poses, CTF, indices or latents",
            )
        file.seek(0)
        while file.tell() < size_bytes:
            if len(found) == at_most:
                problem = f"it holds more than the {at_most} pickles that were expected"
                raise InputError(problem, file=path, cure="Check that it is the right file")
            try:
                found.append(_finished(_Machine(file).run(), size_bytes))
            except _Refused as error:
                cure = "Only arrays, numbers and plain containers are read from pickles"
                raise InputError(str(error), file=path, cure=cure) from error
            except (ValueError, IndexError, TypeError, KeyError, OverflowError) as error:
                raise InputError(
                    f"the pickle is cut off or damaged ({error})", file=path, cure=_CURE
                ) from error
            except (RecursionError, MemoryError) as error:
                raise InputError("the pickle is damaged", file=path, cure=_CURE) from error
    return tuple(found)


def write_pickles(path: str | Path, *values: Any) -> None:
    """Write arrays and plain containers as pickles one after the other, atomically."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        for value in values:
            pickle.dump(value, file, protocol=4)


class _Machine:
    """Runs the instructions of one pickle, as far as they are known."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        """What the pickle that begins here describes; the file is left behind its end."""
        for opcode, argument, _ in pickletools.genops(self.file):
            name = opcode.name
            if name == "STOP":
                return self.stack.pop()
            if name in _PUSH_ARGUMENT:
                self.stack.append(argument)
            elif name in _PUSH_FIXED:
                self.stack.append(_PUSH_FIXED[name]())
            elif name in _ACTIONS:
                _ACTIONS[name](self, argument)
            elif name not in _IGNORED:
                raise _Refused(f"the pickle asks for {name.lower()}, which is not read")
        raise ValueError("no end")

    def marked(self) -> list[Any]:
        """What was pushed since the last mark, taken off the stack."""
        place = next((i for i in range(len(self.stack) - 1, -1, -1) if self.stack[i] is _MARK), -1)
        if place < 0:
            raise ValueError("no mark")
        items = self.stack[place + 1 :]
        del self.stack[place:]
        return items

    def top(self, kind: type) -> Any:
        """The top of the stack, which must be of a kind."""
        if type(self.stack[-1]) is not kind:
            raise ValueError("an instruction that does not fit")
        return self.stack[-1]

    def tuple_of(self, count: int) -> None:
        """Replace the last ``count`` objects by a tuple of them."""
        if len(self.stack) < count:
            raise ValueError("too few objects")
        self.stack[len(self.stack) - count :] = [tuple(self.stack[len(self.stack) - count :])]

    def name(self, module: Any, name: Any) -> None:
        """Push a global name, if it is one of those that are known."""
        found = _NAMES.get((module, name)) if isinstance(module, str) else None
        if found is None:
            raise _Refused(
                f"the pickle names {str(module)[:80]}.{str(name)[:80]}, which is refused"
            )
        self.stack.append(found)

    def reduce(self) -> None:
        """Make what the names that are known stand for."""
        arguments, maker = self.stack.pop(), self.stack.pop()
        if not isinstance(maker, _Name) or not isinstance(arguments, tuple):
            raise _Refused("the pickle calls what is not a known name")
        self.stack.append(_make(maker.role, arguments))

    def build(self) -> None:
        """Describe an array or a dtype further."""
        state, target = self.stack.pop(), self.stack[-1]
        if not isinstance(target, _Array | _DType):
            raise _Refused("the pickle sets the state of an object that is no array")
        target.describe(state)

    def dictionary(self) -> None:
        """Replace what was pushed since the last mark by a dictionary of it."""
        pairs = self.marked()
        self.stack.append({})
        self.set_items(pairs)

    def append(self, items: list[Any]) -> None:
        """Add items to the list on top."""
        self.top(list).extend(items)

    def set_items(self, pairs: Sequence[Any]) -> None:
        """Add keys and values to the dictionary on top."""
        target = self.top(dict)
        keys, values = pairs[::2], pairs[1::2]
        if len(keys) != len(values) or not all(isinstance(k, _KEYS) for k in keys):
            raise _Refused("a dictionary has keys that are neither text nor numbers")
        target.update(zip(keys, values, strict=True))


_KEYS = (str, bytes, int, float, type(None))
_PUSH_ARGUMENT = {
    *("INT", "LONG", "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    "BYTEARRAY8",
}
_PUSH_FIXED: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "MARK": lambda: _MARK,
}
_IGNORED = {"PROTO", "FRAME"}
_ACTIONS: dict[str, Callable[[_Machine, Any], Any]] = {
    "POP": lambda m, _: m.stack.pop(),
    "POP_MARK": lambda m, _: m.marked(),
    "DUP": lambda m, _: m.stack.append(m.stack[-1]),
    "TUPLE": lambda m, _: m.stack.append(tuple(m.marked())),
    "LIST": lambda m, _: m.stack.append(m.marked()),
    "DICT": lambda m, _: m.dictionary(),
    "TUPLE1": lambda m, _: m.tuple_of(1),
    "TUPLE2": lambda m, _: m.tuple_of(2),
    "TUPLE3": lambda m, _: m.tuple_of(3),
    "APPEND": lambda m, _: m.append([m.stack.pop()]),
    "APPENDS": lambda m, _: m.append(m.marked()),
    "SETITEM": lambda m, _: m.set_items([m.stack.pop(-2), m.stack.pop()]),
    "SETITEMS": lambda m, _: m.set_items(m.marked()),
    **dict.fromkeys(("GLOBAL", "INST"), lambda m, argument: m.name(*str(argument).split(" ", 1))),
    "STACK_GLOBAL": lambda m, _: m.name(m.stack.pop(-2), m.stack.pop()),
    "REDUCE": lambda m, _: m.reduce(),
    "BUILD": lambda m, _: m.build(),
    "MEMOIZE": lambda m, _: m.memo.__setitem__(len(m.memo), m.stack[-1]),
    **dict.fromkeys(
        ("PUT", "BINPUT", "LONG_BINPUT"), lambda m, slot: m.memo.__setitem__(slot, m.stack[-1])
    ),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda m, slot: m.stack.append(m.memo[slot])),
}


def _make(role: str, arguments: tuple[Any, ...]) -> Any:
    if role == "reconstruct":
        if getattr(arguments[0], "role", "") != "ndarray":
            raise _Refused("the pickle holds an array of an unknown class")
        return _Array()
    if role == "dtype":
        return _DType(str(arguments[0]))
    if role == "frombuffer":
        return _Array(_array(*arguments))
    if role == "scalar":
        dtype, content = arguments
        return _array(content, dtype, (), "C")[()]
    if role == "encode" and arguments[1:] in (("latin1",), ("latin-1",)):
        return str(arguments[0]).encode("latin-1")
    if role == "bytes" and not arguments:
        return b""
    raise _Refused(f"the pickle calls {role}, which is refused")


def _array(content: Any, dtype: Any, shape: Any, order: Any) -> NDArray[Any]:
    if isinstance(content, str):  # Python 2
        content = content.encode("latin-1")
    if not isinstance(content, bytes | bytearray) or not isinstance(dtype, _DType):
        raise _Refused("it holds an array of objects, not of numbers")
    sizes = shape if isinstance(shape, tuple) else (shape,)
    if not all(type(size) is int and size >= 0 for size in sizes) or order not in ("C", "F"):
        raise _Refused("the shape of an array is damaged")
    itemsize = dtype.value.itemsize
    if itemsize == 0 or len(sizes) > 32 or prod(sizes) * itemsize != len(content):
        raise _Refused(f"an array of shape {sizes[:4]} has {len(content):,} bytes in the file")
    # A view: a file that uses the same bytes a million times must not fill the memory.
    return np.frombuffer(content, dtype=dtype.value).reshape(sizes, order=order)


def _finished(value: Any, limit_bytes: int) -> Any:
    """The object with its arrays in place; refuses what contains itself."""
    done: dict[int, Any] = {}
    array_bytes = 0

    def finish(item: Any, depth: int) -> Any:
        nonlocal array_bytes
        if item is _MARK or isinstance(item, _Name | _DType):
            raise _Refused("the pickle holds a name, not a value")
        if not isinstance(item, tuple | list | dict | _Array):
            return bytes(item) if isinstance(item, bytearray) else item
        if depth > _DEEPEST:
            raise _Refused("its containers are nested too deeply")
        if id(item) not in done:
            if isinstance(item, dict):
                done[id(item)] = {k: finish(v, depth + 1) for k, v in item.items()}
            elif isinstance(item, _Array):
                if item.value is None:
                    raise _Refused("an array has no content")
                array_bytes += item.value.nbytes
                if array_bytes > limit_bytes:
                    raise _Refused("its arrays are larger than the file")
                native = item.value.dtype.newbyteorder("=")
                done[id(item)] = item.value.astype(native, order="C")
            else:
                done[id(item)] = type(item)([finish(part, depth + 1) for part in item])
        return done[id(item)]

    return finish(value, 0)
