"""``cryoscope landscape``: the states of a run, compared as maps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryoscope.cli.analyze import STOPPED, Linkage
from cryoscope.cli.console import StageProgress, stop_on_interrupt


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("landscape")(landscape)


def landscape(
    run: Annotated[Path, typer.Argument(help="Run folder", metavar="RUN")],
    sketch: Annotated[int, typer.Option(help="Particles at which maps are decoded", min=2)] = 500,
    box_px: Annotated[int, typer.Option(help="Box of these maps, at most 128")] = 64,
    states: Annotated[int, typer.Option(help="States", min=1)] = 10,
    linkage: Annotated[Linkage, typer.Option(help="How maps are merged")] = Linkage.AVERAGE,
    mask: Annotated[
        Path | None,
        typer.Option(
            help="Mask (.mrc, 1 inside), in the particles' box or in --box-px; or the word box"
            " for none \\[default: wherever any map is dense]"
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="Of the default mask \\[default: half of each map's 99.99th percentile]"),
    ] = None,
    dilate_px: Annotated[
        float, typer.Option(help="Widens the default mask, in voxels of --box-px", min=0)
    ] = 5.0,
    components: Annotated[int, typer.Option(help="Components of the maps", min=1)] = 20,
    samples: Annotated[
        int,
        typer.Option(help="More particles whose maps are decoded, to learn and test from", min=0),
    ] = 500,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write every printed figure to this file")
    ] = None,
) -> int:
    """Find the states of a run by how their maps differ, and place every particle among them.

    Writes into RUN/landscape: mean and spread of each state's maps, its particles (state-01.txt,
    for `cryoscope export --selection`), components of the maps, tables, pictures of the density,
    and a ChimeraX script. Stopped, the same command goes on after the last finished stage; with
    other options it makes anew what depends on them.
    """
    from cryoscope.analysis.stopping import Stopped
    from cryoscope.session.landscape import landscape as make
    from cryoscope.session.landscape_records import LandscapeSettings

    settings = LandscapeSettings(
        sketch=sketch,
        box_size_px=box_px,
        states=states,
        linkage=linkage.value,
        mask="" if mask is None else str(mask),
        threshold=threshold,
        dilate_px=dilate_px,
        components=components,
        samples=samples,
    )
    try:
        with (
            stop_on_interrupt(lambda: None, "finished stages are kept") as interrupt,
            StageProgress() as bar,
        ):
            found = make(run, settings, progress=bar.update, should_stop=lambda: interrupt.asked)
    except Stopped:
        return STOPPED
    figures = found.figures
    shares = ", ".join(f"{100 * share:.0f} %" for share in figures["variance_fraction"][:5])
    held = ", ".join(f"{count:,}" for count in figures["state_particles"])
    print(f"maps                     {figures['maps']:,} at {figures['box_size_px']} px")
    print(f"mask                     {figures['mask_voxels']:,} voxels")
    print(f"variance of components   {shares}")
    print(f"states                   {figures['states']} ({held} particles)")
    print(f"R2 on held-out maps      network {figures['r2_network']:.3f}")
    print(f"                         nearest map {figures['r2_nearest_map']:.3f}")
    print(f"particles placed by      {figures['particles_placed_by']}")
    print(f"written                  {found.folder}")
    if json_file is not None:
        from cryoscope.io.json_file import write_json

        write_json(json_file, figures)
    return 0
