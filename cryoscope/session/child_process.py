"""Child processes that are never left behind."""

from __future__ import annotations

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
        raise InputError(f"{what} could not be started: {error.strerror or error}") from error
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
        raise InputError(f"{what} failed ({how_it_ended(code)}): {last_line(list(log))}")


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
