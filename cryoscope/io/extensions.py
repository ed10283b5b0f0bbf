"""What other distributions add to Cryoscope: found by entry point, loaded when first asked for.

A distribution names what it adds in its ``pyproject.toml``::

    [project.entry-points."cryoscope.models"]
    hello = "hello_model:EXTENSION"

Groups are ``cryoscope.models`` (:class:`cryoscope.models.extensions.ModelExtension`),
``cryoscope.readers`` (:class:`cryoscope.io.reader_extensions.Reader`) and ``cryoscope.panels``
(:class:`cryoscope.session.extensions.PanelExtension`). What cannot be loaded, or is not what its
group asks for, is noted as :class:`Broken`, logged, and skipped: it never stops the program.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

MODELS, READERS, PANELS = "cryoscope.models", "cryoscope.readers", "cryoscope.panels"
GROUPS = (MODELS, READERS, PANELS)

_log = logging.getLogger(__name__)
_lock = threading.RLock()
_found: dict[str, tuple[Extension, ...]] = {}
_loaded: dict[str, dict[str, Any]] = {}
_broken: dict[tuple[str, str, str], Broken] = {}


@dataclass(frozen=True)
class Extension:
    """One thing that a distribution adds: its group, its name, and where its code is."""

    group: str
    name: str
    target: str
    distribution: str

    @property
    def kind(self) -> str:
        """``model``, ``reader`` or ``panel``."""
        return self.group.rpartition(".")[2].removesuffix("s")


@dataclass(frozen=True)
class Broken:
    """An extension that is skipped, and why, in one line."""

    extension: Extension
    error: str

    def __str__(self) -> str:
        one = self.extension
        return f"the {one.kind} {one.name!r} of {one.distribution} is skipped: {self.error}"


def installed(group: str) -> tuple[Extension, ...]:
    """What is installed for a group, in the order of names; nothing is loaded."""
    with _lock:
        if group not in _found:
            points = sorted(entry_points(group=group), key=lambda one: (one.name, one.value))
            _found[group] = tuple(dict.fromkeys(_extension(point) for point in points))
        return _found[group]


def load(group: str, check: Callable[[Any], str], taken: Iterable[str] = ()) -> dict[str, Any]:
    """Everything of a group that works, by name; loaded once in the life of the program.

    Parameters
    ----------
    check
        Says in a few words what is wrong with a loaded value; "" where nothing is.
    taken
        Names that Cryoscope itself uses.
    """
    with _lock:
        if group in _loaded:
            return _loaded[group]
        values: dict[str, Any] = {}
        reserved = set(taken)
        for one in installed(group):
            if one.name in reserved:
                report_broken(one, "its name is taken")
                continue
            try:
                value = EntryPoint(one.name, one.target, group).load()
                problem = check(value)
            # A plugin may do anything when it is imported, end the program included.
            except (Exception, SystemExit) as error:
                report_broken(one, error)
                continue
            if problem:
                report_broken(one, problem)
                continue
            values[one.name] = value
            reserved.add(one.name)
        _loaded[group] = values
        return values


def report_broken(extension: Extension, error: BaseException | str) -> Broken:
    """Note that an extension does not work, for the doctor, the log and the window."""
    raised = error if isinstance(error, BaseException) else None
    words = f"{type(error).__name__}: {error}" if raised is not None else str(error)
    entry = Broken(extension, " ".join(words.split())[:500])
    with _lock:
        key = (extension.group, extension.name, extension.distribution)
        known = _broken.setdefault(key, entry)
    if known is entry:
        _log.warning("%s", entry, exc_info=raised)
    return known


def broken() -> tuple[Broken, ...]:
    """What has been found not to work so far."""
    with _lock:
        return tuple(_broken.values())


def forget() -> None:
    """Look and load anew when asked next (a distribution was installed; tests)."""
    with _lock:
        for memory in (_found, _loaded, _broken):
            memory.clear()


def _extension(point: EntryPoint) -> Extension:
    dist = point.dist
    owner = "an unknown distribution" if dist is None else f"{dist.name} {dist.version}"
    return Extension(point.group, point.name, point.value, owner)
