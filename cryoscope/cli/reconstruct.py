"""``cryoscope reconstruct``: a map of chosen particles, from their own images."""

from __future__ import annotations

import threading
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryoscope.cli.console import StageProgress, stop_on_interrupt
from cryoscope.cli.particle_rows import chosen_rows
from cryoscope.data import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cryoscope.data import Particles
    from cryoscope.session.reconstruct import Reconstruction

_STOPPED = 130


class Contrast(StrEnum):
    """What protein looks like in the images."""

    AUTO = "auto"
    BRIGHT = "bright"
    DARK = "dark"


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("reconstruct")(reconstruct)


def reconstruct(
    particles: Annotated[
        Path, typer.Argument(help="Particles with poses (.star, .cs)", metavar="PARTICLES")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for maps and curves")],
    selection: Annotated[
        Path | None,
        typer.Option(
            help="Only these: .star or .txt of `cryoscope export`, .npy (numbers or mask), a"
            " cryoDRGN ind.pkl, or selections.json of a run"
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Which selection of a selections.json with several")
    ] = None,
    rows: Annotated[
        str | None, typer.Option(help="Only these rows, counted from 0: 0-999,2000,3000-")
    ] = None,
    box_px: Annotated[
        int,
        typer.Option(help="Box of the maps, even: smaller is faster \\[default: the images']"),
    ] = 0,
    mask: Annotated[
        str, typer.Option(help="Soft mask for the FSC (.mrc), or auto: made from the map")
    ] = "auto",
    no_control: Annotated[
        bool, typer.Option("--no-control", help="No random particles beside the selection")
    ] = False,
    contrast: Annotated[
        Contrast, typer.Option(help="Protein bright or dark in the images; auto looks")
    ] = Contrast.AUTO,
    regularisation: Annotated[
        float,
        typer.Option(
            min=0.0, help="Added to the weights, as a share of their mean (cryoDRGN: --reg-weight)"
        ),
    ] = 0.3,
    pad: Annotated[
        int, typer.Option(min=1, max=4, help="Finer Fourier grid; 2 needs 8 times the memory")
    ] = 1,
    seed: Annotated[int, typer.Option(help="Of the random control")] = 0,
    averages: Annotated[
        bool, typer.Option("--averages", help="Also 2-D averages of the images by view")
    ] = False,
    class_number: Annotated[
        int | None, typer.Option("--class", help=".cs with several classes: poses of this one")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="A further folder to look for the image stacks in")
    ] = None,
) -> int:
    """Reconstruct a selection of particles from their images, with half-maps and FSC.

    Writes map.mrc, half1.mrc, half2.mrc, mask.mrc, fsc.csv, fsc.png and reconstruction.json. The
    FSC is masked and corrected by phase randomisation. Beside a selection, as many particles drawn
    at random from all are reconstructed, so that you see what any selection of that size would
    give. Half-sets are those of the file (rlnRandomSubset), else a seeded split. With --averages
    also view-averages.mrcs, view-projections-reconstructed.mrcs, views.csv and views.png.
    """
    from cryoscope.io.particles_file import read_any
    from cryoscope.session.reconstruct import ReconstructionStopped
    from cryoscope.session.reconstruct import reconstruct as run

    if selection is not None and rows is not None:
        raise InputError("--selection and --rows exclude each other", cure="Give one of them")
    mask_file = None if mask == "auto" else Path(mask)
    source = read_any(
        particles, class_number=class_number, search=[] if images is None else [images]
    )
    chosen = chosen_rows(source, selection, name, rows)
    stopping = threading.Event()
    try:
        with StageProgress() as bar, stop_on_interrupt(stopping.set, "nothing is written"):
            found = run(
                source,
                chosen,
                box_size_px=box_px,
                mask=mask_file,
                out=out,
                control=not no_control,
                contrast={"bright": 1, "dark": -1}.get(contrast.value, 0),
                regularisation=regularisation,
                pad=pad,
                seed=seed,
                progress=bar.update,
                should_stop=stopping.is_set,
            )
    except ReconstructionStopped:
        return _STOPPED
    print(f"{found.summary()}; protein was {'bright' if found.contrast > 0 else 'dark'}")
    files = found.files
    if averages:
        files += _averages(source, chosen, found, out)
    for file in files:
        print(f"written  {file}")
    return 0


def _averages(
    source: Particles, rows: NDArray[np.int64] | None, found: Reconstruction, out: Path
) -> tuple[Path, ...]:
    """Average by view beside the map's projections, and write that; the files."""
    from cryoscope.session.view_average_files import write_view_averages
    from cryoscope.session.view_averages import average_by_view

    made = average_by_view(
        source, rows, maps={"reconstructed": found.full}, contrast=found.contrast
    )
    return write_view_averages(made, out)
