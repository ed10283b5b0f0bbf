"""Kept states of the 3-D view in a project: what each was, and its map where that is small.

``project.json`` says of every state what it was and how it is drawn; its trace and its map, cut to
:data:`LARGEST_PX`, are a part of the project. A larger map is decoded again in the background.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from cryoscope.data import InputError, Provenance, Structure, Volume
from cryoscope.session.contours import contour_of
from cryoscope.session.project_records import SavedState
from cryoscope.session.scene import KeptState
from cryoscope.session.shown import shown_again, shown_decoded

if TYPE_CHECKING:
    from cryoscope.io.project_folder import Part, ProjectFolder, Saved
    from cryoscope.session.jobs import Job
    from cryoscope.session.records import RunView, ShownState
    from cryoscope.session.state import Session

#: Maps of at most so many samples a side are kept as they are, larger ones in so many.
LARGEST_PX = 128
#: States in a project at most: those that are kept, and those that wait for their run.
MOST_STATES = 12
JOB_NAME = "Kept states"
_CURE = "The project opens without it."
_ARRAYS = ("coords_A", "displacement_A", "map", "voxel_size_A", "origin_A")
_Key = tuple[object, object]


@dataclass(frozen=True, eq=False)
class StoredState:
    """The arrays of a state, as a part of a project holds them."""

    coords_A: NDArray[np.float32]
    displacement_A: NDArray[np.float32]
    density: Volume | None


class StateParts:
    """Writes kept states, each once; those that cannot be shown now stay in the project."""

    def __init__(self, folder: ProjectFolder) -> None:
        self._folder = folder
        self._written: list[tuple[_Key, Part]] = []
        self.waiting: list[tuple[SavedState, Part | None]] = []

    def settle(self, shown: ShownState, part: Part) -> None:
        """Take a part for what holds this state."""
        self._written.append((_key(shown), part))

    def finer(self, was: ShownState, now: ShownState) -> None:
        """The part of a state holds what was decoded again in full, too."""
        key = _key(was)
        part = next((made for known, made in self._written if _same(known, key)), None)
        if part is not None:
            self.settle(now, part)

    def arrived(self, row: SavedState) -> None:
        """A state that waited is kept in the session now."""
        self.waiting = [one for one in self.waiting if one[0] is not row]

    def adopt(self, other: StateParts) -> None:
        """Copy what another project holds and cannot be shown now."""
        for row, part in other.waiting:
            if part is not None:
                self._folder.adopt_part(other._folder, part)
            self.waiting.append((row, part))

    def write(self, kept: Sequence[KeptState]) -> tuple[list[dict[str, Any]], dict[str, Part]]:
        """What the project file is to say of the states, and the parts that it names."""
        rows, parts, written = [], {}, []
        for one in kept:
            key = _key(one.shown)
            part = next((made for known, made in self._written if _same(known, key)), None)
            if part is None:
                part = self._folder.write_part("state", ".npz", _writer(one.shown))
            written.append((key, part))
            parts[_name(part)] = part
            rows.append(_row(one, _name(part)).model_dump(mode="json"))
        self._written = written
        names = {one.name for one in kept}
        for row, part in self.waiting:
            if row.name in names or len(rows) >= MOST_STATES:
                continue
            rows.append(row.model_dump(mode="json"))
            if part is not None:
                parts[_name(part)] = part
        return rows, parts


def restore_states(
    session: Session, folder: ProjectFolder, saves: list[Saved], problems: list[InputError]
) -> StateParts:
    """Keep the states again that were kept; what cannot be is decoded as soon as its run is ready.

    What is wrong is added to ``problems``; a state that is damaged in the newest save is taken from
    the one before. For jobs.
    """
    states, kept, missing = StateParts(folder), [], []
    for row, part in _saved_states(saves, folder.path, problems):
        stored = None
        if part is not None:
            try:
                stored = folder.read_part(part, read_state)
            except InputError as error:
                problems.append(error)
        if stored is None:
            states.waiting.append((row, None))
            missing.append(row)
            continue
        shown = _shown(session, row, stored)
        assert part is not None
        states.settle(shown, part)
        kept.append(KeptState(row.name, row.colour, shown, row.visible, row.place))
        if stored.density is not None and row.box_px > max(stored.density.values.shape):
            missing.append(row)
    session.kept_states = tuple(kept)
    if missing:
        _decode_when_ready(session, states, missing)
    return states


def _saved_states(
    saves: list[Saved], folder: Path, problems: list[InputError]
) -> list[tuple[SavedState, Part | None]]:
    """The states of the newest save, and those of the one before in place of damaged ones."""
    from cryoscope.io.project_folder import NEWEST

    found: dict[str, tuple[SavedState, Part | None]] = {}
    for number, saved in enumerate(saves):
        rows, damaged = saved.content.get("kept", []), 0
        if not isinstance(rows, list):
            rows, damaged = [], 1
        for row in rows[:MOST_STATES]:
            try:
                state = SavedState.model_validate(row)
            except ValidationError:
                damaged += 1
                continue
            found.setdefault(state.name, (state, saved.parts.get(state.part)))
        if not damaged:
            break
        if number == 0:
            which = f"{damaged} of the kept states" if rows else "the list of kept states"
            problems.append(
                InputError(
                    f"{which} made no sense; the save before was asked for them",
                    file=folder / NEWEST,
                    cure="Keep them again if they are not there.",
                )
            )
    return list(found.values())[:MOST_STATES]


def read_state(path: Path) -> StoredState:
    """The arrays of a state (InputError where they are damaged)."""
    from cryoscope.io.array_archive import read_arrays

    found = read_arrays(path, _ARRAYS, what="state", cure=_CURE)
    try:
        coords_A = _finite(found["coords_A"], 2)
        moved_A = _finite(found["displacement_A"], 1)
        if coords_A.shape != (len(moved_A), 3):
            raise ValueError("a trace of another length")
        return StoredState(coords_A, moved_A, _map(found) if "map" in found else None)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError("the kept state is damaged", file=path, cure=_CURE) from error


def _map(found: Mapping[str, NDArray[Any]]) -> Volume:
    """The map of a state; ValueError where its arrays do not belong together."""
    values = found["map"]
    voxel_size_A = float(_finite(found["voxel_size_A"], 0))
    corner_A = _finite(found["origin_A"], 1, np.float64)
    if values.dtype.kind != "f" or values.ndim != 3 or min(values.shape) < 2:
        raise ValueError("no map")
    if voxel_size_A <= 0 or len(corner_A) != 3:
        raise ValueError("a map that lies nowhere")
    x_A, y_A, z_A = (float(one) for one in corner_A)
    return Volume(values.astype(np.float32), voxel_size_A, (x_A, y_A, z_A))


def _finite(values: NDArray[Any], dimensions: int, kind: Any = np.float32) -> NDArray[Any]:
    if values.dtype.kind != "f" or values.ndim != dimensions or not np.isfinite(values).all():
        raise ValueError("numbers that are none")
    return values.astype(kind)


def _writer(shown: ShownState) -> Any:
    from cryoscope.io.array_archive import write_arrays

    arrays: dict[str, NDArray[Any]] = {
        "coords_A": np.ascontiguousarray(shown.coords_A, dtype=np.float32),
        "displacement_A": np.ascontiguousarray(shown.displacement_A, dtype=np.float32),
    }
    if shown.density is not None:
        small = _smaller(shown.density)
        arrays["map"] = np.ascontiguousarray(small.values, dtype=np.float32)
        arrays["voxel_size_A"] = np.array(small.voxel_size_A, dtype=np.float64)
        arrays["origin_A"] = np.array(small.origin_A, dtype=np.float64)
    return lambda path: write_arrays(path, arrays)


def _smaller(volume: Volume) -> Volume:
    """The map in at most :data:`LARGEST_PX` samples a side, where it was."""
    from cryoscope.session.decoded_maps import in_box

    size = volume.values.shape
    if max(size) <= LARGEST_PX:
        return volume
    if len(set(size)) > 1 or not np.isfinite(volume.values).all():
        step = -(-max(size) // LARGEST_PX)
        every = np.ascontiguousarray(volume.values[::step, ::step, ::step])
        return Volume(every, volume.voxel_size_A * step, volume.origin_A, volume.provenance)
    cut = in_box(volume, LARGEST_PX)
    # in_box puts the middle of the box at the origin; the map's own may lie elsewhere.
    moved_A = size[0] // 2 * volume.voxel_size_A
    kept_A = LARGEST_PX // 2 * cut.voxel_size_A
    x_A, y_A, z_A = (float(one) + moved_A - kept_A for one in volume.origin_A)
    return replace(cut, origin_A=(x_A, y_A, z_A))


def _row(kept: KeptState, part: str) -> SavedState:
    shown = kept.shown
    density = shown.density
    source = Provenance("file") if density is None else density.provenance
    return SavedState(
        name=kept.name[:1_000],
        colour=kept.colour,
        visible=kept.visible,
        place=kept.place[:1_000],
        part=part,
        label=shown.label[:1_000],
        kind=source.kind,
        detail=source.detail[:1_000],
        run_id=source.run_id[:1_000],
        epoch=source.epoch,
        particle_count=source.particle_count,
        z=[float(value) for value in shown.z],
        sigma=float(shown.sigma) if np.isfinite(shown.sigma) else 0.0,
        box_px=0 if density is None else max(density.values.shape),
        full_box_px=shown.full_box_px,
        preview_box_px=shown.preview_box_px,
    )


def _shown(session: Session, row: SavedState, stored: StoredState) -> ShownState:
    density = stored.density
    if density is not None:
        z = tuple(row.z) if row.kind == "decoded" else ()
        source = Provenance(row.kind, row.detail, row.run_id, row.epoch, z, row.particle_count)
        density = replace(density, provenance=source)
    shown = shown_again(
        np.array(row.z, dtype=np.float32),
        stored.coords_A,
        stored.displacement_A,
        density,
        row.label,
        reference=_reference(session, len(stored.coords_A)),
        contour=contour_of(session, row.kind),
    )
    full_px = row.full_box_px
    if density is not None and row.box_px > max(density.values.shape):
        full_px = max(full_px, row.box_px)
    return replace(shown, full_box_px=full_px, preview_box_px=row.preview_box_px)


def _reference(session: Session, count: int) -> Structure | None:
    from cryoscope.session.shown import backbone_trace

    run, structure = session.run, session.structure
    if run is not None and run.reference is not None:
        return run.reference
    return backbone_trace(structure.structure) if structure is not None and count else None


def _decode_when_ready(session: Session, states: StateParts, rows: list[SavedState]) -> None:
    """Decode states in the background, as soon as the model of the run is there."""
    run = session.run
    folder, begun = None if run is None else run.folder, threading.Event()

    def look(now: RunView | None) -> None:
        if begun.is_set() or now is None or not now.ready or now.folder != folder:
            return
        begun.set()
        session.events.run.disconnect(look, missing_ok=True)
        session.pool.submit(
            JOB_NAME, lambda job: _decode(session, states, rows, job), key="kept-states"
        )

    if folder is not None:
        session.events.run.connect(look)
        look(run)


def _decode(session: Session, states: StateParts, rows: list[SavedState], job: Job) -> None:
    for number, row in enumerate(rows):
        job.progress(number, len(rows), f"Decoding the kept state {row.name}")
        run, latents = session.snapshot("run", "latents")
        there = next((one for one in session.kept_states if one.name == row.name), None)
        if run is None or latents is None or len(row.z) != latents.z.shape[1]:
            continue
        ours = (row.kind, row.detail) == ("decoded", "") and row.run_id == run.folder.name
        # A map that was kept is made finer only by the model that made it.
        if not ours or (there is not None and row.epoch != latents.epoch):
            continue
        z = np.array([row.z], dtype=np.float32)
        decoded = session.decoder.states(z, job, volume=True, box_size_px=row.box_px or None)
        shown = shown_decoded(
            0,
            decoded,
            run.reference,
            contour=contour_of(session, "decoded"),
            run_id=run.folder.name,
            epoch=latents.epoch,
        )
        _put(session, states, row, there, shown)


def _put(
    session: Session,
    states: StateParts,
    row: SavedState,
    there: KeptState | None,
    shown: ShownState,
) -> None:
    def decide() -> dict[str, Any]:
        kept = session.kept_states
        if there is None:
            if any(one.name == row.name for one in kept):
                return {}
            made = KeptState(row.name, row.colour, shown, row.visible, row.place)
            return {"kept_states": (*kept, made)}
        return {
            "kept_states": tuple(
                replace(one, shown=shown) if one.shown is there.shown else one for one in kept
            )
        }

    if there is not None:
        states.finer(there.shown, shown)
    session.revise(decide)
    states.arrived(row)


def _key(shown: ShownState) -> _Key:
    return shown.density, shown.coords_A


def _same(one: _Key, other: _Key) -> bool:
    return one[0] is other[0] and one[1] is other[1]


def _name(part: Part) -> str:
    return Path(part.file).stem
