"""``cryoscope decode``: structures and maps of chosen states."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from cryoscope.cli.decode_states import MapLook, StructureFormat, write_per_particle, write_states
from cryoscope.data import InputError


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("decode")(decode)


def decode(
    run: Annotated[Path, typer.Argument(help="Run folder", metavar="RUN")],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="New folder; with --per-particle a .npy file"),
    ],
    z: Annotated[
        Path | None,
        typer.Option(help="States to decode: latents, one per row (.npy, .npz, .csv, .txt)"),
    ] = None,
    pc: Annotated[
        int | None,
        typer.Option(help="States along this principal component, 5th to 95th percentile", min=1),
    ] = None,
    clusters: Annotated[
        int | None, typer.Option(help="Centres of this many k-means clusters, largest first")
    ] = None,
    path: Annotated[
        Path | None,
        typer.Option(help="States along straight lines between the latents in this file"),
    ] = None,
    graph: Annotated[
        str | None,
        typer.Option(
            help="States along the shortest way through the cloud of particles by way of these:"
            " 0-based numbers as 3,17,200, or a file of them (.txt, .npy)",
            metavar="NUMBERS|FILE",
        ),
    ] = None,
    drawn: Annotated[
        Path | None,
        typer.Option(
            help="States along a curve drawn in the picture of PC1 and PC2 (as `latents` writes"
            " them): points x, y (.csv, .txt)"
        ),
    ] = None,
    frames: Annotated[
        int, typer.Option(help="States along --pc, --path, --graph or --drawn", min=2, max=10_000)
    ] = 10,
    structures: Annotated[
        StructureFormat, typer.Option(help="Format of the structures; dcd adds a reference .pdb")
    ] = StructureFormat.PDB,
    atoms: Annotated[
        bool,
        typer.Option(
            "--atoms",
            help="All heavy atoms, carried along as rigid residues, instead of the backbone trace",
        ),
    ] = False,
    maps: Annotated[bool, typer.Option(help="Write a map (.mrc) of every state")] = True,
    box_px: Annotated[
        int, typer.Option(help="Box of the maps, as wide in A; 0 = the training box", min=0)
    ] = 0,
    low_pass_A: Annotated[
        float, typer.Option("--low-pass-A", help="Low-pass of the maps in A; 0 = none", min=0)
    ] = 0.0,
    b_factor_A2: Annotated[
        float,
        typer.Option("--b-factor-A2", help="Maps times exp(-B k^2 / 4): negative values sharpen"),
    ] = 0.0,
    flip_hand: Annotated[
        bool, typer.Option("--flip-hand", help="Mirror the maps (runs without atoms)")
    ] = False,
    per_particle: Annotated[
        bool,
        typer.Option(
            "--per-particle",
            help="CA (P) positions of every particle instead: (particles, residues, 3), A, float32",
        ),
    ] = False,
) -> None:
    """Decode states into structures and maps for ChimeraX and the like.

    Without a choice, ten states along the first principal component. Structures are traces of CA
    (nucleotides: P) atoms in the frame of the poses, with the chains and residue numbers of the
    reference; their B-factor column holds each residue's RMS motion over the states in A.
    motion.csv says for every residue how far it moves.
    """
    chosen = [name for name in (z, pc, clusters, path, graph, drawn) if name is not None]
    if len(chosen) + per_particle > 1:
        raise InputError(
            "more than one choice of states",
            cure="Give one of --z, --pc, --clusters, --path, --graph, --drawn",
        )
    from cryoscope.io.run_folder import RunFolder

    latents = RunFolder.open(run).load_latents()
    if per_particle:
        write_per_particle(run, latents, out)
        return
    if z is not None or path is not None:
        states = _states_from_file(z, path, latents.z.shape[1], frames)
    elif clusters is not None:
        from cryoscope.analysis.cluster import kmeans_states

        states, labels = kmeans_states(latents.z, clusters)
        sizes = np.bincount(labels[labels >= 0], minlength=clusters)
        print("particles per cluster: " + ", ".join(f"{size:,}" for size in sizes))
    elif graph is not None:
        from cryoscope.analysis.trajectory import graph_path

        states = graph_path(latents.z, _anchors(graph, len(latents)), frames=frames)
    elif drawn is not None:
        states = _drawn_states(drawn, latents.z, frames)
    else:
        from cryoscope.analysis.trajectory import pc_path

        states = pc_path(latents.z, component=pc or 1, frames=frames)
    look = MapLook(box_px, low_pass_A, b_factor_A2, flip_hand)
    write_states(run, states, out, structures=structures, maps=maps, atoms=atoms, look=look)


def _states_from_file(
    z: Path | None, path: Path | None, dims: int, frames: int
) -> NDArray[np.float64]:
    from cryoscope.cli.latent_file import read_states

    if z is not None:
        return read_states(z, dims)
    assert path is not None
    stops = read_states(path, dims)
    if len(stops) < 2:
        raise InputError("a path needs at least two states", file=path, cure="Add a row")
    from cryoscope.analysis.trajectory import straight_path

    return straight_path(stops, frames)


def _anchors(graph: str, count: int) -> NDArray[np.int64]:
    """0-based numbers of particles: in so many words, or from a file."""
    from cryoscope.cli.results import particle_numbers

    words = graph.replace(",", " ").split()
    if words and all(word.isdecimal() and len(word) < 12 for word in words):
        return np.array([int(word) for word in words], dtype=np.int64)
    if not Path(graph).is_file():
        raise InputError(
            f"--graph {graph!r} is neither particle numbers nor a file",
            cure="Write e.g. --graph 3,17,200",
        )
    return particle_numbers(Path(graph), count)


def _drawn_states(file: Path, z: NDArray[np.float32], frames: int) -> NDArray[np.float64]:
    from cryoscope.analysis.reduce import pca_embedding
    from cryoscope.analysis.trajectory import drawn_path
    from cryoscope.cli.latent_file import read_curve

    return drawn_path(read_curve(file), pca_embedding(z).xy, z, frames=frames)
