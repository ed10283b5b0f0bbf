"""Where the stacks of a particle file are, and whether all of them are sampled alike."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError, Optics

_NAMED_AT_MOST = 3
_SAME_PIXEL = 1e-4


def find_stacks(
    names: Sequence[str],
    stack_index: NDArray[np.int64],
    table: Path,
    search: Sequence[str | Path] = (),
) -> list[Path]:
    """Find stacks as they are named: from here, beside the table, in its parents, in `search`.

    Their bare names are looked for beside the table and in `search` too.

    Parameters
    ----------
    names
        Names of the stacks, as the table has them.
    stack_index
        (N,) which stack the particles are in.
    table
        The particle file.

    Raises
    ------
    InputError
        Stacks are missing; all are counted, and the first row that needs one is named.
    """
    beside = table.absolute().parent
    others = [Path(folder).absolute() for folder in search]
    folders = list(dict.fromkeys([Path.cwd(), beside, *beside.parents, *others]))
    flat = list(dict.fromkeys([beside, *others]))
    found: list[Path] = []
    missing: list[int] = []
    for number, name in enumerate(names):
        places = [folder / name for folder in folders]
        places += [folder / Path(name).name for folder in flat]
        existing = next((place for place in places if _is_file(place)), None)
        if existing is None:
            missing.append(number)
        else:
            found.append(existing)
    if missing:
        first = ", ".join(names[number] for number in missing[:_NAMED_AT_MOST])
        more = ", ..." if len(missing) > _NAMED_AT_MOST else ""
        searched = ", ".join(str(f) for f in dict.fromkeys([Path.cwd(), *flat]))
        raise InputError(
            f"{len(missing):,} of {len(names):,} stacks are missing: {first}{more}",
            file=table,
            row=int(np.flatnonzero(stack_index == missing[0])[0]) + 1,
            cure=f"Searched {searched} and the parent folders of the file; put the stacks (or "
            "links) there, or start cryoscope in the folder their names begin from",
        )
    return found


def refuse_mixed_sampling(
    groups: Sequence[Optics], first_row: NDArray[np.int64], table: Path
) -> None:
    """Refuse optics groups of different pixel or box sizes.

    Parameters
    ----------
    first_row
        The first 0-based row of every group.
    table
        The particle file, named in the message.
    """
    by_row = np.argsort(first_row).tolist()
    one = groups[by_row[0]]
    for other, row in ((groups[place], int(first_row[place])) for place in by_row):
        if abs(other.pixel_size_A - one.pixel_size_A) > _SAME_PIXEL * one.pixel_size_A:
            found = f"pixel sizes: {one.pixel_size_A:g} and {other.pixel_size_A:g} A"
        elif other.box_size_px != one.box_size_px:
            found = f"box sizes: {one.box_size_px} and {other.box_size_px} px"
        else:
            continue
        raise InputError(
            f"mixed {found} (optics groups {one.name} and {other.name})",
            file=table,
            row=row + 1,
            cure="Use optics groups of one sampling, or rescale the particles to one",
        )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name too long for the disk, or a folder that may not be entered
        return False
