"""From way-points to the states of a trajectory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryoscope.data import Embedding, InputError, Latents
from cryoscope.data.trajectory_path import TrajectoryPath
from cryoscope.session.jobs import Job

FEWEST_FRAMES, MOST_FRAMES = 2, 200
MOST_WAY_POINTS = 500
#: Farther than this share of the picture from every particle, or than so many times the mean
#: spacing of few particles, a position lies in the void.
_VOID, _SPACINGS = 0.04, 3.0


@dataclass(frozen=True, eq=False)
class Cloud:
    """The particles that a path leads through, as they were at one moment."""

    latents: Latents
    embedding: Embedding

    def row_at(self, xy: ArrayLike) -> int:
        """Row of the particle nearest to a position in the picture.

        Raises
        ------
        InputError
            If the position is no pair of numbers, or no particle has a latent.
        """
        place = np.asarray(xy, dtype=np.float64)
        if place.shape != (2,) or not np.isfinite(place).all():
            raise InputError("a position in the plot is a pair of numbers", cure="Give x and y.")
        square = ((self.embedding.xy - place) ** 2).sum(axis=1)
        if not np.isfinite(square).any():
            raise InputError("no particle has latents yet", cure="Wait for the first latents.")
        return int(np.nanargmin(square))

    def landed(self, xy: ArrayLike) -> NDArray[np.float64]:
        """A position in the picture, or that of the nearest particle where it lies in the void.

        What was put where no particle is would stand beside the path that it is a point of.
        """
        place, picture = np.array(xy, dtype=np.float64), self.embedding.xy
        nearest = np.asarray(picture[self.row_at(place)], dtype=np.float64)
        some = picture[:: max(1, len(picture) // 20_000)]
        low, high = np.nanpercentile(some, [2, 98], axis=0)
        away = np.abs(nearest - place) / np.maximum(high - low, 1e-12)
        reach = max(_VOID, _SPACINGS / np.sqrt(len(picture)))
        return nearest if float(away.max()) > reach else place

    def z(self, rows: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float64]:
        """(k, d) latents of particles."""
        return np.asarray(self.latents.z[np.asarray(rows, dtype=np.int64)], dtype=np.float64)

    def xy(self, z: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """(k, 2) positions of states in the picture; in a curved one those of nearest particles."""
        picture = self.embedding
        if picture.axes is not None and picture.centre is not None:
            return np.asarray((z - picture.centre) @ picture.axes.T, dtype=np.float64)
        inside = np.clip(rows, 0, max(len(picture.xy) - 1, 0))
        return np.asarray(picture.xy[inside], dtype=np.float64)

    def way_xy(self, path: TrajectoryPath) -> NDArray[np.float64]:
        """(W, 2) where the way-points of ``path`` lie in the picture."""
        found = self.xy(path.way_z, path.way_rows)
        if path.embedding_id != self.embedding.embedding_id:
            return found
        given = np.isfinite(path.way_xy).all(axis=1)
        found[given] = path.way_xy[given]
        return found


def path_through(cloud: Cloud, name: str, kind: str, rows: Sequence[int]) -> TrajectoryPath:
    """A path without states by way of particles: ``straight``, ``graph`` or ``ridge``.

    Raises
    ------
    InputError
        If there are fewer than two particles, or one does not exist or has no latent.
    """
    from cryoscope.analysis.trajectory import checked_anchors

    chosen = checked_anchors(cloud.latents.z, list(rows))
    nowhere = np.full((len(chosen), 2), np.nan)
    return _unfinished(cloud, name, kind, cloud.z(chosen), chosen, nowhere)


def path_along(cloud: Cloud, name: str, component: int) -> TrajectoryPath:
    """A path without states along a principal component; its way-points are the ends.

    Raises
    ------
    InputError
        If there is no such component.
    """
    from cryoscope.analysis.trajectory import frame_support, pc_path

    ends = pc_path(cloud.latents.z, component=component, frames=2, embedding=cloud.embedding)
    rows = frame_support(cloud.latents.z, ends).nearest
    path = _unfinished(cloud, name, "component", ends, rows, np.full((2, 2), np.nan))
    return replace(path, made_by={"component": int(component)})


def path_drawn(cloud: Cloud, name: str, curve_xy: ArrayLike) -> TrajectoryPath:
    """A path without states along a curve in the picture; its corners become way-points.

    Raises
    ------
    InputError
        If the curve has no extent, or no particle has a latent.
    """
    from cryoscope.analysis.curves import simplified_curve

    corners = simplified_curve(np.asarray(curve_xy, dtype=np.float64))
    if len(corners) < 2 or not np.ptp(corners, axis=0).any():
        raise InputError("a drawn path needs at least two points", cure="Drag a longer curve.")
    corners = np.array([cloud.landed(corner) for corner in corners])
    rows = np.array([cloud.row_at(corner) for corner in corners], dtype=np.int64)
    return _unfinished(cloud, name, "drawn", cloud.z(rows), rows, corners)


def with_states(path: TrajectoryPath, cloud: Cloud, frames: int, job: Job) -> TrajectoryPath:
    """``path`` with its states and their support, found in the latents of ``cloud``; for jobs.

    Raises
    ------
    InputError
        If the way-points are too few or too many, or cannot be joined.
    """
    from cryoscope.analysis.trajectory import frame_support

    if not FEWEST_FRAMES <= frames <= MOST_FRAMES:
        raise InputError(
            f"a trajectory of {frames} frames",
            cure=f"Choose {FEWEST_FRAMES} to {MOST_FRAMES} frames.",
        )
    if not 2 <= len(path.way_z) <= MOST_WAY_POINTS:
        raise InputError(
            f"a trajectory by way of {len(path.way_z)} points",
            cure=f"Keep 2 to {MOST_WAY_POINTS} way-points.",
        )
    states = _states(path, cloud, frames, job)
    if not np.ptp(states, axis=0).any():
        raise InputError(
            "all way-points are the same particle", cure="Choose particles that lie apart."
        )
    job.check()
    support = frame_support(cloud.latents.z, states)
    job.check()
    return replace(
        path,
        way_xy=_places(path, cloud),
        frames_z=states,
        nearest=support.nearest,
        distance=support.distance,
        count=support.count,
        embedding_id=cloud.embedding.embedding_id,
        run_id=cloud.latents.run_id,
        epoch=cloud.latents.epoch,
    )


def _states(path: TrajectoryPath, cloud: Cloud, frames: int, job: Job) -> NDArray[np.float64]:
    from cryoscope.analysis.ridge import ridge_path
    from cryoscope.analysis.trajectory import drawn_path, graph_path, pc_path, straight_path

    z = cloud.latents.z
    match path.kind:
        case "component":
            component = int(path.made_by.get("component", 1))
            return pc_path(z, component=component, frames=frames, embedding=cloud.embedding)
        case "graph":
            return graph_path(z, path.way_rows, frames=frames)
        case "ridge":
            return ridge_path(z, path.way_rows, frames=frames, should_stop=lambda: job.cancelled)
        case "drawn":
            return drawn_path(cloud.way_xy(path), cloud.embedding.xy, z, frames=frames)
        case _:
            return straight_path(path.way_z, frames)


def _places(path: TrajectoryPath, cloud: Cloud) -> NDArray[np.float64]:
    """Where way-points were put: of a drawn path in this picture, else where they were."""
    return cloud.way_xy(path) if path.kind == "drawn" else path.way_xy


def _unfinished(
    cloud: Cloud,
    name: str,
    kind: str,
    way_z: NDArray[np.float64],
    way_rows: NDArray[np.int64],
    way_xy: NDArray[np.float64],
) -> TrajectoryPath:
    none, nothing = np.zeros(0, dtype=np.int64), np.zeros((0, way_z.shape[1]))
    return TrajectoryPath(
        name,
        kind,  # type: ignore[arg-type]
        way_z,
        way_rows,
        way_xy,
        nothing,
        none,
        np.zeros(0),
        none,
        cloud.embedding.embedding_id,
        cloud.latents.run_id,
        cloud.latents.epoch,
    )
