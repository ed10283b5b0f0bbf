"""Progress on standard error, and stopping in order on Ctrl-C."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

# Without a terminal (a log file, a batch system) one line every so often.
PLAIN_EVERY_S = 15.0


class StageProgress:
    """A progress bar on standard error; plain lines where that is not a terminal.

    Use as a context manager; ``total`` 0 means that the length is unknown.
    """

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._stage = ""
        self._plain_due_s = 0.0

    def __enter__(self) -> StageProgress:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        console = Console(stderr=True)
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[count]}"),
                TimeElapsedColumn(),
                TextColumn("{task.fields[note]}"),
                console=console,
            )
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def say(self, line: str) -> None:
        """Show a line that stays."""
        if self._bar is None:
            print(line, file=sys.stderr)
        else:
            self._bar.console.print(line, markup=False, highlight=False)

    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Show that ``done`` of ``total`` of a stage is done.

        Stages that cannot be counted are shown beside a bar only: in a log they would bury the one
        line of an error.
        """
        if self._bar is None and done == 0 and total <= 1:
            return
        count = f"{done:,} / {total:,}" if total > 0 else (f"{done:,}" if done else "")
        if self._bar is None:
            self._print_plain(stage, count, note, finished=0 < total <= done)
            return
        if self._task is None or stage != self._stage:
            self._task = self._bar.add_task(stage, total=None, count="", note="")
            self._stage = stage
        self._bar.update(self._task, completed=done, total=total or None, count=count, note=note)

    def _print_plain(self, stage: str, count: str, note: str, *, finished: bool) -> None:
        now_s = time.monotonic()
        if stage == self._stage and not finished and now_s < self._plain_due_s:
            return
        self._stage, self._plain_due_s = stage, now_s + PLAIN_EVERY_S
        print(*(part for part in (stage, count, note) if part), sep="  ", file=sys.stderr)


class Interrupt:
    """Whether the user asked to stop."""

    asked = False


@contextmanager
def stop_on_interrupt(stop: Callable[[], None], what: str) -> Iterator[Interrupt]:
    """Let the first Ctrl-C (or SIGTERM) call ``stop``, and a second Ctrl-C end at once.

    SIGTERM says the same however often it comes: a batch system sends it, and torchrun again.

    Parameters
    ----------
    stop
        Asks the work to end in order; called in the main thread.
    what
        What happens now, for the user, e.g. ``"saving a checkpoint"``.
    """
    interrupt = Interrupt()

    def handle(number: int, frame: FrameType | None) -> None:
        if interrupt.asked:
            if number == signal.SIGTERM:
                return
            raise KeyboardInterrupt
        interrupt.asked = True
        print(f"\ncryoscope: stopping, {what}; Ctrl-C again ends at once", file=sys.stderr)
        stop()

    before: dict[int, Any] = {
        number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
