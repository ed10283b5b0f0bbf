"""Particles grouped by viewing direction, for averages that a person can look at."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cryoscope.analysis.views import even_directions, view_directions

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Directions that the sphere is divided about: the finest with groups that are large enough.
CENTRES = (400, 200, 100, 50)
#: Groups that are made, the particles that the smallest of them should have, and must have.
GROUPS, WANTED, FEWEST = 12, 80, 5
#: Groups that look from nearly the same direction show nearly the same: they are kept apart.
APART_DEG = 25.0
_CHUNK = 20_000


@dataclass(frozen=True, eq=False)
class ViewGroup:
    """Particles that are seen from about one direction.

    Attributes
    ----------
    rows
        Places of the particles among the rotations that were given, ascending.
    direction
        (3,) unit vector of the mean viewing direction, in the frame of the map.
    rotation
        (3, 3) map -> image of that view, with the map's +z upwards on the screen.
    turn_rad
        (n,) by how much each particle's image is turned in its plane against that view:
        ``R_i ~ Rz(turn) rotation`` (convention 3).
    """

    rows: IntArray = field(repr=False)
    direction: FloatArray
    rotation: FloatArray = field(repr=False)
    turn_rad: FloatArray = field(repr=False)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def azimuth_deg(self) -> float:
        """Azimuth of the direction, as in the map of views."""
        return float(np.rad2deg(np.arctan2(self.direction[1], self.direction[0])))

    @property
    def elevation_deg(self) -> float:
        """Elevation of the direction, as in the map of views."""
        return float(np.rad2deg(np.arcsin(np.clip(self.direction[2], -1, 1))))


def group_views(rotation: NDArray[np.floating], most: int = GROUPS) -> tuple[ViewGroup, ...]:
    """The fullest groups of (N, 3, 3) rotations by viewing direction, fullest first.

    The sphere is divided about directions that lie evenly on it; with few particles, coarsely.
    Opposite directions see mirror images and are not put together.
    """
    direction = view_directions(rotation)
    if len(direction) == 0:
        return ()
    nearest, counts = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    chosen: list[int] = []
    for number in CENTRES:
        centres = even_directions(number)
        nearest = _nearest(direction, centres)
        counts = np.bincount(nearest, minlength=number)
        chosen = _apart(counts, centres, most)
        if len(chosen) == most and counts[chosen[-1]] >= WANTED:
            break
    groups = [_group(rotation, direction, np.flatnonzero(nearest == one)) for one in chosen]
    return tuple(sorted(groups, key=lambda group: -len(group)))


def upright(direction: NDArray[np.floating]) -> FloatArray:
    """(3, 3) map -> image of a view along ``direction``, with the map's +z upwards.

    Up on the screen is -y of the image, whose first line is drawn on top. Along the z axis, where
    nothing of it points upwards, the map's +y takes its place.
    """
    beam = np.asarray(direction, dtype=np.float64) / np.linalg.norm(direction)
    up = np.array([0.0, 0.0, 1.0] if abs(beam[2]) < 0.999 else [0.0, 1.0, 0.0])
    up = up - (up @ beam) * beam
    down = -up / np.linalg.norm(up)
    return np.stack([np.cross(down, beam), down, beam])


def in_plane_turn(rotation: NDArray[np.floating], view: NDArray[np.floating]) -> FloatArray:
    """(N,) angles in rad for which ``Rz(angle) view`` is nearest to each of (N, 3, 3) rotations."""
    left = np.asarray(rotation, dtype=np.float64) @ np.asarray(view, dtype=np.float64).T
    return np.asarray(np.arctan2(left[:, 1, 0] - left[:, 0, 1], left[:, 0, 0] + left[:, 1, 1]))


def _group(rotation: NDArray[np.floating], direction: FloatArray, rows: IntArray) -> ViewGroup:
    mean = direction[rows].mean(axis=0)
    mean = mean / np.linalg.norm(mean)
    view = upright(mean)
    return ViewGroup(rows.astype(np.int64), mean, view, in_plane_turn(rotation[rows], view))


def _nearest(direction: FloatArray, centres: FloatArray) -> IntArray:
    parts = [
        np.argmax(direction[first : first + _CHUNK] @ centres.T, axis=1)
        for first in range(0, len(direction), _CHUNK)
    ]
    return np.concatenate(parts).astype(np.int64)


def _apart(counts: IntArray, centres: FloatArray, most: int) -> list[int]:
    """The fullest bins, leaving out what lies beside a fuller one; fullest first."""
    closest, chosen = np.cos(np.deg2rad(APART_DEG)), list[int]()
    for place in np.argsort(-counts, kind="stable").tolist():
        if len(chosen) == most or counts[place] < FEWEST:
            break
        if all(centres[place] @ centres[other] < closest for other in chosen):
            chosen.append(place)
    return chosen
