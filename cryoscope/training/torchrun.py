"""Which of several processes this one is, as ``torchrun`` says it; no torch."""

from __future__ import annotations

import os
from dataclasses import dataclass

from cryoscope.data import InputError

#: What ``torchrun`` sets, all of which is needed.
_NUMBERS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
_ENVIRONMENT = (*_NUMBERS, "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Place:
    """One of several processes; by itself, the only one.

    Attributes
    ----------
    rank, size
        Which process this is, from 0, and how many there are.
    local_rank, local_size
        The same on this machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes and decides."""
        return self.rank == 0


def place_from_environment() -> Place:
    """Where ``torchrun`` put this process; the only one without it.

    Raises
    ------
    InputError
        Where the environment makes no sense.
    """
    if any(name not in os.environ for name in _ENVIRONMENT):
        return Place()
    try:
        place = Place(*(int(os.environ[name]) for name in _NUMBERS))
    except ValueError as error:
        raise InputError(
            f"one of {', '.join(_NUMBERS)} is not a number",
            cure="Start the processes with torchrun, or unset these variables",
        ) from error
    if not (0 <= place.rank < place.size and 0 <= place.local_rank < place.local_size):
        raise InputError(
            f"process {place.rank} of {place.size} makes no sense",
            cure="Start the processes with torchrun, or unset RANK and WORLD_SIZE",
        )
    return place


def restarted() -> bool:
    """Whether ``torchrun --max-restarts`` has started this training again after a failure."""
    return os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") not in ("", "0")
