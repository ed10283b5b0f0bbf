"""Readers of other distributions: more kinds of particle files, structures and maps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cryoscope.data import InputError, Particles, Structure, Volume
from cryoscope.io import extensions

Kind = Literal["particles", "structure", "map"]
_RECORDS: dict[str, type] = {"particles": Particles, "structure": Structure, "map": Volume}
#: Suffixes that Cryoscope reads itself: a reader does not take them over.
OWN_SUFFIXES = frozenset(
    {".star", ".cs", ".csg", ".mrc", ".mrcs", ".map", ".ccp4", ".txt", ".pdb", ".ent", ".cif"}
    | {".mmcif", ".dcd", ".pkl", ".npy", ".npz", ".csv", ".json", ".gz"}
)


@dataclass(frozen=True)
class Reader:
    """What an entry point of ``cryoscope.readers`` refers to.

    Attributes
    ----------
    suffixes
        Of the files it reads, in lower case and with their dot: ``(".box",)``.
    kind
        What it yields: ``particles`` (:class:`cryoscope.data.Particles`), ``structure``
        (:class:`cryoscope.data.Structure`) or ``map`` (:class:`cryoscope.data.Volume`).
    read
        From a path to the record; raises :class:`cryoscope.data.InputError` for a file that it
        cannot use.
    """

    suffixes: tuple[str, ...]
    kind: Kind
    read: Callable[[Path], Any]


def reader_suffixes() -> dict[str, Kind]:
    """Kind of record by suffix, of all readers that other distributions bring."""
    return {suffix: reader.kind for suffix, (_, reader) in _by_suffix().items()}


def read_with_extension(path: Path, kind: Kind) -> Any:
    """The record that an installed reader makes of a file; None where there is no such reader.

    Raises
    ------
    InputError
        The reader refuses the file, fails, or yields something else than it promised.
    """
    suffix = path.suffix.lower()
    if suffix in OWN_SUFFIXES:
        return None
    name, reader = _by_suffix().get(suffix, ("", None))
    if reader is None or reader.kind != kind:
        return None
    cure = f"Report it to the authors of the reader {name!r}"
    try:
        record = reader.read(path)
    except InputError:
        raise
    except Exception as error:
        words = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"its reader failed: {words}", file=path, cure=cure) from error
    if not isinstance(record, _RECORDS[kind]):
        raise InputError(
            f"its reader yields a {type(record).__name__}, not {kind}", file=path, cure=cure
        )
    return record


def _by_suffix() -> dict[str, tuple[str, Reader]]:
    readers = extensions.load(extensions.READERS, _problem)
    found: dict[str, tuple[str, Reader]] = {}
    for name, reader in readers.items():
        for suffix in reader.suffixes:
            found.setdefault(suffix, (name, reader))
    return found


def _problem(value: Any) -> str:
    if not isinstance(value, Reader):
        return f"it is a {type(value).__name__}, not a cryoscope.io.reader_extensions.Reader"
    if value.kind not in _RECORDS:
        return f"there is no kind {value.kind!r}"
    if not all(suffix == suffix.lower() and suffix.startswith(".") for suffix in value.suffixes):
        return "suffixes are in lower case and begin with a dot"
    taken = sorted(OWN_SUFFIXES.intersection(value.suffixes))
    return f"Cryoscope reads {', '.join(taken)} itself" if taken else ""
