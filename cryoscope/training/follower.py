"""What every process but the first does when several train together (:mod:`.distributed`)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Iterator
from typing import Any

from cryoscope.training.config import config_from_json
from cryoscope.training.distributed import Team
from cryoscope.training.events import Progress, RunFinished, TrainEvent
from cryoscope.training.loop import Loop
from cryoscope.training.prepare import Prepared, prepare
from cryoscope.training.progress import with_progress
from cryoscope.training.starting import choose_device, start_model


def follow(team: Team) -> Iterator[TrainEvent]:
    """Prepare the same data, then do with the others what the first process says.

    Writes nothing but, on a machine of its own, a particle cache.

    Raises
    ------
    InputError
        For data that are not the first process's; PeerLost where another process ended.
    """
    settings = team.wait_prepared()
    if not settings:
        yield RunFinished(0, "stopped")
        return
    config = config_from_json(json.loads(settings))
    device = choose_device(team.device_name(config.device))
    prepared = yield from _prepared(team, settings)
    model = start_model(config, prepared, device, team.threads(config.threads))
    loop = Loop(config, prepared, model, device, team)
    meet(team, loop, prepared)
    while True:
        order, loop.trained_s = team.next_order()
        if order == "advance":
            loop.advance()
        elif order == "encode":
            loop.encode_all()
        else:
            break
    yield RunFinished(loop.step, "stopped" if not loop.finished else "completed")


def meet(team: Team, loop: Loop, prepared: Prepared) -> None:
    """Begin from the same data and the same state; called by all, before the first step.

    Raises
    ------
    InputError
        Where a process sees other data than the first.
    """
    team.require_same(_facts(prepared))
    loop.synchronise()


def _prepared(team: Team, settings: str) -> Generator[Progress, None, Prepared]:
    config = config_from_json(json.loads(settings))
    prepared = yield from with_progress(lambda progress: prepare(config, progress=progress))
    team.tell_others_here()
    return prepared


def _facts(prepared: Prepared) -> dict[str, Any]:
    """What must be the same everywhere for the processes to train on the same."""
    names = "\n".join(prepared.particles.uid.tolist()).encode("utf-8", "surrogateescape")
    rows = prepared.train_rows.astype("<i8").tobytes()
    return {
        "the number of particles": len(prepared.particles),
        "the particles' names": hashlib.sha256(names).hexdigest()[:12],
        "the particles that are trained on": hashlib.sha256(rows).hexdigest()[:12],
        "the training box": prepared.optics.box_size_px,
        "the number of coefficients": len(prepared.band),
        "the contrast": prepared.contrast,
        "the number of beads": 0 if prepared.beads is None else len(prepared.beads),
    }
