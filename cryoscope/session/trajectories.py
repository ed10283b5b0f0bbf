"""Named ways through latent space: making, changing and looking at them; all of it undoable.

A change is worked out in the background, in the order in which changes were asked for, and then
takes effect at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryoscope.analysis.stopping import Stopped
from cryoscope.data import InputError
from cryoscope.data.trajectory_path import PATH_KINDS, TrajectoryPath
from cryoscope.session.history import Change
from cryoscope.session.jobs import Cancelled, Job
from cryoscope.session.opening import reporting
from cryoscope.session.path_folder import paths_that_fit, save_trajectories
from cryoscope.session.path_making import (
    Cloud,
    path_along,
    path_drawn,
    path_through,
    with_states,
)
from cryoscope.session.path_views import path_xy
from cryoscope.session.state import Session

DEFAULT_FRAMES = 20
_Paths = tuple[TrajectoryPath, ...]
_Edit = Callable[[_Paths, str], tuple[_Paths, str]]
_Rework = Callable[[TrajectoryPath, Cloud], TrajectoryPath]


def make_path(
    session: Session,
    kind: str,
    *,
    rows: Sequence[int] | None = None,
    component: int = 1,
    curve_xy: ArrayLike | None = None,
    frames: int = DEFAULT_FRAMES,
    name: str = "",
) -> None:
    """Make a trajectory and look at it; undoable.

    Parameters
    ----------
    kind
        ``"component"``: along a principal component, within its 5th to 95th percentile.
        ``"straight"``, ``"graph"``, ``"ridge"``: by way of particles, in straight lines, through
        the graph of nearest neighbours, or along the ridge of the particles' density.
        ``"drawn"``: along a curve in the plot of the latents.
    rows
        Particles to pass, in order; by default those that are marked.
    component
        Principal component, from 1.
    curve_xy
        (k, 2) points of the drawn curve in the plot's coordinates.
    frames
        Number of states.
    """
    with reporting(session):
        if kind not in PATH_KINDS:
            raise InputError(f"no such kind of path: {kind}", cure=", ".join(PATH_KINDS))
        chosen = session.path_marks if rows is None else tuple(int(row) for row in rows)
        marked = rows is None and kind in ("straight", "graph", "ridge")
        curve = None if curve_xy is None else np.array(curve_xy, dtype=np.float64).reshape(-1, 2)

        def prepare(job: Job) -> _Edit:
            cloud = _cloud(session)
            title = name or {"component": f"PC{component}"}.get(kind, kind)
            if kind == "component":
                bare = path_along(cloud, title, component)
            elif kind == "drawn":
                bare = path_drawn(cloud, title, np.zeros((0, 2)) if curve is None else curve)
            else:
                bare = path_through(cloud, title, kind, chosen)
            made = with_states(bare, cloud, frames, job)

            def add(paths: _Paths, _active: str) -> tuple[_Paths, str]:
                path = replace(made, name=_free_name(paths, made.name))
                return (*paths, path), path.name

            return add

        _submit(session, f"trajectory ({kind})", prepare)
        if marked:
            session.path_marks = ()


def mark_particle(session: Session, xy: ArrayLike) -> None:
    """Mark the particle nearest to a position in the plot, as a point of the next path."""
    with reporting(session):
        row = _cloud(session).row_at(xy)
        marks = session.path_marks
        if not marks or marks[-1] != row:
            session.path_marks = (*marks, row)


def clear_marks(session: Session) -> None:
    """Forget the marked particles."""
    session.path_marks = ()


def add_way_point(session: Session, name: str, xy: ArrayLike, place: int | None = None) -> None:
    """Let a path pass the particle nearest to ``xy`` as its ``place``-th way-point; undoable.

    By default it comes where the detour is smallest.
    """
    at = np.array(xy, dtype=np.float64)

    def rework(path: TrajectoryPath, cloud: Cloud) -> TrajectoryPath:
        row, landed = cloud.row_at(at), cloud.landed(at)
        where = _shortest_detour(cloud.way_xy(path), at) if place is None else place
        where = min(max(where, 0), len(path.way_z))
        return replace(
            path,
            way_z=np.insert(path.way_z, where, cloud.z([row])[0], axis=0),
            way_rows=np.insert(path.way_rows, where, row),
            way_xy=np.insert(path.way_xy, where, landed, axis=0),
        )

    _rework(session, name, "add a way-point", rework)


def move_way_point(session: Session, name: str, number: int, xy: ArrayLike) -> None:
    """Move a way-point (from 0) to the particle nearest to ``xy``; undoable."""
    at = np.array(xy, dtype=np.float64)

    def rework(path: TrajectoryPath, cloud: Cloud) -> TrajectoryPath:
        _check_number(path, number)
        row = cloud.row_at(at)
        way_z, rows, way_xy = path.way_z.copy(), path.way_rows.copy(), path.way_xy.copy()
        way_z[number], rows[number] = cloud.z([row])[0], row
        way_xy[number] = cloud.landed(at)
        return replace(path, way_z=way_z, way_rows=rows, way_xy=way_xy)

    _rework(session, name, "move a way-point", rework)


def remove_way_point(session: Session, name: str, number: int) -> None:
    """Let a path no longer pass a way-point (from 0); undoable."""

    def rework(path: TrajectoryPath, _cloud: Cloud) -> TrajectoryPath:
        _check_number(path, number)
        return _ordered(path, [i for i in range(len(path.way_z)) if i != number])

    _rework(session, name, "remove a way-point", rework)


def reorder_way_points(session: Session, name: str, order: Sequence[int]) -> None:
    """Pass the way-points in another order, given by their present numbers; undoable."""
    wanted = [int(number) for number in order]

    def rework(path: TrajectoryPath, _cloud: Cloud) -> TrajectoryPath:
        if sorted(wanted) != list(range(len(path.way_z))):
            raise InputError("every way-point must stand in the order once")
        return _ordered(path, wanted)

    _rework(session, name, "reorder way-points", rework)


def set_path_frames(session: Session, name: str, frames: int) -> None:
    """Give a path another number of states; undoable."""
    _rework(session, name, "number of states", lambda path, _cloud: path, frames, turns=False)


def refresh_path(session: Session, name: str) -> None:
    """Find the states of a path again in the latents as they are now; undoable."""

    def rework(path: TrajectoryPath, cloud: Cloud) -> TrajectoryPath:
        exact = path.kind in ("straight", "graph", "ridge")
        return replace(path, way_z=cloud.z(path.way_rows)) if exact else path

    _rework(session, name, "refresh the trajectory", rework, turns=False)


def rename_path(session: Session, name: str, new_name: str) -> None:
    """Give a path another name; undoable."""
    title = " ".join(new_name.split())

    def edit(paths: _Paths, active: str) -> tuple[_Paths, str]:
        path = _named(paths, name)
        if not title or (title != name and any(one.name == title for one in paths)):
            problem = f"there is a trajectory {title!r} already" if title else "a name is needed"
            raise InputError(problem, cure="Choose another name.")
        renamed = _with(paths, name, replace(path, name=title))
        return renamed, title if active == name else active

    _submit(session, f"rename {name}", lambda _job: edit)


def remove_path(session: Session, name: str) -> None:
    """Remove a path; undoable."""

    def edit(paths: _Paths, active: str) -> tuple[_Paths, str]:
        place = paths.index(_named(paths, name))
        left = paths[:place] + paths[place + 1 :]
        fallback = left[min(place, len(left) - 1)].name if left else ""
        return left, fallback if active == name else active

    _submit(session, f"remove {name}", lambda _job: edit)


def activate_path(session: Session, name: str) -> None:
    """Look at another path; "" for none."""

    def decide() -> dict[str, Any]:
        if name:
            _named(session.trajectories, name)
        return {"active_path": name, "path_frame": 0}

    with reporting(session):
        session.revise(decide)
        _show_active(session)


def show_frame(session: Session, name: str, frame: int) -> None:
    """Show a state (from 0) of a path as soon as it is decoded; newest wins.

    Numbers beyond the ends show the first or last state. The states that follow are decoded ahead.
    """
    with reporting(session):
        path = find_path(session, name)
        place = min(max(int(frame), 0), len(path) - 1)
        xy = path_xy(session, path)
        values: dict[str, Any] = {"active_path": name, "path_frame": place}
        if len(xy):
            values["cursor_xy"] = (float(xy[place, 0]), float(xy[place, 1]))
        session.change(**values)
        session.player.show(path, place)


def find_path(session: Session, name: str) -> TrajectoryPath:
    """The path of that name.

    Raises
    ------
    InputError
        If there is none.
    """
    return _named(session.trajectories, name)


def _rework(
    session: Session,
    name: str,
    text: str,
    rework: _Rework,
    frames: int = 0,
    *,
    turns: bool = True,
) -> None:
    """Change a path and find its states anew; with other ends a component is one no more."""

    def prepare(job: Job) -> _Edit:
        cloud, path = _cloud(session), find_path(session, name)
        changed = rework(path, cloud)
        if turns and changed.kind == "component":
            changed = replace(changed, kind="straight", made_by={})
        made = with_states(changed, cloud, frames or len(path), job)

        def put(paths: _Paths, active: str) -> tuple[_Paths, str]:
            _named(paths, name)
            return _with(paths, name, made), active

        return put

    _submit(session, f"{text} ({name})", prepare)


def _submit(session: Session, text: str, prepare: Callable[[Job], _Edit]) -> None:
    """Prepare a change and carry it out in the background, after those asked for before."""
    edits = session.player.edits
    edits.append((text, prepare))

    def work(job: Job) -> None:
        while edits:
            label, make = edits.popleft()
            try:
                with reporting(session):
                    _carry_out(session, label, make(job))
            except (Cancelled, Stopped):
                edits.clear()
                raise Cancelled from None

    session.pool.submit(
        "Trajectory", work, key="trajectory", text=f"Working out: {text}", cancel_running=False
    )


def _carry_out(session: Session, text: str, edit: _Edit) -> None:
    before: dict[str, Any] = {}

    def decide() -> dict[str, Any]:
        names = ("trajectories", "active_path", "path_frame")
        before.update(zip(names, session.snapshot(*names), strict=True))
        paths, active = edit(session.trajectories, session.active_path)
        same = active == session.active_path
        frame = session.path_frame if same else 0
        shown = next((path for path in paths if path.name == active), None)
        last = 0 if shown is None else len(shown) - 1
        return {"trajectories": paths, "active_path": active, "path_frame": min(frame, last)}

    after = session.revise(decide)

    def restore(values: dict[str, Any]) -> None:
        paths, latents = values["trajectories"], session.latents
        if latents is not None:
            paths = paths_that_fit(paths, latents)
        session.change(**{**values, "trajectories": paths})
        save_trajectories(session)
        _show_active(session)

    session.history.push(Change(text, lambda: restore(before), lambda: restore(after)))
    session.refresh_undo()
    save_trajectories(session)
    _show_active(session)


def _show_active(session: Session) -> None:
    """Show the state of the active path that is looked at, while there is a model for it."""
    run, paths, active, frame = session.snapshot("run", "trajectories", "active_path", "path_frame")
    if run is not None and run.ready and any(path.name == active for path in paths):
        show_frame(session, active, frame)


def _cloud(session: Session) -> Cloud:
    latents, embedding = session.snapshot("latents", "embedding")
    if latents is None or embedding is None:
        raise InputError("there are no latents yet", cure="Train, or open a run folder, first.")
    return Cloud(latents, embedding)


def _named(paths: _Paths, name: str) -> TrajectoryPath:
    for path in paths:
        if path.name == name:
            return path
    there_are = ", ".join(path.name for path in paths)
    raise InputError(
        f"there is no trajectory {name!r}",
        cure=f"There are: {there_are}." if paths else "Make one first.",
    )


def _with(paths: _Paths, name: str, path: TrajectoryPath) -> _Paths:
    return tuple(path if one.name == name else one for one in paths)


def _free_name(paths: _Paths, wanted: str) -> str:
    names = {path.name for path in paths}
    title = " ".join(wanted.split())
    if title and title not in names:
        return title
    number = 2
    while f"{title} {number}" in names:
        number += 1
    return f"{title} {number}"


def _ordered(path: TrajectoryPath, order: list[int]) -> TrajectoryPath:
    return replace(
        path, way_z=path.way_z[order], way_rows=path.way_rows[order], way_xy=path.way_xy[order]
    )


def _check_number(path: TrajectoryPath, number: int) -> None:
    if not 0 <= number < len(path.way_z):
        raise InputError(
            f"there is no way-point {number + 1}", cure=f"Choose 1 to {len(path.way_z)}."
        )


def _shortest_detour(way_xy: NDArray[np.float64], at: NDArray[np.float64]) -> int:
    """Where in a polyline a point makes it least longer."""
    to = np.linalg.norm(way_xy - at, axis=1)
    between = to[:-1] + to[1:] - np.linalg.norm(np.diff(way_xy, axis=0), axis=1)
    return int(np.argmin([to[0], *between, to[-1]]))
