"""The pickles that cryoDRGN passes from command to command: poses, CTF, indices, latents, labels.

``pose.pkl`` holds RELION's rotation matrices (ours, convention 4) and RELION's origins as a
fraction of the box; ``ctf.pkl`` one row of box size (px), pixel size (A), defocus U and V (A),
astigmatism angle (deg), voltage (kV), spherical aberration (mm), amplitude contrast and phase
shift (deg) per particle, box and pixel size as the particles were extracted. ``ind.pkl`` counts the
images of the stack from 0. ``z.N.pkl`` holds the latents, and after them, in a pickle of its own,
their log-variances where the model has any.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryoscope.conventions import relion_origin_from_shift_A, shift_from_relion_origin_A
from cryoscope.data import CTFParams, InputError, Optics, Poses
from cryoscope.io.cryosparc_table import shortest_decimal
from cryoscope.io.safe_pickle import read_pickles, write_pickles

CTF_COLUMNS = 9
_ORTHOGONAL = 1e-3
_LARGEST_FRACTION = 1.0


def read_poses(path: str | Path, box_length_A: float | NDArray[np.floating]) -> Poses:
    """Read a ``pose.pkl``.

    Parameters
    ----------
    box_length_A
        Side of the images in A (one for all, or (N,)), which shifts are fractions of.

    Raises
    ------
    InputError
        Not a pose.pkl; matrices that are no rotations; shifts beyond the box, as in the
        ``pose.N.pkl`` of ab-initio runs, which count pixels.
    """
    (content,) = _read(path, "poses", at_most=1)
    parts = content if isinstance(content, tuple | list) else (content,)
    rotation = _numbers(parts[0], path, (-1, 3, 3), "rotation matrices") if parts else None
    if rotation is None or len(parts) > 2:
        raise InputError("this holds no poses", file=path, cure="Give a pose.pkl of cryoDRGN")
    with np.errstate(all="ignore"):  # of what are no rotations, and found below
        identity = np.einsum("nij,nkj->nik", rotation, rotation) - np.eye(3)
        orthogonal = np.abs(identity).max(axis=(1, 2)) <= _ORTHOGONAL  # False for NaN
        wrong = ~orthogonal | (np.linalg.det(rotation) < 0)
    if wrong.any():
        raise InputError(
            f"a matrix is no rotation ({int(wrong.sum()):,} such particles)",
            file=path,
            row=int(np.flatnonzero(wrong)[0]) + 1,
            cure="Make the file anew",
        )
    if len(parts) == 1:
        return Poses(rotation, np.zeros((len(rotation), 2)))
    fraction = _numbers(parts[1], path, (len(rotation), 2), "shifts")
    far = np.abs(fraction).max(axis=1, initial=0.0) > _LARGEST_FRACTION
    if far.any():
        raise InputError(
            "a shift is longer than the box: shifts must be fractions of it",
            file=path,
            row=int(np.flatnonzero(far)[0]) + 1,
            cure="Divide them by the box size in pixels (ab-initio runs write pixels)",
        )
    length_A = np.broadcast_to(np.asarray(box_length_A, dtype=np.float64), (len(rotation),))
    return Poses(rotation, shift_from_relion_origin_A(fraction * length_A[:, None]))


def write_poses(path: str | Path, poses: Poses, box_length_A: float | NDArray[np.floating]) -> None:
    """Write a ``pose.pkl``, atomically; `box_length_A` as of `read_poses`.

    Raises
    ------
    InputError
        A shift is longer than the box, which cryoDRGN would refuse.
    """
    length_A = np.broadcast_to(np.asarray(box_length_A, dtype=np.float64), (len(poses),))
    fraction = relion_origin_from_shift_A(poses.shift_A) / length_A[:, None]
    far = np.flatnonzero(np.abs(fraction).max(axis=1, initial=0.0) > _LARGEST_FRACTION)
    if len(far):
        raise InputError(
            "a particle lies outside its image, which cryoDRGN refuses",
            file=path,
            row=int(far[0]) + 1,
            cure="Remove such particles, or extract them again around their centres",
        )
    rotation = np.asarray(poses.rotation, dtype=np.float64)
    write_pickles(path, (rotation, np.asarray(fraction, dtype=np.float64)))


def read_ctf(path: str | Path, box_size_px: int = 0) -> tuple[CTFParams, tuple[Optics, ...]]:
    """Read a ``ctf.pkl``.

    Parameters
    ----------
    box_size_px
        Box of the images now, where they were Fourier-cropped after extraction; 0 = as extracted.
        Every particle keeps its own field of view (cryoDRGN takes the first one's for all).

    Returns
    -------
    CTF parameters of N particles, and the optics groups of distinct sampling and microscope.

    Raises
    ------
    InputError
        Not a ctf.pkl, or values that make no sense.
    """
    (content,) = _read(path, "CTF parameters", at_most=1)
    table = _numbers(content, path, (-1, CTF_COLUMNS), "CTF parameters")
    sane = (table[:, 0] >= 2) & (table[:, 0] <= 65_536) & (table[:, 1] > 0) & (table[:, 5] > 0)
    sane &= (table[:, 7] >= 0) & (table[:, 7] <= 1)
    if not sane.all():
        raise InputError(
            "box size, pixel size, voltage or amplitude contrast makes no sense",
            file=path,
            row=int(np.flatnonzero(~sane)[0]) + 1,
            cure="Make the file anew",
        )
    columns = table[:, [0, 1, 5, 6, 7]]
    _, first, code = np.unique(columns, axis=0, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    groups = []
    for number, row in enumerate(np.sort(first).tolist(), start=1):
        box, pixel_size_A, *rest = map(shortest_decimal, columns[row].tolist())
        voltage_kv, aberration_mm, amplitude = rest
        name = f"opticsGroup{number}"
        optics = Optics(pixel_size_A, int(box), voltage_kv, aberration_mm, amplitude, name)
        groups.append(optics.cropped(box_size_px) if box_size_px else optics)
    ctf = CTFParams(
        defocus_u_A=table[:, 2],
        defocus_v_A=table[:, 3],
        defocus_angle_deg=table[:, 4],
        phase_shift_deg=table[:, 8],
        b_factor_A2=np.zeros(len(table)),
        scale=np.ones(len(table)),
        optics_group=rank[code.reshape(-1)].astype(np.int64),
    )
    return ctf, tuple(groups)


def write_ctf(path: str | Path, ctf: CTFParams, optics: Sequence[Optics]) -> None:
    """Write a ``ctf.pkl``, atomically: every particle with the sampling of its own group.

    Raises
    ------
    InputError
        A box size is not known (0).
    """
    if any(group.box_size_px <= 0 for group in optics):
        raise InputError(
            "the box size is not known", file=path, cure="Say it, in pixels, with --box-px"
        )
    write_pickles(path, ctf_columns(ctf, optics))


def ctf_columns(ctf: CTFParams, optics: Sequence[Optics]) -> NDArray[np.float32]:
    """(N, 9) the columns of a ``ctf.pkl``."""
    table = np.empty((len(ctf), CTF_COLUMNS), dtype=np.float32)
    group = ctf.optics_group
    table[:, 0] = np.array([o.box_size_px for o in optics])[group]
    table[:, 1] = np.array([o.pixel_size_A for o in optics])[group]
    table[:, 2], table[:, 3] = ctf.defocus_u_A, ctf.defocus_v_A
    table[:, 4] = ctf.defocus_angle_deg
    table[:, 5] = np.array([o.voltage_kv for o in optics])[group]
    table[:, 6] = np.array([o.spherical_aberration_mm for o in optics])[group]
    table[:, 7] = np.array([o.amplitude_contrast for o in optics])[group]
    table[:, 8] = ctf.phase_shift_deg
    return table


def box_lengths_A(ctf: CTFParams, optics: Sequence[Optics]) -> NDArray[np.float64]:
    """(N,) side of every particle's image."""
    length_A = np.array([o.pixel_size_A * o.box_size_px for o in optics], dtype=np.float64)
    return np.asarray(length_A[ctf.optics_group])


def read_indices(path: str | Path, count: int | None = None) -> NDArray[np.int64]:
    """Read an ``ind.pkl``: 0-based numbers of images, in its order.

    Parameters
    ----------
    count
        Number of images there are, where it is known.

    Raises
    ------
    InputError
        Not whole numbers, or outside of `count`.
    """
    (content,) = _read(path, "indices", at_most=1)
    if isinstance(content, list | tuple):
        content = np.array(content) if all(type(i) is int for i in content) else None
    if not isinstance(content, np.ndarray) or content.ndim != 1 or content.dtype.kind not in "iu":
        raise InputError(
            "these are no particle numbers", file=path, cure="Give whole numbers, counted from 0"
        )
    return checked_indices(content, path, count)


def checked_indices(
    values: NDArray[np.integer], path: str | Path, count: int | None
) -> NDArray[np.int64]:
    """The numbers as int64; InputError where one is negative, or not below `count`."""
    limit = np.iinfo(np.int64).max if count is None else count
    outside = np.flatnonzero((values < 0) | (values >= limit))
    if len(outside):
        row = int(outside[0])
        there = "" if count is None else f" among {count:,}"
        raise InputError(
            f"there is no particle {int(values[row])}{there} ({len(outside):,} such numbers)",
            file=path,
            row=row + 1,
            cure="Use the indices that were made for these particles; they count from 0",
        )
    return values.astype(np.int64)


def write_indices(path: str | Path, indices: NDArray[np.integer]) -> None:
    """Write an ``ind.pkl`` (one array of int64), atomically."""
    write_pickles(path, np.asarray(indices, dtype=np.int64))


def read_z(
    path: str | Path, *, with_log_var: bool | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Read a ``z.N.pkl``: (N, d) latents, and their log-variances where they follow.

    Parameters
    ----------
    with_log_var
        Whether log-variances must follow (True: a file without them is not whole yet); None
        accepts both.

    Raises
    ------
    InputError
        Not latents; not finite; log-variances missing or of another shape.
    """
    found = _read(path, "latents", at_most=2)
    z = _numbers(found[0], path, (-1, -1), "latents")
    if len(found) == 1:
        if with_log_var:
            raise InputError(
                "the log-variances are missing: the file is cut off",
                file=path,
                cure="Wait until the program has written it, or copy it again",
            )
        return z.astype(np.float32), None
    log_var = _numbers(found[1], path, z.shape, "log-variances")
    return z.astype(np.float32), log_var.astype(np.float32)


def write_z(
    path: str | Path, z: NDArray[np.floating], log_var: NDArray[np.floating] | None = None
) -> None:
    """Write a ``z.N.pkl`` (float32), atomically; log-variances in a second pickle."""
    parts = [z] if log_var is None else [z, log_var]
    write_pickles(path, *(np.ascontiguousarray(part, dtype=np.float32) for part in parts))


def read_labels(path: str | Path) -> NDArray[np.int64]:
    """Read ``labels.pkl``: (N,) cluster numbers.

    Those of k-means in `analyze` count from 0 (their maps from 1), those of a landscape from 1.

    Raises
    ------
    InputError
        Not one whole number per particle.
    """
    (content,) = _read(path, "labels", at_most=1)
    if isinstance(content, list) and all(type(i) is int for i in content):
        content = np.array(content, dtype=np.int64)
    if not isinstance(content, np.ndarray) or content.ndim != 1 or content.dtype.kind not in "iu":
        raise InputError("these are no labels", file=path, cure="Give one whole number a particle")
    return content.astype(np.int64)


def _read(path: str | Path, what: str, at_most: int) -> tuple[Any, ...]:
    if not Path(path).is_file():
        raise InputError(f"there is no such file of {what}", file=path, cure="Check the path")
    return read_pickles(path, at_most=at_most)


def _numbers(
    content: Any, path: str | Path, shape: tuple[int, ...], what: str
) -> NDArray[np.float64]:
    """Finite numbers of a shape; -1 is any size."""
    fits = (
        isinstance(content, np.ndarray)
        and content.dtype.kind in "iuf"
        and content.ndim == len(shape)
        and all(want in (-1, have) for want, have in zip(shape, content.shape, strict=True))
    )
    if not fits:
        found = type(content).__name__
        if isinstance(content, np.ndarray):
            found = f"{' x '.join(map(str, content.shape))} values of type {content.dtype}"
        wanted = " x ".join("N" if size == -1 else str(size) for size in shape)
        raise InputError(
            f"{what} have {wanted} numbers; this holds {found}",
            file=path,
            cure="Give the file that belongs to these particles",
        )
    numbers = np.asarray(content, dtype=np.float64)
    odd = np.flatnonzero(~np.isfinite(numbers.reshape(len(numbers), -1)).all(axis=1))
    if len(odd):
        raise InputError(
            f"not a number among the {what} ({len(odd):,} such particles)",
            file=path,
            row=int(odd[0]) + 1,
            cure="Remove these particles, or take the file of an earlier epoch",
        )
    return numbers
