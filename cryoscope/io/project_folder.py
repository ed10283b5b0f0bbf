"""The project folder: what was open and how it was looked at, whole after a kill at any moment.

::

    project.json           format, program, what is open and how it is looked at, names of its parts
    project.previous.json  the same as it was one save before
    parts/                 selections, trajectories, arrays and the window's layout, by checksum
    project.lock           which program has it open

A part is written under a new name whenever it changes, and only then is ``project.json`` replaced,
by one that names it: both files always name whole parts. What neither names is removed.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from cryoscope import __version__
from cryoscope.data import InputError
from cryoscope.io.atomic import explain_os_errors, write_bytes_atomic
from cryoscope.io.json_file import read_json_object, write_json
from cryoscope.io.process_lock import Held, Waiting, process_lock

FORMAT_VERSION = 1
NEWEST, PREVIOUS, PARTS, LOCK = "project.json", "project.previous.json", "parts", "project.lock"
_MOST_PARTS = 16
_PART_FILE = re.compile(r"[a-z]{1,40}-[0-9a-f]{16}\.(json|npz)")
_PART_LIMIT_BYTES = 4 * 1024**3
_CHUNK_BYTES = 1 << 20
_CURE = "Restore it from a copy, or make a new project from the run folder."
_T = TypeVar("_T")


@dataclass(frozen=True)
class Part:
    """A file of a project: its name in ``parts`` and what it must hold."""

    file: str
    sha256: str


@dataclass(frozen=True)
class Saved:
    """One save of a project: plain JSON, and its parts by name."""

    content: dict[str, Any]
    parts: dict[str, Part]


class ProjectFolder:
    """One project on disk; see the module's docstring for what is where.

    Parameters
    ----------
    path
        The folder.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._held: Held | None = None

    @staticmethod
    def is_one(path: Path) -> bool:
        """Whether a folder is a project, or what is left of one."""
        return any((path / name).is_file() for name in (NEWEST, PREVIOUS))

    def make(self) -> None:
        """Make the folder, or take one that is empty (InputError otherwise)."""
        if self.is_one(self.path):
            raise InputError(
                "there is a project already", file=self.path, cure="Open it, or choose another name"
            )
        with explain_os_errors(self.path, option="another name"):
            self.path.mkdir(parents=True, exist_ok=True)
            if any(entry.name != LOCK and entry.name != PARTS for entry in self.path.iterdir()):
                raise InputError(
                    "the folder is not empty", file=self.path, cure="Choose a new or an empty one"
                )

    @contextmanager
    def lock(self, waiting: Waiting | None = None) -> Iterator[None]:
        """Hold the project; InputError, naming the program, where another one holds it.

        While it is held, saving is refused once another program has taken the project over
        (:mod:`cryoscope.io.process_lock`, also for ``waiting``).
        """
        path = self.path / LOCK
        held = process_lock(path, "project", option="another name", waiting=waiting)
        with held as self._held:
            try:
                yield
            finally:
                self._held = None

    def saves(self) -> tuple[list[Saved], list[InputError]]:
        """The newest save and the one before, as far as they can be read, and what is wrong.

        Raises
        ------
        InputError
            If neither can be read, or the newest is of another format than this program reads.
        """
        found: list[Saved] = []
        problems: list[InputError] = []
        for name in (NEWEST, PREVIOUS):
            path = self.path / name
            if name == PREVIOUS and not path.is_file():
                continue
            try:
                content = read_json_object(path)
                _check_version(content, path, final=name == NEWEST)
                found.append(Saved(content, _parts(content, path)))
            except _OtherFormat as error:
                raise InputError(error.problem, file=error.file, cure=error.cure) from error
            except InputError as error:
                if name == NEWEST or not found:
                    problems.append(error)
        if not found:
            raise problems[0]
        return found, problems

    def read_part(self, part: Part, read: Callable[[Path], _T]) -> _T:
        """What ``read`` makes of a part whose content is as it was written (else InputError)."""
        path = self.path / PARTS / part.file
        with explain_os_errors(path, action="read"):
            if path.stat().st_size > _PART_LIMIT_BYTES or _sha256(path) != part.sha256:
                raise InputError("the file is damaged", file=path, cure=_CURE)
        return read(path)

    def write_part(self, name: str, suffix: str, write: Callable[[Path], None]) -> Part:
        """Write a part by ``write`` (which is atomic) under the name of its content."""
        folder = self.path / PARTS
        with explain_os_errors(folder, option="another name"):
            folder.mkdir(exist_ok=True)
            made = folder / f".{name}.making{suffix}"
            write(made)
            sha256 = _sha256(made)
            part = Part(f"{name}-{sha256[:16]}{suffix}", sha256)
            made.replace(folder / part.file)
        return part

    def adopt_part(self, other: ProjectFolder, part: Part) -> None:
        """Copy a part from another project (InputError where it is damaged)."""
        content = other.read_part(part, Path.read_bytes)
        with explain_os_errors(self.path / PARTS, option="another name"):
            (self.path / PARTS).mkdir(exist_ok=True)
        write_bytes_atomic(self.path / PARTS / part.file, content)

    def save(self, content: Mapping[str, Any], parts: Mapping[str, Part]) -> None:
        """Make this the newest save and the newest so far the one before; drop other parts.

        Raises
        ------
        InputError
            Where another program has taken the project over.
        """
        if self._held is not None:
            self._held.require()
        newest, previous = self.path / NEWEST, self.path / PREVIOUS
        with suppress(InputError):
            old = read_json_object(newest)
            _check_version(old, newest, final=False)
            write_bytes_atomic(previous, newest.read_bytes())
        listed = {name: {"file": one.file, "sha256": one.sha256} for name, one in parts.items()}
        head = {
            "format": FORMAT_VERSION,
            "program": f"cryoscope {__version__}",
            "saved": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        write_json(newest, {**head, **content, "parts": listed})
        self._sweep({part.file for part in parts.values()})

    def _sweep(self, kept: set[str]) -> None:
        with suppress(InputError):
            previous = self.path / PREVIOUS
            if previous.is_file():
                named = _parts(read_json_object(previous), previous)
                kept = kept | {part.file for part in named.values()}
        with suppress(OSError):
            for entry in (self.path / PARTS).iterdir():
                if entry.name not in kept:
                    entry.unlink(missing_ok=True)


class _OtherFormat(InputError):
    """A project that was written by another version of the program."""


def _check_version(content: Mapping[str, Any], path: Path, *, final: bool) -> None:
    version = content.get("format")
    if isinstance(version, int) and not isinstance(version, bool) and version != FORMAT_VERSION:
        kind = _OtherFormat if final else InputError
        newer = version > FORMAT_VERSION
        raise kind(
            f"the project has format {version}, written by "
            f"{str(content.get('program'))[:80]}; cryoscope {__version__} reads format "
            f"{FORMAT_VERSION}",
            file=path,
            cure="Update Cryoscope." if newer else _CURE,
        )
    if type(version) is not int:
        raise InputError("not a project file", file=path, cure=_CURE)


def _parts(content: Mapping[str, Any], path: Path) -> dict[str, Part]:
    """The parts that a save names; a name that is no plain file name is refused."""
    listed = content.get("parts")
    if not isinstance(listed, dict) or len(listed) > _MOST_PARTS:
        raise InputError("the list of its parts is damaged", file=path, cure=_CURE)
    found = {}
    for name, row in listed.items():
        file, sha256 = (row.get("file"), row.get("sha256")) if isinstance(row, dict) else ("", "")
        if not (isinstance(file, str) and isinstance(sha256, str) and _PART_FILE.fullmatch(file)):
            raise InputError(f"its part {name[:40]!r} is damaged", file=path, cure=_CURE)
        found[name] = Part(file, sha256)
    return found


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
