"""Particles and structures out, for the programs that come next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryoscope.data import InputError, Particles, Selection, Trajectory
from cryoscope.session.jobs import Job
from cryoscope.session.opening import reporting
from cryoscope.session.particle_columns import (
    Known,
    places_among,
    star_columns,
    table_columns,
)
from cryoscope.session.selecting import find_selection
from cryoscope.session.state import Session

if TYPE_CHECKING:
    from cryoscope.io.particle_export import Exported


def export_selection(
    session: Session, name: str, path: str | Path, columns: Sequence[str] = ()
) -> None:
    """Write the particles of a selection; returns at once.

    As rows of the original file (.star, .cs), as their numbers (.pkl for cryoDRGN's --ind, .txt),
    as a table with all that is known of them (.csv, .parquet), or as the selection itself (.json).

    Parameters
    ----------
    columns
        Of ``particle_columns.STAR_COLUMNS``: what stands in a .star file behind the columns of the
        original one.
    """
    target = Path(path).expanduser()
    with reporting(session):
        selection, known = find_selection(session, name), _known(session)
        particles = _particles(session)

        def export(job: Job) -> None:
            exported = write_selection(particles, selection, known, target, columns)
            session.notify("info", f"Written: {exported.words()}")

        session.pool.submit("Exporting particles", export, text=f"Writing {target.name}")


def export_table(session: Session, path: str | Path) -> None:
    """Write latents, covariates and selections of all particles as .csv or .parquet.

    Returns at once.
    """
    target = Path(path).expanduser()
    with reporting(session):
        known, opened = _known(session), session.particles
        if known.latents is None:
            raise InputError("there are no latents yet", cure="Train, or open a run folder, first.")

        def export(job: Job) -> None:
            count = write_table(None if opened is None else opened.record, known, target)
            session.notify("info", f"Table of {count:,} particles written to {target}")

        session.pool.submit("Exporting a table", export, text=f"Writing {target.name}")


def write_table(particles: Particles | None, known: Known, path: Path) -> int:
    """Write the table of all particles of the latents, in their order; how many rows that is.

    Raises
    ------
    InputError
        The particles are not those of the latents, or the file cannot be written.
    """
    from cryoscope.io.particle_tables import NAME_COLUMN, write_particle_table

    latents = known.latents
    if latents is None:
        raise InputError("there are no latents yet", cure="Train, or open a run folder, first.")
    if particles is not None and not np.array_equal(particles.uid, latents.uid):
        row = places_among(particles.uid, latents.uid)
        if (row < 0).any():
            first = int(np.flatnonzero(row < 0)[0])
            raise InputError(
                f"{latents.uid[first]} of the run is not in the file",
                file=particles.source.file,
                cure="Open the particle file that the run was trained on.",
            )
        particles = particles.take(row)
    columns = table_columns(known, latents.uid, particles, with_selections=True)
    write_particle_table(path, {NAME_COLUMN: latents.uid, **columns})
    return len(latents)


def export_trajectory(
    session: Session, path: str | Path, component: int = 1, frames: int = 10
) -> None:
    """Write the motion along a principal component as a multi-model PDB or mmCIF file.

    Returns at once. The states lie at equal steps between the 5th and 95th percentile of the
    component; the B-factor column holds every residue's RMS motion in A.
    """
    target = Path(path).expanduser()
    with reporting(session):
        if target.suffix.lower() not in (".pdb", ".cif", ".mmcif"):
            raise InputError(
                "trajectories are written as .pdb or .cif", file=target, cure="Name it so."
            )
        if session.latents is None:
            raise InputError("there are no latents yet", cure="Train, or open a run, first.")
        session.pool.submit(
            "Exporting trajectory",
            lambda job: write_component(session, target, component, frames, job),
            text=f"Writing {target.name}",
        )


def write_selection(
    particles: Particles,
    selection: Selection,
    known: Known,
    path: Path,
    columns: Sequence[str] = (),
) -> Exported:
    """Write the particles of a selection in the form that the suffix of ``path`` names.

    Raises
    ------
    InputError
        If the selection is empty, its particles are not in the file, or it cannot be written.
    """
    from cryoscope.io.particle_export import export_rows
    from cryoscope.io.particle_tables import TABLE_SUFFIXES

    mask, latents, kind = selection.mask, known.latents, path.suffix.lower()
    # The rows of the file may have another order than the run; the names decide.
    if latents is not None and not np.array_equal(latents.uid, particles.uid):
        wanted = latents.uid[mask]
        mask = np.isin(particles.uid, wanted)
        if int(mask.sum()) != len(wanted):
            raise InputError(
                f"{len(wanted) - int(mask.sum()):,} of the selected particles are not in the file",
                file=particles.source.file,
                cure="Open the particle file that the run was trained on.",
            )
    if len(mask) != len(particles):
        raise InputError(
            f"the selection is for {len(mask):,} particles, the file has {len(particles):,}",
            file=particles.source.file,
            cure="Open the particle file that the run was trained on.",
        )
    if columns and kind != ".star":
        raise InputError("columns are added to .star files only", file=path, cure="Name it .star")
    added = star_columns(known, particles.uid, columns)
    if kind in TABLE_SUFFIXES:
        added = table_columns(known, particles.uid, particles, with_selections=False)
    return export_rows(particles, mask, path, columns=added, selection=selection)


def write_component(session: Session, path: Path, component: int, frames: int, job: Job) -> None:
    """Decode the path along a principal component and write it; for jobs.

    Raises
    ------
    InputError
        If nothing decodes, the reference is not known, or the file cannot be written.
    """
    from cryoscope.analysis.trajectory import pc_path, rms_motion_A
    from cryoscope.io.structures import write_trajectory

    run, latents, embedding = session.snapshot("run", "latents", "embedding")
    if run is None or latents is None or run.reference is None:
        raise InputError("no run with a reference structure is open", cure="Open a run first.")
    z = pc_path(latents.z, component=component, frames=frames, embedding=embedding)
    decoded = session.decoder.states(z, job)
    if decoded.coords_A.shape[1] != len(run.reference):
        raise InputError(
            f"the model has {decoded.coords_A.shape[1]:,} beads, but the reference structure has "
            f"{len(run.reference):,} CA atoms",
            cure="Open the structure that the run was trained with.",
        )
    motion_A = rms_motion_A(decoded.coords_A)
    structure = replace(run.reference, b_factor_A2=np.asarray(motion_A, dtype=np.float64))
    job.check()
    write_trajectory(path, Trajectory(structure, decoded.coords_A))
    session.notify(
        "info", f"{frames} states along PC{component} written to {path}; B-factor = RMS motion in Å"
    )


def _particles(session: Session) -> Particles:
    if session.particles is None:
        raise InputError("no particle file is open", cure="Open the run's .star file.")
    return session.particles.record


def _known(session: Session) -> Known:
    latents, clusters, selections = session.snapshot("latents", "clusters", "selections")
    if latents is not None and clusters is not None and len(clusters) != len(latents):
        clusters = None
    return Known(latents, clusters, selections)
