"""One process of a training that a test starts; it reports every step."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from cryoscope.data import InputError
from cryoscope.training import trainer as trainer_module
from cryoscope.training.config import config_from_json
from cryoscope.training.distributed import Team
from cryoscope.training.torchrun import place_from_environment
from cryoscope.training.trainer import Trainer


def main(job: Path) -> int:
    """Train as ``job`` says: config, run, resume, kill_at, victim, checkpoint_at, stop_at."""
    wanted = json.loads(job.read_text())
    place = place_from_environment()
    trainer_module.REPORT_S = -1.0
    trainer = Trainer(
        config_from_json(wanted["config"]),
        wanted["run"],
        resume=bool(wanted.get("resume")),
        team=Team(place),
    )
    if place.leads:
        trainer.between_steps = lambda: _between_steps(trainer, wanted)
    if "kill_at" in wanted and place.rank == wanted["victim"]:
        _die_in_step(wanted["kill_at"])
    try:
        for _ in trainer.events():
            pass
    except InputError as error:
        print(f"process {place.rank}: {error}", flush=True)
        return 2
    return 0


def _between_steps(trainer: Trainer, wanted: dict[str, int]) -> None:
    if trainer.step == wanted.get("checkpoint_at"):
        trainer.checkpoint()
    if trainer.step == wanted.get("stop_at"):
        trainer.stop()


def _die_in_step(step: int) -> None:
    """End this process as a kill would, in the middle of that step."""
    from cryoscope.training.loop import Loop

    advance = Loop.advance

    def dying(loop: Loop) -> None:
        if loop.step == step:
            os.kill(os.getpid(), 9)
        advance(loop)

    Loop.advance = dying  # type: ignore[method-assign]


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
