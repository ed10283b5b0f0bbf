"""``cryoscope bench``: figures, with trivial predictors beside them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cryoscope.cli.demo import DEMO_FOLDER, simulate_demo_set


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
) -> None:
    """Measure Cryoscope on this machine, with trivial predictors beside each result.

    `demo`: accuracy (A), order along the motion, speed (images/s) and resuming after a kill, on
    the demo set.
    """
    from cryoscope.session import bench_demo
    from cryoscope.session.demo import DemoSet

    folder = out.expanduser().absolute()
    simulate_demo_set(folder, DemoSet().particles)
    bench_demo.run(json_file, data=folder, seconds=seconds)
