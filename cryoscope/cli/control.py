"""``cryoscope control``: whether the motion comes from the data."""

from __future__ import annotations

import math
from contextlib import ExitStack, closing
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryoscope.cli.console import StageProgress
from cryoscope.cli.train import STOPPED, absolute, configured, run_training
from cryoscope.data import InputError

if TYPE_CHECKING:
    from cryoscope.session.controls import ControlResult
    from cryoscope.training.config import TrainConfig


class Kind(StrEnum):
    """Which control."""

    HALVES = "halves"
    NOISE = "noise"
    WRONG_REFERENCE = "wrong-reference"
    HELD_OUT = "held-out"


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("control")(control)


def control(
    kind: Annotated[Kind, typer.Argument(help="Which control")],
    target: Annotated[
        Path,
        typer.Argument(help="Particles (.star); for held-out a run folder", metavar="STAR|RUN"),
    ],
    structure: Annotated[
        Path | None, typer.Option(help="Atomic model fitted into the consensus map (.pdb, .cif)")
    ] = None,
    consensus_map: Annotated[
        Path | None, typer.Option("--map", help="Consensus map of these poses (.mrc)")
    ] = None,
    wrong: Annotated[
        Path | None,
        typer.Option(
            help="wrong-reference: the wrong model, lying as the right one"
            " \\[default: the right one's mirror image]"
        ),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Method \\[default: cryoscope-default]")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the control's runs and tables")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes through the particles \\[default: the preset's]")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Train each run for this many minutes instead of epochs")
    ] = None,
    box_px: Annotated[int | None, typer.Option(help="Training box in pixels")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any setting of `cryoscope train`", metavar="N=V"),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write every printed figure to this file")
    ] = None,
) -> int:
    """Ask whether the motion comes from the data.

    `halves` trains two runs on the two half-sets and writes for every residue how far they disagree
    about the same particles (disagreement.csv, and disagreement.pdb with it as B-factor).

    `noise` trains on noise with the spectrum of your images: nothing may move (RMS < 0.3 A).

    `wrong-reference` trains with your model and with a wrong one (by default its mirror image
    through the plane of its two longest axes) and compares how well images that neither has seen
    are explained.

    `held-out RUN` compares the images that a run never saw (data.held_out) with those it trained
    on.

    Ctrl-C stops after saving; the same command goes on where it stopped.
    """
    from cryoscope.cli.settings import parse_settings

    if kind is Kind.HELD_OUT:
        result = _held_out(target)
    else:
        if out is None:
            raise InputError("this control trains and needs a folder", cure="Name one with --out")
        named: dict[str, Any] = {
            "data.particles": absolute(target),
            "data.structure": absolute(structure),
            "data.consensus_map": absolute(consensus_map),
            "optimiser.epochs": epochs,
            "optimiser.minutes": minutes,
            "data.box_size_px": box_px,
            "device": device,
        }
        chosen = {name: value for name, value in named.items() if value is not None}
        config = configured(preset, chosen | parse_settings(settings or []))
        found = _trained(kind, config, out, wrong)
        if found is None:
            return STOPPED
        result = found
    _show(result)
    if json_file is not None:
        from cryoscope.io.json_file import write_json

        write_json(json_file, result.figures)
    return 0


def _held_out(run: Path) -> ControlResult:
    from cryoscope.session.controls import held_out_gap

    with StageProgress() as progress:
        return held_out_gap(run, progress.update)


def _trained(
    kind: Kind, config: TrainConfig, out: Path, wrong: Path | None
) -> ControlResult | None:
    """Run a control that trains; None where the user stopped it."""
    from cryoscope.session import controls

    if wrong is not None and kind is not Kind.WRONG_REFERENCE:
        raise InputError(f"--wrong means nothing to {kind}", cure="Leave it out")
    with closing(_OneBarAtATime()) as bar:
        if kind is Kind.NOISE:
            return controls.noise(config, out, bar.train)
        if kind is Kind.HALVES:
            return controls.halves(config, out, bar.train, bar.update)
        return controls.wrong_reference(config, out, bar.train, wrong, bar.update)


class _OneBarAtATime:
    """Training shows its own progress; what is done before and after it is shown by this."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._progress: StageProgress | None = None

    def train(self, config: TrainConfig, path: Path) -> bool:
        """Train with the bar of this put away."""
        self.close()
        return train_or_go_on(config, path)

    def update(self, stage: str, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` of a stage is done."""
        if self._progress is None:
            self._progress = self._stack.enter_context(StageProgress())
        self._progress.update(stage, done, total)

    def close(self) -> None:
        """Put the bar away."""
        self._progress = None
        self._stack.close()


def train_or_go_on(config: TrainConfig, path: Path) -> bool:
    """Train in a run folder, or go on with what is there; False where the user stopped it.

    Raises
    ------
    InputError
        If a run is there that was started with other settings.
    """
    from cryoscope.io.run_folder import RunFolder
    from cryoscope.training.config import config_from_json

    resume = (path / "run.json").is_file()
    if resume:
        saved = config_from_json(RunFolder.open(path).config(), file=str(path / "config.json"))
        if saved != config:
            raise InputError(
                "the run there was started with other settings",
                file=path,
                cure="Give the same options, or choose another --out",
            )
    return run_training(config, path, resume=resume).completed


def _show(result: ControlResult) -> None:
    """Print the figures, one a line, and the files."""
    for name, value in result.figures.items():
        if isinstance(value, float):
            text = "none" if math.isnan(value) else f"{value:.4g}"
        else:
            text = {True: "yes", False: "no"}[value] if isinstance(value, bool) else f"{value:,}"
        print(f"{name:32s}{text}")
    for file in result.files:
        print(f"{'written':32s}{file}")
