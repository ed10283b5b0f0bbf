"""How far two half-set runs disagree about every residue, as the control of that name wrote it."""

from __future__ import annotations

import csv
import math
import weakref
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError, Structure

FILE_NAME = "disagreement.csv"
_COLUMNS = ("chain", "residue", "insertion_code", "disagreement_A")
_LIMIT_BYTES = 256 * 1024**2
_known: dict[int, tuple[weakref.ref[Structure], NDArray[np.float64]]] = {}


def known_disagreement_A(trace: Structure) -> NDArray[np.float64] | None:
    """(n,) what :func:`load_disagreement` found for this trace, or None."""
    kept = _known.get(id(trace))
    return kept[1] if kept is not None and kept[0]() is trace else None


def load_disagreement(trace: Structure, run: Path | None) -> NDArray[np.float64]:
    """(n,) disagreement in A of the residues of ``trace``; NaN for residues that are not named.

    It is looked for in the run's folder, in the folders in it and beside it, and in the folder
    that it lies in.

    Raises
    ------
    InputError
        If there is none, or it is damaged or of another structure.
    """
    known = known_disagreement_A(trace)
    if known is not None:
        return known
    file = None if run is None else _find(run)
    if file is None:
        raise InputError(
            "no disagreement between half-sets is known for this run",
            cure="Run `cryoscope control halves` with --out beside it, then choose this again.",
        )
    values = _values(trace, _read(file), file)
    _known.clear()
    _known[id(trace)] = (weakref.ref(trace), values)
    return values


def _find(run: Path) -> Path | None:
    """The newest file of that name near a run."""
    near = [run / FILE_NAME, run.parent / FILE_NAME]
    for folder in (run, run.parent):
        if folder.is_dir():
            near += sorted(folder.glob(f"*/{FILE_NAME}"))
    there = [file for file in near if file.is_file()]
    own = [file for file in there if file.parent in (run, run.parent)]
    return max(own or there, key=lambda file: file.stat().st_mtime, default=None)


def _read(file: Path) -> dict[tuple[str, int, str], float]:
    try:
        if file.stat().st_size > _LIMIT_BYTES:
            raise ValueError("it is too large")
        with file.open(newline="", encoding="utf-8") as text:
            table = csv.DictReader(text)
            missing = [name for name in _COLUMNS if name not in (table.fieldnames or ())]
            if missing:
                raise ValueError(f"it has no column {missing[0]}")
            return {
                (row["chain"], int(row["residue"]), (row["insertion_code"] or "").strip()): float(
                    row["disagreement_A"]
                )
                for row in table
            }
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise InputError(
            f"the table of the half-sets cannot be read ({error})",
            file=file,
            cure="Run the control again.",
        ) from error


def _values(
    trace: Structure, table: dict[tuple[str, int, str], float], file: Path
) -> NDArray[np.float64]:
    keys = zip(
        trace.chain_id.tolist(),
        trace.residue_id.tolist(),
        np.char.strip(trace.insertion_code).tolist(),
        strict=True,
    )
    values = np.array([table.get((c, int(r), i), math.nan) for c, r, i in keys], dtype=np.float64)
    if not np.isfinite(values).any():
        raise InputError(
            "the half-sets are of another structure",
            file=file,
            cure="Open the run that the control was made with.",
        )
    return values
