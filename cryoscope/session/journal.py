"""What has happened: every verb that was called, every notice, what the worker said. Bounded.

A verb is noted as text alone (see :mod:`cryoscope.session.journal_text`): no array that it was
given is kept alive.
"""

from __future__ import annotations

import inspect
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any, Literal, TypeVar, cast

from cryoscope.session.journal_text import python_call, spoken

Level = Literal["action", "work", "info", "warning", "error"]
LEVELS: tuple[Level, ...] = ("action", "work", "info", "warning", "error")
MOST_ENTRIES, MOST_CHARACTERS = 2_000, 4_000_000
_LONGEST_TEXT, _LONGEST_DETAIL = 2_000, 20_000
#: Verbs that follow the hand: only the last of a row of calls is kept.
FOLLOWING = frozenset(
    {
        "mark_residue",
        "move_cursor",
        "set_contour",
        "set_iso_sigma",
        "show_epoch",
        "show_frame",
        "slide_contour",
    }
)
#: Verbs that are no action of the user's, or that end the session.
_SILENT = frozenset({"close", "keep_window", "list_recent", "save_log", "clear_log"})
_Verb = TypeVar("_Verb", bound=Callable[..., Any])


@dataclass(frozen=True)
class LogEntry:
    """One thing that happened.

    Attributes
    ----------
    number
        Grows from entry to entry, from 1.
    when
        Seconds since the epoch.
    level
        ``"action"`` is a verb that was called, ``"work"`` what goes on in the background.
    detail
        More of it, e.g. a traceback; mostly empty.
    verb, python, command
        Of an action: the verb's name, the call as Python, and the line for a terminal that does
        the same ("" where there is none).
    """

    number: int
    when: float
    level: Level
    text: str
    detail: str = ""
    verb: str = ""
    python: str = ""
    command: str = ""

    @property
    def size(self) -> int:
        """Its characters, more or less."""
        return len(self.text) + len(self.detail) + len(self.python) + len(self.command) + 100


class Journal:
    """The last entries, oldest first. Safe to use from several threads.

    Parameters
    ----------
    changed
        Called with the number of the newest entry, in any thread, without a lock held.
    """

    def __init__(self, changed: Callable[[int], None]) -> None:
        self._changed = changed
        self._lock = threading.Lock()
        self._entries: deque[LogEntry] = deque()
        self._number, self._size = 0, 0

    def add(
        self, level: Level, text: str, detail: str = "", *, verb: str = "", python: str = ""
    ) -> int:
        """Note something; the number of its entry."""
        with self._lock:
            last = self._entries[-1] if self._entries else None
            if verb in FOLLOWING and last is not None and last.verb == verb:
                self._size -= self._entries.pop().size
            self._number += 1
            number = self._number
            entry = LogEntry(
                number,
                time.time(),
                level,
                text[:_LONGEST_TEXT],
                detail[-_LONGEST_DETAIL:],
                verb,
                python,
            )
            self._entries.append(entry)
            self._size += entry.size
            while len(self._entries) > MOST_ENTRIES or self._size > MOST_CHARACTERS:
                self._size -= self._entries.popleft().size
        self._changed(number)
        return number

    def add_command(self, number: int, command: str) -> None:
        """Say how a terminal does what entry ``number`` did."""
        with self._lock:
            for place in range(len(self._entries) - 1, -1, -1):
                entry = self._entries[place]
                if entry.number == number:
                    self._entries[place] = replace(entry, command=command)
                    self._size += len(command)
                    return

    def entries(self, after: int = 0) -> tuple[LogEntry, ...]:
        """The entries with numbers above ``after``."""
        with self._lock:
            return tuple(entry for entry in self._entries if entry.number > after)

    def last_action(self) -> LogEntry | None:
        """The verb that was called last, or None."""
        with self._lock:
            return next((one for one in reversed(self._entries) if one.verb), None)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()
            self._number += 1
            number, self._size = self._number, 0
        self._changed(number)


def is_verb(function: object) -> bool:
    """Whether something changes a session: a function of one that returns nothing."""
    if not inspect.isfunction(function) or function.__name__ in _SILENT:
        return False
    names = list(inspect.signature(function).parameters)
    # Annotations are text here: the answer to a question has a type.
    return names[:1] == ["session"] and function.__annotations__.get("return") in ("None", None)


def recorded(verb: _Verb) -> _Verb:
    """The verb, noting every call in the journal of its session."""
    name = verb.__name__

    @wraps(verb)
    def call(session: Any, *args: Any, **kwargs: Any) -> None:
        python = python_call(name, args, kwargs)
        number = session.journal.add("action", spoken(name, args, kwargs), verb=name, python=python)
        verb(session, *args, **kwargs)
        from cryoscope.session.journal_commands import command_line

        bound = inspect.signature(verb).bind(session, *args, **kwargs)
        bound.apply_defaults()
        if command := command_line(name, bound.arguments):
            session.journal.add_command(number, command)

    return cast(_Verb, call)


def as_script(entries: Sequence[LogEntry]) -> str:
    """A Python program that does the actions among ``entries`` again."""
    lines = [
        "from cryoscope.session import Session, actions",
        "",
        "session = Session()",
    ]
    for entry in entries:
        if entry.python:
            lines += [entry.python, "actions.wait(session)"]
    return "\n".join([*lines, "actions.close(session)", ""])


def as_text(entries: Sequence[LogEntry]) -> str:
    """Entries as lines: time, level, text; details below."""
    lines = []
    for entry in entries:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.when))
        lines.append(f"{when}  {entry.level:<7}  {entry.text}")
        lines += [f"    {line}" for line in entry.detail.splitlines()]
        lines += [f"    {text}" for text in (entry.python, entry.command) if text]
    return "\n".join([*lines, ""])
