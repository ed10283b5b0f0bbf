"""The one training loop: a generator of events. No argparse, no prints, no viewer."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from cryoscope.io.atomic import require_free, write_text_atomic
from cryoscope.io.particle_cache import CachingStopped
from cryoscope.io.run_folder import RunFolder
from cryoscope.io.run_requests import take_requests
from cryoscope.models.interfaces import HeterogeneityModel
from cryoscope.training.config import TrainConfig, config_from_json, config_to_json
from cryoscope.training.decoding import Decoder, atomic_decoder
from cryoscope.training.device_faults import explained_device_faults
from cryoscope.training.distributed import ALONE, Team
from cryoscope.training.events import (
    Paused,
    Progress,
    Resumed,
    RunFinished,
    StepDone,
    TrainEvent,
    event_to_json,
)
from cryoscope.training.follower import follow, meet
from cryoscope.training.loop import Diverged, Loop
from cryoscope.training.prepare import Prepared, prepare
from cryoscope.training.progress import with_progress
from cryoscope.training.starting import choose_device, start_model
from cryoscope.training.viewing import ViewingTime

#: Seconds between two StepDone events.
REPORT_S = 0.25
#: Seconds between two looks at what others ask of the run, and between two during a pause.
LOOK_S, PAUSED_LOOK_S = 0.25, 0.05


class _GivenUp(Exception):
    """A run that another machine holds is not waited for any longer."""


class Trainer:
    """One run of training.

    Parameters
    ----------
    config
        Settings; ignored on resume, where those of the run are used.
    run_path
        The run folder, made or continued.
    resume
        Continue from the newest checkpoint.
    take_over
        Whoever holds the run on another machine is dead, the user says.
    between_steps
        Called after every step, in the training thread.
    team
        The processes that train together; all but the first write nothing and say little.
    idle
        Called again and again during a pause, with the seconds it may take.

    Attributes
    ----------
    viewing
        To be told of time spent on decoding for a window.

    Notes
    -----
    ``events()`` may be iterated once. ``pause()``, ``go_on()``, ``checkpoint()`` and ``stop()`` may
    be called from any thread; other programs ask for them by files in the run folder
    (:mod:`cryoscope.io.run_requests`).
    """

    def __init__(
        self,
        config: TrainConfig,
        run_path: str | Path,
        *,
        resume: bool = False,
        take_over: bool = False,
        between_steps: Callable[[], None] = lambda: None,
        team: Team = ALONE,
        idle: Callable[[float], None] = time.sleep,
    ) -> None:
        self.config, self.run_path, self.resume = config, Path(run_path), resume
        self.take_over = take_over
        self.between_steps, self.idle, self.team = between_steps, idle, team
        self.viewing = ViewingTime()
        self.decoder: Decoder | None = None
        self.step = 0
        self._stop = self._checkpoint_now = self._paused = False
        self._look_due_s = 0.0

    def pause(self) -> None:
        """Wait after this step until :meth:`go_on` or :meth:`stop`."""
        self._paused = True

    def go_on(self) -> None:
        """Go on after a pause."""
        self._paused = False

    def stop(self) -> None:
        """Finish the step, save a checkpoint and end."""
        self._stop = True

    def checkpoint(self) -> None:
        """Save a checkpoint after this step."""
        self._checkpoint_now = True

    def events(self) -> Iterator[TrainEvent]:
        """Prepare, train and finish, saying what happens; every event but Progress is logged.

        Raises
        ------
        InputError
            For input that cannot be trained on.
        """
        with self.team, explained_device_faults():
            if self.team.size > 1:
                self.team.connect(self.config.device)
            yield from self._lead() if self.team.leads else follow(self.team)

    def _lead(self) -> Iterator[TrainEvent]:
        """The run of a process that writes: the only one, or the first of several."""
        with ExitStack() as stack:
            if self.resume:
                run = RunFolder.open(self.run_path)
                self.config = config_from_json(run.config(), file=str(run.path / "config.json"))
                try:
                    yield from with_progress(partial(self._hold, run, stack))
                except _GivenUp:
                    yield RunFinished(0, "stopped")
                    return
            else:
                RunFolder.check_unused(self.run_path)
            device = choose_device(self.team.device_name(self.config.device))
            try:
                prepared = yield from with_progress(
                    lambda progress: prepare(
                        self.config, progress=progress, should_stop=lambda: self._stop
                    )
                )
            except CachingStopped:
                yield RunFinished(0, "stopped")
                return
            # Before the run folder is made: settings that fit no model leave none.
            threads = self.team.threads(self.config.threads)
            model = start_model(self.config, prepared, device, threads)
            if not self.resume:
                run = _new_run(self.run_path, self.config, prepared, model)
                stack.enter_context(run.lock())
                if prepared.agreement is not None:
                    write_text_atomic(run.path / "fsc.csv", prepared.agreement.table())
            if prepared.reference is not None and not run.reference_path.is_file():
                run.write_reference(prepared.reference.structure)
            stack.callback(run.close)
            self.team.tell_prepared(json.dumps(config_to_json(self.config)))
            take_requests(run.path)  # they were meant for an earlier trainer
            for event in self._train(run, prepared, model, device):
                if not isinstance(event, Progress):
                    run.append_event(event_to_json(event))
                yield event

    def _hold(
        self, run: RunFolder, stack: ExitStack, progress: Callable[[str, int, int], None]
    ) -> None:
        """Lock the run; one that another machine seems to hold is waited for."""
        total_s = 0

        def waiting(what: str, left_s: float) -> None:
            nonlocal total_s
            left = math.ceil(left_s)
            total_s = max(total_s, left)
            progress(f"watching for {total_s} s {what}", total_s - left, total_s)
            if self._stop:
                raise _GivenUp

        stack.enter_context(run.lock(take_over=self.take_over, waiting=waiting))

    def _train(
        self, run: RunFolder, prepared: Prepared, model: HeterogeneityModel, device: torch.device
    ) -> Generator[TrainEvent, None, None]:
        yield Progress("compiling kernels", 0, 1)
        loop = Loop(self.config, prepared, model, device, self.team)
        if self.resume:
            if run.has_checkpoint():  # else it was killed before its first: from the beginning
                loop.restore(run)
            run.truncate_events_after(loop.step)
        meet(self.team, loop, prepared)
        self.decoder = Decoder(
            model,
            prepared.optics,
            prepared.beads,
            run.run_id,
            atomic=atomic_decoder(self.config),
        )
        self.step = loop.step
        yield loop.started(run)
        try:
            yield from self._steps(loop, run)
        except Diverged:
            if run.has_checkpoint():  # the model that goes on decoding is the last good one
                loop.restore(run)
            raise
        yield RunFinished(loop.step, "stopped" if not loop.finished else "completed")

    def _steps(self, loop: Loop, run: RunFolder) -> Iterator[TrainEvent]:
        """All steps that are left, with what is reported and saved between them."""
        assert self.decoder is not None
        due_report = time.monotonic() + REPORT_S
        due_live = time.monotonic() + min(1.0, self.config.live_s)
        due_checkpoint = time.monotonic() + self.config.checkpoint_s
        while not (self._stop or loop.finished):
            if self._paused:
                yield from self._wait(loop, run)
                continue
            loop.advance()
            self.step, self.decoder.epoch = loop.step, loop.epoch
            self.between_steps()
            self._obey(run)
            now = time.monotonic()
            if now >= due_report:
                yield self._report(loop)
                due_report = now + REPORT_S
            if now >= due_live:
                with self.viewing.measured():
                    live = loop.save_live(run)
                yield live
                due_live = time.monotonic() + self.config.live_s
            if now >= due_checkpoint or self._checkpoint_now:
                self._checkpoint_now = False
                yield from loop.save(run)
                due_checkpoint = time.monotonic() + self.config.checkpoint_s
        if loop.unreported:
            yield self._report(loop)
        yield from loop.save(run)

    def _report(self, loop: Loop) -> StepDone:
        return replace(loop.report(), viewing_share=self.viewing.share())

    def _wait(self, loop: Loop, run: RunFolder) -> Iterator[TrainEvent]:
        """A pause: what is asked for meanwhile is done, but no step."""
        yield Paused(loop.step)
        while self._paused and not self._stop:
            self.idle(PAUSED_LOOK_S)
            self._obey(run)
            if self._checkpoint_now:
                self._checkpoint_now = False
                yield from loop.save(run)
        self.viewing.share()  # a pause is none of the time that training could have had
        if not self._stop:
            yield Resumed(loop.step)

    def _obey(self, run: RunFolder) -> None:
        """Do what other programs have asked for, looking now and then."""
        now = time.monotonic()
        if now < self._look_due_s:
            return
        self._look_due_s = now + LOOK_S
        asked = {
            "pause": self.pause,
            "resume": self.go_on,
            "checkpoint": self.checkpoint,
            "stop": self.stop,
        }
        for request in take_requests(run.path):
            asked[request]()


def train(
    config: TrainConfig, run_path: str | Path, *, resume: bool = False
) -> Iterator[TrainEvent]:
    """Train and say what happens; see :class:`Trainer` for control while it runs."""
    return Trainer(config, run_path, resume=resume).events()


def _new_run(
    path: Path, config: TrainConfig, prepared: Prepared, model: HeterogeneityModel
) -> RunFolder:
    # Parameters and the two moments of each; those kept stay while another is written.
    checkpoint_bytes = 3 * sum(p.numel() * p.element_size() for p in model.parameters())
    needed_bytes = (config.kept_checkpoints + 1) * checkpoint_bytes
    require_free(path, needed_bytes, "the run folder")
    optics = prepared.optics
    info = {
        "particles": str(Path(config.data.particles).resolve()),
        "structure": str(Path(config.data.structure).resolve()) if config.data.structure else "",
        "particle_count": len(prepared.particles),
        "box_size_px": optics.box_size_px,
        "pixel_size_A": optics.pixel_size_A,
        "contrast": prepared.contrast,
        "low_pass_A": prepared.low_pass_A,
        "skipped_residues": [] if prepared.beads is None else list(prepared.beads.skipped[:1000]),
    }
    return RunFolder.create(path, config_to_json(config), info)
