"""What the log of a run folder says: status, curves, saved epochs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pydantic import ValidationError

from cryoscope.data import InputError
from cryoscope.session.circumstances import circumstances
from cryoscope.session.losses import LossRecorder
from cryoscope.session.records import RunStatus, RunView
from cryoscope.session.runner import status_after
from cryoscope.training.events import (
    LatentsReady,
    RunFailed,
    RunStarted,
    StepDone,
    TrainEvent,
    event_from_json,
)

if TYPE_CHECKING:
    from typing import Any

    from cryoscope.io.run_folder import RunFolder

Epochs = tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class RunPast:
    """A run up to now.

    Attributes
    ----------
    run
        As its last event left it; ``running`` also where a kill left no event.
    recorder
        Its curves.
    offset_bytes
        Where the log goes on.
    """

    run: RunView
    recorder: LossRecorder
    offset_bytes: int


def read_past(folder: RunFolder) -> RunPast:
    """What the events of a run folder say.

    Raises
    ------
    InputError
        Naming the row that is no event of ours.
    """
    recorder, config = LossRecorder(), folder.config()
    run = RunView(folder.path, run_id=str(folder.info().get("run_id", "")))
    events, offset_bytes = folder.read_events_from(0)
    for row, values in enumerate(events, start=1):
        event = parse_event(folder, values, row)
        run = _after(event, run, recorder)
        if isinstance(event, RunStarted):
            run = replace(run, **circumstances(event, config, 0))
    return RunPast(replace(run, history=recorder.history()), recorder, offset_bytes)


def read_run(folder: RunFolder) -> tuple[RunView, LossRecorder]:
    """What the events of a run folder say that nobody writes any more, and its curves."""
    past = read_past(folder)
    run = past.run
    if run.status.active:
        message = "Training was interrupted; Resume goes on from the last checkpoint"
        run = replace(run, status=RunStatus.STOPPED, message=message)
    return run, past.recorder


def parse_event(folder: RunFolder, values: dict[str, Any], row: int | None = None) -> TrainEvent:
    """One line of the log of a run.

    Raises
    ------
    InputError
        If it is no event of ours.
    """
    try:
        return event_from_json(values)
    except ValidationError as error:
        file = folder.path / "events.jsonl"
        raise InputError("unknown event", file=file, row=row, cure="Delete that line") from error


def with_epoch(epochs: Epochs, epoch: int, step: int) -> Epochs:
    """``epochs`` and that the latents of ``epoch`` are now those of ``step``."""
    return tuple(sorted({**dict(epochs), epoch: step}.items()))


def epochs_up_to(epochs: Epochs, step: int) -> Epochs:
    """The epochs that were saved up to ``step``: training goes on from there."""
    return tuple(pair for pair in epochs if pair[1] <= step)


def _after(event: TrainEvent, run: RunView, recorder: LossRecorder) -> RunView:
    run = replace(run, status=status_after(event, run.status))
    match event:
        case RunStarted():
            recorder.drop_after(event.step)
            epochs = epochs_up_to(run.epochs, event.step)
            return replace(
                run, step=event.step, total_steps=event.total_steps, message="", epochs=epochs
            )
        case StepDone():
            recorder.add(event.step, event.losses)
            return replace(run, step=event.step, epoch=event.epoch, motion_A=event.motion_A)
        case LatentsReady() if not event.live:
            return replace(run, epochs=with_epoch(run.epochs, event.epoch, event.step))
        case RunFailed():
            return replace(run, message=event.message)
        case _:
            return run
