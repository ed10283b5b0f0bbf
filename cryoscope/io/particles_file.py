"""Particles of any program: one way in, and selections out as rows of the user's own file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryoscope.data import (
    CTFParams,
    InputError,
    Optics,
    Particles,
    ParticleSource,
    Poses,
    Selection,
)
from cryoscope.io.atomic import explain_os_errors, write_text_atomic
from cryoscope.io.cryodrgn_files import (
    box_lengths_A,
    read_ctf,
    read_indices,
    read_poses,
    write_indices,
)
from cryoscope.io.cryosparc import export_cs_subset, read_cs_particles
from cryoscope.io.cryosparc_table import read_cs_table
from cryoscope.io.export_record import record_path, write_record
from cryoscope.io.mrc_header import read_header
from cryoscope.io.relion import export_subset, read_particles
from cryoscope.io.relion_table import HALF_SET_SEED, read_particle_table
from cryoscope.io.selections_file import write_selections
from cryoscope.io.stack import StackImages
from cryoscope.io.stack_search import find_stacks

PARTICLE_SUFFIXES = (".star", ".cs", ".mrcs", ".mrc", ".txt")
EXPORTED_SUFFIXES = (".star", ".cs", ".pkl", ".txt", ".json")
_NAME_LENGTH = 200
_LARGEST_LIST_BYTES = 1 << 26


@dataclass(frozen=True)
class ParticleMetadata:
    """What is known of N particles without their images; optics groups may differ in sampling.

    ``image_names`` are ``000001@stack``; ``uid`` are the file's own names of the particles.
    """

    image_names: list[str]
    uid: NDArray[np.str_]
    optics: tuple[Optics, ...]
    ctf: CTFParams
    poses: Poses | None


def read_any(
    path: str | Path,
    *,
    pose: str | Path | None = None,
    ctf: str | Path | None = None,
    ind: str | Path | None = None,
    passthrough: str | Path | None = None,
    class_number: int | None = None,
    search: Sequence[str | Path] = (),
) -> Particles:
    """Read particles of RELION, cryoSPARC or cryoDRGN.

    Parameters
    ----------
    path
        ``.star``, ``.cs``, or a stack (``.mrcs``, ``.mrc``, ``.txt`` list of stacks) with `ctf`.
    pose, ctf
        cryoDRGN's ``pose.pkl`` and ``ctf.pkl`` of all images of `path`; they take the place of
        what `path` says.
    ind
        cryoDRGN's ``ind.pkl``: take these particles of `path`, in this order.
    passthrough, class_number
        See `cryosparc.read_cs_particles`.
    search
        Further folders to look for stacks in.

    Raises
    ------
    InputError
        Anything in the files that cannot be used; counts that differ between them.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".star":
        particles = read_particles(path, search=search)
    elif suffix == ".cs":
        particles = read_cs_particles(
            path, passthrough=passthrough, class_number=class_number, search=search
        )
    elif suffix in PARTICLE_SUFFIXES:
        particles = _read_stack(path, ctf, search)
    else:
        raise InputError(
            "this kind of file holds no particles",
            file=path,
            cure=f"Give one of {', '.join(PARTICLE_SUFFIXES)}",
        )
    if ctf is not None:
        table, optics = read_ctf(ctf, particles.box_size_px)
        _same_count(len(table), len(particles), ctf, path)
        particles = replace(particles, ctf=table, optics=optics)
    if pose is not None:
        poses = read_poses(pose, 1.0)
        _same_count(len(poses), len(particles), pose, path)
        # Shifts are fractions of the box, which may differ between optics groups.
        length_A = box_lengths_A(particles.ctf, particles.optics)
        poses = Poses(poses.rotation, poses.shift_A * length_A[:, None])
        particles = replace(particles, poses=poses)
    return particles if ind is None else particles.take(read_indices(ind, len(particles)))


def read_metadata(
    path: str | Path, *, passthrough: str | Path | None = None, class_number: int | None = None
) -> ParticleMetadata:
    """Read what a ``.star`` or ``.cs`` file says of its particles; their stacks may be absent.

    Raises
    ------
    InputError
        As of `read_particle_table` and `read_cs_table`; mixed sampling is accepted here.
    """
    path = Path(path)
    if path.suffix.lower() == ".star":
        star = read_particle_table(path, mixed_sampling=True)
        names, index, frame = star.stack_names, star.stack_index, star.frame
        uid, optics, ctf, poses = star.uid, star.optics, star.ctf, star.poses
    elif path.suffix.lower() == ".cs":
        cs = read_cs_table(path, passthrough=passthrough, class_number=class_number)
        names, index, frame = cs.stack_names, cs.stack_index, cs.frame
        uid, optics, ctf, poses = cs.uid, cs.optics, cs.ctf, cs.poses
    else:
        raise InputError(
            "this kind of file has no table of particles", file=path, cure="Give a .star or .cs"
        )
    pairs = zip(frame.tolist(), index.tolist(), strict=True)
    return ParticleMetadata(
        [f"{image + 1:06d}@{names[stack]}" for image, stack in pairs], uid, optics, ctf, poses
    )


def known_box(metadata: ParticleMetadata, path: Path) -> int:
    """Box in pixels of the first stack of a particle file; 0 where it is not there."""
    first = metadata.image_names[0].partition("@")[2]
    try:
        found = find_stacks([first], np.zeros(1, dtype=np.int64), path)
        return read_header(found[0]).shape[2]
    except InputError:
        return 0


def export_rows(particles: Particles, mask: ArrayLike, out: str | Path) -> None:
    """Write some particles in the form that the suffix of `out` names.

    ``.star`` and ``.cs`` hold the rows of the user's own file, unchanged; ``.pkl`` (cryoDRGN's
    ``--ind``) and ``.txt`` the 0-based numbers of these rows. Beside each stands a record of the
    file, its rows, their order and hashes (see `export_record`). ``.json`` holds the selection and
    the names of its particles. `particle_matching.match_particles` reads all of them back.

    Raises
    ------
    InputError
        The selection is empty, the particles come from a file of another kind, or `out` cannot be
        written.
    """
    out, chosen = Path(out), np.asarray(mask, dtype=bool)
    kind, source = out.suffix.lower(), particles.source.file
    if kind not in EXPORTED_SUFFIXES:
        raise InputError(
            f"particles are written as {', '.join(EXPORTED_SUFFIXES)}", file=out, cure="Name it so."
        )
    if chosen.shape != (len(particles),):
        raise ValueError(f"a mask of shape {chosen.shape} for {len(particles)} particles")
    if not chosen.any():
        raise InputError("the selection is empty", file=out, cure="Select some particles")
    if kind == ".json":
        made_by = {"kind": "export", "source": str(source)}
        selection = Selection(out.stem[:_NAME_LENGTH], chosen, made_by=made_by)
        write_selections(out, [selection], uid=particles.uid)
        return
    if kind in (".star", ".cs") and source.suffix.lower() != kind:
        raise InputError(
            f"the particles come from {source.name}, whose rows cannot be written as {kind}",
            file=out,
            cure=f"Name the output {source.suffix.lower()}, or .pkl for row numbers",
        )
    with explain_os_errors(out):
        record_path(out).unlink(missing_ok=True)  # of an older export: it would not fit
    place = np.flatnonzero(chosen)
    if kind == ".star":
        export_subset(particles, chosen, out)
    elif kind == ".cs":
        export_cs_subset(particles, chosen, out)
    else:
        write_row_numbers(out, particles.source.row[chosen])
    expanded = kind == ".star" and any("#" in uid for uid in particles.uid[place].tolist())
    numbered = kind in (".pkl", ".txt")
    row = particles.source.row[place]
    write_record(out, source, particles.uid, place, row, list_names=expanded or numbered)


def write_row_numbers(out: Path, row: NDArray[np.integer]) -> None:
    """Write 0-based row numbers as ``.pkl`` (one int64 array) or as text, one per line."""
    if out.suffix.lower() == ".pkl":
        write_indices(out, row)
    else:
        write_text_atomic(out, "".join(f"{number}\n" for number in row.tolist()))


def _read_stack(path: Path, ctf: str | Path | None, search: Sequence[str | Path]) -> Particles:
    if ctf is None:
        raise InputError(
            "an image stack alone has no CTF and no pixel size",
            file=path,
            cure="Give its .star or .cs file, or ctf.pkl and pose.pkl beside the stack",
        )
    names = _listed(path) if path.suffix.lower() == ".txt" else [str(path.absolute())]
    first = np.arange(len(names), dtype=np.int64)
    files = find_stacks(names, first, path, search)
    lengths = [read_header(file).shape[0] for file in files]
    stack_index = np.repeat(first, lengths)
    frame = np.concatenate([np.arange(length, dtype=np.int64) for length in lengths])
    images = StackImages.open(files, stack_index, frame, table=path)
    table, optics = read_ctf(ctf, images.box_size_px)
    _same_count(len(table), len(images), ctf, path)
    half = np.arange(len(frame)) % 2 + 1
    pairs = zip(frame.tolist(), stack_index.tolist(), strict=True)
    return Particles(
        images=images,
        optics=optics,
        ctf=table,
        poses=None,
        half_set=np.random.default_rng(HALF_SET_SEED).permutation(half).astype(np.int8),
        uid=np.array([f"{image + 1:06d}@{Path(names[stack]).name}" for image, stack in pairs])
        if len({Path(name).name for name in names}) == len(names)
        else np.array([f"{row + 1:06d}@{path.name}" for row in range(len(frame))]),
        source=ParticleSource(path.absolute(), np.arange(len(frame), dtype=np.int64)),
    )


def _listed(path: Path) -> list[str]:
    """Names of the stacks in a cryoDRGN .txt list."""
    with explain_os_errors(path, action="read"):
        if path.stat().st_size > _LARGEST_LIST_BYTES:
            raise InputError("this is too large for a list of stacks", file=path)
        text = path.read_text(encoding="utf-8", errors="replace")
    names = [line.strip() for line in text.splitlines() if line.strip()]
    if not names or any("\0" in name for name in names):
        raise InputError(
            "the file lists no stacks", file=path, cure="Name one .mrcs file on every line"
        )
    return names


def _same_count(found: int, wanted: int, file: str | Path, particles: Path) -> None:
    if found != wanted:
        raise InputError(
            f"it is for {found:,} particles, but {particles.name} has {wanted:,}",
            file=file,
            cure="Give the file that was made for these particles",
        )
