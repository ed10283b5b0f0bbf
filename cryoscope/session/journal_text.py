"""Calls of verbs as text: as Python, and in a few words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import PurePath
from typing import Any

import numpy as np

LONGEST_CALL = 30_000
_LONGEST_SPOKEN = 120
_DEEPEST, _FEW_NUMBERS = 8, 6
# Too long in any case: the argument is left out as a whole.
_TOO_LONG = " " * (LONGEST_CALL + 1)


def python_call(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """``actions.<name>(session, ...)`` with its arguments; it says where long ones are left out."""
    texts = [*(python_text(value) for value in args)]
    texts += [f"{key}={python_text(value)}" for key, value in kwargs.items()]
    call = f"actions.{name}({', '.join(['session', *texts])})"
    if len(call) <= LONGEST_CALL:
        return call
    short = [text if len(text) < _LONGEST_SPOKEN else "..." for text in texts]
    return f"actions.{name}({', '.join(['session', *short])})  # ...: too long to be kept"


def python_text(value: Any, depth: int = 0) -> str:
    """A value as Python text: numbers, texts, paths, arrays as lists, records by their fields."""
    if isinstance(value, np.ndarray):
        if value.size * 4 > LONGEST_CALL:
            return _TOO_LONG
        return python_text(value.tolist(), depth)
    if isinstance(value, np.generic):
        return python_text(value.item(), depth)
    if isinstance(value, bool) or value is None or isinstance(value, int):
        return repr(value)
    if isinstance(value, float):
        return f"{value:.9g}" if np.isfinite(value) else f"float({str(value)!r})"
    if isinstance(value, str):
        return repr(str(value))
    if isinstance(value, PurePath):
        return repr(str(value))
    if depth > _DEEPEST:
        return "..."
    return _container_text(value, depth + 1)


def _container_text(value: Any, depth: int) -> str:
    if isinstance(value, Mapping):
        rows = (f"{python_text(k, depth)}: {python_text(v, depth)}" for k, v in value.items())
        return "{" + _joined(rows) + "}"
    if isinstance(value, tuple):
        inside = _joined(python_text(one, depth) for one in value)
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    if isinstance(value, list | set | frozenset | range):
        return "[" + _joined(python_text(one, depth) for one in value) + "]"
    if is_dataclass(value) and not isinstance(value, type):
        rows = (
            f"{one.name}={python_text(getattr(value, one.name), depth)}" for one in fields(value)
        )
        return f"{type(value).__name__}({_joined(rows)})"
    return "..."


def _joined(texts: Iterable[str]) -> str:
    """Joined by commas, as far as a call may be long."""
    found: list[str] = []
    length = 0
    for text in texts:
        length += len(text) + 2
        if length > LONGEST_CALL:
            return _TOO_LONG
        found.append(text)
    return ", ".join(found)


def spoken(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """The action in a few words: the verb's name as words, and what it was given.

    Examples
    --------
    >>> spoken("export_selection", ("closed", "out/closed.star"), {})
    'Export selection: closed, closed.star'
    """
    words = name.replace("_", " ")
    line = f"{words[:1].upper()}{words[1:]}"
    given = [_in_words(value) for value in args]
    given += [f"{key.replace('_', ' ')} {_in_words(value)}" for key, value in kwargs.items()]
    inside = ", ".join(one for one in given if one)
    if len(inside) > _LONGEST_SPOKEN:
        inside = f"{inside[: _LONGEST_SPOKEN - 1]}…"
    return f"{line}: {inside}" if inside else line


def _in_words(value: Any) -> str:
    if isinstance(value, str):
        return PurePath(value).name if "/" in value or "\\" in value else value
    if isinstance(value, PurePath):
        return value.name
    if isinstance(value, Mapping):
        details = (value.get(key) for key in ("covariate", "category", "name"))
        return " ".join(str(one) for one in (value.get("kind"), *details) if one)
    if isinstance(value, np.ndarray) or (
        isinstance(value, list | tuple) and value and not isinstance(value[0], str | PurePath)
    ):
        few = len(value) <= _FEW_NUMBERS and all(isinstance(one, int | float) for one in value)
        return python_text(value) if few else f"{len(value):,} points"
    if isinstance(value, list | tuple):
        return ", ".join(_in_words(one) for one in value)
    return "" if value is None or is_dataclass(value) else python_text(value)
