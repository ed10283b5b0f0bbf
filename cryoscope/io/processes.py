"""Which process this is, and whether another one of this computer still lives."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

#: Where another process is: one that can be asked for here, one of this computer before it was
#: started anew (or of another of the same name), or one that cannot be seen from here.
Where = Literal["here", "before", "elsewhere"]


def this_process() -> dict[str, Any]:
    """What tells this process from all others, as plain JSON."""
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "process_started": _process_start(os.getpid()),
        "boot": _boot(),
        "space": _space(),
    }


def place_of(owner: Mapping[str, Any]) -> Where:
    """Where the process is that :func:`this_process` of it describes."""
    if owner.get("host") != socket.gethostname():
        return "elsewhere"
    if owner.get("boot") not in (None, _boot()):
        return "before"
    # The numbers of processes in a container are its own.
    return "here" if owner.get("space") in (None, _space()) else "elsewhere"


def lives_here(owner: Mapping[str, Any]) -> bool:
    """Whether a process that is ``here`` still lives."""
    pid = int(owner["pid"])
    return _is_alive(pid) and owner.get("process_started") == _process_start(pid)


def _boot() -> str | None:
    """A name of the time since this computer was started, where the system tells (Linux)."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _space() -> str | None:
    """The name space that process numbers are counted in, where there are such (Linux)."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
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
