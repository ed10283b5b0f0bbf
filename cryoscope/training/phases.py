"""Stretches of training before the main one, and when each of them ends."""

from __future__ import annotations

import math
from typing import Any

from cryoscope.training.config import PhaseConfig

MAIN = "main"


class PhasePlan:
    """Which phase a step is in.

    A phase lasts its number of passes through the particles; ``zero-init`` ends earlier where the
    deformation has vanished. The main phase has no end here: its length is the run's.

    Parameters
    ----------
    phases
        Those before the main one, in order.
    steps_per_epoch
        Steps of one pass through the particles.
    """

    def __init__(self, phases: tuple[PhaseConfig, ...], steps_per_epoch: int) -> None:
        self._phases, self._steps_per_epoch = phases, steps_per_epoch
        self.index, self.begin = 0, 0

    @property
    def kind(self) -> str:
        """Kind of the phase of the next step."""
        return self._phases[self.index].kind if self.index < len(self._phases) else MAIN

    @property
    def main_begin(self) -> int:
        """The step at which the main phase begins, as far as is known."""
        return self.begin + sum(self._steps(phase) for phase in self._phases[self.index :])

    def _steps(self, phase: PhaseConfig) -> int:
        return math.ceil(phase.epochs * self._steps_per_epoch)

    def after(self, step: int, motion_A2: float) -> str | None:
        """The kind of the phase that ended with the step before ``step``, None if none did.

        Parameters
        ----------
        motion_A2
            Mean square deformation of that step's batch.
        """
        if self.index >= len(self._phases):
            return None
        phase = self._phases[self.index]
        vanished = phase.kind == "zero-init" and motion_A2 < phase.tolerance_A2
        if step < self.begin + self._steps(phase) and not vanished:
            return None
        self.index, self.begin = self.index + 1, step
        return phase.kind

    def state(self) -> dict[str, int]:
        """What a checkpoint keeps."""
        return {"phase_index": self.index, "phase_begin": self.begin}

    def restore(self, meta: dict[str, Any]) -> None:
        """Back to what :meth:`state` gave; a run without phases has nothing to restore."""
        self.index = int(meta.get("phase_index", 0))
        self.begin = int(meta.get("phase_begin", 0))
