"""RELION particles: read with their images, written anew, and exported as rows of their file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryoscope.conventions import relion_deg_from_rotation, relion_origin_from_shift_A
from cryoscope.data import CTFParams, InputError, Optics, Particles, ParticleSource, Poses
from cryoscope.io.image_names import refuse_climbing
from cryoscope.io.relion_table import read_particle_table
from cryoscope.io.stack import StackImages
from cryoscope.io.stack_search import find_stacks
from cryoscope.io.star import read_star, write_star, write_star_rows


def read_particles(star: str | Path, *, search: Sequence[str | Path] = ()) -> Particles:
    """Read a RELION particle file; images stay on the disk until they are asked for.

    Stacks are looked for as they are named (from the working folder), from the file's folder and
    its parents, from the `search` folders, and by their bare name in the file's folder and the
    `search` folders.

    Parameters
    ----------
    star
        Particles of RELION 3.0, 3.1, 4 or 5.
    search
        Further folders to look for stacks in.

    Raises
    ------
    InputError
        See `read_particle_table` for the file, `StackImages.open` for the stacks; all missing
        stacks are reported at once.
    """
    star = Path(star)
    table = read_particle_table(star)
    files = find_stacks(table.stack_names, table.stack_index, star, search)
    images = StackImages.open(files, table.stack_index, table.frame, table=star)
    announced = table.optics[0].box_size_px
    if announced not in (0, images.box_size_px):
        raise InputError(
            f"_rlnImageSize is {announced} but the images of {files[0]} are "
            f"{images.box_size_px} px: their pixel size is unknown",
            file=star,
            row=1,
            cure="Give the stacks that belong to this file, or correct _rlnImageSize and "
            "_rlnImagePixelSize",
        )
    return Particles(
        images=images,
        optics=tuple(replace(group, box_size_px=images.box_size_px) for group in table.optics),
        ctf=table.ctf,
        poses=table.poses,
        half_set=table.half_set,
        uid=table.uid,
        source=ParticleSource(star.absolute(), np.arange(len(table.uid), dtype=np.int64)),
    )


def export_subset(
    particles: Particles,
    mask: ArrayLike,
    out: str | Path,
    *,
    columns: Mapping[str, ArrayLike] | None = None,
) -> None:
    """Write the rows of the user's own file that belong to some particles, unchanged.

    Parameters
    ----------
    particles
        Particles read by `read_particles` (or taken from such).
    mask
        (N,) True for the particles to write.
    out
        File to write (atomically).
    columns
        See `star.write_star_rows`.

    Raises
    ------
    InputError
        The selection is empty, the file has changed since it was read, or `out` is that file or
        cannot be written.
    """
    chosen = np.asarray(mask, dtype=bool)
    if chosen.shape != (len(particles),):
        raise ValueError(f"a mask of shape {chosen.shape} for {len(particles)} particles")
    row = particles.source.row[chosen]
    star = read_star(particles.source.file)
    block = star.particle_block()
    inside = row < block.rows
    names, wanted = block.text("_rlnImageName", row[inside]), particles.uid[chosen][inside]
    for place in np.flatnonzero(names != wanted).tolist():
        uid, name = str(wanted[place]), str(names[place])
        if uid.rpartition("#")[0] != name:
            raise InputError(
                f"the file has changed since it was read ({uid} is now {name})",
                file=star.path,
                row=int(row[inside][place]) + 1,
                cure="Read the particles again",
            )
    write_star_rows(star, row, out, columns=columns)


def write_particle_star(
    path: str | Path, particles: Particles, image_names: Sequence[str] | NDArray[np.str_]
) -> None:
    """Write particles as a new RELION 3.1+ file (atomically).

    Parameters
    ----------
    path
        File to write.
    particles
        N particles; without poses, no angles and origins are written.
    image_names
        (N,) ``000001@stack.mrcs``, relative to the folder of `path`.

    Raises
    ------
    InputError
        A name cannot stand in a STAR file, or the file cannot be written.
    """
    write_metadata_star(
        path,
        particles.optics,
        particles.ctf,
        particles.poses,
        image_names,
        half_set=particles.half_set,
    )


def write_metadata_star(
    path: str | Path,
    groups: Sequence[Optics],
    ctf: CTFParams,
    poses: Poses | None,
    image_names: Sequence[str] | NDArray[np.str_],
    *,
    half_set: NDArray[np.int8] | None = None,
) -> None:
    """As `write_particle_star`, of particles whose images need not be there."""
    optics: dict[str, ArrayLike] = {
        "rlnOpticsGroupName": [group.name for group in groups],
        "rlnOpticsGroup": np.arange(1, len(groups) + 1),
        "rlnImagePixelSize": [group.pixel_size_A for group in groups],
        "rlnImageSize": [group.box_size_px for group in groups],
        "rlnVoltage": [group.voltage_kv for group in groups],
        "rlnSphericalAberration": [group.spherical_aberration_mm for group in groups],
        "rlnAmplitudeContrast": [group.amplitude_contrast for group in groups],
        "rlnImageDimensionality": np.full(len(groups), 2),
    }
    named = np.asarray(image_names, dtype=np.str_)
    refuse_climbing(named, np.arange(len(named)), Path(path))
    rows: dict[str, ArrayLike] = {"rlnImageName": named}
    if poses is not None:
        names = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst")
        euler_deg = relion_deg_from_rotation(poses.rotation)
        origin_A = relion_origin_from_shift_A(poses.shift_A)
        rows |= dict(zip(names, (*euler_deg.T, *origin_A.T), strict=True))
    rows |= {
        "rlnDefocusU": ctf.defocus_u_A,
        "rlnDefocusV": ctf.defocus_v_A,
        "rlnDefocusAngle": ctf.defocus_angle_deg,
        "rlnPhaseShift": ctf.phase_shift_deg,
        "rlnCtfBfactor": ctf.b_factor_A2,
        "rlnCtfScalefactor": ctf.scale,
        "rlnOpticsGroup": ctf.optics_group + 1,
    }
    if half_set is not None:
        rows["rlnRandomSubset"] = half_set.astype(np.int64)
    write_star(path, {"optics": optics, "particles": rows})
