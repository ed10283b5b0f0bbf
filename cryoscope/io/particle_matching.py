"""Which particles a file means: found by image name or uid, never by order alone.

What is matched: ``.star`` and ``.cs`` by their names of particles or of images; ``ind.pkl``,
``.txt`` and ``.npy`` by the names in the record beside them (see `export_record`), and only where
there is none by their numbers, which count the rows of the particle file from 0; ``.json`` of
selections and tables of particles (``.csv``, ``.parquet``) by the names in them.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError, Particles
from cryoscope.io.atomic import explain_os_errors
from cryoscope.io.cryodrgn_files import checked_indices, read_indices
from cryoscope.io.cryosparc_table import HEADER_ERRORS, read_cs
from cryoscope.io.export_record import read_record
from cryoscope.io.image_names import split_image_names
from cryoscope.io.named_selections import read_named_selection
from cryoscope.io.particle_tables import TABLE_SUFFIXES, read_table_particles
from cryoscope.io.stack import StackImages
from cryoscope.io.star import StarFile, read_star
from cryoscope.io.star_columns import selection_columns

MATCHED_SUFFIXES = (".star", ".cs", ".pkl", ".txt", ".npy", ".json", *TABLE_SUFFIXES)
_LARGEST_NUMBERS_BYTES = 1 << 28
#: Header and first images of a stack; of so many stacks.
_COMPARED_BYTES, _STACKS_COMPARED = 1 << 16, 20


def match_particles(
    particles: Particles, path: str | Path, *, name: str | None = None
) -> NDArray[np.int64]:
    """Where the particles that a file means are among `particles`, in the order of the file.

    Parameters
    ----------
    path
        One of ``MATCHED_SUFFIXES``, written by Cryoscope or by another program.
    name
        Which selection of a ``.json`` file or a table of several; of a ``.star`` file with columns
        of selections, only the rows of this one.

    Raises
    ------
    InputError
        The file means particles that are not there, or one of them twice: names the first such
        row. The file was changed after it was exported. Names that fit several particles.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind == ".star":
        place = _match_star(particles, path, name)
    elif kind == ".cs":
        place = _match_cs(particles, path)
    elif kind in (".pkl", ".txt", ".npy"):
        place = _match_numbers(particles, path, kind)
    elif kind == ".json":
        place = match_names(particles, read_named_selection(path, name), path)
    elif kind in TABLE_SUFFIXES:
        names = read_table_particles(path, len(particles), name)
        place = match_names(particles, names, path)
    else:
        raise InputError(
            "this kind of file says nothing about particles",
            file=path,
            cure=f"Give one of {', '.join(MATCHED_SUFFIXES)}",
        )
    first_of: dict[int, int] = {}
    for row, at in enumerate(place.tolist()):
        if first_of.setdefault(at, row) != row:
            raise InputError(
                f"particle {particles.uid[at]} is in row {first_of[at] + 1} already",
                file=path,
                row=row + 1,
                cure="Remove the repeated rows",
            )
    return place


def selection_mask(
    particles: Particles, path: str | Path, *, name: str | None = None
) -> NDArray[np.bool_]:
    """(N,) True for the particles that a file means; see `match_particles`."""
    mask = np.zeros(len(particles), dtype=np.bool_)
    mask[match_particles(particles, path, name=name)] = True
    return mask


def match_names(particles: Particles, names: Sequence[str], path: Path) -> NDArray[np.int64]:
    """Where the particles of these names are; InputError where one is not there."""
    return _find(particles.uid.tolist(), names, particles, path)


def _find(
    known: Sequence[Hashable], wanted: Sequence[Hashable], particles: Particles, path: Path
) -> NDArray[np.int64]:
    """Places in `known` of all that is `wanted`."""
    place_of = dict(zip(known, range(len(known)), strict=True))
    place = np.fromiter((place_of.get(key, -1) for key in wanted), np.int64, count=len(wanted))
    lost = np.flatnonzero(place < 0)
    if len(lost):
        row = int(lost[0])
        here = f", where row {row + 1} is {_words(known[row])}" if row < len(known) else ""
        raise InputError(
            f"{_words(wanted[row])} is not among the particles of "
            f"{particles.source.file.name}{here} ({len(lost):,} such rows)",
            file=path,
            row=row + 1,
            cure="Give the particle file that these particles were taken from",
        )
    return place


def _words(key: Hashable) -> str:
    if isinstance(key, tuple):
        return f"image {key[0] + 1} of {key[1]}"
    return f"image {key}" if "@" in str(key) else f"particle {key}"


def _match_star(particles: Particles, path: Path, name: str | None) -> NDArray[np.int64]:
    star = read_star(path)
    place = _match_star_rows(particles, star, path)
    if name is None:
        return place
    block, column = star.particle_block(), selection_columns([name])[name]
    if column not in block:
        raise InputError(
            f"the table has no column {column}", file=path, cure="Leave the name out for all rows"
        )
    return place[block.numbers(column) == 1]


def _match_star_rows(particles: Particles, star: StarFile, path: Path) -> NDArray[np.int64]:
    record, block = read_record(path), star.particle_block()
    if record is not None and record.uid is not None and len(record.uid) == block.rows:
        return _find(particles.uid.tolist(), record.uid.tolist(), particles, path)
    uid, names = particles.uid.tolist(), block.text("_rlnImageName").tolist()
    _refuse_other_stacks(particles, names, path)
    known = set(uid)
    if _from_star(particles) and any(one.rpartition("#")[0] in known for one in uid if "#" in one):
        return _match_lines(particles, star)
    if not _from_star(particles):
        stacks, stack_index, frame = split_image_names(block.spans("_rlnImageName"), path)
        return _match_images(particles, stacks, stack_index, frame, path)
    if known.issuperset(names):
        return _find(uid, names, particles, path)
    # 1@a.mrcs and 000001@a.mrcs are one image; the folder of a stack is part of its name, since
    # another extraction may have given other numbers to the particles of a micrograph.
    return _find([_image(one) for one in uid], [_image(one) for one in names], particles, path)


def _refuse_other_stacks(particles: Particles, names: Sequence[str], path: Path) -> None:
    """Refuse names that are the same by chance (``000001@particles.mrcs``).

    A stack that lies where the file says, and holds other images than that of the particles,
    shows that they are.
    """
    if not isinstance(particles.images, StackImages):
        return
    own = {file.name: file for file in particles.images.files}
    first_row: dict[str, int] = {}
    for row, name in enumerate(names):
        first_row.setdefault(name.partition("@")[2], row)
    for stack, row in itertools.islice(first_row.items(), _STACKS_COMPARED):
        there, here = path.parent / stack, own.get(_bare(stack))
        if here is not None and not _same_beginning(here, there):
            raise InputError(
                f"its images are in {there}, those of {particles.source.file.name} of the same "
                f"names in {here}, and they differ",
                file=path,
                row=row + 1,
                cure="Give a selection of these particles",
            )


def _same_beginning(one: Path, other: Path) -> bool:
    """Whether two files may be the same; of one that is not there nothing is known."""
    if not (one.is_file() and other.is_file()) or one.samefile(other):
        return True
    if one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as left, other.open("rb") as right:
        return left.read(_COMPARED_BYTES) == right.read(_COMPARED_BYTES)


def _image(name: str) -> Hashable:
    number, _, stack = name.partition("@")
    return (int(number) - 1, stack) if number.isdecimal() and len(number) < 19 else name


def _from_star(particles: Particles) -> bool:
    return particles.source.file.suffix.lower() == ".star"


def _match_lines(particles: Particles, star: StarFile) -> NDArray[np.int64]:
    """By whole rows: after symmetry expansion several particles have one image."""
    source = read_star(particles.source.file).particle_block()
    refused = InputError(
        "the file has changed since it was read",
        file=particles.source.file,
        cure="Read the particles again",
    )
    if int(particles.source.row.max(initial=-1)) >= source.rows:
        raise refused
    lines = [line.split() for line in source.raw_lines(particles.source.row)]
    known = [b" ".join(words) for words in lines]
    block = star.particle_block()
    # columns that were added by an export stand behind those of the source
    added = max(len(block.columns) - len(source.columns), 0)
    words = [line.split() for line in block.raw_lines(np.arange(block.rows))]
    wanted = [b" ".join(line[: len(line) - added]) for line in words]
    count, asked = Counter(known), Counter(wanted)
    places: dict[bytes, list[int]] = {}
    for at in range(len(known) - 1, -1, -1):
        places.setdefault(known[at], []).append(at)
    found = np.empty(len(wanted), dtype=np.int64)
    for row, line in enumerate(wanted):
        if asked[line] != count[line]:
            problem = (
                f"no row of {particles.source.file.name} is the same"
                if count[line] == 0
                else f"{count[line]} rows of {particles.source.file.name} are the same"
            )
            raise InputError(
                f"{problem}, and the name of its image is not unique there",
                file=star.path,
                row=row + 1,
                cure="Keep the .json that was written beside the export",
            )
        found[row] = places[line].pop()
    return found


def _match_cs(particles: Particles, path: Path) -> NDArray[np.int64]:
    records = read_cs(path)
    fields = records.dtype.names or ()
    if "uid" in fields and not _from_star(particles):
        wanted = np.asarray(records["uid"]).astype(np.str_).tolist()
        return _find(particles.uid.tolist(), wanted, particles, path)
    if "blob/path" not in fields or "blob/idx" not in fields:
        raise InputError(
            "it has neither uid nor blob/path and blob/idx", file=path, cure="Export it again"
        )
    named, index = np.unique(records["blob/path"], return_inverse=True)
    texts = [
        (n.decode("utf-8", "replace") if isinstance(n, bytes) else str(n)) for n in named.tolist()
    ]
    frame = np.asarray(records["blob/idx"]).astype(np.int64)
    return _match_images(particles, texts, index.reshape(-1), frame, path)


def _match_images(
    particles: Particles,
    stacks: Sequence[str],
    stack_index: NDArray[np.integer],
    frame: NDArray[np.int64],
    path: Path,
) -> NDArray[np.int64]:
    """By number in the stack and the bare name of the stack: folders differ between programs."""
    images = particles.images
    if not isinstance(images, StackImages):
        raise InputError(
            "none of its names is one of the particles",
            file=path,
            row=1,
            cure=f"Give rows of {particles.source.file}",
        )
    here, there = [file.name for file in images.files], [_bare(name) for name in stacks]
    for names, where in ((here, particles.source.file), (there, path)):
        repeated = [name for name, count in Counter(names).items() if count > 1]
        if repeated:
            raise InputError(
                f"{len(repeated):,} stacks have the same name in different folders "
                f"({repeated[0]}): images cannot be told apart by it",
                file=where,
                cure=f"Give rows of {particles.source.file} as they stand there",
            )
    known = _pairs(images.frame, here, images.file_index)
    if len(set(known)) != len(known):
        raise InputError(
            "particles of one image cannot be told apart by its name",
            file=path,
            cure=f"Give rows of {particles.source.file} as they stand there",
        )
    return _find(known, _pairs(frame, there, stack_index), particles, path)


def _bare(stack: str) -> str:
    return PurePosixPath(stack.removeprefix(">").replace("\\", "/")).name


def _pairs(
    frame: NDArray[np.integer], names: Sequence[str], index: NDArray[np.integer]
) -> list[tuple[int, str]]:
    return [(f, names[i]) for f, i in zip(frame.tolist(), index.tolist(), strict=True)]


def _match_numbers(particles: Particles, path: Path, kind: str) -> NDArray[np.int64]:
    number = checked_indices(
        read_indices(path) if kind == ".pkl" else _read_numbers(path, kind), path, None
    )
    record = read_record(path)
    if record is not None and record.uid is not None and len(record.uid) == len(number):
        return _find(particles.uid.tolist(), record.uid.tolist(), particles, path)
    return _find_rows(particles, number, path)


def _find_rows(particles: Particles, number: NDArray[np.int64], path: Path) -> NDArray[np.int64]:
    row = particles.source.row
    order = np.argsort(row, kind="stable")
    place = np.searchsorted(row[order], number).clip(0, max(len(row) - 1, 0))
    lost = np.flatnonzero(row[order][place] != number) if len(row) else np.arange(len(number))
    if len(lost):
        raise InputError(
            f"there is no particle {number[lost[0]]} among the {len(row):,} of "
            f"{particles.source.file.name} ({len(lost):,} such numbers)",
            file=path,
            row=int(lost[0]) + 1,
            cure="Use the numbers that were made for these particles; they count from 0",
        )
    return order[place].astype(np.int64)


def _read_numbers(path: Path, kind: str) -> NDArray[np.int64]:
    """0-based numbers, one per line of a text; or an array of them, or a mask, in a .npy."""
    wrong = InputError(
        "these are no particle numbers", file=path, cure="Give whole numbers, one per line, from 0"
    )
    with explain_os_errors(path, action="read"):
        if path.stat().st_size > _LARGEST_NUMBERS_BYTES:
            raise wrong
        if kind == ".npy":
            try:
                values: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
            except HEADER_ERRORS as error:
                raise wrong from error
            if (
                not isinstance(values, np.ndarray)
                or values.ndim != 1
                or values.dtype.kind not in "iub"
            ):
                raise wrong
            whole = np.flatnonzero(values) if values.dtype.kind == "b" else np.asarray(values)
            return whole.astype(np.int64)
        content = path.read_bytes()
    return np.array(list(_whole_numbers(content.split(b"\n"), path)), dtype=np.int64)


def _whole_numbers(lines: Iterable[bytes], path: Path) -> Iterable[int]:
    for row, line in enumerate(lines, start=1):
        word = line.partition(b"#")[0].strip()
        if not word:
            continue
        if not word.isdigit() or len(word) > 18:
            raise InputError(
                f"{word[:40].decode('ascii', 'replace')!r} is no particle number",
                file=path,
                row=row,
                cure="Give whole numbers, one per line, counted from 0",
            )
        yield int(word)
