"""``cryoscope analyze``: clusters, components and paths of a run, with maps of each."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cryoscope.cli.console import StageProgress, stop_on_interrupt
from cryoscope.data import InputError


class Method(StrEnum):
    """How particles are grouped."""

    KMEANS = "kmeans"
    GMM = "gmm"
    HDBSCAN = "hdbscan"
    AGGLOMERATIVE = "agglomerative"


class Way(StrEnum):
    """How a path goes from particle to particle."""

    GRAPH = "graph"
    RIDGE = "ridge"
    DIRECT = "direct"


class Linkage(StrEnum):
    """What the distance of two groups is."""

    WARD = "ward"
    COMPLETE = "complete"
    AVERAGE = "average"
    SINGLE = "single"


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("analyze")(analyze)


def analyze(
    run: Annotated[Path, typer.Argument(help="Run folder", metavar="RUN")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="New folder \\[default: RUN/analysis-EPOCH]"),
    ] = None,
    clusters: Annotated[
        int, typer.Option(help="Clusters; for gmm the most, of which BIC chooses", min=1)
    ] = 20,
    method: Annotated[Method, typer.Option(help="Clustering")] = Method.KMEANS,
    linkage: Annotated[Linkage, typer.Option(help="Of agglomerative clustering")] = Linkage.WARD,
    umap: Annotated[bool, typer.Option("--umap", help="A UMAP picture too")] = False,
    pcs: Annotated[
        int, typer.Option(help="Principal components to follow, 5th to 95th percentile", min=0)
    ] = 2,
    frames: Annotated[int, typer.Option(help="States along each path", min=2, max=10_000)] = 10,
    anchors: Annotated[
        str | None,
        typer.Option(help="One more path by way of these particles: 3,17,200", metavar="NUMBERS"),
    ] = None,
    way: Annotated[
        Way,
        typer.Option(
            help="How that path goes: the shortest way through the particles (graph), where they"
            " are densest (ridge), or straight (direct)"
        ),
    ] = Way.GRAPH,
    neighbours: Annotated[int, typer.Option(help="Of every particle in the graph", min=1)] = 15,
    average_neighbours: Annotated[
        float, typer.Option(help="Keep so many on average, the shortest; 0 keeps all", min=0)
    ] = 0.0,
    maps: Annotated[bool, typer.Option(help="Decode maps, models and movies")] = True,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write every printed figure to this file")
    ] = None,
) -> int:
    """Group the particles of a run and follow its motions.

    Writes particles.csv (latents, components and cluster of every particle), clusters.csv,
    selections.json, pictures, and for the clusters, each component and the path a folder with maps,
    models (where the run has atoms), a ChimeraX script (.cxc) and a movie (.gif).
    """
    from cryoscope.analysis.stopping import Stopped
    from cryoscope.session.analyze import AnalyzeSettings
    from cryoscope.session.analyze import analyze as analyze_run

    settings = AnalyzeSettings(
        clusters=clusters,
        method=method.value,
        linkage=linkage.value,
        umap=umap,
        components=pcs,
        frames=frames,
        anchors=_numbers(anchors),
        way=way.value,
        neighbours=neighbours,
        average_neighbours=average_neighbours,
        maps=maps,
    )
    try:
        with (
            stop_on_interrupt(lambda: None, "nothing is left behind") as interrupt,
            StageProgress() as bar,
        ):
            found = analyze_run(
                run, settings, out, progress=bar.update, should_stop=lambda: interrupt.asked
            )
    except Stopped:
        return STOPPED
    sizes = ", ".join(f"{size:,}" for size in found.clusters.sizes[:20])
    more = ", ..." if len(found.clusters) > 20 else ""
    shares = found.figures["variance_fraction"][:5]
    print(f"particles           {found.figures['particles_with_latents']:,}")
    print(f"variance of PCs     {', '.join(f'{100 * share:.0f} %' for share in shares)}")
    print(f"clusters            {len(found.clusters)} ({sizes}{more})")
    if found.figures["particles_in_no_cluster"]:
        print(f"in no cluster       {found.figures['particles_in_no_cluster']:,}")
    for name, figures in found.figures["paths"].items():
        print(f"{name:20s}fewest particles at a state {figures['fewest_particles_per_state']:,}")
    print(f"written             {found.folder}")
    if json_file is not None:
        from cryoscope.io.json_file import write_json

        write_json(json_file, found.figures)
    return 0


STOPPED = 130


def _numbers(words: str | None) -> tuple[int, ...]:
    if words is None:
        return ()
    parts = words.replace(",", " ").split()
    if not parts or not all(part.isdecimal() and len(part) < 12 for part in parts):
        raise InputError(
            f"--anchors {words!r} are not particle numbers", cure="Write e.g. --anchors 3,17,200"
        )
    return tuple(int(part) for part in parts)
