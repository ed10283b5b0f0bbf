"""``cryoscope simulate``."""

from __future__ import annotations

import json
import threading
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryoscope.cli.console import StageProgress, stop_on_interrupt
from cryoscope.data import InputError

if TYPE_CHECKING:
    from cryoscope.simulation.config import SimulationConfig

_STOPPED = 130
_MOTION, _MICROSCOPE = "Motion", "Microscope"


class Distribution(StrEnum):
    """Where along the path particles are."""

    UNIFORM = "uniform"
    COOPERATIVE = "cooperative"
    NONCONTIGUOUS = "noncontiguous"
    DISCRETE = "discrete"


class Motion(StrEnum):
    """How the molecule moves."""

    PATH = "path"
    HINGES = "hinges"
    CIRCLE = "circle"


class Align(StrEnum):
    """How the end of the path is laid on its start."""

    ALL = "all"
    CORE = "core"


class Contrast(StrEnum):
    """What protein looks like."""

    BRIGHT = "bright"
    DARK = "dark"


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("simulate")(simulate)


def simulate(
    out: Annotated[Path, typer.Argument(help="New folder for the simulated set", metavar="OUT")],
    structure: Annotated[
        Path | None,
        typer.Option(help="Atomic model (.pdb, .cif); several models in it are the frames"),
    ] = None,
    to: Annotated[
        list[Path] | None,
        typer.Option(help="Model to move to; repeat for a path through several"),
    ] = None,
    trajectory: Annotated[
        Path | None, typer.Option(help="Trajectory instead of a structure (.dcd)")
    ] = None,
    topology: Annotated[Path | None, typer.Option(help="Its atoms (.psf, .pdb, .cif)")] = None,
    particles: Annotated[int, typer.Option(help="Number of particles")] = 10_000,
    box_px: Annotated[int, typer.Option(help="Box size in pixels, even")] = 64,
    pixel_size_A: Annotated[float, typer.Option("--pixel-size-A", help="Pixel size in A")] = 1.6,
    snr: Annotated[
        float,
        typer.Option(help="Signal variance over the whole box / noise variance; 0 = no signal"),
    ] = 0.1,
    motion: Annotated[
        Motion,
        typer.Option(
            help="Along the given models or a relaxed path through them; parts of one structure "
            "turning about hinges, each on its own; or once round in a circle",
            rich_help_panel=_MOTION,
        ),
    ] = Motion.PATH,
    hinge: Annotated[
        list[str] | None,
        typer.Option(
            help="CHAIN:RESIDUE after which the chain turns; repeat for a second coordinate",
            rich_help_panel=_MOTION,
        ),
    ] = None,
    angle_deg: Annotated[
        list[float] | None,
        typer.Option(
            help="Degrees turned by the last frame, one for all hinges or one each "
            "\\[default: 60]; one hinge in a circle takes 360",
            rich_help_panel=_MOTION,
        ),
    ] = None,
    distribution: Annotated[
        Distribution,
        typer.Option(
            help="Where particles are along the motion (every coordinate of it)",
            rich_help_panel=_MOTION,
        ),
    ] = Distribution.UNIFORM,
    states: Annotated[
        int, typer.Option(help="Number of states of 'discrete'", rich_help_panel=_MOTION)
    ] = 5,
    frames: Annotated[
        int,
        typer.Option(
            help="Frames of the relaxed path, along each hinge's turn, or round the circle",
            rich_help_panel=_MOTION,
        ),
    ] = 50,
    compositions: Annotated[
        Path | None,
        typer.Option(
            help='Mixture of what is left out: JSON, {"states": [{"name": "whole", "share": 2}, '
            '{"name": "no lid", "share": 1, "without": ["A:122-159", "B"]}]}',
            rich_help_panel=_MOTION,
        ),
    ] = None,
    align: Annotated[
        Align,
        typer.Option(
            help="Lay the end on the start over all CA, or the still core", rich_help_panel=_MOTION
        ),
    ] = Align.ALL,
    shift_px: Annotated[
        float, typer.Option(help="Standard deviation of the particles' shifts in pixels")
    ] = 1.5,
    seed: Annotated[int, typer.Option(help="Seed; the same seed gives the same set")] = 0,
    defocus_A: Annotated[
        float,
        typer.Option("--defocus-A", help="Median defocus in A", rich_help_panel=_MICROSCOPE),
    ] = 15_000.0,
    defocus_log_sd: Annotated[
        float,
        typer.Option(help="Standard deviation of ln(defocus)", rich_help_panel=_MICROSCOPE),
    ] = 0.3,
    voltage_kv: Annotated[
        float, typer.Option(help="Voltage in kV", rich_help_panel=_MICROSCOPE)
    ] = 300.0,
    b_factor_A2: Annotated[
        float,
        typer.Option(
            "--b-factor-A2",
            help="Blur of every atom, exp(-B k^2 / 4), in A^2",
            rich_help_panel=_MICROSCOPE,
        ),
    ] = 60.0,
    contrast: Annotated[
        Contrast, typer.Option(help="Protein bright or dark", rich_help_panel=_MICROSCOPE)
    ] = Contrast.BRIGHT,
    stacks: Annotated[int, typer.Option(help="Number of .mrcs files")] = 1,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N")] = "cpu",
    progress_json: Annotated[
        bool, typer.Option("--progress-json", help="Progress as JSON lines on standard output")
    ] = False,
) -> int:
    """Simulate particles of a moving molecule, with everything about them known.

    Writes particles.star and its image stack as RELION 3.1 does, reference.pdb (the first
    conformation in the frame of the poses: train with it), truth.npz (the true conformation, state,
    pose and shift of every particle) and simulation.json.
    """
    from cryoscope.simulation.composition import read_compositions
    from cryoscope.simulation.config import SimulationConfig

    if structure is None and to:
        raise InputError("--to needs a --structure to start from", cure="Give both")
    models = [] if structure is None else [structure, *(to or [])]
    config = SimulationConfig(
        structures=tuple(str(model) for model in models),
        trajectory=str(trajectory or ""),
        topology=str(topology or ""),
        motion=motion.value,
        hinges=tuple(hinge or ()),
        angles_deg=tuple(angle_deg or SimulationConfig.angles_deg),
        compositions=() if compositions is None else read_compositions(compositions),
        frames=frames,
        align=align.value,
        particles=particles,
        box_px=box_px,
        pixel_size_A=pixel_size_A,
        snr=snr,
        distribution=distribution.value,
        states=states,
        shift_px=shift_px,
        defocus_A=defocus_A,
        defocus_log_sd=defocus_log_sd,
        voltage_kv=voltage_kv,
        b_factor_A2=b_factor_A2,
        contrast=contrast.value,
        seed=seed,
        stacks=stacks,
        device=device,
    )
    config.check()
    return _run(config, out, as_json=progress_json)


def _run(config: SimulationConfig, out: Path, *, as_json: bool) -> int:
    """Simulate with progress; Ctrl-C leaves no particle file."""
    from cryoscope.simulation.simulate import SimulationStopped
    from cryoscope.simulation.simulate import simulate as run_simulation

    stopping = threading.Event()
    with StageProgress() as progress:

        def show(stage: str, done: int, total: int) -> None:
            if as_json:
                print(json.dumps({"stage": stage, "done": done, "total": total}), flush=True)
            else:
                progress.update(stage, done, total)

        show("finding the path", 0, 0)
        try:
            with stop_on_interrupt(stopping.set, "no particle file is left"):
                star = run_simulation(
                    config,
                    out,
                    progress=lambda done, total: show("simulating particles", done, total),
                    should_stop=stopping.is_set,
                )
        except SimulationStopped:
            return _STOPPED
    if not as_json:
        print(f"particles   {star}\ntruth       {out / 'truth.npz'}")
        print("\n".join(f"reference   {file}" for file in sorted(out.glob("reference.*"))))
    return 0
