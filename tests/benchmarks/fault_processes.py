"""Processes that are begun, killed, and looked after (POSIX): for the fault campaign."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

_SAID = struct.Struct("=qd")

#: Says that the work has come to a number: what counts as saved from then on.
Say = Callable[[int], None]


@dataclass(frozen=True)
class Left:
    """What a check found: ``number`` is how far the work is saved."""

    number: int
    lost_steps: int = 0


class Work(Protocol):
    """Something that is begun again and again and may be cut off at any moment."""

    name: str

    def begin(self, at: Any, say: Say) -> None:
        """Do it in the folder ``at``, from where it is."""

    def look(self, at: Any) -> Left:
        """Open what is there, as the program would; an exception where it is not whole."""


@contextlib.contextmanager
def in_child(work: Callable[[int], None]) -> Iterator[tuple[int, int]]:
    """Run ``work(pipe)`` in a forked process: its number, and the pipe to read from."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(read_end)
            sys.stdout = sys.stderr
            work(write_end)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    os.close(write_end)
    try:
        yield child, read_end
    finally:
        os.close(read_end)


@dataclass(frozen=True)
class Ended:
    """How a process ended: what it had said and when, when it was over, its exit status."""

    said: list[tuple[int, float]]
    at_s: float
    status: int

    began_s: float

    @property
    def killed(self) -> bool:
        """Whether it was killed before it had done its work."""
        return os.WIFSIGNALED(self.status)


def begin(work: Work, at: Any, kill_after_s: float | None) -> Ended:
    """Begin a work in a process of its own; kill it after so long (None: never)."""

    def run(pipe: int) -> None:
        work.begin(at, lambda number: os.write(pipe, _SAID.pack(number, time.monotonic())) and None)

    began_s = time.monotonic()
    with in_child(run) as (child, pipe):
        due_s = float("inf") if kill_after_s is None else began_s + kill_after_s
        said = b""
        while (left_s := due_s - time.monotonic()) > 0:
            if select.select([pipe], [], [], min(left_s, 60))[0]:
                if not (more := os.read(pipe, 1 << 16)):
                    break
                said += more
        else:
            os.kill(child, signal.SIGKILL)
        ended_s = time.monotonic()
        status = os.waitpid(child, 0)[1]
        said += b"".join(iter(lambda: os.read(pipe, 1 << 16), b""))
    whole = len(said) // _SAID.size * _SAID.size
    return Ended(list(_SAID.iter_unpack(said[:whole])), ended_s, status, began_s)


def look(work: Work, at: Any) -> Left | str:
    """What a fresh process finds, or what was wrong."""

    def run(pipe: int) -> None:
        try:
            found = work.look(at)
            answer = {"number": found.number, "lost_steps": found.lost_steps}
        except Exception as error:
            answer = {"fault": f"{type(error).__name__}: {error} ({traceback.format_exc()[-600:]})"}
        os.write(pipe, json.dumps(answer).encode())

    with in_child(run) as (child, pipe):
        said = b"".join(iter(lambda: os.read(pipe, 1 << 16), b""))
        os.waitpid(child, 0)
    answer = json.loads(said or b'{"fault": "the process that looked has died"}')
    return answer["fault"] if "fault" in answer else Left(**answer)
