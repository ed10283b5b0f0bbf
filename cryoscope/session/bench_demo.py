"""``cryoscope bench demo``: the demo job measured, with trivial predictors beside it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cryoscope.analysis.validate import mean_rmsd_A, order_along_path, trivial_predictors_A
from cryoscope.io.atomic import write_text_atomic
from cryoscope.io.run_folder import RunFolder
from cryoscope.training.config import TrainConfig, config_to_json
from cryoscope.training.events import StepDone
from cryoscope.training.presets import DEFAULT_PRESET, preset

Figures = dict[str, Any]


def run(
    json_file: Path | None, *, data: Path, seconds: float = 90.0, others: Figures | None = None
) -> Figures:
    """Measure accuracy, speed and survival; print one table.

    Parameters
    ----------
    json_file
        Where every printed figure is written too.
    data
        Folder of a simulated set (particles.star, reference.pdb, truth.npz).
    seconds
        Training time.
    others
        Figures measured elsewhere (the window's) that belong into the table.
    """
    figures: Figures = {}
    with tempfile.TemporaryDirectory(prefix="cryoscope-bench-") as scratch:
        figures |= measure_training(data, Path(scratch) / "run", seconds)
        figures |= measure_resume(data, Path(scratch))
    figures |= others or {}
    print_table(figures)
    if json_file is not None:
        write_text_atomic(json_file, json.dumps(figures, indent=1) + "\n")
    return figures


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
    _train_in_child(config, killed, resume=True)
    a, b = (RunFolder.open(path) for path in (left_alone, killed))
    difference = np.abs(a.load_latents().z - b.load_latents().z).max()
    leftovers = [p.name for p in killed.rglob("*") if ".tmp" in p.name]
    return {
        "resume_largest_latent_difference": float(difference),
        "resume_latent_spread": float(a.load_latents().z.std()),
        "resume_steps_lost": steps_lost,
        "resume_unreadable_files": len(leftovers),
    }


def print_table(figures: Figures) -> None:
    """Figures beside what they must reach and beside trivial predictors."""
    rows = [
        ("mean CA RMSD, pose frame", "rmsd_A", "A", "<= 1.3"),
        ("  do nothing", "rmsd_do_nothing_A", "A", ""),
        ("  mean structure", "rmsd_mean_structure_A", "A", ""),
        ("  best straight line (knows the truth)", "rmsd_best_line_A", "A", ""),
        ("Spearman of PC1 with the true frame", "spearman_pc1", "", ">= 0.95"),
        ("  latents shuffled", "spearman_shuffled", "", ""),
        ("training, encoder included (median)", "images_per_s_median", "images/s", ">= 2,500"),
        ("training (best quarter second)", "images_per_s_best", "images/s", ""),
        ("kill -9 and resume: largest latent difference",
         "resume_largest_latent_difference", "", "noise"),
        ("  spread of the latents", "resume_latent_spread", "", ""),
        ("  steps lost by the kill", "resume_steps_lost", "steps", ""),
        ("  unreadable files left", "resume_unreadable_files", "", "0"),
        ("window: first paint", "first_paint_s", "s", "< 2.5"),
        ("window: reacts", "reacts_s", "s", "< 4"),
        ("window: stall while training, 99th percentile", "stall_p99_ms", "ms", "< 50"),
        ("  same without training", "stall_idle_p99_ms", "ms", ""),
    ]  # fmt: skip
    print(f"{'figure':48s}{'measured':>12s} {'unit':10s}{'must reach':>10s}")
    for label, key, unit, goal in rows:
        if key in figures:
            print(f"{label:48s}{figures[key]:12.4g} {unit:10s}{goal:>10s}")
    for key in ("particles", "training_s", "wall_s", "load_average", "window_problem"):
        if key in figures:
            print(f"{key}: {figures[key]}")


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
