"""Decoding what is under the cursor: newest wins, nobody waits.

At most one request is with the runner and one place waits for its turn; a newer place takes the
turn of an older one, and ends what makes an older one finer (:mod:`cryoscope.session.scrubbing`).
All work, meshes included, is done in one thread of the decoder.
"""

from __future__ import annotations

import queue
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import Embedding, InputError
from cryoscope.session.contours import contour_of
from cryoscope.session.records import ShownState
from cryoscope.session.refining import SurfaceRefiner
from cryoscope.session.runner import Runner
from cryoscope.session.scrubbing import Boxes, Stage, rest_s
from cryoscope.session.shown import DecodedStates, read_decoded, shown_decoded, with_level
from cryoscope.training.events import Decoded, DecodeFailed

if TYPE_CHECKING:
    from cryoscope.analysis.reduce import NeighbourIndex
    from cryoscope.session.jobs import Job
    from cryoscope.session.state import Session

ANSWER_LOST_AFTER_S = 10.0


@dataclass(frozen=True)
class _Request:
    request_id: int
    epoch: int
    run_id: str
    sent_s: float
    z: NDArray[np.floating]
    stage: Stage
    by_hand: bool


class Decoder:
    """Asks the session's runner for states and turns the answers into ``session.shown``."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._last_id = 0
        self._place: tuple[float, float] | None = None
        self._by_hand, self._moved_s = False, 0.0
        self._boxes: tuple[str, Boxes] = ("", Boxes())
        self._finer: _Request | None = None
        self._flight: _Request | None = None
        self._answer: tuple[_Request, Path] | None = None
        self._redraw = False
        self._calls: dict[int, queue.SimpleQueue[Path | None]] = {}
        self._index: tuple[Embedding, NeighbourIndex] | None = None
        self._closed = False
        self._surfaces = SurfaceRefiner(session)

    def show(self, xy: tuple[float, float]) -> None:
        """Show the state at ``xy`` of the embedding as soon as it can be decoded, then finer."""
        self._tell(lambda: self._want(xy, by_hand=True))

    def refresh(self) -> None:
        """Show the state at the cursor again; a map of more than one state stays till one moves."""
        cursor_xy = self._session.cursor_xy
        if cursor_xy is not None and not self.shows_many:
            self._tell(lambda: self._want(cursor_xy, by_hand=False))

    @property
    def shows_many(self) -> bool:
        """Whether a map of more than one state is shown."""
        shown = self._session.shown
        density = None if shown is None else shown.density
        return density is not None and density.provenance.of_many

    def rest(self) -> None:
        """Ask for nothing more till one moves on: something that was made before is looked at."""
        with self._condition:
            self._place = self._finer = None

    def redraw(self) -> None:
        """Draw the isosurface again, at the session's level."""
        self._tell(lambda: setattr(self, "_redraw", True))

    def answered(self, event: Decoded) -> None:
        """Take an answer of the runner; one that is no longer asked for is deleted."""
        path = Path(event.path)
        with self._condition:
            call = self._calls.pop(event.request_id, None)
            flight = self._flight
            expected = flight is not None and flight.request_id == event.request_id
        if call is not None:
            call.put(path)
        elif expected and flight is not None:
            self._tell(lambda: self._accept(flight, path))
        elif self._is_ours(path):
            path.unlink(missing_ok=True)

    def refused(self, event: DecodeFailed) -> None:
        """Take the word that a request cannot be answered: nobody waits for it any more."""
        with self._condition:
            call = self._calls.pop(event.request_id, None)
            flight = self._flight
            if flight is not None and flight.request_id == event.request_id:
                self._flight = None
                self._condition.notify_all()
        if call is not None:
            call.put(None)

    def reset(self) -> None:
        """Forget what the runner was asked: it has ended or is replaced."""
        with self._condition:
            self._flight = self._answer = self._place = self._finer = None
            for call in self._calls.values():
                call.put(None)
            self._calls.clear()

    def states(
        self,
        z: NDArray[np.floating],
        job: Job,
        *,
        volume: bool = False,
        box_size_px: int | None = None,
    ) -> DecodedStates:
        """Decode (states, d) latents; waits for the answer, so only for jobs.

        With ``volume`` also the map of the first, in a box that is quick to decode, or of
        ``box_size_px`` (0: the run's own).

        Raises
        ------
        InputError
            If there is nothing that decodes, or it ends before it has answered.
        """
        answers: queue.SimpleQueue[Path | None] = queue.SimpleQueue()
        runner = _ready_runner(self._session)
        if runner is None:
            raise InputError("no trained model is open", cure="Train, or open a run folder, first.")
        with self._condition:
            request_id = self._next_id()
            self._calls[request_id] = answers
        path = self._path(request_id)
        runner.decode(request_id, z, volume=volume, path=path, box_size_px=box_size_px)
        try:
            while True:
                job.check()
                if not runner.ready:
                    raise InputError("training ended before it had decoded", cure="Try again.")
                try:
                    answer = answers.get(timeout=0.1)
                except queue.Empty:
                    continue
                if answer is None:
                    raise InputError("training ended before it had decoded", cure="Try again.")
                decoded = read_decoded(answer)
                self._note_beads(decoded)
                return decoded
        finally:
            with self._condition:
                self._calls.pop(request_id, None)
            path.unlink(missing_ok=True)

    def new_id(self) -> int:
        """A number above those of all requests so far, for a state that comes from elsewhere."""
        with self._condition:
            return self._next_id()

    def close(self) -> None:
        """End the thread."""
        self.reset()
        with self._condition:
            self._closed = True
            self._condition.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(2.0)
        self._surfaces.close()

    def remove_files(self) -> None:
        """Remove the temporary files, once nobody writes them any more."""
        with self._condition:
            folder, self._folder = self._folder, None
        if folder is not None:
            folder.cleanup()

    def _tell(self, change: Callable[[], None]) -> None:
        with self._condition:
            if self._closed:
                return
            change()
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._serve, name="cryoscope-decode", daemon=True
                )
                self._thread.start()
            self._condition.notify_all()

    def _want(self, xy: tuple[float, float], *, by_hand: bool) -> None:
        self._place, self._by_hand, self._finer = xy, by_hand, None
        self._moved_s = time.monotonic() if by_hand else 0.0
        flight, runner = self._flight, self._session.runner
        if flight is None or runner is None:
            return
        first = self._boxes_of(flight.run_id).first(by_hand=by_hand)
        if flight.stage > first:
            # It may take long, and nobody looks at that place any more.
            runner.send({"cmd": "forget", "request_id": flight.request_id})
            self._flight = None

    def _accept(self, flight: _Request, path: Path) -> None:
        if self._answer is not None:
            self._answer[1].unlink(missing_ok=True)
        self._flight, self._answer = None, (flight, path)

    def _serve(self) -> None:
        while (step := self._next()) is not None:
            try:
                step()
            except Exception as error:
                self._session.report(error)

    def _next(self) -> Callable[[], None] | None:
        """The next thing to do: send first (the runner works meanwhile), then draw."""
        with self._condition:
            while not self._closed:
                if self._place is not None and self._may_ask():
                    place, self._place = self._place, None
                    return lambda: self._ask(place)
                if self._answer is not None:
                    answer, self._answer = self._answer, None
                    return lambda: self._draw(*answer)
                if self._redraw:
                    self._redraw = False
                    return self._draw_level
                left_s = self._until_finer_s()
                if self._finer is not None and left_s <= 0:
                    finer, self._finer = self._finer, None
                    return lambda: self._ask_finer(finer)
                self._condition.wait(1.0 if self._place is not None else left_s or None)
            return None

    def _until_finer_s(self) -> float:
        """How long the hand must go on resting before the place is decoded more finely."""
        if self._finer is None:
            return 0.0
        return rest_s(self._finer.stage) - (time.monotonic() - self._moved_s)

    def _may_ask(self) -> bool:
        flight = self._flight
        lost = flight is not None and time.monotonic() - flight.sent_s > ANSWER_LOST_AFTER_S
        return (flight is None or lost) and _ready_runner(self._session) is not None

    def _ask(self, xy: tuple[float, float]) -> None:
        from cryoscope.analysis.reduce import nearest_state

        latents, embedding = self._session.snapshot("latents", "embedding")
        runner = _ready_runner(self._session)
        if latents is None or embedding is None or runner is None:
            return
        index = self._neighbours(embedding)
        z, _ = nearest_state(latents.z, embedding.xy, xy, index=index)
        with self._condition:
            by_hand = self._by_hand
        stage = self._boxes_of(latents.run_id).first(by_hand=by_hand)
        self._send(_Request(0, latents.epoch, latents.run_id, 0.0, z, stage, by_hand), runner)

    def _ask_finer(self, request: _Request) -> None:
        runner = _ready_runner(self._session)
        if runner is not None:
            self._send(request, runner)

    def _send(self, wanted: _Request, runner: Runner) -> None:
        with self._condition:
            if wanted.stage is not Stage.MOVING and self._place is not None and wanted.request_id:
                return  # the hand has moved on meanwhile
            request = replace(wanted, request_id=self._next_id(), sent_s=time.monotonic())
            self._flight = request
        box_px = self._boxes_of(request.run_id).asked_px(request.stage)
        path, z = self._path(request.request_id), request.z[None]
        runner.decode(request.request_id, z, volume=True, path=path, box_size_px=box_px)

    def _boxes_of(self, run_id: str) -> Boxes:
        return self._boxes[1] if self._boxes[0] == run_id else Boxes()

    def _plan_finer(self, request: _Request, decoded: DecodedStates) -> None:
        """What comes after an answer, if the hand stays where it is."""
        boxes = Boxes(decoded.preview_box_px, decoded.full_box_px)
        stage = boxes.after(request.stage, by_hand=request.by_hand)
        with self._condition:
            self._boxes = (request.run_id, boxes)
            moved_on = self._place is not None or self._flight is not None
            if stage is not None and decoded.volume is not None and not moved_on:
                self._finer = replace(request, stage=stage)

    def _note_beads(self, decoded: DecodedStates) -> None:
        """Remember how many residues the states of the run have: the states themselves know."""
        count, run = decoded.coords_A.shape[1], self._session.run
        if run is not None and run.bead_count != count:
            self._session.revise(
                lambda: (
                    {"run": replace(self._session.run, bead_count=count)}
                    if self._session.run is not None
                    else {}
                )
            )

    def _neighbours(self, embedding: Embedding) -> NeighbourIndex:
        from cryoscope.analysis.reduce import NeighbourIndex

        if self._index is None or self._index[0] is not embedding:
            self._index = (embedding, NeighbourIndex(embedding.xy))
        return self._index[1]

    def _draw(self, request: _Request, path: Path) -> None:
        try:
            decoded = read_decoded(path)
        finally:
            path.unlink(missing_ok=True)
        self._plan_finer(request, decoded)
        run = self._session.run
        ours = run is not None and run.run_id == request.run_id
        if ours:
            self._note_beads(decoded)
        state = shown_decoded(
            request.request_id,
            decoded,
            None if run is None else run.reference,
            contour=contour_of(self._session, "decoded"),
            run_id=run.folder.name if run is not None and ours else request.run_id,
            epoch=request.epoch,
        )
        self._session.revise(lambda: self._unless_stale(state))

    def _draw_level(self) -> None:
        from cryoscope.session.keeping import relevel_kept

        self._draw_shown_level()
        relevel_kept(self._session)

    def _draw_shown_level(self) -> None:
        shown = self._session.shown
        if shown is None or shown.density is None:
            return
        kind = shown.density.provenance.kind
        state = with_level(shown, contour_of(self._session, kind))
        self._session.revise(lambda: {"shown": state} if self._session.shown is shown else {})

    def _unless_stale(self, state: ShownState) -> dict[str, ShownState]:
        shown = self._session.shown
        stale = shown is not None and shown.request_id > state.request_id
        return {} if stale else {"shown": state}

    def _next_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def _path(self, request_id: int) -> Path:
        with self._condition:
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="cryoscope-decode-")
            return Path(self._folder.name) / f"decode-{request_id}.npz"

    def _is_ours(self, path: Path) -> bool:
        folder = self._folder
        return folder is not None and path.parent == Path(folder.name)


def _ready_runner(session: Session) -> Runner | None:
    """The runner, if it decodes now."""
    runner, run = session.runner, session.run
    ready = runner is not None and runner.ready and run is not None and run.ready
    return runner if ready else None
