"""``000001@stack.mrcs``: names of images taken apart, and compared between files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError
from cryoscope.io.star_block import Spans


def split_image_names(
    spans: Spans, file: Path
) -> tuple[tuple[str, ...], NDArray[np.int64], NDArray[np.int64]]:
    """Names of the stacks in the order they first occur, (N,) which of them, (N,) 0-based image.

    Raises
    ------
    InputError
        A name is of another form.
    """
    from cryoscope.io.star_kernels import split_image_names

    count = len(spans.begin)
    frame, stack_begin = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
    repeats = np.empty(count, dtype=bool)
    wrong = split_image_names(spans.byte, spans.begin, spans.length, frame, stack_begin, repeats)
    if wrong >= 0:
        raise InputError(
            f"_rlnImageName is {spans.value(wrong)!r}, not of the form 000001@stack.mrcs",
            file=file,
            row=wrong + 1,
            cure="Number the images of a stack from 1",
        )
    # Rows of one stack follow each other: only the first of every such run is looked at.
    stacks: dict[str, int] = {}
    end = spans.begin + spans.length
    runs = np.flatnonzero(~repeats)
    names = Spans(spans.byte, stack_begin, (end - stack_begin).astype(np.int32))
    stack_of_run = [stacks.setdefault(names.value(row), len(stacks)) for row in runs.tolist()]
    stack_index = np.repeat(np.array(stack_of_run, dtype=np.int64), np.diff(np.append(runs, count)))
    return tuple(stacks), stack_index, frame


def refuse_climbing(names: NDArray[np.str_], row: NDArray[np.integer], file: Path) -> None:
    """Refuse image names that climb out of the folder they begin in, ``1@../../other.mrcs``.

    A file that is handed on must not point to what lies beside its project.

    Parameters
    ----------
    names
        (N,) names of images or of stacks.
    row
        (N,) their 0-based rows in `file`.

    Raises
    ------
    InputError
        Names the first such row.
    """
    listed = names.tolist()
    if ".." not in "\n".join(listed):
        return
    for name, at in zip(listed, row.tolist(), strict=True):
        if climbs(name):
            raise InputError(
                f"the name of its image climbs out of the project's folder ({name[:200]!r}); "
                "nothing was written",
                file=file,
                row=at + 1,
                cure="Name the stacks from the project's folder, or by whole paths",
            )


def climbs(name: str) -> bool:
    """Whether a name leads above the folder that it begins in, by ``..``."""
    depth = 0
    for part in name.rpartition("@")[2].removeprefix(">").replace("\\", "/").split("/"):
        if part == "..":
            depth -= 1
        elif part not in ("", "."):
            depth += 1
        if depth < 0:
            return True
    return False
