"""Training in a child process: JSON lines in, JSON lines out, no way for it to be left behind.

The child ends by itself when its standard input ends, so that it outlives neither a clean exit of
this process nor its death. It has a process group of its own: Ctrl-C in a terminal reaches only the
parent, which then ends the child in order.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any

from pydantic import ValidationError

from cryoscope.data import InputError
from cryoscope.session.child_process import (
    LINE_LIMIT_BYTES,
    cure_of_end,
    cure_of_start,
    how_it_ended,
    kill,
    last_line,
    spawn,
    why_not_started,
)
from cryoscope.session.log_sources import WORKER_LOG
from cryoscope.session.records import RunStatus
from cryoscope.session.runner import Command, ObservedRunner
from cryoscope.training.events import RunFailed, event_from_json

WORKER = (sys.executable, "-m", "cryoscope.training.worker")
LOG_LINES = 200
KILL_GRACE_S = 2.0
_worker_log = logging.getLogger(WORKER_LOG)


class ProcessRunner(ObservedRunner):
    """Runs the training worker as a child process.

    Parameters
    ----------
    command
        Program and arguments of the worker.
    env
        Environment of the worker; by default ours, with one core left to the window.
    """

    def __init__(
        self, command: Sequence[str] = WORKER, *, env: Mapping[str, str] | None = None
    ) -> None:
        super().__init__()
        self._command = list(command)
        self._env = dict(worker_environment() if env is None else env)
        self._outbox: queue.SimpleQueue[Command | None] = queue.SimpleQueue()
        self._log: deque[str] = deque(maxlen=LOG_LINES)
        self._process: subprocess.Popen[bytes] | None = None
        self._heard = False
        self._supervisor: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._over = threading.Event()

    @property
    def threads(self) -> int:
        """CPU threads of the worker, by its environment; 0 where that does not say."""
        text = self._env.get("OMP_NUM_THREADS", "")
        return int(text) if text.isdecimal() else 0

    @property
    def log_tail(self) -> str:
        """The last lines the worker wrote to its log."""
        return "\n".join(list(self._log))

    def start(self, command: Command) -> None:
        """Start the child, in a thread, and give it its first command."""
        with self._lock:
            if self._supervisor is not None:
                raise RuntimeError("a runner starts only once")
            if self._closing.is_set():
                return
            self._outbox.put(command)
            self._status = RunStatus.PREPARING
            self._supervisor = self._spawn_thread(self._supervise, "cryoscope-runner")

    def send(self, command: Command) -> None:
        """Queue a command; a child that has ended does not read it."""
        self._outbox.put(command)

    def shutdown(self, timeout_s: float = 5.0) -> None:
        """Close the child's input, upon which it saves a checkpoint and exits; else kill it."""
        with self._lock:
            self._closing.set()
            if self._supervisor is None:
                return
        self._outbox.put(None)
        if not self._over.wait(timeout_s):
            self._kill()
            self._over.wait(KILL_GRACE_S)

    def _spawn_thread(self, work: Callable[[], None], name: str) -> threading.Thread:
        thread = threading.Thread(target=work, name=name, daemon=True)
        thread.start()
        return thread

    def _supervise(self) -> None:
        """Start the child, publish what it says, and say how it ended."""
        try:
            self._process = spawn(self._command, self._env)
        except OSError as error:
            problem = f"the training process could not be started: {why_not_started(error)}"
            self._publish(RunFailed(str(InputError(problem, cure=cure_of_start(error)))))
            self._over.set()
            return
        try:
            self._converse(self._process)
        finally:
            self._kill()
            self._ended()
            self._over.set()

    def _converse(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        stdin, stdout, stderr = process.stdin, process.stdout, process.stderr
        writer = self._spawn_thread(lambda: self._write(stdin), "cryoscope-runner-in")
        logger = self._spawn_thread(lambda: self._keep_log(stderr), "cryoscope-runner-log")
        self._read(stdout)
        try:
            code = process.wait(KILL_GRACE_S)
        except subprocess.TimeoutExpired:
            self._kill()
            code = process.wait()
        self._outbox.put(None)
        for thread in (writer, logger):
            thread.join(KILL_GRACE_S)
        self._ended()
        if not self._closing.is_set() and self._status is not RunStatus.FAILED:
            self._publish(RunFailed(self._obituary(code), detail=self.log_tail))

    def _read(self, stdout: IO[bytes]) -> None:
        with stdout:
            while line := stdout.readline(LINE_LIMIT_BYTES):
                try:
                    event = event_from_json(json.loads(line))
                except (ValueError, ValidationError, RecursionError):
                    self._keep(b"unexpected output: " + line)
                    continue
                self._heard = True
                self._publish(event)

    def _write(self, stdin: IO[bytes]) -> None:
        """Pass commands on until there is a None; then close the child's input."""
        try:
            with stdin:
                while (command := self._outbox.get()) is not None:
                    stdin.write(json.dumps(command).encode() + b"\n")
                    stdin.flush()
        except OSError:
            # The child has ended; the reader finds out how and says so.
            return

    def _keep_log(self, stderr: IO[bytes]) -> None:
        with stderr:
            while line := stderr.readline(LINE_LIMIT_BYTES):
                self._keep(line)

    def _keep(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip()[:2000]
        self._log.append(text)
        _worker_log.info("%s", text)

    def _kill(self) -> None:
        if self._process is not None:
            kill(self._process)

    def _obituary(self, code: int) -> str:
        said = last_line(list(self._log)).rstrip(".")
        when = "unexpectedly" if self._heard else "at its start"
        how = f"the training process ended {when} ({how_it_ended(code)})"
        cure = cure_of_end(code, said)
        if not cure and not self._heard:
            cure = "`cryoscope doctor` looks at this installation"
        return str(InputError(f"{how}: {said}" if said else how, cure=cure))


def worker_environment(base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of the worker: one core is left to the window, unless the user said else."""
    threads = str(max(1, usable_cores() - 1))
    defaults = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), threads)
    fixed = {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    return {**defaults, **base, **fixed}


def usable_cores() -> int:
    """Processor cores this process may use."""
    affinity: Any = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1
