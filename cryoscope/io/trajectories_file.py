"""Trajectories through latent space as one JSON file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError
from cryoscope.data.trajectory_path import PATH_KINDS, PathKind, TrajectoryPath
from cryoscope.io.json_file import read_json_object, write_json

FORMAT_VERSION = 1
SIZE_LIMIT_BYTES = 64 * 1024**2
MOST_PATHS, MOST_POINTS, MOST_DIMS = 1_000, 10_000, 4_096
_NAME_LIMIT, _ROW_LIMIT = 1_000, 10**12
_CURE = "Restore the file from a copy, or delete it and make the trajectories again."


def write_trajectories(path: Path, trajectories: Sequence[TrajectoryPath]) -> None:
    """Write all fields of ``trajectories`` atomically."""
    rows = [
        {
            "name": one.name,
            "kind": one.kind,
            "run_id": one.run_id,
            "epoch": one.epoch,
            "embedding": one.embedding_id,
            "made_by": one.made_by,
            "way_points": {
                "z": one.way_z,
                "particle_row": one.way_rows,
                "xy": [xy if np.isfinite(xy).all() else None for xy in one.way_xy],
            },
            "frames": {
                "z": one.frames_z,
                "nearest_row": one.nearest,
                "distance": one.distance,
                "particle_count": one.count,
            },
        }
        for one in trajectories
    ]
    write_json(path, {"format": FORMAT_VERSION, "trajectories": rows})


def read_trajectories(path: Path, *, particle_count: int | None = None) -> list[TrajectoryPath]:
    """Read what :func:`write_trajectories` wrote.

    Parameters
    ----------
    particle_count
        The number of particles of the run, where it is known: rows lie below it.

    Raises
    ------
    InputError
        If the file is damaged, too large, of a newer format, or for other particles.
    """
    content = read_json_object(path, limit_bytes=SIZE_LIMIT_BYTES)
    version, rows = content.get("format"), content.get("trajectories")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise InputError(
            f"the trajectories have format {version}; this program reads format {FORMAT_VERSION}",
            file=path,
            cure="Update Cryoscope.",
        )
    if version != FORMAT_VERSION or not isinstance(rows, list) or len(rows) > MOST_PATHS:
        raise InputError("not a file of trajectories", file=path, cure=_CURE)
    limit = _ROW_LIMIT if particle_count is None else particle_count
    found = []
    for number, row in enumerate(rows, start=1):
        try:
            found.append(_path(row, limit))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(
                f"trajectory {number} is damaged ({error})", file=path, cure=_CURE
            ) from error
    if len({one.name for one in found}) != len(found):
        raise InputError("two trajectories have the same name", file=path, cure=_CURE)
    return found


def _path(row: Any, row_limit: int) -> TrajectoryPath:
    ways, frames, made_by = row["way_points"], row["frames"], row["made_by"]
    name, kind, epoch = row["name"], row["kind"], row["epoch"]
    texts = (name, row["run_id"], row["embedding"])
    if not all(isinstance(text, str) and len(text) <= _NAME_LIMIT for text in texts) or not name:
        raise ValueError("a name is missing or too long")
    if kind not in PATH_KINDS:
        raise ValueError("of an unknown kind")
    if not isinstance(epoch, int) or not isinstance(made_by, dict):
        raise TypeError("its origin is not given")
    way_z, frames_z = _table(ways["z"]), _table(frames["z"])
    if way_z.shape[1] != frames_z.shape[1]:
        raise ValueError("way-points and frames have other dimensions")
    places = ways["xy"]
    if not isinstance(places, list) or len(places) != len(way_z):
        raise ValueError("the places of its way-points")
    xy = [_place(one) for one in places]
    return TrajectoryPath(
        name=name,
        kind=cast(PathKind, kind),
        way_z=way_z,
        way_rows=_integers(ways["particle_row"], len(way_z), row_limit),
        way_xy=np.array(xy, dtype=np.float64).reshape(len(way_z), 2),
        frames_z=frames_z,
        nearest=_integers(frames["nearest_row"], len(frames_z), row_limit),
        distance=_numbers(frames["distance"], len(frames_z)),
        count=_integers(frames["particle_count"], len(frames_z), _ROW_LIMIT),
        embedding_id=row["embedding"],
        run_id=row["run_id"],
        epoch=epoch,
        made_by=made_by,
    )


def _table(rows: Any) -> NDArray[np.float64]:
    """(n, d) numbers, n from 2 to :data:`MOST_POINTS`."""
    if not isinstance(rows, list) or not 2 <= len(rows) <= MOST_POINTS:
        raise ValueError("a table is missing or has the wrong length")
    dims = {len(row) if isinstance(row, list) else 0 for row in rows}
    if len(dims) != 1 or not 1 <= next(iter(dims)) <= MOST_DIMS:
        raise ValueError("the rows of a table differ in length")
    table = np.array(rows, dtype=np.float64)
    if table.ndim != 2 or not np.isfinite(table).all():
        raise ValueError("a latent is not a number")
    return table


def _place(value: Any) -> tuple[float, float]:
    if value is None:
        return float("nan"), float("nan")
    x, y = value
    return float(x), float(y)


def _numbers(values: Any, count: int) -> NDArray[np.float64]:
    if not isinstance(values, list) or len(values) != count:
        raise ValueError("a column has the wrong length")
    numbers = np.array(values, dtype=np.float64)
    if numbers.shape != (count,) or not np.isfinite(numbers).all():
        raise ValueError("a column holds what is no number")
    return numbers


def _integers(values: Any, count: int, limit: int) -> NDArray[np.int64]:
    if not isinstance(values, list) or len(values) != count:
        raise ValueError("a column has the wrong length")
    if not all(type(value) is int and 0 <= value < limit for value in values):
        raise ValueError("a particle's number is out of range")
    return np.array(values, dtype=np.int64)
