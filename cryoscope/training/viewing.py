"""How much of the time of a training process goes to those who look at it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class ViewingTime:
    """Measures the share of the time that is spent on decoding states and on live latents."""

    def __init__(self) -> None:
        self._spent_s, self._since_s = 0.0, time.perf_counter()

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Count what is done inside as viewing."""
        begin_s = time.perf_counter()
        try:
            yield
        finally:
            self._spent_s += time.perf_counter() - begin_s

    def share(self) -> float:
        """The share, 0 to 1, since the last call; counts anew from here on."""
        now_s = time.perf_counter()
        share = self._spent_s / max(now_s - self._since_s, 1e-9)
        self._spent_s, self._since_s = 0.0, now_s
        return min(1.0, share)
