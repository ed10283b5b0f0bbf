"""What a training run says while it runs. Plain records with a JSON form; no torch."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter
from pydantic.dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Work before training: ``done`` of ``total`` units of a named stage."""

    stage: str
    done: int
    total: int
    kind: Literal["progress"] = "progress"


@dataclass(frozen=True)
class RunStarted:
    """Training starts (or goes on, at ``step``).

    ``remark`` says in one line what the user should look at: residues that are not modelled,
    damaged checkpoints that were passed over; empty for nothing. ``report`` says what became of the
    structure and how the low-pass was found, a line each.
    """

    run_id: str
    particle_count: int
    bead_count: int
    total_steps: int
    step: int
    device: str
    contrast: int
    box_size_px: int
    pixel_size_A: float
    remark: str = ""
    report: str = ""
    kind: Literal["run_started"] = "run_started"


@dataclass(frozen=True)
class StepDone:
    """Means over the steps since the last such event.

    ``losses`` holds the named terms (``data``, ``kl``, ``bonds``...) and ``total``; ``motion_A`` is
    the RMS deformation of the batch; ``viewing_share`` (0 to 1) is what decoding for a window and
    refreshing the live latents took of the time. ``remark`` says in a sentence what has changed,
    for instance that a batch is taken in parts from now on; empty for nothing.
    """

    step: int
    epoch: int
    losses: dict[str, float]
    motion_A: float
    images_per_s: float
    seconds_left: float
    viewing_share: float = 0.0
    remark: str = ""
    kind: Literal["step_done"] = "step_done"


@dataclass(frozen=True)
class LatentsReady:
    """Latents were written to ``path`` (npz in the run folder); ``live`` ones are still moving."""

    path: str
    epoch: int
    step: int
    live: bool
    kind: Literal["latents_ready"] = "latents_ready"


@dataclass(frozen=True)
class CheckpointSaved:
    """Everything needed to go on from ``step`` is on disk."""

    path: str
    step: int
    kind: Literal["checkpoint_saved"] = "checkpoint_saved"


@dataclass(frozen=True)
class Paused:
    """Training waits; the model still decodes."""

    step: int
    kind: Literal["paused"] = "paused"


@dataclass(frozen=True)
class Resumed:
    """Training goes on after a pause."""

    step: int
    kind: Literal["resumed"] = "resumed"


@dataclass(frozen=True)
class RunFailed:
    """The run ended by an error. ``message`` is one line; ``user_error``: the input's fault."""

    message: str
    user_error: bool = False
    detail: str = ""
    kind: Literal["run_failed"] = "run_failed"


@dataclass(frozen=True)
class RunFinished:
    """The run ended: ``reason`` is ``"completed"`` or ``"stopped"``."""

    step: int
    reason: Literal["completed", "stopped"]
    kind: Literal["run_finished"] = "run_finished"


@dataclass(frozen=True)
class Decoded:
    """Answer to a decode request.

    ``path`` is an ``.npz`` with ``coords_A`` (states, beads, 3), ``z`` (states, d) and, when asked
    for, ``volume`` (z, y, x) with ``voxel_size_A``.
    """

    request_id: int
    path: str
    kind: Literal["decoded"] = "decoded"


#: Message of a request that was left because whoever asked has moved on: nothing went wrong.
FORGOTTEN = "no longer asked for"


@dataclass(frozen=True)
class DecodeFailed:
    """A decode request that could not be answered; whatever else runs goes on."""

    request_id: int
    message: str
    kind: Literal["decode_failed"] = "decode_failed"


@dataclass(frozen=True)
class ModelReady:
    """A finished run was opened for decoding only."""

    run_id: str
    epoch: int
    bead_count: int
    kind: Literal["model_ready"] = "model_ready"


TrainEvent = Annotated[
    Progress
    | RunStarted
    | StepDone
    | LatentsReady
    | CheckpointSaved
    | Paused
    | Resumed
    | RunFailed
    | RunFinished
    | Decoded
    | DecodeFailed
    | ModelReady,
    Field(discriminator="kind"),
]
_ADAPTER: TypeAdapter[TrainEvent] = TypeAdapter(TrainEvent)


def event_to_json(event: TrainEvent) -> dict[str, Any]:
    """The event as plain JSON values."""
    values: dict[str, Any] = _ADAPTER.dump_python(event, mode="json")
    return values


def event_from_json(values: Any) -> TrainEvent:
    """The event from plain JSON values; ``pydantic.ValidationError`` if it is none."""
    return _ADAPTER.validate_python(values)
