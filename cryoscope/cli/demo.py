"""``cryoscope demo``: from nothing to a trained model, in the window or without one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from typer.main import get_command

from cryoscope.cli.display import on_a_display
from cryoscope.data import InputError, Latents, Selection

if TYPE_CHECKING:
    from cryoscope.cli.train import Outcome

DEMO_FOLDER = Path("cryoscope-demo")
HIGH_PERCENTILE = 80.0
SELECTION_NAME = "PC1 high"
_STOPPED = 130
_PICTURE_LIMIT_S = 240.0


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("demo")(demo)


def demo(
    headless: Annotated[
        bool, typer.Option("--headless", help="Without the window: leave files and say where")
    ] = False,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the demo")] = DEMO_FOLDER,
    minutes: Annotated[
        float, typer.Option(help="Minutes of training without the window", min=0.01)
    ] = 2.0,
    particles: Annotated[
        int | None, typer.Option(help="Particles to simulate \\[default: 10,000]", min=100)
    ] = None,
) -> int:
    """Try Cryoscope on adenylate kinase opening and closing: simulate, train, look.

    The demo set is simulated once and kept in the folder. Without the window a run folder, a
    trajectory along the first principal component (.pdb), the particles at its high end (.star)
    and, where there is a real or virtual display, a picture of the window (.png) are left there.
    """
    folder = out.expanduser().absolute()
    if not headless:
        from cryoscope.cli.window import open_window

        return open_window([], demo=folder, demo_particles=particles)
    star = simulate_demo_set(folder, particles)
    run, outcome = _train(folder, star, minutes)
    if outcome.stopped_by_user:
        return _STOPPED
    written = [("run folder", str(run)), *_export(run, star, folder)]
    picture = folder / "window.png"
    problem = take_picture(run, picture)
    written.append(("window", str(picture) if not problem else f"no picture: {problem}"))
    print(outcome.summary(run))
    for what, where in written:
        print(f"{what:12s}{where}")
    return 0


def simulate_demo_set(folder: Path, particles: int | None = None) -> Path:
    """The particle file of the demo set, simulated if it is not there yet."""
    from dataclasses import replace

    from cryoscope.cli.entry import app
    from cryoscope.io.resources import resource_path
    from cryoscope.session.demo import CLOSED, OPEN, DemoSet

    star = folder / "particles.star"
    if star.is_file() and (folder / "truth.npz").is_file():
        _check_count(star, particles)
        return star
    wanted = DemoSet() if particles is None else replace(DemoSet(), particles=particles)
    arguments = wanted.arguments(folder, resource_path(CLOSED), resource_path(OPEN))
    command: Any = get_command(app)
    code = command.main(["simulate", *arguments], prog_name="cryoscope", standalone_mode=False)
    if code:
        raise KeyboardInterrupt
    return star


def _check_count(star: Path, particles: int | None) -> None:
    """Refuse a demo set of another size than the one asked for."""
    from cryoscope.io.relion import read_particles

    if particles is not None and (count := len(read_particles(star))) != particles:
        raise InputError(
            f"the demo set there has {count:,} particles, not {particles:,}",
            file=star,
            cure="Choose another --out",
        )


def _train(folder: Path, star: Path, minutes: float) -> tuple[Path, Outcome]:
    """Train on the demo set in a new run folder."""
    from cryoscope.cli.settings import with_settings
    from cryoscope.cli.train import run_training
    from cryoscope.session.run_control import next_run_folder
    from cryoscope.training.presets import DEFAULT_PRESET, preset

    settings = {
        "data.particles": str(star),
        "data.structure": str(folder / "reference.pdb"),
        "optimiser.minutes": minutes,
    }
    run = next_run_folder(folder)
    return run, run_training(with_settings(preset(DEFAULT_PRESET), settings), run)


def _export(run: Path, star: Path, folder: Path) -> list[tuple[str, str]]:
    """Write the trajectory along PC1 and the particles at its high end; what lies where."""
    from cryoscope.analysis.trajectory import pc_path
    from cryoscope.cli.decode_states import write_models
    from cryoscope.io.relion import read_particles
    from cryoscope.io.run_folder import RunFolder
    from cryoscope.session.exporting import write_selection
    from cryoscope.session.particle_columns import Known
    from cryoscope.training.decoding import load_decoder

    run_folder = RunFolder.open(run)
    latents = run_folder.load_latents()
    decoder = load_decoder(run)
    trajectory = folder / "trajectory_pc1.pdb"
    coords_A = decoder.coords_A(pc_path(latents.z, component=1))
    write_models(decoder.trace_structure, coords_A, trajectory)
    selection = high_end(latents)
    run_folder.save_selections([selection])
    subset = folder / "subset_pc1_high.star"
    write_selection(read_particles(star), selection, Known(latents), subset)
    return [
        ("trajectory", f"{trajectory} (10 states along PC1)"),
        ("subset", f"{subset} ({len(selection):,} particles above the 80th percentile of PC1)"),
    ]


def high_end(latents: Latents) -> Selection:
    """The particles above the 80th percentile of PC1."""
    from cryoscope.analysis.reduce import pca_embedding

    embedding = pca_embedding(latents.z)
    score = embedding.xy[:, 0]
    if not np.isfinite(score).any():
        raise InputError("no particle has latents yet", cure="Train for longer (--minutes)")
    threshold = float(np.nanpercentile(score, HIGH_PERCENTILE))
    made_by = {"kind": "rule", "rule": "PC1 above percentile", "percentile": HIGH_PERCENTILE}
    with np.errstate(invalid="ignore"):
        mask = score > threshold
    return Selection(SELECTION_NAME, mask, made_by={**made_by, "embedding": embedding.embedding_id})


def take_picture(run: Path, picture: Path) -> str:
    """Let a child process open the run in the window and write a picture of it.

    Returns
    -------
    Empty, or in a few words why there is no picture.
    """
    from cryoscope.session.child_process import how_it_ended, kill, last_line, spawn

    view = [sys.executable, "-m", "cryoscope", "view", str(run), "--screenshot", str(picture)]
    try:
        view, environment = on_a_display(view)
    except InputError as error:
        return str(error)
    picture.unlink(missing_ok=True)
    print("taking a picture of the window", file=sys.stderr)
    child = spawn(view, environment)
    try:
        _, errors = child.communicate(timeout=_PICTURE_LIMIT_S)
    except subprocess.TimeoutExpired:
        return f"the window was not ready within {_PICTURE_LIMIT_S:.0f} s"
    finally:
        kill(child)
        child.wait()
    if picture.is_file():
        return ""
    words = last_line(errors.decode(errors="replace").splitlines())
    return words.removeprefix("cryoscope: ") or how_it_ended(child.returncode)
