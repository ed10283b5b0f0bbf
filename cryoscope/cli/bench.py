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
    from cryoscope.session import bench_demo
    from cryoscope.session.demo import DemoSet

    folder = out.expanduser().absolute()
    simulate_demo_set(folder, DemoSet().particles)
    others = measure_window(folder) if window else {}
    bench_demo.run(json_file, data=folder, seconds=seconds, others=others)


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
