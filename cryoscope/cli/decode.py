"""``cryoscope decode``: structures and maps of chosen states."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from cryoscope.cli.console import StageProgress
from cryoscope.data import InputError, Latents, Structure, Trajectory

if TYPE_CHECKING:
    from cryoscope.training.decoding import Decoder

_CHUNK = 1024


class StructureFormat(StrEnum):
    """How structures are written."""

    PDB = "pdb"
    CIF = "cif"
    DCD = "dcd"
    NONE = "none"


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
    frames: Annotated[
        int, typer.Option(help="States along --pc or --path", min=2, max=10_000)
    ] = 10,
    structures: Annotated[
        StructureFormat, typer.Option(help="Format of the structures; dcd adds a reference .pdb")
    ] = StructureFormat.PDB,
    maps: Annotated[bool, typer.Option(help="Write a map (.mrc) of every state")] = True,
    per_particle: Annotated[
        bool,
        typer.Option(
            "--per-particle",
            help="CA positions of every particle instead: (particles, residues, 3), A, float32",
        ),
    ] = False,
) -> None:
    """Decode states into structures and maps for ChimeraX and the like.

    Without a choice, ten states along the first principal component. Structures are CA traces in
    the frame of the poses; their B-factor column holds each residue's RMS motion over the states
    in A.
    """
    chosen = [name for name in (z, pc, clusters, path) if name is not None]
    if len(chosen) + per_particle > 1:
        raise InputError(
            "more than one choice of states", cure="Give one of --z, --pc, --clusters, --path"
        )
    from cryoscope.io.run_folder import RunFolder

    latents = RunFolder.open(run).load_latents()
    if per_particle:
        write_per_particle(run, latents, out)
        return
    dims = latents.z.shape[1]
    if z is not None or path is not None:
        states = _states_from_file(z, path, dims, frames)
    elif clusters is not None:
        from cryoscope.analysis.cluster import kmeans_states

        states, labels = kmeans_states(latents.z, clusters)
        sizes = np.bincount(labels[labels >= 0], minlength=clusters)
        print("particles per cluster: " + ", ".join(f"{size:,}" for size in sizes))
    else:
        from cryoscope.analysis.trajectory import pc_path

        states = pc_path(latents.z, component=pc or 1, frames=frames)
    write_states(run, states, out, structures=structures, maps=maps)


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


def ca_model(decoder: Decoder) -> Structure:
    """The reference as one CA atom per residue of the model."""
    from cryoscope.session.shown import ca_trace

    trace = ca_trace(decoder.structure)
    if len(trace) != decoder.bead_count:
        raise InputError(
            f"the model has {decoder.bead_count:,} residues, its reference {len(trace):,} CA atoms",
            cure="Restore reference.pdb in the run folder",
        )
    return trace


def write_states(
    run: Path, z: NDArray[np.floating], out: Path, *, structures: StructureFormat, maps: bool
) -> None:
    """Decode (states, d) latents into a new folder and print what was written."""
    from cryoscope.io.atomic import atomic_folder, write_text_atomic
    from cryoscope.io.mrc import write_volume
    from cryoscope.training.decoding import load_decoder

    decoder = load_decoder(run)
    coords_A = decoder.coords_A(z)
    header = ",".join(["state", *(f"z{i + 1}" for i in range(z.shape[1]))])
    rows = [",".join([str(i + 1), *(f"{v:.7g}" for v in state)]) for i, state in enumerate(z)]
    states = f"states.{structures.value}"
    with atomic_folder(out) as folder, StageProgress() as progress:
        write_text_atomic(folder / "states.csv", "\n".join([header, *rows]) + "\n")
        if structures is not StructureFormat.NONE:
            write_models(decoder, coords_A, folder / states)
        if maps:
            for number, state in enumerate(z, start=1):
                write_volume(folder / f"state-{number:03d}.mrc", decoder.volume(state))
                progress.update("maps", number, len(z))
    print(f"latents     {out / 'states.csv'}")
    if structures is not StructureFormat.NONE:
        print(f"structures  {out / states} ({len(z)} models, CA atoms)")
    if maps:
        print(
            f"maps        {out / 'state-001.mrc'} to {len(z):03d}, {decoder.optics.box_size_px} px"
        )


def write_models(decoder: Decoder, coords_A: NDArray[np.floating], file: Path) -> None:
    """Write decoded (states, residues, 3) positions as .pdb, .cif, or .dcd with its .pdb."""
    from cryoscope.analysis.trajectory import rms_motion_A
    from cryoscope.io.dcd import write_dcd
    from cryoscope.io.structures import write_structure, write_trajectory

    model = replace(ca_model(decoder), b_factor_A2=rms_motion_A(coords_A))
    if file.suffix.lower() == ".dcd":
        write_structure(file.with_suffix(".pdb"), model.with_coords(coords_A[0]))
        write_dcd(file, coords_A)
    else:
        write_trajectory(file, Trajectory(model, coords_A))


def write_per_particle(run: Path, latents: Latents, out: Path) -> None:
    """Write CA positions of every particle as one .npy file, NaN where there is no latent."""
    from cryoscope.analysis.reduce import finite_rows
    from cryoscope.io.atomic import atomic_path
    from cryoscope.training.decoding import load_decoder

    if out.suffix.lower() != ".npy":
        raise InputError("coordinates are written as .npy", file=out, cure="Name it so")
    decoder = load_decoder(run)
    shape = (len(latents), decoder.bead_count, 3)
    with (
        StageProgress() as progress,
        atomic_path(out, needed_bytes=12 * shape[0] * shape[1]) as part,
        part.open("wb") as file,
    ):
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for begin in range(0, len(latents), _CHUNK):
            rows = latents.z[begin : begin + _CHUNK]
            known = finite_rows(rows)
            coords_A = np.full((len(rows), *shape[1:]), np.nan, dtype="<f4")
            if known.any():
                coords_A[known] = decoder.coords_A(rows[known])
            file.write(coords_A.tobytes())
            progress.update("decoding particles", begin + len(rows), len(latents))
    print(f"CA positions of {shape[0]:,} particles x {shape[1]:,} residues in A: {out}")
