"""Particles and structures out, for the programs that come next."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from cryoscope.data import InputError, Latents, Particles, Selection, Trajectory
from cryoscope.session.jobs import Job
from cryoscope.session.opening import reporting
from cryoscope.session.selecting import find_selection
from cryoscope.session.state import Session


def export_selection(session: Session, name: str, path: str | Path) -> None:
    """Write the particles of a selection; returns at once.

    As rows of the original file (.star, .cs), or as their numbers for cryoDRGN's --ind (.pkl).
    """
    target = Path(path).expanduser()
    with reporting(session):
        selection, latents = find_selection(session, name), session.latents
        particles = _particles(session)

        def export(job: Job) -> None:
            write_selection(particles, selection, latents, target)
            session.notify("info", f"{len(selection):,} particles written to {target}")

        session.pool.submit("Exporting particles", export, text=f"Writing {target.name}")


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
    particles: Particles, selection: Selection, latents: Latents | None, path: Path
) -> None:
    """Write the particles of a selection as rows of the original file, or as row numbers.

    Raises
    ------
    InputError
        If the selection is empty, its particles are not in the file, or it cannot be written.
    """
    from cryoscope.io.particles_file import export_rows

    mask = selection.mask
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
    export_rows(particles, mask, path)


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
