"""Work that reports by callback, turned into a generator of Progress events."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator
from typing import TypeVar

from cryoscope.training.events import Progress

T = TypeVar("T")


def with_progress(
    work: Callable[[Callable[[str, int, int], None]], T],
) -> Generator[Progress, None, T]:
    """Run ``work(progress)`` in a thread, yield its progress, return its result.

    Raises
    ------
    Whatever ``work`` raises.
    """
    reports: queue.SimpleQueue[Progress | None] = queue.SimpleQueue()
    outcome: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(work(lambda *report: reports.put(Progress(*report))))
        except BaseException as error:
            errors.append(error)
        finally:
            reports.put(None)

    thread = threading.Thread(target=run, name="prepare", daemon=True)
    thread.start()
    while (report := reports.get()) is not None:
        yield report
    thread.join()
    if errors:
        raise errors[0]
    return outcome[0]
