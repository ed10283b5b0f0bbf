"""What a cryoSPARC particle file (.cs) says about its particles, without their images."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryoscope.conventions import rotation_from_cryosparc, shift_from_relion_origin_A
from cryoscope.data import CTFParams, InputError, Optics, Poses
from cryoscope.io.atomic import explain_os_errors
from cryoscope.io.cryosparc_group import passthrough_beside, read_group, rows_of

# Files with many passthrough fields have headers far beyond numpy's own limit of 10 kB.
_LARGEST_HEADER = 10_000_000
_LARGEST_BOX_PX = 65_536
_NAMED_AT_MOST = 12
#: What numpy lets through from the parsers of Python that it gives a header to.
HEADER_ERRORS = (
    *(ValueError, EOFError, SyntaxError, TypeError, KeyError, IndexError, AttributeError),
    *(MemoryError, RecursionError, OverflowError, TokenError, BadZipFile),
)
_IMAGES = ("blob/path", "blob/idx", "blob/shape", "blob/psize_A")
_DEFOCUS = ("ctf/df1_A", "ctf/df2_A", "ctf/df_angle_rad")
_OPTICS = ("ctf/accel_kv", "ctf/cs_mm", "ctf/amp_contrast")


@dataclass(frozen=True)
class CryosparcTable:
    """N particles as their file describes them.

    Attributes
    ----------
    path
        The file.
    stack_names
        Names of the stack files, as written but for a leading ``>``.
    stack_index, frame
        (N,) which stack, and which image of it (0-based).
    optics
        Groups that particles are in.
    ctf, poses
        As in `cryoscope.data.Particles`.
    half_set
        (N,) 1 or 2; None where the file does not say.
    uid
        (N,) cryoSPARC's particle numbers as text.
    contrast_sign
        ``blob/sign``: -1 for protein dark, +1 for protein bright, 0 where the file does not say.
    """

    path: Path
    stack_names: tuple[str, ...]
    stack_index: NDArray[np.int64]
    frame: NDArray[np.int64]
    optics: tuple[Optics, ...]
    ctf: CTFParams
    poses: Poses | None
    half_set: NDArray[np.int8] | None
    uid: NDArray[np.str_]
    contrast_sign: int


def read_cs(path: str | Path) -> NDArray[Any]:
    """The records of a .cs file, mapped into memory.

    Raises
    ------
    InputError
        The file is missing, cut off, no .cs file, or holds Python objects.
    """
    path = Path(path)
    with explain_os_errors(path, action="read"):
        try:
            with warnings.catch_warnings(action="ignore"):  # numpy's, about headers of Python 2
                records = np.load(
                    path, mmap_mode="r", allow_pickle=False, max_header_size=_LARGEST_HEADER
                )
        except HEADER_ERRORS as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(
                f"this cannot be read as a .cs file ({reason[:200]})",
                file=path,
                cure="Copy it again from the job folder of cryoSPARC",
            ) from error
    if not isinstance(records, np.ndarray) or records.dtype.names is None or records.ndim != 1:
        raise InputError(
            "the file holds no records", file=path, cure="Give the .cs file of particles"
        )
    return records


def read_cs_table(
    path: str | Path, *, passthrough: str | Path | None = None, class_number: int | None = None
) -> CryosparcTable:
    """Read the particles of a .cs file.

    Parameters
    ----------
    path
        A .cs file, or the .csg of a result group: then its images' file, with its other files
        joined.
    passthrough
        A second .cs file of the same job; fields that the first lacks are taken from it, row by
        row after ``uid``. None looks for the one beside `path` that cryoSPARC names
        ``..._passthrough_particles.cs``.
    class_number
        Which class's alignment to read from a file of several (``alignments_class_K``).

    Raises
    ------
    InputError
        Missing fields (all named), values that are not finite, mixed pixel or box sizes,
        particles that the passthrough file lacks, several classes and none chosen.
    """
    fields = _Fields.read(Path(path), None if passthrough is None else Path(passthrough))
    names, stack_index = fields.stacks()
    group, optics = _optics(fields)
    return CryosparcTable(
        path=fields.path,
        stack_names=names,
        stack_index=stack_index,
        # 64 bits: cryoSPARC's 32 wrap around where they are multiplied by the bytes of an image.
        frame=fields["blob/idx"].astype(np.int64),
        optics=optics,
        ctf=_ctf(fields, group),
        poses=_poses(fields, class_number),
        half_set=_half_set(fields),
        uid=_uid(fields),
        contrast_sign=_contrast_sign(fields),
    )


def micrograph_paths(path: str | Path) -> NDArray[np.str_]:
    """(N,) path of the micrograph of each particle of a .cs file or of its passthrough file.

    Raises
    ------
    InputError
        If neither names them.
    """
    fields, name = _Fields.read(Path(path), None), "location/micrograph_path"
    if name not in fields:
        raise InputError(
            f"the particles name no micrographs (no field {name})",
            file=fields.path,
            cure="Keep the job's passthrough_particles.cs beside it.",
        )
    return np.array([_text(one) for one in fields[name].tolist()])


class _Fields:
    """Fields of a file and of its passthrough, in the order of the file."""

    def __init__(self, path: Path, sources: Sequence[tuple[NDArray[Any], Any]]) -> None:
        self.path = path
        self._sources = sources

    @classmethod
    def read(cls, path: Path, passthrough: Path | None) -> _Fields:
        """A file, or those of a group (.csg), joined with the passthrough by uid."""
        others: tuple[Path, ...] = ()
        if path.suffix.lower() == ".csg":
            path, others = read_group(path)
        records = read_cs(path)
        if len(records) == 0:
            raise InputError("the file has no particles", file=path, cure="Give another file")
        sources: list[tuple[NDArray[Any], Any]] = [(records, slice(None))]
        if passthrough is not None:
            others = (*others, passthrough)
        elif not others and (beside := passthrough_beside(path)) is not None:
            others = (beside,)
        for other in others:
            second = read_cs(other)
            sources.append((second, rows_of(records, second, path, other)))
        fields = cls(path, sources)
        missing = [n for n in ("uid", *_IMAGES, *_DEFOCUS, *_OPTICS) if n not in fields]
        if missing:
            raise InputError(
                f"missing fields: {', '.join(missing)}",
                file=path,
                cure="Give the job's passthrough_particles.cs too, or export the particle group "
                "and give the exported .cs",
            )
        return fields

    def __contains__(self, name: str) -> bool:
        return any(name in (records.dtype.names or ()) for records, _ in self._sources)

    def __getitem__(self, name: str) -> NDArray[Any]:
        for records, rows in self._sources:
            if name in (records.dtype.names or ()):
                return np.asarray(records[name])[rows]
        raise KeyError(name)

    @property
    def names(self) -> list[str]:
        """All fields."""
        return [name for records, _ in self._sources for name in records.dtype.names or ()]

    def numbers(self, name: str, width: int = 0) -> NDArray[np.float64]:
        """(N,) or (N, width) finite numbers of a field."""
        values = self[name]
        shape = (len(values), width) if width else (len(values),)
        if values.dtype.kind not in "iufb" or values.shape != shape:
            raise InputError(
                f"{name} has the type {values.dtype} and shape {values.shape[1:]}",
                file=self.path,
                cure="Export the particles again",
            )
        numbers = values.astype(np.float64)
        odd = np.isfinite(numbers.reshape(len(numbers), -1)).min(axis=1) == 0
        self.refuse(odd, f"{name} is not a finite number", "Remove these particles")
        return numbers

    def optional(self, name: str, absent: float) -> NDArray[np.float64]:
        """(N,) numbers of a field, or `absent` everywhere."""
        return self.numbers(name) if name in self else np.full(len(self["uid"]), absent)

    def refuse(self, wrong: ArrayLike, problem: str, cure: str) -> None:
        """Raise for the first row where `wrong`."""
        rows = np.flatnonzero(np.asarray(wrong))
        if len(rows):
            problem = f"{problem} ({len(rows):,} such rows)"
            raise InputError(problem, file=self.path, row=int(rows[0]) + 1, cure=cure)

    def stacks(self) -> tuple[tuple[str, ...], NDArray[np.int64]]:
        """Names of the stacks, and (N,) which one a particle is in."""
        named, index = np.unique(self["blob/path"], return_inverse=True)
        if named.dtype.kind not in "SU":
            raise InputError("blob/path is no text", file=self.path, cure="Export it again")
        texts = [
            n.decode("utf-8", "replace") if isinstance(n, bytes) else n for n in named.tolist()
        ]
        stacks = tuple(text.removeprefix(">") for text in texts)
        if not all(stacks):
            raise InputError("blob/path is empty", file=self.path, cure="Export it again")
        return stacks, np.asarray(index.reshape(-1), dtype=np.int64)


def _text(name: Any) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)


def _optics(fields: _Fields) -> tuple[NDArray[np.int64], tuple[Optics, ...]]:
    pixel_size_A, box = fields.numbers("blob/psize_A"), fields.numbers("blob/shape", 2)
    fields.refuse(
        ~((pixel_size_A > 0) & (pixel_size_A < 1e4)), "blob/psize_A makes no sense", "Correct it"
    )
    usable = (box[:, 0] == box[:, 1]) & (box[:, 0] > 0) & (box[:, 0] <= _LARGEST_BOX_PX)
    fields.refuse(~usable, "the images are not square", "Extract square images")
    voltage_kv, aberration_mm, amplitude = (fields.numbers(name) for name in _OPTICS)
    fields.refuse(~(voltage_kv > 0), "ctf/accel_kv is not above 0", "Correct it, in kV")
    fields.refuse(
        ~((amplitude >= 0) & (amplitude <= 1)),
        "ctf/amp_contrast is not between 0 and 1",
        "Correct it",
    )
    exposure = fields.optional("ctf/exp_group_id", 0)
    columns = (pixel_size_A, box[:, 0], voltage_kv, aberration_mm, amplitude, exposure)
    # Groups are numbered in the order in which they first occur.
    _, first, code = np.unique(
        np.stack(columns, axis=1), axis=0, return_index=True, return_inverse=True
    )
    rank = np.argsort(np.argsort(first))
    groups = tuple(
        Optics(
            pixel_size_A=shortest_decimal(pixel_size_A[row]),
            box_size_px=int(box[row, 0]),
            voltage_kv=shortest_decimal(voltage_kv[row]),
            spherical_aberration_mm=shortest_decimal(aberration_mm[row]),
            amplitude_contrast=shortest_decimal(amplitude[row]),
            name=f"expGroup{int(exposure[row])}",
        )
        for row in np.sort(first).tolist()
    )
    return rank[code.reshape(-1)].astype(np.int64), groups


def shortest_decimal(value: float) -> float:
    """The shortest decimal of a float32: 0.07, not 0.07000000029802322."""
    return float(str(np.float32(value)))


def _ctf(fields: _Fields, group: NDArray[np.int64]) -> CTFParams:
    defocus_u_A, defocus_v_A, angle_rad = (fields.numbers(name) for name in _DEFOCUS)
    return CTFParams(
        defocus_u_A=defocus_u_A,
        defocus_v_A=defocus_v_A,
        defocus_angle_deg=np.rad2deg(angle_rad),
        phase_shift_deg=np.rad2deg(fields.optional("ctf/phase_shift_rad", 0.0)),
        b_factor_A2=fields.optional("ctf/bfactor", 0.0),
        scale=fields.optional("ctf/scale", 1.0),
        optics_group=group,
    )


def _poses(fields: _Fields, class_number: int | None) -> Poses | None:
    prefix = _alignment(fields, class_number)
    if prefix is None:
        return None
    rotation = rotation_from_cryosparc(fields.numbers(f"{prefix}/pose", 3))
    shift_px = (
        fields.numbers(f"{prefix}/shift", 2)
        if f"{prefix}/shift" in fields
        else np.zeros((len(rotation), 2))
    )
    # Shifts count the pixels of the alignment, which may have been made on binned images.
    own = f"{prefix}/psize_A"
    pixel_size_A = fields.numbers(own if own in fields else "blob/psize_A")
    return Poses(rotation, shift_from_relion_origin_A(shift_px * pixel_size_A[:, None]))


def _alignment(fields: _Fields, class_number: int | None) -> str | None:
    """Prefix of the fields with the poses."""
    several = sorted(
        (
            name.removesuffix("/pose")
            for name in set(fields.names)
            if name.startswith("alignments_class") and name.endswith("/pose")
        ),
        key=lambda name: (len(name), name),  # 2 before 10
    )
    if class_number is not None:
        asked = [name for name in several if name.rpartition("_")[2] == str(class_number)]
        if not asked:
            raise InputError(
                f"there is no alignment of class {class_number}",
                file=fields.path,
                cure=f"The file has classes {_numbers_of(several)}"
                if several
                else "The file has alignments of no class: leave that option out",
            )
        return asked[0]
    if "alignments3D/pose" in fields:
        return "alignments3D"
    if len(several) > 1:
        raise InputError(
            f"the file has alignments of {len(several)} classes ({_numbers_of(several)})",
            file=fields.path,
            cure="Say which with --class K (in the window: Class number), or give the particles "
            "of one class of the job",
        )
    return several[0] if several else None


def _numbers_of(classes: Sequence[str]) -> str:
    numbers = [name.rpartition("_")[2] for name in classes]
    return ", ".join(numbers[:_NAMED_AT_MOST]) + (", ..." if len(numbers) > _NAMED_AT_MOST else "")


def _half_set(fields: _Fields) -> NDArray[np.int8] | None:
    if "alignments3D/split" not in fields:
        return None
    split = fields.numbers("alignments3D/split")
    if not np.isin(split, (0, 1)).all() or split.min() == split.max():
        return None  # before a refinement all are 0
    return (split + 1).astype(np.int8)


def _uid(fields: _Fields) -> NDArray[np.str_]:
    uid = fields["uid"]
    first = np.unique(uid, return_index=True)[1]
    repeated = np.ones(len(uid), dtype=bool)
    repeated[first] = False
    fields.refuse(repeated, "its uid occurs before", "Remove duplicates in cryoSPARC")
    return uid.astype(np.str_)


def _contrast_sign(fields: _Fields) -> int:
    if "blob/sign" not in fields:
        return 0
    sign = np.unique(np.sign(fields.numbers("blob/sign")))
    if len(sign) > 1:
        raise InputError(
            "blob/sign differs between particles: some are dark, some bright",
            file=fields.path,
            cure="Invert the stacks of one kind, or use those of the other alone",
        )
    return int(sign[0])
