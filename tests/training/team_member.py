"""One process of a training that a test starts; it reports every step."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from cryoscope.data import InputError
from cryoscope.training import trainer as trainer_module
from cryoscope.training.config import config_from_json
from cryoscope.training.distributed import Team
from cryoscope.training.torchrun import place_from_environment
from cryoscope.training.trainer import Trainer


def main(job: Path) -> int:
    """Train as ``job`` says.

    config, run, resume; checkpoint_at, stop_at: steps; kill_at, victim: step and process;
    short: a process of little memory, how many images it holds, when it finds out (before or after
    the costs of a batch); words: ask by a group of its own, as beside nccl.
    """
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
    if wanted.get("words"):
        _speak_apart()
    if "short" in wanted and place.rank == wanted["short"][0]:
        _hold_few_images(*wanted["short"][1:])
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


def _hold_few_images(most: int, when: str) -> None:
    """Let this process run out of memory as a GPU would that holds so many images."""
    import torch

    from cryoscope.training.gradients import BatchGradients

    losses = BatchGradients._losses

    def limited(self: BatchGradients, index: Any, phase: str) -> Any:
        too_many = len(index) > most
        found = None if too_many and when == "before" else losses(self, index, phase)
        if too_many:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0")
        return found

    BatchGradients._losses = limited  # type: ignore[method-assign]


def _speak_apart() -> None:
    from cryoscope.training.links import Links

    connect = Links.__init__

    def connected(self: Links, *rest: Any) -> None:
        connect(self, *rest)
        self.words = self.dist.new_group(backend="gloo")

    Links.__init__ = connected  # type: ignore[method-assign]


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
