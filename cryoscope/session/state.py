"""The open project: evented state that panels, scripts and notebooks look at.

Only the verbs of :mod:`cryoscope.session.actions` write it. Fields may be read in any thread.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal, SignalGroup

from cryoscope.data import Embedding, InputError, Latents, Selection
from cryoscope.session.decode import Decoder
from cryoscope.session.history import History
from cryoscope.session.jobs import JobPool
from cryoscope.session.journal import Journal
from cryoscope.session.latent_records import Covariate, LatentView
from cryoscope.session.log_sources import LogSources
from cryoscope.session.path_player import PathPlayer
from cryoscope.session.process_runner import ProcessRunner
from cryoscope.session.records import (
    JobView,
    Notice,
    ParticlesView,
    RunView,
    ShownState,
    StructureView,
    UndoState,
)
from cryoscope.session.runner import Runner
from cryoscope.session.scene import KeptState, Scene
from cryoscope.training.config import TrainConfig
from cryoscope.training.presets import DEFAULT_PRESET, preset

if TYPE_CHECKING:
    from cryoscope.analysis.association import Association
    from cryoscope.data.trajectory_path import TrajectoryPath
    from cryoscope.session.check_records import Check
    from cryoscope.session.contours import Contour
    from cryoscope.session.landscape_records import LandscapeView
    from cryoscope.session.project_keeper import ProjectKeeper
    from cryoscope.session.project_records import ProjectView, RecentProject
    from cryoscope.session.run_clones import ConfigBase
    from cryoscope.session.run_compare import Comparison
    from cryoscope.session.run_epochs import EpochShown

_log = logging.getLogger(__name__)
_open_sessions: weakref.WeakSet[Session] = weakref.WeakSet()


class SessionEvents(SignalGroup):
    """One signal per field of the session; each emits the field's new value."""

    particles = Signal(object)
    structure = Signal(object)
    config = Signal(object)
    run = Signal(object)
    latents = Signal(object)
    embedding = Signal(object)
    latent_view = Signal(object)
    colouring = Signal(object)
    clusters = Signal(object)
    selections = Signal(object)
    active_selection = Signal(object)
    cursor_xy = Signal(object)
    shown = Signal(object)
    iso_sigma = Signal(object)
    contours = Signal(object)
    check = Signal(object)
    associations = Signal(object)
    jobs = Signal(object)
    notice = Signal(object)
    trajectories = Signal(object)
    active_path = Signal(object)
    path_frame = Signal(object)
    path_marks = Signal(object)
    marked_residue = Signal(object)
    backbone_colour = Signal(object)
    residue_motion = Signal(object)
    kept_states = Signal(object)
    scene = Signal(object)
    undo_state = Signal(object)
    epoch_shown = Signal(object)
    config_base = Signal(object)
    comparison = Signal(object)
    landscape = Signal(object)
    project = Signal(object)
    recent_projects = Signal(object)
    logged = Signal(object)


class Session:
    """The open project.

    Setting a field emits ``events.<field>`` with the new value, in some thread, outside of every
    lock; the values of one field are emitted one at a time and in the order they were set.

    Parameters
    ----------
    make_runner
        Makes what carries out the training; by default a child process.
    workers
        Threads for background jobs.

    Attributes
    ----------
    particles, structure
        What is open, or None.
    config
        The configuration of the next run.
    run
        The run that is shown, or None.
    latents, embedding
        Latents of the run and their 2-D picture, or None.
    latent_view
        Which picture of the latents ``embedding`` is.
    colouring
        The covariate that the particles are coloured by, or None for their density.
    clusters
        (N,) cluster of each particle by the last k-means (-1 none), or None.
    selections, active_selection
        Named particle selections, and the name of the one that is edited ("" for none).
    cursor_xy
        Where in the embedding the shown state was asked for, or None.
    shown
        What the 3-D view shows, or None.
    iso_sigma
        Isosurface level in standard deviations of the map, as it was asked for last.
    contours
        The contour of each kind of map that was given one; see
        :func:`cryoscope.session.contours.contour_of`.
    check
        What the images of the selection that was reconstructed last say, or None.
    associations
        How closely axes of the latents follow viewing direction and defocus.
    trajectories, active_path, path_frame
        Named ways through latent space, the name of the one that is looked at ("" for none), and
        which of its states (from 0).
    path_marks
        Rows of the particles marked for the next path, in order.
    marked_residue
        Place in the backbone trace of the residue that is pointed out, or None.
    backbone_colour
        What the backbone is coloured by; see :mod:`cryoscope.session.residues`.
    residue_motion
        How far every residue moves over the states of the run, or None while it is not measured.
    kept_states
        States that stay in the 3-D view to be compared.
    scene
        How states are drawn there.
    jobs
        What goes on in the background.
    notice
        The last line for the user, or None.
    undo_state
        What undo and redo would do.
    epoch_shown
        The earlier epoch of the run that is looked at, or None for the newest.
    config_base
        The run that ``config`` was cloned from, or None where it came from a preset.
    comparison
        Runs beside each other, or None.
    landscape
        What the landscape of the run is, or None.
    project, recent_projects
        The open project, or None; and those that were open lately.
    logged
        Number of the last entry of ``journal``, which tells what has happened.
    """

    particles: ParticlesView | None
    structure: StructureView | None
    config: TrainConfig
    run: RunView | None
    latents: Latents | None
    embedding: Embedding | None
    latent_view: LatentView
    colouring: Covariate | None
    clusters: NDArray[np.int64] | None
    selections: tuple[Selection, ...]
    active_selection: str
    cursor_xy: tuple[float, float] | None
    shown: ShownState | None
    iso_sigma: float
    contours: Mapping[str, Contour]
    check: Check | None
    associations: tuple[Association, ...]
    trajectories: tuple[TrajectoryPath, ...]
    active_path: str
    path_frame: int
    path_marks: tuple[int, ...]
    marked_residue: int | None
    backbone_colour: str
    residue_motion: NDArray[np.float64] | None
    kept_states: tuple[KeptState, ...]
    scene: Scene
    jobs: tuple[JobView, ...]
    notice: Notice | None
    undo_state: UndoState
    epoch_shown: EpochShown | None
    config_base: ConfigBase | None
    comparison: Comparison | None
    landscape: LandscapeView | None
    project: ProjectView | None
    recent_projects: tuple[RecentProject, ...]
    logged: int

    def __init__(
        self, *, make_runner: Callable[[], Runner] = ProcessRunner, workers: int = 2
    ) -> None:
        self._lock = threading.RLock()
        self._pending: dict[str, deque[Any]] = {}
        self._emitting: set[str] = set()
        vars(self).update(_initial_fields())
        self.events = SessionEvents(self)
        self.make_runner = make_runner
        self.runner: Runner | None = None
        self._follower: object = None
        # The last UMAP and the latents that it is of: it takes long to make.
        self.kept_umap: tuple[Latents, Embedding] | None = None
        self.history = History()
        self.keeper: ProjectKeeper | None = None
        self.journal = Journal(self._note_logged)
        self.pool = JobPool(self._refresh_jobs, self.report, workers=workers)
        self.decoder = Decoder(self)
        self.player = PathPlayer(self)
        self.closed = False
        self._log_sources = LogSources(self)
        _open_sessions.add(self)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _FIELDS:
            self.change(**{name: value})
        else:
            super().__setattr__(name, value)

    def change(self, **values: Any) -> None:
        """Set several fields at once, then emit their events."""
        self.revise(lambda: values)

    def revise(self, decide: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Set the fields that ``decide`` returns, seeing the session as no other thread changes it.

        ``decide`` runs under the session's lock: it must be quick and must not wait.
        """
        with self._lock:
            values = decide()
            for name, value in values.items():
                if name not in _FIELDS:
                    raise AttributeError(f"a session has no field {name!r}")
                if vars(self)[name] is not value:
                    vars(self)[name] = value
                    self._pending.setdefault(name, deque()).append(value)
        for name in values:
            self._emit(name)
        return values

    def snapshot(self, *names: str) -> tuple[Any, ...]:
        """The values of several fields as they were at one moment."""
        with self._lock:
            return tuple(vars(self)[name] for name in names)

    def adopt(self, runner: Runner | None, follower: object) -> Runner | None:
        """Make ``runner`` the session's; the one it replaces, or itself if the session is closed.

        The caller shuts down what it gets back. ``follower`` is kept alive as long as the runner is
        the session's.
        """
        with self._lock:
            if self.closed:
                return runner
            previous, self.runner = self.runner, runner
            self._follower = follower
        return previous

    def notify(self, level: Literal["info", "warning", "error"], text: str) -> None:
        """Show the user one line."""
        line = " ".join(text.split())
        self.journal.add(level, line)
        self.notice = Notice(level, line, time.time())

    def report(self, error: Exception) -> None:
        """Show an error as one line; unless it is the user's, its traceback goes to the log."""
        if isinstance(error, InputError):
            self.notify("error", str(error))
            return
        _log.error("unexpected error", exc_info=error)
        self.notify("error", f"Unexpected error: {type(error).__name__}: {error}")

    def refresh_undo(self) -> None:
        """Bring :attr:`undo_state` up to date with the history."""
        self.revise(lambda: {"undo_state": self.history.state()})

    def _note_logged(self, number: int) -> None:
        self.revise(lambda: {"logged": number})

    def _refresh_jobs(self) -> None:
        self.revise(lambda: {"jobs": self.pool.views()})

    def _emit(self, name: str) -> None:
        """Emit what is pending for a field, unless another thread (or caller) is doing so."""
        signal = self.events[name]
        while True:
            with self._lock:
                if name in self._emitting or not self._pending.get(name):
                    return
                self._emitting.add(name)
                value = self._pending[name].popleft()
            try:
                signal.emit(value)
            except Exception:
                # A listener's mistake must not end the job or the run that it listens to.
                _log.exception("a listener of session.%s failed", name)
            finally:
                with self._lock:
                    self._emitting.discard(name)


def _initial_fields() -> dict[str, Any]:
    return {
        "particles": None,
        "structure": None,
        "config": preset(DEFAULT_PRESET),
        "run": None,
        "latents": None,
        "embedding": None,
        "latent_view": LatentView(),
        "colouring": None,
        "clusters": None,
        "selections": (),
        "active_selection": "",
        "cursor_xy": None,
        "shown": None,
        "iso_sigma": 3.0,
        "contours": {},
        "check": None,
        "associations": (),
        "trajectories": (),
        "active_path": "",
        "path_frame": 0,
        "path_marks": (),
        "marked_residue": None,
        "backbone_colour": "displacement",
        "residue_motion": None,
        "kept_states": (),
        "scene": Scene(),
        "jobs": (),
        "notice": None,
        "undo_state": UndoState(),
        "epoch_shown": None,
        "config_base": None,
        "comparison": None,
        "landscape": None,
        "project": None,
        "recent_projects": (),
        "logged": 0,
    }


_FIELDS = frozenset(_initial_fields())


def close_session(session: Session, timeout_s: float) -> None:
    """End the runner (with a checkpoint), the jobs and the decoder of a session."""
    with session._lock:
        if session.closed:
            return
        session.closed = True
        runner = session.runner
    deadline_s = time.monotonic() + timeout_s
    if session.keeper is not None:
        session.keeper.close()
    session.decoder.close()
    if runner is not None:
        runner.shutdown(timeout_s)
    session.pool.close(max(0.5, deadline_s - time.monotonic()))
    session._log_sources.close()
    # Last: a worker that cannot write what it was asked for would fail in its last moments.
    session.decoder.remove_files()


@atexit.register
def _close_open_sessions() -> None:
    for session in list(_open_sessions):
        close_session(session, 3.0)
