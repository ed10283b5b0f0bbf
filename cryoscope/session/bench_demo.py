"""``cryoscope bench demo``: the demo job measured, with trivial predictors beside it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cryoscope.analysis.validate import mean_rmsd_A, order_along_path, trivial_predictors_A
from cryoscope.data import InputError
from cryoscope.io.run_folder import RunFolder
from cryoscope.training.config import TrainConfig, config_to_json
from cryoscope.training.events import StepDone
from cryoscope.training.presets import DEFAULT_PRESET, preset

Figures = dict[str, Any]


def run(*, data: Path, seconds: float = 90.0) -> Figures:
    """Measure accuracy, speed and survival.

    Parameters
    ----------
    data
        Folder of a simulated set (particles.star, reference.pdb, truth.npz).
    seconds
        Training time.
    """
    with tempfile.TemporaryDirectory(prefix="cryoscope-bench-") as scratch:
        figures = measure_training(data, Path(scratch) / "run", seconds)
        return figures | measure_resume(data, Path(scratch))


def measure_training(data: Path, run_path: Path, seconds: float) -> Figures:
    """Accuracy after ``seconds`` of training on all CPU cores, and images per second."""
    import torch

    from cryoscope.simulation.truth import read_truth
    from cryoscope.training.decoding import load_decoder
    from cryoscope.training.trainer import Trainer

    torch.set_num_threads(os.cpu_count() or 1)
    config = _config(data)
    config = replace(config, optimiser=replace(config.optimiser, minutes=seconds / 60))
    rates: list[float] = []
    begin = time.monotonic()
    for event in Trainer(config, run_path).events():
        if isinstance(event, StepDone):
            rates.append(event.images_per_s)
    wall_s = time.monotonic() - begin
    truth = read_truth(data / "truth.npz")
    decoder = load_decoder(run_path)
    z = RunFolder.open(run_path).load_latents().z
    frames_A, frame = truth.coords_ca_A, truth.frame_of_particle
    trivial = trivial_predictors_A(decoder.reference_A, frames_A, frame)
    return {
        "particles": len(z),
        "training_s": seconds,
        "wall_s": wall_s,
        "images_per_s_median": float(np.median(rates)),
        "images_per_s_best": float(np.max(rates)),
        "rmsd_A": mean_rmsd_A(decoder.coords_A(z), frames_A, frame),
        "rmsd_do_nothing_A": trivial["do nothing"],
        "rmsd_mean_structure_A": trivial["mean structure"],
        "rmsd_best_line_A": trivial["best line"],
        "spearman_pc1": order_along_path(z, frame),
        "spearman_shuffled": order_along_path(np.random.default_rng(0).permutation(z), frame),
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else -1.0,
    }


def measure_resume(data: Path, scratch: Path, epochs: int = 2) -> Figures:
    """Kill -9 in mid-epoch, resume, and compare with a run that was left alone."""
    config = _config(data)
    config = replace(
        config,
        checkpoint_s=1.0,
        threads=1,
        optimiser=replace(config.optimiser, epochs=epochs, minutes=0.0),
    )
    left_alone, killed = scratch / "left-alone", scratch / "killed"
    _train_in_child(config, left_alone)
    _train_in_child(config, killed, kill_after_checkpoints=2)
    steps_lost = _steps_after_checkpoint(killed)
    unreadable = unreadable_files(killed)  # before the resume, which would clean up
    _train_in_child(config, killed, resume=True)
    a, b = (RunFolder.open(path) for path in (left_alone, killed))
    difference = np.abs(a.load_latents().z - b.load_latents().z).max()
    return {
        "resume_largest_latent_difference": float(difference),
        "resume_latent_spread": float(a.load_latents().z.std()),
        "resume_steps_lost": steps_lost,
        "resume_unreadable_files": len(unreadable),
    }


def unreadable_files(run_path: Path) -> list[str]:
    """What in a run folder cannot be read, each with the reason; leftovers of writing count too."""
    run = RunFolder.open(run_path)
    problems = [path.name for path in run_path.rglob("*") if ".tmp" in path.name]
    readings: list[Callable[[], object]] = [run.config, run.read_events, run.load_selections]
    readings.append(lambda: run.load_latents(live=True))
    readings += [partial(run.load_latents, epoch) for epoch in run.latent_epochs()]
    for read in readings:
        try:
            read()
        except InputError as error:
            problems.append(str(error))
    try:
        problems += run.load_checkpoint()[1]["skipped"]
    except InputError as error:
        problems.append(str(error))
    return problems


def _config(data: Path) -> TrainConfig:
    config = preset(DEFAULT_PRESET)
    return replace(
        config,
        data=replace(
            config.data,
            particles=str(data / "particles.star"),
            structure=str(data / "reference.pdb"),
        ),
    )


def _train_in_child(
    config: TrainConfig, run_path: Path, *, resume: bool = False, kill_after_checkpoints: int = 0
) -> None:
    """Train in a worker; kill it without warning after so many checkpoints, some steps later."""
    command = {
        "cmd": "train", "run": str(run_path), "config": config_to_json(config), "resume": resume,
    }  # fmt: skip
    worker = subprocess.Popen(
        [sys.executable, "-m", "cryoscope.training.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write(json.dumps(command) + "\n")
    worker.stdin.flush()
    checkpoints = 0
    for line in worker.stdout:
        event = json.loads(line)
        checkpoints += event["kind"] == "checkpoint_saved"
        if kill_after_checkpoints and checkpoints >= kill_after_checkpoints:
            if event["kind"] == "step_done":
                worker.send_signal(signal.SIGKILL)
                break
        elif event["kind"] in ("run_finished", "run_failed"):
            break
    worker.stdin.close()
    worker.stdout.close()
    worker.wait()


def _steps_after_checkpoint(run_path: Path) -> int:
    events = RunFolder.open(run_path).read_events()
    last = max((e["step"] for e in events if "step" in e), default=0)
    saved = max((e["step"] for e in events if e["kind"] == "checkpoint_saved"), default=0)
    return int(last - saved)
