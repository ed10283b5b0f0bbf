"""``cryoscope train``."""

from __future__ import annotations

import math
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from cryoscope.cli.console import StageProgress, stop_on_interrupt
from cryoscope.data import InputError

if TYPE_CHECKING:
    from cryoscope.training.config import TrainConfig
    from cryoscope.training.events import StepDone, TrainEvent
    from cryoscope.training.torchrun import Place

STOPPED = 130
_ADVANCED = "More"


class TrainCommand(TyperCommand):
    """The command with a list of all settings below its help."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help, then the settings."""
        from cryoscope.cli.settings import print_settings

        super().format_help(ctx, formatter)
        print_settings()


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("train", cls=TrainCommand)(train)


def train(
    particles: Annotated[
        Path,
        typer.Argument(
            help="Particles with poses and CTF: .star of RELION 3.0 to 5, .cs or .csg of cryoSPARC",
            metavar="PARTICLES",
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Run folder: new, or with --resume an earlier one")
    ],
    structure: Annotated[
        Path | None,
        typer.Option(help="Atomic model fitted into the consensus map (.pdb, .cif): deformed"),
    ] = None,
    consensus_map: Annotated[
        Path | None,
        typer.Option(
            "--map",
            help="Consensus map of these poses (.mrc): trained up to where its FSC with the"
            " structure falls to 0.5",
        ),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Method \\[default: cryoscope-default]")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes through the particles \\[default: 30]")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Train for this many minutes instead of epochs")
    ] = None,
    box_px: Annotated[
        int | None,
        typer.Option(
            help="Training box in pixels; images are Fourier-cropped \\[default: automatic]"
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="auto, cpu, cuda or cuda:N \\[default: auto]")
    ] = None,
    class_number: Annotated[
        int | None,
        typer.Option("--class", min=0, help=".cs with several classes: poses of this one"),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="A further folder to look for the image stacks in")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the run's last checkpoint")
    ] = False,
    take_over: Annotated[
        bool,
        typer.Option(
            "--take-over",
            help="With --resume: the machine that seems to hold the run is gone; do not wait for"
            " minutes of silence",
        ),
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any setting listed below, e.g. latent.dim=4", metavar="N=V"),
    ] = None,
) -> int:
    """Train a network on particles and deform the atomic model to fit each of them.

    Progress is shown while it trains. Ctrl-C stops after saving a checkpoint: go on later with the
    same command and `--resume`. Look at the run at any time with `cryoscope view RUN`.
    """
    from cryoscope.cli.settings import parse_settings
    from cryoscope.training.torchrun import place_from_environment, restarted

    place = place_from_environment()
    if not place.leads:
        follow_training(place)
        return 0
    resume = resume or (restarted() and (out / "run.json").exists())
    named: dict[str, Any] = {
        "data.particles": absolute(particles),
        "data.structure": absolute(structure),
        "data.consensus_map": absolute(consensus_map),
        "optimiser.epochs": epochs,
        "optimiser.minutes": minutes,
        "data.box_size_px": box_px,
        "device": device,
        "data.class_number": class_number,
        "data.image_folder": absolute(images),
    }
    chosen = {name: value for name, value in named.items() if value is not None}
    chosen |= parse_settings(settings or [])
    if not resume and (out / "run.json").exists():
        # Said before the particles are prepared, which may take minutes.
        raise InputError(
            "there is a run already", file=out, cure="Add --resume, or choose another --out"
        )
    config = _resumed(out, preset, chosen) if resume else configured(preset, chosen)
    outcome = run_training(config, out, resume=resume, take_over=take_over, place=place)
    print(outcome.summary(out))
    # torchrun takes any other code for a failure, and may start all again.
    return STOPPED if outcome.stopped_by_user and place.size == 1 else 0


def absolute(file: Path | None) -> str | None:
    """The file as a setting names it, wherever the run is continued from."""
    return None if file is None else str(file.expanduser().absolute())


@dataclass
class Outcome:
    """How training went."""

    run_id: str = ""
    particle_count: int = 0
    step: int = 0
    total_steps: int = 0
    completed: bool = False
    stopped_by_user: bool = False
    last: StepDone | None = None

    def summary(self, out: Path) -> str:
        """What is printed at the end."""
        if not (self.completed or (out / "run.json").exists()):
            return "stopped while preparing; the same command goes on where it stopped"
        state = "complete" if self.completed else "stopped (go on with --resume)"
        lines = [f"run         {out}", f"training    {state} after {self.step:,} steps"]
        if self.particle_count:
            lines.append(f"particles   {self.particle_count:,}")
        if self.last is not None:
            lines.append(f"loss        {self.last.losses.get('total', math.nan):.4g} per image")
            lines.append(f"RMS motion  {self.last.motion_A:.2f} A")
            lines.append(f"speed       {self.last.images_per_s:,.0f} images/s")
        return "\n".join(lines)


def run_training(
    config: TrainConfig,
    out: Path,
    *,
    resume: bool = False,
    take_over: bool = False,
    place: Place | None = None,
) -> Outcome:
    """Train in this process with progress on standard error; Ctrl-C saves a checkpoint and ends."""
    with StageProgress() as progress:
        progress.update("starting", 0, 0)
        from cryoscope.training.distributed import ALONE, Team
        from cryoscope.training.trainer import Trainer

        team = ALONE if place is None else Team(place)
        trainer = Trainer(config, out, resume=resume, take_over=take_over, team=team)
        outcome = Outcome()
        with stop_on_interrupt(trainer.stop, "keeping what is done") as interrupt:
            for event in trainer.events():
                _take(event, outcome, progress)
    outcome.stopped_by_user |= interrupt.asked and not outcome.completed
    return outcome


def follow_training(place: Place) -> None:
    """Train as one of several processes that is not the first: in silence, until the first ends.

    Once training has begun, signals are the first process's to obey: it saves, then ends all.
    """
    from cryoscope.training.config import TrainConfig
    from cryoscope.training.distributed import Team
    from cryoscope.training.trainer import Trainer

    for _ in Trainer(TrainConfig(), Path(), team=Team(place)).events():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


def _take(event: TrainEvent, outcome: Outcome, progress: StageProgress) -> None:
    """Show one event and remember what the summary needs."""
    from cryoscope.training import events

    match event:
        case events.Progress():
            progress.update(event.stage, event.done, event.total)
        case events.RunStarted():
            outcome.run_id, outcome.particle_count = event.run_id, event.particle_count
            outcome.total_steps = event.total_steps
            contrast = "bright" if event.contrast > 0 else "dark"
            progress.say(
                f"{event.particle_count:,} particles of {event.box_size_px} px"
                f" ({event.pixel_size_A:.2f} A/px, protein {contrast}) on {event.device}"
            )
            for lines in (event.report, event.remark):
                if lines:
                    progress.say(lines)
        case events.StepDone():
            outcome.last, outcome.step = event, event.step
            progress.update("training", event.step, outcome.total_steps, _figures(event))
            if event.remark:
                progress.say(event.remark)
        case events.Paused():
            progress.say(f"paused after {event.step:,} steps, by request")
        case events.Resumed():
            progress.say("going on")
        case events.RunFinished():
            outcome.step, outcome.completed = event.step, event.reason == "completed"
            # By Ctrl-C or by a window that follows the run: the same to whoever waits for it.
            outcome.stopped_by_user = event.reason == "stopped"
        case _:
            pass


def _figures(event: StepDone) -> str:
    """The figures beside the bar."""
    left = f"{event.seconds_left / 60:.1f} min left" if math.isfinite(event.seconds_left) else ""
    loss = event.losses.get("total", math.nan)
    return (
        f"epoch {event.epoch}  loss {loss:.4g}  motion {event.motion_A:.2f} A"
        f"  {event.images_per_s:,.0f} images/s  {left}"
    )


def configured(preset_name: str | None, chosen: dict[str, Any]) -> TrainConfig:
    """A preset with the options of the command line."""
    from cryoscope.cli.settings import with_settings
    from cryoscope.training.presets import DEFAULT_PRESET, preset

    return with_settings(preset(preset_name or DEFAULT_PRESET), chosen)


def _resumed(out: Path, preset_name: str | None, chosen: dict[str, Any]) -> TrainConfig:
    """The settings of the run to go on with.

    Raises
    ------
    InputError
        If an option asks for something else than the run was started with.
    """
    from cryoscope.cli.settings import with_settings
    from cryoscope.io.run_folder import RunFolder
    from cryoscope.training.config import config_from_json

    run = RunFolder.open(out)
    config = config_from_json(run.config(), file=str(run.path / "config.json"))
    if preset_name not in (None, config.preset):
        chosen = {"preset": preset_name, **chosen}
    for name, value in chosen.items():
        if with_settings(config, {name: value}) != config:
            raise InputError(
                f"the run was not started with {name} = {value}",
                file=out,
                cure="A resumed run keeps its settings: leave that option out, or start a new run",
            )
    return config
