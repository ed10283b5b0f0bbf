"""What all benches do alike: case after case, training that goes on where it stopped."""

from __future__ import annotations

import os
import platform
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from cryoscope.data import InputError
from cryoscope.io.run_folder import RunFolder
from cryoscope.session.bench_goals import BenchOutcome
from cryoscope.session.bench_sets import Progress, first_folder
from cryoscope.training.config import TrainConfig, config_to_json

if TYPE_CHECKING:
    from cryoscope.training.trainer import Trainer

#: Told of a trainer, and whether it is still training.
OnLatents = Callable[["Trainer", bool], None]
_O = TypeVar("_O", bound=BenchOutcome)


class BenchStopped(Exception):
    """Stopped on request; the same command goes on."""


def run_cases(
    outcomes: Iterable[_O],
    fill: Callable[[_O], None],
    after_each: Callable[[dict[str, _O]], None],
) -> dict[str, _O]:
    """Fill outcomes one by one; a case that fails says why and the others go on.

    Raises
    ------
    BenchStopped
        From ``fill``.
    """
    from cryoscope.simulation.simulate import SimulationStopped

    done: dict[str, _O] = {}
    for outcome in outcomes:
        done[outcome.case.name] = outcome
        try:
            fill(outcome)
        except (BenchStopped, SimulationStopped) as stopped:
            raise BenchStopped from stopped
        except InputError as error:
            outcome.problem = str(error)
        except Exception as error:  # hours of other cases must not be lost: the table says it
            traceback.print_exc(file=sys.stderr)
            outcome.problem, outcome.failed = f"{type(error).__name__}: {error}", True
        after_each(done)
    return done


def trained_run(
    name: str,
    config: TrainConfig,
    out: Path,
    count: int,
    progress: Progress,
    should_stop: Callable[[], bool],
    watcher: Callable[[Path], OnLatents] = lambda run_path: lambda trainer, live: None,
) -> Path:
    """The folder of a run with just these settings, trained to its end.

    Parameters
    ----------
    name
        Of the case.
    config, out, count
        Settings, the bench's folder, and the number of particles.
    progress, should_stop
        Told what is done; asked whether to end.
    watcher
        Makes, for a run folder before it trains, what is told of latents that were just written.

    Raises
    ------
    BenchStopped
        ``should_stop`` said so.
    """
    from cryoscope.training.events import LatentsReady, StepDone
    from cryoscope.training.trainer import Trainer

    wanted = config_to_json(config)
    run_path = first_folder(out / "runs" / name, lambda path: _config_in(path) == wanted)
    if is_finished(run_path):
        return run_path
    trainer = Trainer(config, run_path, resume=(run_path / "run.json").is_file())
    on_latents = watcher(run_path)
    steps = config.optimiser.epochs * -(-count // config.optimiser.batch_size)
    for event in trainer.events():
        if isinstance(event, StepDone):
            progress(name, min(event.step, steps - 1), steps)
        elif isinstance(event, LatentsReady):
            on_latents(trainer, event.live)
        if should_stop():
            trainer.stop()
    if not is_finished(run_path):
        raise BenchStopped
    return run_path


def _config_in(run_path: Path) -> Any:
    try:
        return RunFolder.open(run_path).config()
    except InputError:
        return None


def is_finished(run_path: Path) -> bool:
    """Whether a run trained to its end."""
    if not (run_path / "run.json").is_file():
        return False
    events = RunFolder.open(run_path).read_events()
    return bool(events) and events[-1].get("reason") == "completed"


def speed_of(run_path: Path) -> dict[str, Any]:
    """Images per second (median of the steps), epochs, seconds of training."""
    run_folder = RunFolder.open(run_path)
    steps = [e for e in run_folder.read_events() if e.get("kind") == "step_done"]
    _, meta = run_folder.load_checkpoint()
    return {
        "images_per_s": float(np.median([e["images_per_s"] for e in steps])) if steps else np.nan,
        "epochs": run_folder.config()["optimiser"]["epochs"],
        "seconds": float(meta.get("trained_s", np.nan)),
        "run": run_path.name,
    }


def machine() -> dict[str, Any]:
    """What the bench runs on."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    return {
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "gpu": gpu,
        "torch": torch.__version__,
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else -1.0,
    }
