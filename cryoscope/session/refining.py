"""Surfaces of large maps: coarse at once, in full as soon as there is time for it.

A map of 256 voxels a side takes marching cubes a quarter of a second to several seconds, and its
surface may have millions of triangles. What is shown at first is the surface of every n-th voxel;
a thread of its own then makes that of all of them, slab by slab. What is no longer shown is dropped
in between, so that a contour that is being dragged waits for nothing.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from cryoscope.session.records import ShownState

if TYPE_CHECKING:
    from cryoscope.data import Mesh, Volume
    from cryoscope.session.state import Session

#: Maps of more voxels are drawn coarsely at first: with about so many samples a side.
MOST_VOXELS, COARSE_PX = 144**3, 96
#: Surfaces of more triangles stay coarse: what is drawn so is noise, and drawing it takes seconds.
MOST_TRIANGLES = 1_000_000
#: How long the contour and the state must have stayed as they are.
SETTLED_S = 0.12


def first_surface(density: Volume, level: float) -> tuple[Mesh, int]:
    """A surface that is made and drawn quickly, and of every how many voxels it is."""
    from cryoscope.analysis.isosurface import SurfaceInPieces

    step = first_step(density.values)
    while True:
        surface = SurfaceInPieces(density, level, step=step)
        if all(triangles <= MOST_TRIANGLES for triangles in surface.pieces()):
            return surface.mesh(), step
        step += 1


def first_step(values: NDArray[np.float32]) -> int:
    """Of every how many voxels the first surface of a map is made; 1: of all."""
    return 1 if values.size <= MOST_VOXELS else -(-max(values.shape) // COARSE_PX)


class SurfaceRefiner:
    """Replaces coarse surfaces of the shown state, then of the kept ones, by those in full."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self._changed, self._closed = False, False
        self._too_large: WeakSet[ShownState] = WeakSet()
        session.events.shown.connect(self._look)
        session.events.kept_states.connect(self._look)

    def close(self) -> None:
        """End the thread."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(2.0)

    def _look(self, _value: object) -> None:
        if self._next() is None:
            return
        with self._condition:
            self._changed = True
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(
                    target=self._serve, name="cryoscope-surfaces", daemon=True
                )
                self._thread.start()
            self._condition.notify_all()

    def _next(self) -> ShownState | None:
        shown, kept = self._session.snapshot("shown", "kept_states")
        for state in (shown, *(one.shown for one in kept)):
            if state is not None and state.surface_step > 1 and state not in self._too_large:
                found: ShownState = state
                return found
        return None

    def _serve(self) -> None:
        while (state := self._wait()) is not None:
            try:
                self._refine(state)
            except Exception as error:
                self._too_large.add(state)
                self._session.report(error)

    def _wait(self) -> ShownState | None:
        """The next state to be drawn in full, once nothing has changed for a moment."""
        with self._condition:
            while not self._closed:
                state = self._next()
                if state is None:
                    self._condition.wait()
                    continue
                self._changed = False
                self._condition.wait(SETTLED_S)
                if not self._changed and not self._closed:
                    return state
        return None

    def _refine(self, state: ShownState) -> None:
        mesh = self._full(state)
        if mesh is None:
            return
        fine = replace(state, isosurface=mesh, surface_step=1)

        def decide() -> dict[str, Any]:
            session = self._session
            values: dict[str, Any] = {}
            if session.shown is state:
                values["shown"] = fine
            kept: tuple[Any, ...] = session.kept_states
            if any(one.shown is state for one in kept):
                values["kept_states"] = tuple(
                    replace(one, shown=fine) if one.shown is state else one for one in kept
                )
            return values

        self._session.revise(decide)

    def _full(self, state: ShownState) -> Mesh | None:
        """The surface of all voxels; None where it is too large or nobody looks any more."""
        from cryoscope.analysis.isosurface import SurfaceInPieces

        assert state.density is not None
        surface = SurfaceInPieces(state.density, state.level)
        for triangles in surface.pieces():
            if triangles > MOST_TRIANGLES:
                self._too_large.add(state)
                return None
            if self._closed or not self._is_there(state):
                return None
        return surface.mesh()

    def _is_there(self, state: ShownState) -> bool:
        shown, kept = self._session.snapshot("shown", "kept_states")
        return shown is state or any(one.shown is state for one in kept)
