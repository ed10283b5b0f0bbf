"""``cryoscope view``: the window."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryoscope.data import InputError


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("view")(view)


def view(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Particles (.star), atomic models (.pdb, .cif), maps (.mrc), a run folder or a"
            " project folder",
            metavar="[FILES]...",
        ),
    ] = None,
    screenshot: Annotated[
        Path | None, typer.Option(help="Write a picture of the window (.png) and close")
    ] = None,
    exit_after: Annotated[
        float | None, typer.Option(help="Close after this many seconds", min=0.1)
    ] = None,
    measure: Annotated[
        Path | None,
        typer.Option(help="For `bench`: write how fast the window starts and reacts", hidden=True),
    ] = None,
) -> int:
    """Open the window, with files or a run in it. The same as `cryoscope FILES...`."""
    paths = [path.expanduser() for path in files or []]
    for path in paths:
        if not path.exists():
            raise InputError(
                "there is no such file or command",
                file=path,
                cure="`cryoscope --help` lists the commands",
            )
    if measure is not None:
        from cryoscope.app.measure import run

        return run(measure, paths)
    return open_window(paths, screenshot=screenshot, exit_after_s=exit_after)


def open_window(
    paths: list[Path],
    *,
    demo: Path | None = None,
    demo_particles: int | None = None,
    screenshot: Path | None = None,
    exit_after_s: float | None = None,
) -> int:
    """The window, if its packages are installed and there is a display (else InputError)."""
    try:
        from cryoscope.app.main import open_window as open_it
    except ImportError as error:
        raise InputError(
            f"the window's packages are not installed ({error.name} is missing)",
            cure="Install them with: pip install 'cryoscope[app]'",
        ) from error
    return int(
        open_it(
            paths,
            demo=demo,
            demo_particles=demo_particles,
            screenshot=screenshot,
            exit_after_s=exit_after_s,
        )
    )
