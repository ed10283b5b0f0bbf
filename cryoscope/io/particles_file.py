"""Particles of any program: one way in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import (
    CTFParams,
    InputError,
    Optics,
    Particles,
    ParticleSource,
    Poses,
)
from cryoscope.io.atomic import explain_os_errors
from cryoscope.io.cryodrgn_files import (
    box_lengths_A,
    read_ctf,
    read_indices,
    read_poses,
)
from cryoscope.io.cryosparc import read_cs_particles
from cryoscope.io.cryosparc_table import read_cs_table
from cryoscope.io.mrc_header import read_header
from cryoscope.io.reader_extensions import read_with_extension
from cryoscope.io.relion import read_particles
from cryoscope.io.relion_table import HALF_SET_SEED, read_particle_table
from cryoscope.io.stack import StackImages
from cryoscope.io.stack_search import find_stacks

PARTICLE_SUFFIXES = (".star", ".cs", ".csg", ".mrcs", ".mrc", ".txt")
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
    elif suffix in (".cs", ".csg"):
        particles = read_cs_particles(
            path, passthrough=passthrough, class_number=class_number, search=search
        )
    elif suffix in PARTICLE_SUFFIXES:
        particles = _read_stack(path, ctf, search)
    elif (found := read_with_extension(path, "particles")) is not None:
        particles = found
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
    elif path.suffix.lower() in (".cs", ".csg"):
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
