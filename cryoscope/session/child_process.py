"""Child processes that are never left behind."""

from __future__ import annotations

import errno
import os
import queue
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import IO

from cryoscope.data import InputError
from cryoscope.session.jobs import Job

LINE_LIMIT_BYTES = 1 << 20
#: What Python, its launcher in a bundle and the system's loader say of a damaged installation.
_PARTS_MISSING = (
    "No module named",
    "ImportError",
    "ModuleNotFoundError",
    "cannot open shared object file",
    "DLL load failed",
    "Failed to load Python",
    "Could not load PyInstaller",
)
POLL_S = 0.1


def spawn(command: Sequence[str], env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a child with pipes to its three streams and a process group of its own.

    Ctrl-C in a terminal then reaches only this process, which ends the child in order.
    """
    return subprocess.Popen(
        list(command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=None if env is None else dict(env),
        start_new_session=os.name == "posix",
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    )


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a child of :func:`spawn` and the processes it started."""
    if process.poll() is not None:
        return
    if os.name == "posix":
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
    else:
        process.kill()


def how_it_ended(code: int) -> str:
    """An exit status in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def why_not_started(error: OSError) -> str:
    """The system's reason, with the program that it is about."""
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}" if error.filename else reason


def cure_of_start(error: OSError) -> str:
    """What to do where a child cannot be started at all."""
    if error.errno in (errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE):
        return "Close other programs, and try again"
    return "Install Cryoscope again: a part of it is gone or may not be run"


def cure_of_end(code: int, said: str) -> str:
    """What to do about a child that ended by itself, having ``said`` that last; may be empty."""
    if os.name == "posix" and code == -signal.SIGKILL:
        return "Systems do that when memory runs out: close other programs, and try again"
    if any(words in said for words in _PARTS_MISSING):
        return "Install Cryoscope again; `cryoscope doctor` says what is missing"
    return ""


def last_line(lines: Sequence[str]) -> str:
    """The last line with anything on it, shortened."""
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")


def run_child(
    what: str, command: Sequence[str], job: Job, on_line: Callable[[bytes], None]
) -> None:
    """Run a child to its end within a job; cancelling the job kills the child.

    Parameters
    ----------
    what
        Names the work in error messages, e.g. ``"the simulation"``.
    on_line
        Called, in the job's thread, with every line of the child's standard output.

    Raises
    ------
    InputError
        With the child's last words, if it fails.
    """
    try:
        process = spawn(command)
    except OSError as error:
        problem = f"{what} could not be started: {why_not_started(error)}"
        raise InputError(problem, cure=cure_of_start(error)) from error
    assert process.stdin
    assert process.stdout
    assert process.stderr
    process.stdin.close()
    lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    log: deque[str] = deque(maxlen=50)
    streams = (
        threading.Thread(target=_forward, args=(process.stdout, lines), daemon=True),
        threading.Thread(target=_keep, args=(process.stderr, log), daemon=True),
    )
    for stream in streams:
        stream.start()
    try:
        while (line := _next_line(lines, job)) is not None:
            on_line(line)
        code = process.wait()
    finally:
        kill(process)
        process.wait()
        for stream in streams:
            stream.join()
    if code != 0:
        said = last_line(list(log)).rstrip(".")
        how = f"{what} failed ({how_it_ended(code)})"
        raise InputError(f"{how}: {said}" if said else how, cure=cure_of_end(code, said))


def _next_line(lines: queue.SimpleQueue[bytes | None], job: Job) -> bytes | None:
    while True:
        job.check()
        try:
            return lines.get(timeout=POLL_S)
        except queue.Empty:
            continue


def _forward(stream: IO[bytes], lines: queue.SimpleQueue[bytes | None]) -> None:
    with stream:
        while line := stream.readline(LINE_LIMIT_BYTES):
            lines.put(line)
    lines.put(None)


def _keep(stream: IO[bytes], log: deque[str]) -> None:
    with stream:
        while line := stream.readline(LINE_LIMIT_BYTES):
            log.append(line.decode(errors="replace").rstrip()[:2000])
