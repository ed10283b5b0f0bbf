"""The states of a trajectory, decoded ahead and kept, so that it plays smoothly.

What is asked for comes first, then the states that follow it; one job at a time does the work.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import Latents
from cryoscope.data.trajectory_path import TrajectoryPath
from cryoscope.session.contours import Contour, contour_of
from cryoscope.session.records import RunView, ShownState
from cryoscope.session.shown import DecodedStates, shown_decoded

if TYPE_CHECKING:
    from cryoscope.session.jobs import Job
    from cryoscope.session.state import Session

#: Maps and meshes are kept up to this size; the states farthest from the one shown go first.
CACHE_LIMIT_BYTES = 512 * 1024**2
JOB_NAME = "Decoding the trajectory"


class _Frames:
    """The decoded states of one path by one model."""

    def __init__(self, path: TrajectoryPath, latents: Latents | None) -> None:
        self.path, self.latents = path, latents
        self.traces_A: NDArray[np.float32] | None = None
        self.states: dict[int, tuple[ShownState, Contour]] = {}
        self.wanted: int | None = None
        self.bytes = 0

    def serves(self, path: TrajectoryPath, latents: Latents | None) -> bool:
        """Whether these are the states of ``path`` as the model of ``latents`` sees them."""
        return self.path.frames_z is path.frames_z and self.latents is latents

    def keep(self, frame: int, state: ShownState, contour: Contour) -> None:
        """Keep a state, and let go of the farthest where there are too many."""
        self.states[frame] = (state, contour)
        self.bytes += _size_bytes(state)
        while self.bytes > CACHE_LIMIT_BYTES and len(self.states) > 1:
            farthest = max(self.states, key=lambda one: abs(one - frame))
            self.bytes -= _size_bytes(self.states.pop(farthest)[0])

    def next(self, frame: int) -> int | None:
        """The state to decode next, seen from ``frame``: itself, those after it, those before."""
        full = self.bytes > 0.9 * CACHE_LIMIT_BYTES
        if frame not in self.states:
            return frame
        if full:
            return None
        order = [*range(frame + 1, len(self.path)), *range(frame - 1, -1, -1)]
        return next((one for one in order if one not in self.states), None)


class PathPlayer:
    """Shows states of the session's trajectories; safe to use from several threads.

    Attributes
    ----------
    edits
        Changes of the trajectories that wait for their turn; see
        :mod:`cryoscope.session.trajectories`.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._lock = threading.RLock()
        self._frames: _Frames | None = None
        self._job: Job | None = None
        self.edits: deque[tuple[str, Callable[[Job], Any]]] = deque()

    def show(self, path: TrajectoryPath, frame: int) -> None:
        """Show state ``frame`` of ``path``: now if it is kept, else as soon as it is decoded."""
        session = self._session
        with self._lock:
            frames = self._of(path)
            frames.wanted = frame
            kept = frames.states.get(frame)
            trace_A = None if frames.traces_A is None else frames.traces_A[frame]
        if kept is not None:
            self._put(kept[0])
            if kept[1] != contour_of(session, "decoded"):
                session.decoder.redraw()
        elif trace_A is not None and len(trace_A):
            # While the map is still being decoded, the backbone alone follows the hand.
            z = path.frames_z[frame][None].astype(np.float32)
            self._put(self._state(frames, frame, DecodedStates(trace_A[None], z, None, 0.0)))
        self._start(frames)

    def kept(self, path: TrajectoryPath) -> NDArray[np.bool_]:
        """(F,) which states of ``path`` are decoded and kept."""
        with self._lock:
            found = np.zeros(len(path), dtype=np.bool_)
            frames = self._frames
            if frames is not None and frames.serves(path, self._session.latents):
                found[list(frames.states)] = True
            return found

    def reset(self) -> None:
        """Forget all states."""
        with self._lock:
            self._frames = None
            if self._job is not None:
                self._job.cancel()

    def _of(self, path: TrajectoryPath) -> _Frames:
        latents = self._session.latents
        if self._frames is None or not self._frames.serves(path, latents):
            self._frames = _Frames(path, latents)
        return self._frames

    def _start(self, frames: _Frames) -> None:
        with self._lock:
            busy = self._job is not None and not self._job.ended.is_set()
            wanted = frames.wanted
            missing = wanted is not None and frames.next(wanted) is not None
            if busy or not missing or self._frames is not frames:
                return
            self._job = self._session.pool.submit(
                JOB_NAME, self._decode_all, key="trajectory-frames", text=JOB_NAME
            )

    def _decode_all(self, job: Job) -> None:
        """Decode what is wanted, then what follows; turns to another path when that is wanted."""
        while True:
            with self._lock:
                frames = self._frames
                wanted = None if frames is None else frames.wanted
                frame = None if frames is None or wanted is None else frames.next(wanted)
                if frames is None or frame is None:
                    # Under the lock: a wish that comes now finds no job and starts another.
                    self._job = None
                    return
            if frames.traces_A is None:
                frames.traces_A = self._session.decoder.states(frames.path.frames_z, job).coords_A
            self._decode_one(frames, frame, job, asked=frame == wanted)
            job.progress(len(frames.states), len(frames.path), f"{JOB_NAME} “{frames.path.name}”")

    def _decode_one(self, frames: _Frames, frame: int, job: Job, *, asked: bool) -> None:
        contour = contour_of(self._session, "decoded")
        z = frames.path.frames_z[frame][None]
        decoded = self._session.decoder.states(z, job, volume=True)
        state = self._state(frames, frame, decoded)
        with self._lock:
            if self._frames is not frames:
                return
            frames.keep(frame, state, contour)
            # Also when the hand has moved on meanwhile: else nothing would be seen to move.
            asked = frames.wanted == frame or (asked and frames.wanted not in frames.states)
        if asked:
            self._put(state)

    def _state(self, frames: _Frames, frame: int, decoded: DecodedStates) -> ShownState:
        session = self._session
        run: RunView | None = session.run
        return shown_decoded(
            0,
            decoded,
            None if run is None else run.reference,
            contour=contour_of(session, "decoded"),
            run_id=frames.path.run_id if run is None else run.folder.name,
            epoch=frames.path.epoch if frames.latents is None else frames.latents.epoch,
        )

    def _put(self, state: ShownState) -> None:
        """Show a state in place of what was asked for before."""
        session = self._session
        session.change(shown=replace(state, request_id=session.decoder.new_id()))


def _size_bytes(state: ShownState) -> int:
    size = 0 if state.density is None else state.density.values.nbytes
    for mesh in (state.backbone, state.isosurface):
        if mesh is not None:
            size += mesh.vertices_A.nbytes + mesh.faces.nbytes
    return size
