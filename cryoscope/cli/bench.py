"""``cryoscope bench``: figures, with trivial predictors beside them."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from cryoscope.cli.demo import DEMO_FOLDER, simulate_demo_set
from cryoscope.cli.display import on_a_display
from cryoscope.data import InputError


class Bench(StrEnum):
    """What is measured."""

    DEMO = "demo"


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("bench")(bench)


def bench(
    name: Annotated[Bench, typer.Argument(help="What to measure")] = Bench.DEMO,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write every printed figure to this file")
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder of the demo set, simulated if not there")
    ] = DEMO_FOLDER,
    seconds: Annotated[float, typer.Option(help="Seconds of training", min=1.0)] = 90.0,
    window: Annotated[bool, typer.Option(help="Measure the window's start and stalls too")] = True,
) -> None:
    """Measure Cryoscope on this machine, with trivial predictors beside each result.

    `demo`: accuracy (A), order along the motion, speed (images/s) and resuming after a kill, on
    the demo set; how fast the window starts, and how smoothly it runs beside training.
    """
    from cryoscope.io.atomic import write_text_atomic
    from cryoscope.session import bench_demo
    from cryoscope.session.demo import DemoSet

    folder = out.expanduser().absolute()
    simulate_demo_set(folder, DemoSet().particles)
    others = measure_window(folder) if window else {}
    figures = bench_demo.run(data=folder, seconds=seconds) | others
    print_table(figures)
    if json_file is not None:
        write_text_atomic(json_file, json.dumps(figures, indent=1) + "\n")


def print_table(figures: dict[str, Any]) -> None:
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


def measure_window(data: Path) -> dict[str, Any]:
    """Start and stalls of a real window in a child process: the second start is measured.

    ``window_problem`` says why there are no figures.
    """
    print("measuring the window", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="cryoscope-window-") as scratch:
        out = Path(scratch) / "figures.json"
        files = [str(data / "particles.star"), str(data / "reference.pdb")]
        for arguments in ([], files):
            view = [sys.executable, "-m", "cryoscope", "view", *arguments, "--measure", str(out)]
            try:
                command, environment = on_a_display(view)
            except InputError as error:
                return {"window_problem": str(error)}
            out.unlink(missing_ok=True)
            ended = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=600, check=False
            )
        if not out.is_file():
            return {"window_problem": (ended.stderr.strip().splitlines() or ["it did not run"])[-1]}
        figures: dict[str, Any] = json.loads(out.read_text())
    return figures
