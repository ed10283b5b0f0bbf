"""One writer per folder: a lock file that names its process and outlives no dead one.

Whether a process of this computer lives, the system says. One of another computer is watched: while
it holds a lock it counts in the file every few seconds (it beats), and whoever waits for the lock
takes it over once the count has stood still for :data:`SILENT_S` by the waiting one's own clock, so
that the clocks of two computers need not agree, and time in which the file could not be read does
not count. A holder that stood still for as long (a laptop that slept, a network that was away)
finds itself replaced: it asks before everything it writes (:meth:`Held.require`).
"""

from __future__ import annotations

import json
import math
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryoscope.data import InputError
from cryoscope.io.atomic import explain_os_errors
from cryoscope.io.processes import lives_here, place_of, this_process

#: Seconds between two beats of a holder, and of silence after which it is taken for dead.
BEAT_S, SILENT_S = 5.0, 180.0
#: The same where the user says that it is dead, or its computer was started anew.
SURE_S = 16.0
#: The same for a file that does not say whose it is: it is being written, or never will be.
UNREADABLE_S = 10.0
#: Seconds between two looks of one that waits; no look counts for more silence than the second.
LOOK_S, MOST_PER_LOOK_S = 1.0, 5.0
#: Told what is watched, and for how many seconds yet.
Waiting = Callable[[str, float], None]
_JUST_OPENED = "another process has just opened it"
_WRITING = " is writing it"


class LockLost(InputError):
    """Another process has taken the lock over, since this one was silent for too long."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lock, in words, and how many seconds of silence are missing to take it over."""

    words: str
    left_s: float


class Held:
    """A lock that this process holds, and beats for."""

    def __init__(self, path: Path, what: str) -> None:
        self.path, self.what = path, what
        self._owner = {**this_process(), "token": uuid.uuid4().hex}
        self._beats = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._live, name="cryoscope-lock", daemon=True)

    @property
    def content(self) -> bytes:
        """What the file holds; always as long, so that it can be written over."""
        return json.dumps({**self._owner, "beat": f"{self._beats:012d}"}).encode()

    def begin(self) -> None:
        """Beat from now on."""
        self._thread.start()

    def end(self) -> None:
        """Let go of the lock, unless it is another's by now."""
        self._ended.set()
        self._thread.join(BEAT_S)
        if self._is_mine(_content(self.path)):
            self.path.unlink(missing_ok=True)

    def require(self) -> None:
        """Ask whether this process still holds the lock; a file that was deleted is made again.

        Raises
        ------
        LockLost
            If another process has taken it over.
        """
        content = _content(self.path)
        if content is None:
            with suppress(OSError):  # the folder is gone: whoever writes there says so
                _create(self.path, self.content)
            content = _content(self.path)
        if content is not None and not self._is_mine(content):
            raise LockLost(
                f"the {self.what} was taken over by another program ({_judge(content).words}), "
                "which heard nothing of this one for minutes",
                file=self.path.parent,
                cure="Nothing more is written here; look at it with the other program",
            )

    def _is_mine(self, content: bytes | None) -> bool:
        owner = None if content is None else _owner(content)
        return owner is not None and owner.get("token") == self._owner["token"]

    def _live(self) -> None:
        while not self._ended.wait(BEAT_S):
            # A disk that is away for a while: the next beat may reach it.
            with suppress(OSError):
                self._beat()

    def _beat(self) -> None:
        # One that takes over moves the file away first: what is written then reaches nobody.
        with self.path.open("r+b") as file:
            if self._is_mine(file.read(4096)):
                self._beats += 1
                file.seek(0)
                file.write(self.content)


class LockWatch:
    """What is seen of a lock by looking at it again and again.

    Parameters
    ----------
    take_over
        The user says that the holder is dead: little silence is enough.

    Attributes
    ----------
    content
        The file, as it was at the last look.
    moved
        Whether somebody wrote it between two looks.
    """

    def __init__(self, path: Path, *, take_over: bool = False) -> None:
        self.path, self._take_over = path, take_over
        self.content: bytes | None = None
        self.moved = False
        self._silent_s = self._looked_s = 0.0

    def look(self) -> Holder | None:
        """Who holds it; None where nobody does any more."""
        content, now_s = _content(self.path), time.monotonic()
        if content is not None and content == self.content:
            # After a look that took long (a server was away) nobody can have beaten meanwhile.
            self._silent_s += min(now_s - self._looked_s, MOST_PER_LOOK_S)
        else:
            self.moved = self.content is not None and content is not None
            self._silent_s = 0.0
        self.content, self._looked_s = content, now_s
        if content is None:
            return None
        judged = _judge(content)
        patience_s = judged.if_told_s if self._take_over else judged.patience_s
        left_s = patience_s - self._silent_s
        return None if left_s <= 0 else Holder(judged.words, left_s)


@contextmanager
def process_lock(
    path: Path,
    what: str,
    *,
    option: str = "--out",
    take_over: bool = False,
    waiting: Waiting | None = None,
) -> Iterator[Held]:
    """Hold the lock file ``path``; the lock of a process that no longer lives is taken over.

    One of another computer is watched first: for a few seconds where it lives, else for
    :data:`SILENT_S`.

    Parameters
    ----------
    what
        What the lock guards, for the message: ``"run"``.
    option
        What chooses another place, for the cure where nothing can be written.
    take_over
        The user says that the holder is dead; of one that is seen to live it is still not taken.
    waiting
        Told at every look what is watched, and for how many seconds yet; may raise to give up.

    Raises
    ------
    InputError
        If a living process holds it.
    """
    mine = Held(path, what)
    with explain_os_errors(path, option=option):
        _take(mine, LockWatch(path, take_over=take_over), waiting)
    mine.begin()
    try:
        yield mine
    finally:
        mine.end()


def lock_holder(path: Path) -> str | None:
    """Who holds the lock file ``path``, e.g. "process 17"; None where nobody does (any more).

    One of another computer is believed to live; a :class:`LockWatch` finds out.
    """
    return name_of(LockWatch(path).look())


def name_of(holder: Holder | None) -> str | None:
    """Who that is, without what it does."""
    return None if holder is None else holder.words.removesuffix(_WRITING)


def _take(mine: Held, watch: LockWatch, waiting: Waiting | None) -> None:
    while not _create(mine.path, mine.content):
        holder = watch.look()
        if holder is None:
            if watch.content is not None:
                _take_away(mine.path, watch.content)
            continue
        if watch.moved or math.isinf(holder.left_s):
            raise _in_use(mine, holder)
        if waiting is not None:
            who = holder.words.removesuffix(_WRITING)
            waiting(f"whether {who}, which holds the {mine.what}, is silent", holder.left_s)
        time.sleep(min(LOOK_S, holder.left_s))


def _in_use(mine: Held, holder: Holder) -> InputError:
    certain = math.isinf(holder.left_s)
    where = f", or delete {mine.path.name} in the folder if it no longer runs" if certain else ""
    return InputError(
        f"the {mine.what} is in use: {holder.words}",
        file=mine.path.parent,
        cure=f"Stop that program first{where}.",
    )


def _create(path: Path, content: bytes) -> bool:
    try:
        with path.open("xb") as file:
            file.write(content)
    except FileExistsError:
        return False
    return True


def _content(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(4096)
    except FileNotFoundError:
        return None


def _take_away(path: Path, content: bytes) -> None:
    """Remove the lock, if it is still what it was when its holder was found dead."""
    if _content(path) != content:
        return
    # Moving it first shows whether its holder, or another that takes it over, was quicker still.
    aside = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return
    if _content(aside) != content:
        _put_back(aside, path)
    aside.unlink(missing_ok=True)


def _put_back(aside: Path, path: Path) -> None:
    """Give a lock its name again; not where a third one has made its own meanwhile."""
    try:
        path.hardlink_to(aside)
    except FileExistsError:
        return
    except OSError:  # a disk without links
        _create(path, _content(aside) or b"")


@dataclass(frozen=True)
class _Judged:
    """Who a lock belongs to, and the seconds of silence after which it is taken over.

    ``if_told_s`` is where the user says that the holder is dead.
    """

    words: str
    patience_s: float
    if_told_s: float


def _judge(content: bytes) -> _Judged:
    owner = _owner(content)
    if owner is None:
        return _Judged(_JUST_OPENED, UNREADABLE_S, UNREADABLE_S)
    host, where = str(owner["host"])[:100], place_of(owner)
    if where == "here":
        patience_s = math.inf if lives_here(owner) else 0.0
        words = f"process {owner['pid']} of this computer ({host}){_WRITING}"
        return _Judged(words, patience_s, patience_s)
    words = f"process {owner['pid']} on {host}{_WRITING}"
    if where == "before":
        return _Judged(words, SURE_S, SURE_S)
    # One that does not beat, a program of long ago, cannot be judged by its silence.
    return _Judged(words, SILENT_S if "beat" in owner else math.inf, SURE_S)


def _owner(content: bytes) -> dict[str, Any] | None:
    """Whose lock it is; None where the file does not say so."""
    try:
        owner: dict[str, Any] = json.loads(content)
        return {**owner, "pid": int(owner["pid"]), "host": str(owner["host"])}
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
