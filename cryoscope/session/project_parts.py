"""The parts of a project that have files of their own; each is written only when it has changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import Embedding, InputError, Latents
from cryoscope.session.project_records import WindowState
from cryoscope.session.project_states import StateParts

if TYPE_CHECKING:
    from cryoscope.io.project_folder import Part, ProjectFolder, Saved
    from cryoscope.session.state import Session

PARTS = ("selections", "trajectories", "arrays", "window")
_CURE = "The project opens without it."
_ARRAYS = ("clusters", "umap_xy", "umap_id", "umap_run_id", "umap_epoch")
_LONGEST_NAME = 1_000


@dataclass(frozen=True, eq=False)
class KeptArrays:
    """What takes long to be computed again: clusters, and the UMAP with what it is of."""

    clusters: NDArray[np.int64] | None = None
    umap: Embedding | None = None
    run_id: str = ""
    epoch: int = 0


class PartWriter:
    """Writes the parts of a project, and knows which of them are as they were.

    Parts that could not be used when the project was opened (their run is gone) stay as they are
    until what they hold has been replaced in the session.
    """

    def __init__(self, session: Session, folder: ProjectFolder) -> None:
        self._session, self.folder = session, folder
        self.window: WindowState | None = None
        self.states = StateParts(folder)
        self._written: dict[str, tuple[tuple[Any, ...], Part]] = {}

    def settle(self, parts: Mapping[str, Part]) -> None:
        """Take the session as it is now for what ``parts`` hold."""
        for name, part in parts.items():
            if name in PARTS:
                self._written[name] = self._present(name), part

    def adopt(self, other: PartWriter) -> None:
        """Copy what another project holds and the session has not replaced."""
        for name, (present, part) in other._written.items():
            if _identical(present, self._present(name)):
                self.folder.adopt_part(other.folder, part)
                self._written[name] = present, part
        self.states.adopt(other.states)

    def write(self) -> dict[str, Part]:
        """The parts as they are to be now, written where they have changed."""
        for name in PARTS:
            present = self._present(name)
            old = self._written.get(name)
            if old is not None and _identical(old[0], present):
                continue
            if old is None and all(
                one is None or (isinstance(one, tuple) and not one) for one in present
            ):
                continue
            suffix, write = _writing(name, present)
            self._written[name] = present, self.folder.write_part(name, suffix, write)
        return {name: part for name, (_, part) in self._written.items()}

    def _present(self, name: str) -> tuple[Any, ...]:
        session = self._session
        if name == "window":
            return (None if self.window is None else self.window.layout,)
        if name == "arrays":
            return session.clusters, session.kept_umap
        return (getattr(session, name),)


def _identical(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return all(a is b for a, b in zip(one, other, strict=True))


def _writing(name: str, present: tuple[Any, ...]) -> tuple[str, Callable[[Path], None]]:
    from cryoscope.io.array_archive import write_arrays
    from cryoscope.io.selections_file import write_selections
    from cryoscope.io.trajectories_file import write_trajectories

    if name == "selections":
        return ".json", lambda path: write_selections(path, present[0])
    if name == "trajectories":
        return ".json", lambda path: write_trajectories(path, present[0])
    if name == "window":
        layout: Mapping[str, bytes] = present[0] or {}
        packed = {key: np.frombuffer(data, dtype=np.uint8) for key, data in layout.items()}
        return ".npz", lambda path: write_arrays(path, packed)
    arrays = _arrays(*present)
    return ".npz", lambda path: write_arrays(path, arrays)


def _arrays(
    clusters: NDArray[np.int64] | None, kept_umap: tuple[Latents, Embedding] | None
) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    if clusters is not None:
        arrays["clusters"] = clusters.astype(np.int32)
    if kept_umap is not None:
        latents, picture = kept_umap
        arrays["umap_xy"] = np.ascontiguousarray(picture.xy, dtype=np.float32)
        arrays["umap_id"] = np.array(picture.embedding_id[:_LONGEST_NAME])
        arrays["umap_run_id"] = np.array(latents.run_id[:_LONGEST_NAME])
        arrays["umap_epoch"] = np.array(latents.epoch, dtype=np.int64)
    return arrays


def read_kept_arrays(path: Path) -> KeptArrays:
    """What :class:`PartWriter` wrote of arrays.

    Raises
    ------
    InputError
        If the file is damaged.
    """
    from cryoscope.io.array_archive import read_arrays

    found = read_arrays(path, _ARRAYS, what="project", cure=_CURE)
    clusters, xy = found.get("clusters"), found.get("umap_xy")
    if clusters is not None and (clusters.dtype.kind != "i" or clusters.ndim != 1):
        raise InputError("the clusters are damaged", file=path, cure=_CURE)
    if xy is None:
        return KeptArrays(None if clusters is None else clusters.astype(np.int64))
    names = [found.get(name) for name in _ARRAYS[2:]]
    whole = all(one is not None and one.shape == () for one in names)
    if not whole or xy.dtype != np.float32 or xy.ndim != 2 or xy.shape[1] != 2:
        raise InputError("the UMAP picture is damaged", file=path, cure=_CURE)
    identity, run_id, epoch = names
    try:
        picture = Embedding(xy, ("UMAP 1", "UMAP 2"), None, None, str(identity)[:_LONGEST_NAME])
        number = int(epoch)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise InputError("the UMAP picture is damaged", file=path, cure=_CURE) from error
    return KeptArrays(
        None if clusters is None else clusters.astype(np.int64), picture, str(run_id), number
    )


def read_layout(path: Path) -> dict[str, bytes]:
    """The layout of a window that :class:`PartWriter` wrote (else InputError)."""
    from cryoscope.io.array_archive import read_arrays

    names = ("state", "geometry")
    found = read_arrays(path, names, what="layout", cure="The window keeps its usual layout.")
    for name, data in found.items():
        if data.dtype != np.uint8 or data.ndim != 1:
            raise InputError(f"the layout {name!r} is damaged", file=path, cure=_CURE)
    return {name: data.tobytes() for name, data in found.items()}


def first_that_reads(
    folder: ProjectFolder,
    saves: list[Saved],
    name: str,
    read: Callable[[Path], Any],
    problems: list[InputError],
) -> tuple[Any, Part | None]:
    """A part as it was saved last, or, where that is damaged, one save before.

    What is wrong is added to ``problems``. Without one that can be read: None and None.
    """
    tried: set[str] = set()
    for saved in saves:
        part = saved.parts.get(name)
        if part is None:
            # A part that is not named was empty then.
            return None, None
        if part.file in tried:
            continue
        tried.add(part.file)
        try:
            return folder.read_part(part, read), part
        except InputError as error:
            problems.append(error)
    return None, None
