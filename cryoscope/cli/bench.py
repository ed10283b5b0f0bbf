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

ATOMIC_FOLDER, VOLUME_FOLDER = Path("cryoscope-bench"), Path("cryoscope-bench-volume")
_CASES = "atomic and volume"


class Bench(StrEnum):
    """What is measured."""

    DEMO = "demo"
    ATOMIC = "atomic"
    VOLUME = "volume"


class Scale(StrEnum):
    """How large the atomic and the volume bench are."""

    FULL = "full"
    CPU = "cpu"
    SMOKE = "smoke"


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("bench")(bench)


def bench(
    name: Annotated[Bench, typer.Argument(help="What to measure")] = Bench.DEMO,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write every printed figure to this file")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder of the data sets, simulated if not there, and of the runs trained on them "
            "\\[default: cryoscope-demo, cryoscope-bench or cryoscope-bench-volume]",
        ),
    ] = None,
    seconds: Annotated[
        float, typer.Option(help="Seconds of training", min=1.0, rich_help_panel="demo")
    ] = 90.0,
    window: Annotated[
        bool,
        typer.Option(help="Measure the window's start and stalls too", rich_help_panel="demo"),
    ] = True,
    cases: Annotated[
        str, typer.Option(help="Only these cases or groups, a,b,...", rich_help_panel=_CASES)
    ] = "",
    scale: Annotated[
        Scale,
        typer.Option(
            help="50,000 images, 10,000 (volume: 5,000), or a quick try", rich_help_panel=_CASES
        ),
    ] = Scale.CPU,
    fixtures: Annotated[
        Path | None,
        typer.Option(
            help="Folder of trajectories and structures that Cryoscope does not ship "
            "\\[default: ../shared/fixtures beside a checkout]",
            rich_help_panel="atomic",
        ),
    ] = None,
    peer: Annotated[
        Path | None,
        typer.Option(
            help="Python interpreter of an environment with cryoDRGN, which then trains on the "
            "same data",
            rich_help_panel="volume",
        ),
    ] = None,
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda or cuda:N", rich_help_panel=_CASES)
    ] = "auto",
) -> int:
    """Measure Cryoscope on this machine, with trivial predictors beside each result.

    `demo`: accuracy (A), order along the motion, speed (images/s) and resuming after a kill, on
    the demo set; how fast the window starts, and how smoothly it runs beside training.

    `atomic`: the published methods on simulated sets with known truth; leaves table.md, table.json
    and table.png. What is there already is not made again: stopped, it goes on where it was.

    `volume`: the map network on the sets of cryoDRGN's thesis, beside cryoDRGN itself where
    `--peer` tells its interpreter; leaves the same files.
    """
    if name is Bench.ATOMIC:
        from cryoscope.cli.bench_atomic import run_atomic

        folder = (out or ATOMIC_FOLDER).expanduser().absolute()
        return run_atomic(folder, cases, scale.value, fixtures, device, json_file)
    if name is Bench.VOLUME:
        from cryoscope.cli.bench_volume import run_volume

        # a link of a virtual environment is not followed: it is what makes it one
        program = None if peer is None else peer.expanduser().absolute()
        folder = (out or VOLUME_FOLDER).expanduser().absolute()
        return run_volume(folder, cases, scale.value, program, device, json_file)
    measure_demo((out or DEMO_FOLDER).expanduser().absolute(), seconds, json_file, window=window)
    return 0


def measure_demo(folder: Path, seconds: float, json_file: Path | None, *, window: bool) -> None:
    """Measure on the demo set in ``folder`` and print the table."""
    from cryoscope.io.atomic import write_text_atomic
    from cryoscope.session import bench_demo
    from cryoscope.session.demo import DemoSet

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
