"""What is in the latents of a run: clusters, components, paths, with maps and models of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cryoscope.analysis.cluster import METHODS, Clusters, cluster_latents
from cryoscope.analysis.reduce import (
    finite_rows,
    pca_embedding,
    principal_axes,
    umap_embedding,
)
from cryoscope.analysis.ridge import ridge_path
from cryoscope.analysis.stopping import ShouldStop, never, stop_if_asked
from cryoscope.analysis.trajectory import (
    checked_anchors,
    frame_support,
    graph_path,
    pc_path,
    straight_path,
)
from cryoscope.data import Embedding, InputError, Latents, Selection
from cryoscope.io.atomic import atomic_folder, atomic_path
from cryoscope.io.json_file import write_json
from cryoscope.io.run_folder import RunFolder
from cryoscope.io.selections_file import write_selections
from cryoscope.session.decoded_maps import StateDecoder
from cryoscope.session.latent_picture import Place, write_scatter
from cryoscope.session.selecting import COLOURS
from cryoscope.session.series import Progress, write_group_series, write_path_series

WAYS = ("graph", "ridge", "direct")


@dataclass(frozen=True)
class AnalyzeSettings:
    """What is asked of the latents.

    Attributes
    ----------
    clusters
        How many; for a mixture the most, of which the Bayesian information criterion chooses.
        HDBSCAN finds the number itself.
    method
        One of :data:`cryoscope.analysis.cluster.METHODS`.
    linkage
        Of agglomerative clustering.
    umap
        Whether a UMAP picture is made.
    components
        Principal components that are followed, from the 5th to the 95th percentile.
    frames
        States along each path.
    anchors, way
        0-based particles that one more path passes, and how: ``"graph"`` (shortest way through the
        particles), ``"ridge"`` (where they are densest) or ``"direct"`` (straight lines).
    neighbours, average_neighbours
        Of every particle in the graph; the average prunes the longest edges, 0 keeps all.
    maps
        Whether maps, models and movies are made.
    """

    clusters: int = 20
    method: str = "kmeans"
    linkage: str = "ward"
    umap: bool = False
    components: int = 2
    frames: int = 10
    anchors: tuple[int, ...] = ()
    way: str = "graph"
    neighbours: int = 15
    average_neighbours: float = 0.0
    maps: bool = True
    seed: int = 0

    def check(self, dims: int) -> None:
        """Refuse what cannot be done with ``dims`` latent dimensions, before any work."""
        if self.method not in METHODS:
            raise InputError(
                f"there is no clustering {self.method!r}", cure=f"Choose {', '.join(METHODS)}"
            )
        if self.way not in WAYS:
            raise InputError(f"there is no way {self.way!r}", cure=f"Choose {', '.join(WAYS)}")
        if self.components < 0:
            raise InputError("--pcs is below 0", cure=f"Choose 0 to {dims}")
        if self.frames < 2:
            raise InputError(f"a path needs at least 2 frames, not {self.frames}")


@dataclass(frozen=True)
class Analysis:
    """What was found and where it is."""

    folder: Path
    clusters: Clusters
    figures: dict[str, Any]


def quiet(stage: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def analyze(
    run_path: Path,
    settings: AnalyzeSettings,
    out: Path | None = None,
    *,
    progress: Progress = quiet,
    should_stop: ShouldStop = never,
) -> Analysis:
    """Analyse the newest latents of a run into a new folder.

    particles.csv (latents, components, picture, cluster of every particle), clusters.csv,
    selections.json (the clusters), summary.json, pca.png, umap.png, ``clusters/``, ``pc1/``... and
    ``path/`` (see :mod:`cryoscope.session.series`).

    Parameters
    ----------
    out
        New or empty folder; None for ``analysis-EPOCH`` in the run folder, numbered where that is
        taken.

    Raises
    ------
    InputError
        Bad settings, no latents or checkpoint yet, or a folder that is used.
    Stopped
        Where ``should_stop`` said so; nothing is left behind.
    """
    run = RunFolder.open(run_path)
    latents = run.load_latents()
    settings.check(latents.z.shape[1])
    decoder: StateDecoder | None = None
    if settings.maps:
        from cryoscope.training.decoding import load_decoder

        decoder = load_decoder(run_path)
    folder = out if out is not None else _free_name(run.path / f"analysis-{latents.epoch:04d}")
    return analyze_latents(
        latents, decoder, settings, folder, progress=progress, should_stop=should_stop
    )


def analyze_latents(
    latents: Latents,
    decoder: StateDecoder | None,
    settings: AnalyzeSettings,
    out: Path,
    *,
    progress: Progress = quiet,
    should_stop: ShouldStop = never,
) -> Analysis:
    """As :func:`analyze`, of latents and what decodes them; without maps where that is None."""
    z = latents.z
    settings.check(z.shape[1])
    known = int(finite_rows(z).sum())
    if known < 2:
        raise InputError("the run has no latents of two particles or more", cure="Train for longer")
    paths = _paths(z, settings, should_stop)
    progress("clusters", 0, 1)
    groups = cluster_latents(
        z,
        settings.method,
        _numbers(settings, known),
        linkage=settings.linkage,
        seed=settings.seed,
        should_stop=should_stop,
    )
    pictures = {"pca": pca_embedding(z)}
    if settings.umap:
        progress("UMAP", 0, 1)
        pictures["umap"] = umap_embedding(z, seed=settings.seed)
    stop_if_asked(should_stop)
    figures = _figures(latents, known, groups, paths, settings)
    with atomic_folder(out) as folder:
        _write_tables(folder, latents, groups, pictures)
        write_selections(folder / "selections.json", selections_of(groups, settings.method))
        _write_pictures(folder, latents, groups, pictures, paths)
        if decoder is not None:
            if len(groups):
                write_group_series(
                    decoder, z[groups.particle], colours(len(groups)), folder / "clusters",
                    progress=progress, should_stop=should_stop,
                )  # fmt: skip
            for name, states in paths.items():
                write_path_series(
                    decoder, states, frame_support(z, states), latents.uid, folder / name,
                    progress=progress, should_stop=should_stop,
                )  # fmt: skip
        write_json(folder / "summary.json", figures)
    return Analysis(out, groups, figures)


def selections_of(groups: Clusters, method: str) -> list[Selection]:
    """The clusters as named selections."""
    made_by = {"kind": "cluster", "method": method, **groups.parameters}
    return [
        Selection(f"cluster {i + 1}", groups.labels == i, colour, made_by=made_by)
        for i, colour in enumerate(colours(len(groups)))
    ]


def colours(count: int) -> list[str]:
    """So many colours, the first six told apart by any eye."""
    return [COLOURS[i % len(COLOURS)] for i in range(count)]


def _numbers(settings: AnalyzeSettings, known: int) -> int | Sequence[int]:
    """A mixture tries every number up to the one given: fewer where that would be many fits."""
    if settings.method != "gmm":
        return settings.clusters
    most = settings.clusters
    if not 1 <= most <= known:
        return most
    return sorted({*range(1, min(most, 10) + 1), *range(12, most + 1, 4), most})


def _paths(
    z: NDArray[np.float32], settings: AnalyzeSettings, should_stop: ShouldStop
) -> dict[str, NDArray[np.float64]]:
    shown = pca_embedding(z)
    paths = {
        f"pc{i}": pc_path(z, component=i, frames=settings.frames, embedding=shown)
        for i in range(1, min(settings.components, z.shape[1]) + 1)
    }
    if settings.anchors:
        frames, near = settings.frames, settings.neighbours
        if settings.way == "ridge":
            states = ridge_path(
                z, settings.anchors, frames=frames, neighbours=near, should_stop=should_stop
            )
        elif settings.way == "direct":
            states = straight_path(z[checked_anchors(z, settings.anchors)], frames)
        else:
            average = settings.average_neighbours or None
            states = graph_path(
                z, settings.anchors, frames=frames, neighbours=near, average_neighbours=average
            )
        paths["path"] = states
    return paths


def _figures(
    latents: Latents,
    known: int,
    groups: Clusters,
    paths: dict[str, NDArray[np.float64]],
    settings: AnalyzeSettings,
) -> dict[str, Any]:
    return {
        "run_id": latents.run_id,
        "epoch": latents.epoch,
        "particles": len(latents),
        "particles_with_latents": known,
        "variance_fraction": principal_axes(latents.z).fraction.tolist(),
        "clusters": len(groups),
        "cluster_sizes": groups.sizes.tolist(),
        "particles_in_no_cluster": known - int(groups.sizes.sum()),
        "cluster_parameters": groups.parameters,
        "paths": {
            name: {"fewest_particles_per_state": int(frame_support(latents.z, path).count.min())}
            for name, path in paths.items()
        },
        "settings": asdict(settings),
    }


def _write_tables(
    folder: Path, latents: Latents, groups: Clusters, pictures: dict[str, Embedding]
) -> None:
    z = latents.z
    columns: dict[str, NDArray[Any]] = {"particle": latents.uid}
    columns |= {f"z{i + 1}": z[:, i] for i in range(z.shape[1])}
    found = principal_axes(z)
    with np.errstate(invalid="ignore"):
        score = (z - found.centre) @ found.axes.T
    shown = pictures["pca"].xy
    # The first two as the picture shows them.
    columns |= {f"PC{i + 1}": shown[:, i] if i < 2 else score[:, i] for i in range(z.shape[1])}
    if "umap" in pictures:
        columns |= {f"UMAP{i + 1}": pictures["umap"].xy[:, i] for i in range(2)}
    columns["cluster"] = np.where(groups.labels < 0, -1, groups.labels + 1)
    write_csv(folder / "particles.csv", columns)
    rows: dict[str, NDArray[Any]] = {
        "cluster": np.arange(1, len(groups) + 1),
        "particles": groups.sizes,
        "centre_particle": latents.uid[groups.particle],
        "centre_row": groups.particle,
    }
    rows |= {f"z{i + 1}": z[groups.particle, i] for i in range(z.shape[1])}
    write_csv(folder / "clusters.csv", rows)


def write_csv(path: Path, columns: dict[str, NDArray[Any]]) -> None:
    """Write columns of one length as a CSV table with a header."""
    with atomic_path(path) as temporary:
        pd.DataFrame(columns).to_csv(temporary, index=False, float_format="%.7g")


def _write_pictures(
    folder: Path,
    latents: Latents,
    groups: Clusters,
    pictures: dict[str, Embedding],
    paths: dict[str, NDArray[np.float64]],
) -> None:
    title = f"{len(latents):,} particles, epoch {latents.epoch}"
    path = paths.get("path")
    for name, picture in pictures.items():
        shade = colours(len(groups))
        places: list[Place] = [
            (float(picture.xy[row, 0]), float(picture.xy[row, 1]), str(i + 1), shade[i])
            for i, row in enumerate(groups.particle)
        ]
        line = None
        if path is not None and picture.axes is not None and picture.centre is not None:
            line = (path - picture.centre) @ picture.axes.T
        write_scatter(
            folder / f"{name}.png", picture.xy, picture.axis_labels,
            title=title, places=places, path_xy=line,
        )  # fmt: skip


def _free_name(folder: Path) -> Path:
    """The folder, or the first ``folder-2``, ``folder-3``... that is not there."""
    number, found = 2, folder
    while found.exists():
        found, number = folder.with_name(f"{folder.name}-{number}"), number + 1
    return found
