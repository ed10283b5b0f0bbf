"""The one training loop: a generator of events. No argparse, no prints, no viewer."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import torch

from cryoscope.io.atomic import require_free, write_text_atomic
from cryoscope.io.particle_cache import CachingStopped
from cryoscope.io.run_folder import RunFolder
from cryoscope.models.interfaces import HeterogeneityModel
from cryoscope.models.registry import make_model
from cryoscope.physics.devices import named_device
from cryoscope.training.config import TrainConfig, config_from_json, config_to_json
from cryoscope.training.decoding import Decoder, atomic_decoder
from cryoscope.training.events import Progress, RunFinished, TrainEvent, event_to_json
from cryoscope.training.given_latents import start_latents
from cryoscope.training.loop import Diverged, Loop
from cryoscope.training.prepare import Prepared, prepare
from cryoscope.training.progress import with_progress

#: Seconds between two StepDone events.
REPORT_S = 0.25


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
    between_steps
        Called after every step, in the training thread: pauses by not returning.

    Notes
    -----
    ``events()`` may be iterated once. ``stop()`` may be called from any thread.
    """

    def __init__(
        self,
        config: TrainConfig,
        run_path: str | Path,
        *,
        resume: bool = False,
        between_steps: Callable[[], None] = lambda: None,
    ) -> None:
        self.config, self.run_path, self.resume = config, Path(run_path), resume
        self.between_steps = between_steps
        self.decoder: Decoder | None = None
        self.step = 0
        self._stop = self._checkpoint_now = False

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
        with ExitStack() as stack:
            if self.resume:
                run = RunFolder.open(self.run_path)
                self.config = config_from_json(run.config(), file=str(run.path / "config.json"))
                stack.enter_context(run.lock())
            else:
                RunFolder.check_unused(self.run_path)
            device = choose_device(self.config.device)
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
            model = self._model(prepared, device)
            if not self.resume:
                run = _new_run(self.run_path, self.config, prepared, model)
                stack.enter_context(run.lock())
                if prepared.agreement is not None:
                    write_text_atomic(run.path / "fsc.csv", prepared.agreement.table())
            if prepared.reference is not None and not run.reference_path.is_file():
                run.write_reference(prepared.reference.structure)
            stack.callback(run.close)
            for event in self._train(run, prepared, model, device):
                if not isinstance(event, Progress):
                    run.append_event(event_to_json(event))
                yield event

    def _model(self, prepared: Prepared, device: torch.device) -> HeterogeneityModel:
        set_threads(self.config.threads)
        torch.manual_seed(self.config.seed)
        model = make_model(
            self.config.model,
            prepared.beads,
            prepared.band.to(device),
            prepared.noise_power.to(device),
            self.config,
        )
        start_latents(model, self.config, len(prepared.particles), prepared.latents)
        return model

    def _train(
        self, run: RunFolder, prepared: Prepared, model: HeterogeneityModel, device: torch.device
    ) -> Generator[TrainEvent, None, None]:
        yield Progress("compiling kernels", 0, 1)
        loop = Loop(self.config, prepared, model, device)
        if self.resume:
            if run.has_checkpoint():  # else it was killed before its first: from the beginning
                loop.restore(run)
            run.truncate_events_after(loop.step)
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
            loop.advance()
            self.step, self.decoder.epoch = loop.step, loop.epoch
            self.between_steps()
            now = time.monotonic()
            if now >= due_report:
                yield loop.report()
                due_report = now + REPORT_S
            if now >= due_live:
                yield loop.save_live(run)
                due_live = time.monotonic() + self.config.live_s
            if now >= due_checkpoint or self._checkpoint_now:
                self._checkpoint_now = False
                yield from loop.save(run)
                due_checkpoint = time.monotonic() + self.config.checkpoint_s
        if loop.unreported:
            yield loop.report()
        yield from loop.save(run)


def train(
    config: TrainConfig, run_path: str | Path, *, resume: bool = False
) -> Iterator[TrainEvent]:
    """Train and say what happens; see :class:`Trainer` for control while it runs."""
    return Trainer(config, run_path, resume=resume).events()


def choose_device(name: str) -> torch.device:
    """The device named, or the best there is for ``"auto"``.

    Raises
    ------
    InputError
        When a device is asked for that is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return named_device(name)


def set_threads(threads: int) -> None:
    """Use so many CPU threads; 0 keeps what the environment or torch chose."""
    if threads > 0:
        import numba

        torch.set_num_threads(threads)
        numba.set_num_threads(min(threads, numba.get_num_threads()))


def _new_run(
    path: Path, config: TrainConfig, prepared: Prepared, model: HeterogeneityModel
) -> RunFolder:
    # Parameters and the two moments of each; two checkpoints are kept while a third is written.
    checkpoint_bytes = 3 * sum(p.numel() * p.element_size() for p in model.parameters())
    require_free(path, 3 * checkpoint_bytes, "the run folder")
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
