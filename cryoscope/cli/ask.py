"""``cryoscope ask``: steer a run that trains in another program, or on another machine."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cryoscope.data import InputError


class Request(StrEnum):
    """What a trainer can be asked for."""

    PAUSE = "pause"
    RESUME = "resume"
    CHECKPOINT = "checkpoint"
    STOP = "stop"


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("ask")(ask)


def ask(
    run: Annotated[Path, typer.Argument(help="Folder of a run that trains", metavar="RUN")],
    request: Annotated[Request, typer.Argument(help="What it is asked for")],
) -> None:
    """Ask a run that trains elsewhere to pause, go on, save a checkpoint, or stop.

    The trainer looks into its run folder between steps, on whatever machine it runs. It stops
    after a checkpoint; `cryoscope train --resume` goes on from there.
    """
    from cryoscope.io.run_folder import RunFolder
    from cryoscope.io.run_requests import leave_request
    from cryoscope.session.attached_runner import run_writer

    folder = RunFolder.open(run).path
    writer = run_writer(folder)
    if writer is None:
        raise InputError(
            "nobody trains this run", file=folder, cure="Start it with cryoscope train --resume"
        )
    leave_request(folder, request.value)
    print(f"asked {writer} to {_WORDS[request]}")


_WORDS = {
    Request.PAUSE: "pause",
    Request.RESUME: "go on",
    Request.CHECKPOINT: "save a checkpoint",
    Request.STOP: "stop",
}
