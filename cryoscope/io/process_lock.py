"""One writer per folder: a lock file that names its process and outlives no dead one."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryoscope.data import InputError
from cryoscope.io.atomic import explain_os_errors

UNREADABLE_IS_STALE_AFTER_S = 10.0
_JUST_OPENED = "another process has just opened it"


@contextmanager
def process_lock(path: Path, what: str, *, option: str = "--out") -> Iterator[None]:
    """Hold the lock file ``path``; the lock of a process that no longer lives is taken over.

    Parameters
    ----------
    what
        What the lock guards, for the message: ``"run"``.
    option
        What chooses another place, for the cure where nothing can be written.

    Raises
    ------
    InputError
        If a living process, or a process of another machine, holds it.
    """
    mine = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "process_started": _process_start(os.getpid()),
        "token": uuid.uuid4().hex,
    }
    text = json.dumps(mine).encode()
    with explain_os_errors(path, option=option):
        while not _create(path, text):
            if holder := _remove_if_stale(path):
                raise InputError(
                    f"the {what} is in use: {holder}",
                    file=path.parent,
                    cure=f"Stop that program first, or delete {path.name} in the folder if it no "
                    "longer runs.",
                )
    try:
        yield
    finally:
        if _content(path) == text:
            path.unlink(missing_ok=True)


def lock_holder(path: Path) -> str | None:
    """Who holds the lock file ``path``, e.g. "process 17"; None where nobody does (any more)."""
    content = _content(path)
    holder = None if content is None else _holder(path, content)
    return None if holder is None else holder.removesuffix(" is writing it")


def _create(path: Path, content: bytes) -> bool:
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    return True


def _content(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(4096)
    except FileNotFoundError:
        return None


def _remove_if_stale(path: Path) -> str | None:
    """Remove the lock of a dead process; who holds it, in words, where it is not stale."""
    content = _content(path)
    if content is None:
        return None
    if holder := _holder(path, content):
        return holder
    # Renaming first shows whether another process took the stale lock over in between.
    aside = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return None
    if _content(aside) != content:
        aside.rename(path)
        return _JUST_OPENED
    aside.unlink()
    return None


def _holder(path: Path, content: bytes) -> str | None:
    """Who holds the lock, in words; None where nobody does any more."""
    try:
        owner: dict[str, Any] = json.loads(content)
        pid, host = int(owner["pid"]), str(owner["host"])[:100]
    except (ValueError, KeyError, TypeError, RecursionError):
        young = time.time() - path.stat().st_mtime < UNREADABLE_IS_STALE_AFTER_S
        return _JUST_OPENED if young else None
    if host != socket.gethostname():
        return f"process {pid} on {host} is writing it"
    if _is_alive(pid) and owner.get("process_started") == _process_start(pid):
        return f"process {pid} of this computer ({host}) is writing it"
    return None


def _process_start(pid: int) -> str | None:
    """Start time of a process in clock ticks after boot, where the system tells (Linux).

    It tells a living writer from a later process that got the same number; None once it ended.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="latin-1")
        values = stat.rpartition(")")[2].split()
        # A zombie has ended: only its parent has not asked for its exit code yet.
        return None if values[0] in "ZX" else values[19]
    except (OSError, IndexError):
        return None


def _is_alive(pid: int) -> bool:
    if not 0 < pid < 2**31:
        return False
    if sys.platform == "win32":
        import ctypes

        query_limited_information = 0x1000
        handle = ctypes.windll.kernel32.OpenProcess(query_limited_information, False, pid)
        if not handle:
            return False
        ended = ctypes.windll.kernel32.WaitForSingleObject(handle, 0) == 0
        ctypes.windll.kernel32.CloseHandle(handle)
        return not ended
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
