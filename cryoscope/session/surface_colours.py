"""The surface of the shown map, with what it is coloured by at every vertex."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cryoscope.conventions import zyx_from_xyz
from cryoscope.data import Mesh
from cryoscope.session.records import ShownState
from cryoscope.session.residues import colour_range, residue_values
from cryoscope.session.scene import KeptState
from cryoscope.session.state import Session

#: A vertex takes its motion from so many of the nearest residues, the nearer the more.
NEAREST = 3


@dataclass(frozen=True)
class SurfaceScale:
    """What the colours of a surface mean, from ``low`` to ``high``; no title: they mean nothing."""

    title: str = ""
    low: float = 0.0
    high: float = 1.0


def surface_mesh(session: Session, shown: ShownState) -> Mesh | None:
    """The surface of ``shown``; with values where it is to be coloured and can be."""
    mesh = shown.isosurface
    if mesh is None or len(mesh.vertices_A) == 0:
        return mesh
    by, values = session.scene.surface, None
    if by == "difference":
        against = _against(session)
        values = None if against is None else _difference(shown, against.shown)
    elif by != "plain":
        values = _motion(session, shown, by)
    return mesh if values is None else replace(mesh, values=values)


def surface_scale(session: Session, shown: ShownState | None) -> SurfaceScale:
    """What the colours of the surface of ``shown`` mean."""
    by = session.scene.surface
    if shown is None or shown.isosurface is None or by == "plain":
        return SurfaceScale()
    if by == "difference":
        against = _against(session)
        if against is None:
            return SurfaceScale()
        limit = max(1.0, round(abs(shown.sigma), 1))
        return SurfaceScale(f"this map − “{against.name}” (σ)", -limit, limit)
    word = "displacement" if by == "displacement" else "RMS motion"
    high = colour_range(session, by)
    return SurfaceScale(f"surface: {word} (Å)", 0.0, high) if high > 0 else SurfaceScale()


def _against(session: Session) -> KeptState | None:
    name = session.scene.against
    return next(
        (one for one in session.kept_states if one.name == name and one.shown.density is not None),
        None,
    )


def _difference(shown: ShownState, other: ShownState) -> NDArray[np.float32]:
    """By how many standard deviations the map exceeds another one, on its own surface.

    Each map counts in its own standard deviations, so that scales and boxes may differ.
    """
    from scipy.ndimage import map_coordinates

    assert shown.isosurface is not None
    assert other.density is not None
    density = other.density
    corner_A = np.asarray(density.origin_A, dtype=np.float32)
    places = (shown.isosurface.vertices_A - corner_A) / density.voxel_size_A
    there = map_coordinates(density.values, zyx_from_xyz(places).T, order=1, mode="nearest")
    mean = other.level - other.sigma * other.spread
    own = shown.sigma
    return np.asarray(own - (there - mean) / (other.spread or 1.0), dtype=np.float32)


def _motion(session: Session, shown: ShownState, by: str) -> NDArray[np.float32] | None:
    from scipy.spatial import cKDTree

    values = shown.displacement_A if by == "displacement" else residue_values(session, by)
    if values is None or len(values) != len(shown.coords_A) or len(values) < NEAREST:
        return None
    assert shown.isosurface is not None
    tree = cKDTree(shown.coords_A)
    distance_A, rows = tree.query(shown.isosurface.vertices_A, k=NEAREST)
    weight = 1.0 / (distance_A + 0.5) ** 2
    blended = (np.asarray(values)[rows] * weight).sum(1) / weight.sum(1)
    return np.asarray(blended, dtype=np.float32)
