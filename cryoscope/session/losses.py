"""The loss curves of a run, kept short enough to be drawn at every refresh."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from cryoscope.session.records import LossHistory

ROWS_LIMIT = 20_000
Scalar = TypeVar("Scalar", bound=np.generic)


class LossRecorder:
    """Collects loss terms step by step. Used from one thread; what it returns never changes."""

    def __init__(self) -> None:
        self._step: NDArray[np.int64] = np.zeros(256, dtype=np.int64)
        self._terms: dict[str, NDArray[np.float64]] = {}
        self._rows = 0

    def add(self, step: int, losses: Mapping[str, float]) -> LossHistory:
        """Add the terms at ``step``; later steps recorded before (by a killed run) are dropped."""
        self.drop_after(step - 1)
        if self._rows == ROWS_LIMIT:
            self._thin()
        if self._rows == len(self._step):
            self._resize(2 * self._rows)
        for name in losses:
            if name not in self._terms:
                self._terms[name] = np.full(len(self._step), np.nan)
        self._step[self._rows] = step
        for name, values in self._terms.items():
            values[self._rows] = losses.get(name, np.nan)
        self._rows += 1
        return self.history()

    def drop_after(self, step: int) -> None:
        """Drop what was recorded after ``step``."""
        kept = int(np.searchsorted(self._step[: self._rows], step, side="right"))
        if kept < self._rows:
            self._rows = kept
            self._resize(len(self._step))  # views that were handed out keep the old arrays

    def history(self) -> LossHistory:
        """The curves so far: read-only views of what only ever grows."""
        rows = self._rows
        return LossHistory(
            _read_only(self._step[:rows]),
            {name: _read_only(values[:rows]) for name, values in self._terms.items()},
        )

    def _thin(self) -> None:
        """Keep every other row."""
        self._step = self._step[: self._rows : 2].copy()
        self._terms = {name: v[: self._rows : 2].copy() for name, v in self._terms.items()}
        self._rows = len(self._step)

    def _resize(self, size: int) -> None:
        step = np.zeros(size, dtype=np.int64)
        step[: self._rows] = self._step[: self._rows]
        self._step = step
        for name, old in self._terms.items():
            values = np.full(size, np.nan)
            values[: self._rows] = old[: self._rows]
            self._terms[name] = values


def _read_only(values: NDArray[Scalar]) -> NDArray[Scalar]:
    values.flags.writeable = False
    return values
