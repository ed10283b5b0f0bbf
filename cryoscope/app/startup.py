"""A faster and smoother start: what the first molecule needs is made before it is asked for."""

from __future__ import annotations

import gc
import itertools
import threading

from qtpy.QtCore import QObject, QTimer

COLLECT_MS = 1000
# Generation to collect at each tick: the oldest, which takes longest, once a minute.
_TURNS = tuple(2 if turn == 59 else 1 if turn % 10 == 9 else 0 for turn in range(60))

_units: threading.Thread | None = None


def begin() -> None:
    """Stop collecting: importing napari and building the window makes next to no garbage."""
    gc.disable()


def end(window: QObject) -> None:
    """Collect again, in the main thread only, and never look at what was made until now.

    Python collects in whichever thread makes the next object; a Qt object that ends in another
    thread than its own leaves its timers behind, or takes the program with it.
    """
    gc.freeze()
    timer, turns = QTimer(window), itertools.cycle(_TURNS)

    def collect() -> None:
        gc.collect(next(turns))

    timer.timeout.connect(collect)
    timer.start(COLLECT_MS)


def prepare_units() -> None:
    """Read the definitions of units, half a second's work that the first layer would wait for."""
    global _units

    def read() -> None:
        import pint

        pint.get_application_registry().parse_expression("angstrom")

    if _units is None:
        _units = threading.Thread(target=read, name="units", daemon=True)
        _units.start()


def wait_for_units() -> None:
    """Wait for :func:`prepare_units`, which must not run beside a layer that is being made."""
    if _units is not None:
        _units.join()
