"""What a RELION particle file says about its particles, without their images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryoscope.conventions import rotation_from_relion_deg, shift_from_relion_origin_A
from cryoscope.data import CTFParams, InputError, Optics, Poses
from cryoscope.io.image_names import split_image_names
from cryoscope.io.stack_search import refuse_mixed_sampling
from cryoscope.io.star import StarFile, read_star
from cryoscope.io.star_block import StarBlock

HALF_SET_SEED = 0
_ANGLES = ("_rlnAngleRot", "_rlnAngleTilt", "_rlnAnglePsi")
_ORIGINS_A = ("_rlnOriginXAngst", "_rlnOriginYAngst")
_ORIGINS_PX = ("_rlnOriginX", "_rlnOriginY")
_DEFOCUS = ("_rlnDefocusU", "_rlnDefocusV", "_rlnDefocusAngle")
_OPTICS = ("_rlnVoltage", "_rlnSphericalAberration", "_rlnAmplitudeContrast")
_PIXEL_SIZES = ("_rlnImagePixelSize", "_rlnPixelSize")
_MAGNIFICATION = ("_rlnDetectorPixelSize", "_rlnMagnification")
_FLAGS = ("_rlnImageSize", "_rlnImageDimensionality", "_rlnCtfDataAreCtfPremultiplied")
_OTHERS = ("_rlnPhaseShift", "_rlnCtfBfactor", "_rlnCtfScalefactor", "_rlnRandomSubset")
_NUMBERS = (
    *(*_ANGLES, *_ORIGINS_A, *_ORIGINS_PX, *_DEFOCUS, *_OPTICS, *_PIXEL_SIZES),
    *(*_MAGNIFICATION, *_FLAGS, *_OTHERS, "_rlnOpticsGroup"),
)


@dataclass(frozen=True)
class ParticleTable:
    """N particles as their file describes them.

    Attributes
    ----------
    star
        The parsed file.
    stack_names
        Names of the stack files, as written.
    stack_index, frame
        (N,) which stack, and which image of it (0-based).
    optics
        Groups that particles are in; ``box_size_px`` is 0 where the file does not say.
    ctf, poses, half_set, uid
        As in `cryoscope.data.Particles`.
    """

    star: StarFile
    stack_names: tuple[str, ...]
    stack_index: NDArray[np.int64]
    frame: NDArray[np.int64]
    optics: tuple[Optics, ...]
    ctf: CTFParams
    poses: Poses | None
    half_set: NDArray[np.int8]
    uid: NDArray[np.str_]


def read_particle_table(path: str | Path, *, mixed_sampling: bool = False) -> ParticleTable:
    """Read the particles of RELION 3.1, 4 or 5 (optics groups), or of 3.0 (one table).

    Absent phase shifts, origins and B-factors are 0, as in RELION. Poses are None where the file
    has not all three angles. Without ``_rlnRandomSubset`` the particles are split at random, the
    same way every time; rows of one image go to one half.

    Parameters
    ----------
    mixed_sampling
        Accept optics groups of different pixel and box sizes (for conversions; models cannot).

    Raises
    ------
    InputError
        Missing columns (all named), values that are not finite, mixed pixel or box sizes,
        subtomograms, images multiplied by their CTF.
    """
    columns = _Columns(read_star(path))
    columns.require()
    names = columns.block.spans("_rlnImageName")
    stack_names, stack_index, frame = split_image_names(names, columns.path)
    group, optics = _optics(columns, mixed_sampling)
    ctf = _ctf(columns, group)
    poses = _poses(columns)
    uid, image = _unique_ids(columns.block.text("_rlnImageName"), stack_index, frame)
    return ParticleTable(
        star=columns.star,
        stack_names=stack_names,
        stack_index=stack_index,
        frame=frame,
        optics=optics,
        ctf=ctf,
        poses=poses,
        half_set=_half_set(columns, image),
        uid=uid,
    )


class _Columns:
    """Columns per particle, wherever they stand: the optics table has precedence."""

    def __init__(self, star: StarFile) -> None:
        self.star, self.path = star, star.path
        self.block: StarBlock = star.particle_block()
        self.optics: StarBlock | None = star.blocks.get("optics")
        if self.block.rows == 0:
            raise InputError("the file has no particles", file=self.path, cure="Give another file")
        known = [name for name in _NUMBERS if name in self.block]
        self.block.load(text=["_rlnImageName"], numbers=known)
        self.optics_row = self._optics_row()

    def __contains__(self, name: str) -> bool:
        return name in self.block or (self.optics is not None and name in self.optics)

    def __len__(self) -> int:
        return self.block.rows

    def require(self) -> None:
        """Refuse a file that lacks what every use of particles needs; name all that is missing."""
        missing = [name for name in (*_DEFOCUS, *_OPTICS) if name not in self]
        has_magnification = all(name in self.block for name in _MAGNIFICATION)
        if not has_magnification and not any(name in self for name in _PIXEL_SIZES):
            missing.append(_PIXEL_SIZES[0])
        if missing:
            raise InputError(
                f"missing columns: {', '.join(missing)}",
                file=self.path,
                cure="Give the particles of a job after CTF estimation (Extract, Refine3D), or "
                "add the columns",
            )

    def values(self, name: str) -> NDArray[np.float64]:
        """(N,) numbers of a column of either table."""
        if self.optics is not None and name in self.optics:
            return self.optics.numbers(name)[self.optics_row]
        return self.block.numbers(name)

    def optional(self, name: str, absent: float) -> NDArray[np.float64]:
        """(N,) numbers of a column, or `absent` everywhere."""
        return self.values(name) if name in self else np.full(len(self), absent)

    def stack(self, names: Sequence[str]) -> NDArray[np.float64]:
        """(N, len(names)) numbers."""
        return np.stack([self.values(name) for name in names], axis=1)

    def pixel_size_A(self) -> NDArray[np.float64]:
        """(N,) pixel size; in old files the detector's pixel (um) over the magnification."""
        for name in _PIXEL_SIZES:
            if name in self:
                return self.values(name)
        detector_um, magnification = (self.values(name) for name in _MAGNIFICATION)
        with np.errstate(divide="ignore", invalid="ignore"):
            return detector_um * 1e4 / magnification

    def error(self, problem: str, row: int, cure: str) -> InputError:
        """An error in one row (0-based) of the particle table."""
        return InputError(problem, file=self.path, row=int(row) + 1, cure=cure)

    def refuse(self, wrong: NDArray[np.bool_], problem: str, cure: str) -> None:
        """Raise for the first row where `wrong`; ``{count}`` in `problem` is how many there are."""
        rows = np.flatnonzero(wrong)
        if len(rows):
            raise self.error(problem.format(count=f"{len(rows):,}"), rows[0], cure)

    def _optics_row(self) -> NDArray[np.int64]:
        if self.optics is None:
            return np.zeros(len(self), dtype=np.int64)
        if "_rlnOpticsGroup" not in self.block or "_rlnOpticsGroup" not in self.optics:
            if self.optics.rows == 1:
                return np.zeros(len(self), dtype=np.int64)
            raise InputError(
                "missing column _rlnOpticsGroup: particles cannot be told their optics group",
                file=self.path,
                cure="Export the file again with that column in both tables",
            )
        known = self.optics.numbers("_rlnOpticsGroup")
        wanted = self.block.numbers("_rlnOpticsGroup")
        order = np.argsort(known, kind="stable")
        place = np.searchsorted(known[order], wanted).clip(0, max(len(known) - 1, 0))
        found = known[order][place] == wanted if len(known) else np.zeros(len(self), dtype=bool)
        self.refuse(
            ~found,
            "its optics group is not in data_optics ({count} such rows)",
            "Add the group to data_optics or correct _rlnOpticsGroup",
        )
        return order[place]


def _optics(
    columns: _Columns, mixed_sampling: bool
) -> tuple[NDArray[np.int64], tuple[Optics, ...]]:
    pixel_size_A = columns.pixel_size_A()
    columns.refuse(
        ~((pixel_size_A > 0) & np.isfinite(pixel_size_A)),
        "the pixel size is not above 0 ({count} such rows)",
        "Give _rlnImagePixelSize in A",
    )
    voltage_kv, aberration_mm, amplitude = (columns.values(name) for name in _OPTICS)
    columns.refuse(~(voltage_kv > 0), "_rlnVoltage is not above 0", "Give it in kV")
    columns.refuse(
        ~((amplitude >= 0) & (amplitude <= 1)),
        "_rlnAmplitudeContrast is not between 0 and 1",
        "0.1 is usual for ice, 0.07 with direct detectors",
    )
    columns.refuse(
        columns.optional("_rlnImageDimensionality", 2) != 2,
        "subtomograms (_rlnImageDimensionality 3) are not supported",
        "Give 2-D particle images",
    )
    columns.refuse(
        columns.optional("_rlnCtfDataAreCtfPremultiplied", 0) != 0,
        "the images were multiplied by their CTF, which is not supported",
        "Extract the particles again without CTF premultiplication",
    )
    box_size_px = columns.optional("_rlnImageSize", 0)
    table = (columns.optics_row, pixel_size_A, box_size_px, voltage_kv, aberration_mm, amplitude)
    group, first = _distinct(table)
    groups = tuple(
        Optics(
            pixel_size_A=float(pixel_size_A[row]),
            box_size_px=int(box_size_px[row]),
            voltage_kv=float(voltage_kv[row]),
            spherical_aberration_mm=float(aberration_mm[row]),
            amplitude_contrast=float(amplitude[row]),
            name=_group_name(columns, row, place),
        )
        for place, row in enumerate(first.tolist())
    )
    if not mixed_sampling:
        refuse_mixed_sampling(groups, first, columns.path)
    return group, groups


def _distinct(
    table: Sequence[NDArray[np.generic]],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the distinct rows of `table`: (N,) number, and the first row of each."""
    code = np.zeros(len(table[0]), dtype=np.int64)
    for column in table:
        if (column == column[0]).all():
            continue
        values, inverse = np.unique(column, return_inverse=True)
        code = np.unique(code * len(values) + inverse, return_inverse=True)[1]
    _, first, group = np.unique(code, return_index=True, return_inverse=True)
    return group.astype(np.int64), first.astype(np.int64)


def _group_name(columns: _Columns, row: int, place: int) -> str:
    if columns.optics is not None and "_rlnOpticsGroupName" in columns.optics:
        return str(columns.optics.text("_rlnOpticsGroupName")[columns.optics_row[row]])
    return f"opticsGroup{place + 1}"


def _ctf(columns: _Columns, group: NDArray[np.int64]) -> CTFParams:
    defocus_u_A, defocus_v_A, angle_deg = (columns.values(name) for name in _DEFOCUS)
    return CTFParams(
        defocus_u_A=defocus_u_A,
        defocus_v_A=defocus_v_A,
        defocus_angle_deg=angle_deg,
        phase_shift_deg=columns.optional("_rlnPhaseShift", 0.0),
        b_factor_A2=columns.optional("_rlnCtfBfactor", 0.0),
        scale=columns.optional("_rlnCtfScalefactor", 1.0),
        optics_group=group,
    )


def _poses(columns: _Columns) -> Poses | None:
    if not all(name in columns.block for name in _ANGLES):
        return None
    rotation = rotation_from_relion_deg(columns.stack(_ANGLES))
    if all(name in columns.block for name in _ORIGINS_A):
        origin_A = columns.stack(_ORIGINS_A)
    elif all(name in columns.block for name in _ORIGINS_PX):
        origin_A = columns.stack(_ORIGINS_PX) * columns.pixel_size_A()[:, None]
    else:
        origin_A = np.zeros((len(columns), 2))
    return Poses(rotation, shift_from_relion_origin_A(origin_A))


def _unique_ids(
    names: NDArray[np.str_], stack_index: NDArray[np.int64], frame: NDArray[np.int64]
) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    """(N,) image names, ``#2``, ``#3`` ... added where rows repeat an image; (N,) image number.

    Repeats are usual after symmetry expansion.
    """
    image, first = _distinct((stack_index, frame))
    if len(first) == len(names):
        return names, image
    order = np.argsort(image, kind="stable")
    begin = np.searchsorted(image[order], np.arange(len(first)))
    repeat = np.empty(len(names), dtype=np.int64)
    repeat[order] = np.arange(len(names)) - begin[image[order]]
    pairs = zip(names.tolist(), repeat.tolist(), strict=True)
    uid = [name if copy == 0 else f"{name}#{copy + 1}" for name, copy in pairs]
    return np.array(uid, dtype=np.str_), image


def _half_set(columns: _Columns, image: NDArray[np.int64]) -> NDArray[np.int8]:
    if "_rlnRandomSubset" in columns:
        subset = columns.values("_rlnRandomSubset")
        columns.refuse(
            (subset != 1) & (subset != 2),
            "_rlnRandomSubset is neither 1 nor 2 ({count} such rows)",
            "Correct these rows, or remove the column to have the particles split at random",
        )
        return subset.astype(np.int8)
    half = np.arange(int(image.max()) + 1, dtype=np.int64) % 2 + 1
    return np.random.default_rng(HALF_SET_SEED).permutation(half)[image].astype(np.int8)
