"""Stopping long work between its stages."""

from __future__ import annotations

from collections.abc import Callable

#: Whether the user has asked to stop.
ShouldStop = Callable[[], bool]


class Stopped(Exception):
    """Raised where work was asked to stop; what was finished before is kept."""


def never() -> bool:
    """Nobody asks to stop."""
    return False


def stop_if_asked(should_stop: ShouldStop) -> None:
    """Raise :class:`Stopped` where the user has asked to stop."""
    if should_stop():
        raise Stopped
