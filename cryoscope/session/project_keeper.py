"""Autosave: an open project is saved a moment after it has changed, in a thread of its own."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from cryoscope.data import InputError
from cryoscope.session.project_records import SavedSession, WindowState
from cryoscope.session.project_state import captured

if TYPE_CHECKING:
    from cryoscope.session.project_parts import PartWriter
    from cryoscope.session.state import Session

#: Seconds without a change after which it is saved; seconds after which it is saved in any case.
QUIET_S, LATEST_S = 0.6, 2.5
#: Seconds until the next try after a save that failed.
RETRY_S = 15.0
WATCHED = (
    "particles", "structure", "config", "latent_view", "colouring", "clusters", "selections",
    "active_selection", "cursor_xy", "iso_sigma", "contours", "trajectories", "active_path",
    "path_frame", "path_marks", "marked_residue", "backbone_colour", "scene", "comparison",
    "kept_states", "check",
)  # fmt: skip


class ProjectKeeper:
    """Holds the lock of the open project and saves it: at most a few seconds are ever lost.

    Parameters
    ----------
    lock
        What lets go of the project's lock.
    held
        What the project file says of a run that could not be opened; kept until another one is.
    """

    def __init__(
        self, session: Session, parts: PartWriter, lock: ExitStack, held: SavedSession
    ) -> None:
        self._session, self.parts, self._lock, self._held = session, parts, lock, held
        self.folder = parts.folder
        self._condition = threading.Condition()
        self._saving = threading.Lock()
        self._first_s: float | None = None
        self._last_s = 0.0
        self._closed = False
        self._complained = False
        self._last: tuple[Any, Any] | None = None
        self._run_folder: object = None
        self._last_check = held.run and held.run.folder, held.check
        self._thread = threading.Thread(target=self._serve, name="cryoscope-autosave", daemon=True)

    @property
    def held(self) -> SavedSession:
        """What is kept of a run that is not open."""
        return self._held

    def start(self) -> None:
        """Save from now on whatever changes."""
        for name in WATCHED:
            self._session.events[name].connect(self._changed)
        self._session.events.run.connect(self._run_changed)
        run = self._session.run
        self._run_folder = None if run is None else run.folder
        self._thread.start()

    def adopt_check(self, other: ProjectKeeper) -> None:
        """Keep in mind the last reconstruction that another project does."""
        run, check = other._last_check
        if check is not None:
            self._last_check = run, check.model_copy(update={"beside": ""})

    def keep_window(self, state: WindowState) -> None:
        """Take how the window looks now."""
        old = self.parts.window
        if state.same_as(old):
            return
        if old is not None and dict(old.layout) == dict(state.layout):
            state = WindowState(old.layout, state.numbers)
        self.parts.window = state
        self._changed(None)

    def save(self) -> None:
        """Save now, unless nothing has changed since the last time (InputError if that fails)."""
        with self._saving:
            if self.parts.folder.is_one(self.folder.path) or self._last is None:
                self._write()
                return
        raise InputError(
            "the folder of the open project is gone",
            file=self.folder.path,
            cure="Put it back, or save the project as another one.",
        )

    def close(self) -> None:
        """Save what is unsaved, then let go of the project."""
        with self._condition:
            if self._closed:
                return
            self._closed = True
            self._condition.notify_all()
        for name in WATCHED:
            self._session.events[name].disconnect(self._changed, missing_ok=True)
        self._session.events.run.disconnect(self._run_changed, missing_ok=True)
        try:
            self.save()
        except InputError as error:
            self._session.report(error)
        finally:
            self.release()

    def release(self) -> None:
        """Let go of the project without saving it."""
        self._lock.close()

    def _write(self) -> None:
        saved = captured(self._session, self.folder.path)
        held = self._held
        if self._session.run is None and held.run is not None:
            saved = saved.model_copy(update={"run": held.run, "view": held.view})
        elif self._session.latents is not None:
            self._held = SavedSession()
        saved = self._with_check(saved)
        window = self.parts.window
        numbers = {} if window is None else {k: tuple(v) for k, v in window.numbers.items()}
        states, of_states = self.parts.states.write(self._session.kept_states)
        content = {**saved.model_dump(mode="json"), "window_numbers": numbers, "kept": states}
        parts = {**self.parts.write(), **of_states}
        if (content, parts) == self._last:
            return
        self.folder.save(content, parts)
        self._last = content, parts

    def _with_check(self, saved: SavedSession) -> SavedSession:
        """With the last reconstruction of the run, though its files are gone or made again."""
        run = saved.run and saved.run.folder
        if saved.check is not None:
            self._last_check = run, saved.check
        elif self._last_check[0] == run:
            return saved.model_copy(update={"check": self._last_check[1]})
        return saved

    def _changed(self, _value: Any) -> None:
        now_s = time.monotonic()
        with self._condition:
            self._last_s = now_s
            if self._first_s is None:
                self._first_s = now_s
                self._condition.notify_all()

    def _run_changed(self, run: Any) -> None:
        # A run that trains changes with every step; what matters here is which one it is.
        folder = None if run is None else run.folder
        if folder != self._run_folder:
            self._run_folder = folder
            self._changed(None)

    def _serve(self) -> None:
        while self._wait():
            try:
                self.save()
                self._complained = False
            except InputError as error:
                self._trouble(error)
            except Exception as error:
                self._trouble(error)

    def _wait(self) -> bool:
        """Wait until something is to be saved; False when the project is closed."""
        with self._condition:
            while not self._closed:
                first_s = self._first_s
                if first_s is None:
                    self._condition.wait()
                    continue
                left_s = min(self._last_s + QUIET_S, first_s + LATEST_S) - time.monotonic()
                if left_s <= 0:
                    self._first_s = None
                    return True
                self._condition.wait(left_s)
        return False

    def _trouble(self, error: Exception) -> None:
        """Say once that saving fails, and try again later."""
        if not self._complained:
            self._complained = True
            self._session.report(error)
        with self._condition:
            self._first_s = self._last_s = time.monotonic() + RETRY_S
