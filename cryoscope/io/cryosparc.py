"""cryoSPARC particles: read with their images, and subsets of the user's own file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryoscope.data import ImageSource, InputError, Particles, ParticleSource
from cryoscope.io.atomic import atomic_path
from cryoscope.io.cryosparc_table import CryosparcTable, read_cs, read_cs_table
from cryoscope.io.image_names import refuse_climbing
from cryoscope.io.relion_table import HALF_SET_SEED
from cryoscope.io.stack import StackImages
from cryoscope.io.stack_search import find_stacks, refuse_mixed_sampling


def read_cs_particles(
    cs: str | Path,
    *,
    passthrough: str | Path | None = None,
    class_number: int | None = None,
    search: Sequence[str | Path] = (),
) -> Particles:
    """Read a cryoSPARC particle file; images stay on the disk until they are asked for.

    Half-sets are ``alignments3D/split`` where particles are in both, else a seeded random split.

    Parameters
    ----------
    cs
        Particles of a job (.cs), or a result group (.csg).
    passthrough, class_number
        See `read_cs_table`.
    search
        Further folders to look for stacks in; else as for RELION files, so that a project folder
        above the job folder is found.

    Raises
    ------
    InputError
        See `read_cs_table` for the file, `StackImages.open` for the stacks; mixed sampling.
    """
    table = read_cs_table(cs, passthrough=passthrough, class_number=class_number)
    cs = table.path  # of a group, the file with the images
    one_sampling(table)
    files = find_stacks(table.stack_names, table.stack_index, cs, search)
    images = StackImages.open(files, table.stack_index, table.frame, table=cs)
    announced = table.optics[0].box_size_px
    if announced != images.box_size_px:
        raise InputError(
            f"blob/shape is {announced} but the images of {files[0]} are {images.box_size_px} px: "
            "their pixel size is unknown",
            file=cs,
            row=1,
            cure="Give the stacks that belong to this file",
        )
    return cs_particles(table, images)


def one_sampling(table: CryosparcTable) -> None:
    """Refuse particles whose pixel or box sizes differ (InputError)."""
    groups, first = np.unique(table.ctf.optics_group, return_index=True)
    refuse_mixed_sampling([table.optics[group] for group in groups.tolist()], first, table.path)


def cs_particles(table: CryosparcTable, images: ImageSource) -> Particles:
    """The particles of a table, with the images that belong to its rows."""
    return Particles(
        images=images,
        optics=tuple(replace(group, box_size_px=images.box_size_px) for group in table.optics),
        ctf=table.ctf,
        poses=table.poses,
        half_set=_half_set(table),
        uid=table.uid,
        source=ParticleSource(table.path.absolute(), np.arange(len(table.uid), dtype=np.int64)),
    )


def export_cs_subset(particles: Particles, mask: ArrayLike, out: str | Path) -> None:
    """Write the records of the user's own file that belong to some particles, every field kept.

    cryoSPARC joins such a file to the job by ``uid`` (Import Result Group, or cryosparc-tools).

    Parameters
    ----------
    particles
        Particles read by `read_cs_particles` (or taken from such).
    mask
        (N,) True for the particles to write.
    out
        File to write (atomically).

    Raises
    ------
    InputError
        The selection is empty, the file has changed since it was read, or `out` is that file or
        cannot be written.
    """
    chosen = np.asarray(mask, dtype=bool)
    if chosen.shape != (len(particles),):
        raise ValueError(f"a mask of shape {chosen.shape} for {len(particles)} particles")
    out, file = Path(out), particles.source.file
    if not chosen.any():
        raise InputError("the selection is empty", file=file, cure="Select some particles")
    if out.absolute() == file or (out.exists() and out.samefile(file)):
        raise InputError(
            "this is the file that the particles come from", file=out, cure="Choose another --out"
        )
    records, row = read_cs(file), particles.source.row[chosen]
    same = "uid" in (records.dtype.names or ()) and row.max() < len(records)
    subset = records[row] if same else None
    if subset is None or not np.array_equal(subset["uid"].astype(np.str_), particles.uid[chosen]):
        raise InputError(
            "the file has changed since it was read", file=file, cure="Read the particles again"
        )
    if "blob/path" in (subset.dtype.names or ()):
        named, first = np.unique(subset["blob/path"], return_index=True)
        texts = np.char.decode(named, "utf-8", "replace") if named.dtype.kind == "S" else named
        refuse_climbing(texts.astype(np.str_), row[first], file)
    with atomic_path(out, needed_bytes=subset.nbytes) as temporary, temporary.open("wb") as stream:
        np.save(stream, np.asarray(subset), allow_pickle=False)


def _half_set(table: CryosparcTable) -> NDArray[np.int8]:
    if table.half_set is not None:
        return table.half_set
    # Particles of one image (after symmetry expansion) go to one half.
    pairs = np.stack([table.stack_index, table.frame], axis=1)
    image = np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1)
    half = np.arange(int(image.max()) + 1) % 2 + 1
    return np.random.default_rng(HALF_SET_SEED).permutation(half)[image].astype(np.int8)
