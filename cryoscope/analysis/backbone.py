"""The backbone as a smooth tube that is updated in place while the structure moves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from cryoscope.data import Mesh

# Beads farther apart than this are not joined, whatever their numbers say.
_ALWAYS_BROKEN_A = 12.0
# Where residue numbers jump, beads are still joined if they lie as close as neighbours do.
_NEIGHBOUR_A = 4.5
# A residue alone is a ball of this many tube radii.
_BALL = 1.5
_CAP_ANGLES_RAD = np.deg2rad([-45.0])
_BALL_ANGLES_RAD = np.deg2rad([-45.0, 0.0, 45.0])

Float = NDArray[np.float32]


def chain_breaks(
    coords_A: NDArray[np.floating], chain_id: NDArray[np.str_], residue_id: NDArray[np.integer]
) -> NDArray[np.bool_]:
    """Where the backbone is interrupted.

    Parameters
    ----------
    coords_A
        (n, 3) one bead per residue, in the reference (not in a decoded state, so that the tube
        keeps its topology).
    chain_id, residue_id
        (n,) of the residues.

    Returns
    -------
    (n - 1,) True where bead i is not joined to bead i + 1: the chain changes, residue numbers jump
    over a gap of more than 4.5 A, or the beads lie more than 12 A apart.
    """
    if len(coords_A) < 2:
        return np.zeros(0, dtype=bool)
    distance_A = np.linalg.norm(np.diff(np.asarray(coords_A, dtype=np.float64), axis=0), axis=1)
    jump = np.diff(np.asarray(residue_id, dtype=np.int64))
    gap = ((jump < 0) | (jump > 1)) & (distance_A > _NEIGHBOUR_A)
    broken: NDArray[np.bool_] = (
        (chain_id[1:] != chain_id[:-1]) | gap | (distance_A > _ALWAYS_BROKEN_A)
    )
    return broken


def tube_mesh(
    coords_A: NDArray[np.floating],
    breaks: NDArray[np.bool_],
    *,
    values: NDArray[np.floating],
    radius_A: float = 0.9,
    samples: int = 6,
    sides: int = 8,
    half_widths_A: NDArray[np.floating] | None = None,
    plane_of: NDArray[np.floating] | None = None,
) -> Mesh:
    """A closed tube of Catmull-Rom splines through the beads.

    The same ``breaks``, ``samples`` and ``sides`` give the same ``faces`` (the same array), so that
    only vertices and values need to be replaced when the structure moves.

    Parameters
    ----------
    coords_A
        (n, 3) bead positions.
    breaks
        (n - 1,) where the tube is interrupted; a residue between two breaks becomes a ball.
    values
        (n,) what the tube is coloured by, e.g. displacement in A.
    radius_A
        Radius of the tube.
    samples
        Rings per residue.
    sides
        Vertices per ring, at least 3.
    half_widths_A
        (rings, 2) half axes of the rings of :func:`ring_places` across the chain, along the normal
        of the plane of three beads and beside it, in place of the radius.
    plane_of
        (n, 3) beads whose planes are meant, by default ``coords_A``.

    Returns
    -------
    Mesh with triangles that face outwards.
    """
    coords = np.asarray(coords_A, dtype=np.float32).reshape(-1, 3)
    if len(breaks) != max(len(coords) - 1, 0):
        raise ValueError(f"{len(coords)} beads need {len(coords) - 1} breaks, not {len(breaks)}")
    if samples < 1 or sides < 3:
        raise ValueError("a tube needs at least one ring per residue and three sides")
    if len(coords) == 0:
        empty = np.zeros((0, 3))
        return Mesh(empty.astype(np.float32), empty.astype(np.int32), np.zeros(0, np.float32))
    plan = _plan(np.asarray(breaks, dtype=bool).tobytes(), samples, sides)
    tangent = _unit(plan.slope @ coords, plan.lone)
    planes = coords if plane_of is None else np.asarray(plane_of, dtype=np.float32)
    normal = _perpendicular(plan.blend @ _plane_normals(planes, plan.broken), tangent)
    binormal = np.cross(tangent, normal)
    centre = plan.position @ coords + tangent * (plan.offset * radius_A)[:, None]
    rings, half_A = plan.ring_count, (plan.width * radius_A)[:, None]
    if half_widths_A is not None:
        half_A = half_A * np.asarray(half_widths_A, dtype=np.float32)
    normal, binormal = (normal * half_A[:, :1])[:rings], (binormal * half_A[:, -1:])[:rings]
    vertices = np.empty((rings * sides + len(centre) - rings, 3), dtype=np.float32)
    around = vertices[: rings * sides].reshape(rings, sides, 3)
    for side, angle_rad in enumerate(np.arange(sides) * (2 * np.pi / sides)):
        turned = np.float32(np.cos(angle_rad)) * normal + np.float32(np.sin(angle_rad)) * binormal
        np.add(centre[:rings], turned, out=around[:, side])
    vertices[rings * sides :] = centre[rings:]
    return Mesh(vertices, plan.faces, _shades(plan, values, sides))


def tube_values(
    breaks: NDArray[np.bool_],
    values: NDArray[np.floating],
    *,
    samples: int = 6,
    sides: int = 8,
    blended: bool = True,
) -> NDArray[np.float32]:
    """The ``values`` of the vertices that :func:`tube_mesh` makes; arguments as there.

    Not ``blended``, every vertex has the value of the residue it belongs to: for classes.
    """
    plan = _plan(np.asarray(breaks, dtype=bool).tobytes(), samples, sides)
    if blended:
        return _shades(plan, values, sides)
    residue = np.round(plan.blend @ np.arange(len(values), dtype=np.float64)).astype(np.int64)
    own = np.asarray(values, dtype=np.float32)[residue]
    rings = plan.ring_count
    return np.concatenate([np.repeat(own[:rings], sides), own[rings:]])


def ring_places(
    broken: NDArray[np.bool_], samples: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The residue (rows,) that each ring of a tube follows, and how far, 0 to 1, to the next.

    The rings of all fragments come first, then two poles per fragment.
    """
    first, last = _fragments(broken)
    parts = [_rings(a, b, samples) for a, b in zip(first, last, strict=True)]
    bead = np.concatenate([*(part[0] for part in parts), first, last]).astype(np.int64)
    along = np.concatenate([*(part[1] for part in parts), np.zeros(2 * len(first))])
    return bead, along


def _shades(plan: _Plan, values: NDArray[np.floating], sides: int) -> Float:
    """(vertices,) values of the residues, blended along the chain."""
    shade = plan.blend @ np.asarray(values, dtype=np.float32)
    rings = plan.ring_count
    return np.concatenate([np.repeat(shade[:rings], sides), shade[rings:]])


@dataclass(frozen=True)
class _Plan:
    """Everything about a tube that does not depend on coordinates.

    Rows are the rings of all fragments, then two poles per fragment. Splines are linear in the
    beads: ``position``, ``slope`` and ``blend`` are sparse (rows, n) matrices that give the centre,
    its derivative along the chain, and linear interpolation. ``offset`` and ``width`` are in tube
    radii, along the tangent and across it. ``lone`` marks rows of residues without neighbours.
    """

    broken: NDArray[np.bool_]
    position: csr_array
    slope: csr_array
    blend: csr_array
    offset: Float
    width: Float
    lone: NDArray[np.bool_]
    ring_count: int
    faces: NDArray[np.int32]


@lru_cache(maxsize=8)
def _plan(breaks: bytes, samples: int, sides: int) -> _Plan:
    """The tube's topology; ``breaks`` are the bytes of the mask."""
    broken = np.frombuffer(breaks, dtype=bool)
    first, last = _fragments(broken)
    parts = [_rings(a, b, samples) for a, b in zip(first, last, strict=True)]
    rings = [np.concatenate([part[i] for part in parts]) for i in range(4)]
    lone = first == last
    pole = np.where(lone, _BALL, 1.0)
    poles = [
        np.concatenate([first, last]),
        np.zeros(2 * len(first)),
        np.concatenate([-pole, pole]),
        np.zeros(2 * len(first)),
    ]
    bead, along, offset, width = (np.concatenate(pair) for pair in zip(rings, poles, strict=True))
    faces = _faces(np.array([len(part[0]) for part in parts]), sides)
    faces.setflags(write=False)
    bead = bead.astype(np.int64)
    position, slope, blend = _spline_matrices(bead, along, broken)
    lone_rows = np.isin(bead, first[lone])
    ring_count = len(rings[0])
    return _Plan(
        broken,
        position,
        slope,
        blend,
        offset.astype(np.float32),
        width.astype(np.float32),
        lone_rows,
        ring_count,
        faces,
    )


def _fragments(broken: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last residue of every fragment."""
    edges = np.flatnonzero(broken) + 1
    first = np.concatenate([[0], edges]).astype(np.int64)
    return first, np.concatenate([edges, [len(broken) + 1]]).astype(np.int64) - 1


def _rings(first: int, last: int, samples: int) -> tuple[NDArray[np.floating], ...]:
    """Bead, fraction to the next bead, offset and width of a fragment's rings, in order."""
    if first == last:
        angle = _BALL_ANGLES_RAD
        here = np.full(len(angle), float(first))
        return here, np.zeros(len(angle)), _BALL * np.sin(angle), _BALL * np.cos(angle)
    steps = np.arange((last - first) * samples + 1)
    bead = np.minimum(first + steps // samples, last)
    along = (steps % samples) / samples
    cap = _CAP_ANGLES_RAD
    bead = np.concatenate([np.full(len(cap), first), bead, np.full(len(cap), last)])
    along = np.pad(along, len(cap))
    offset = np.concatenate([np.sin(cap), np.zeros(len(steps)), -np.sin(cap[::-1])])
    width = np.concatenate([np.cos(cap), np.ones(len(steps)), np.cos(cap[::-1])])
    return bead.astype(np.float64), along, offset, width


def _spline_matrices(
    bead: NDArray[np.int64], along: NDArray[np.float64], broken: NDArray[np.bool_]
) -> tuple[csr_array, csr_array, csr_array]:
    """Sparse matrices of the spline, its derivative and linear interpolation.

    Catmull-Rom: p(t) = [1 t t^2 t^3] M [p0 p1 p2 p3] between p1 and p2. Where a neighbour is
    missing, the chain is continued in a straight line, which is linear in the beads too.
    """
    n = len(broken) + 1
    has_next = np.append(~broken, False)
    has_before = np.insert(~broken, 0, False)
    # The last ring of a fragment ends the segment before it; elsewhere a segment starts.
    ends = ~has_next[bead] & has_before[bead]
    one = np.where(ends, bead - 1, bead)
    t = np.where(ends, 1.0, along)
    two = np.where(has_next[one], one + 1, one)
    before, after = has_before[one], has_next[two] & (two != one)
    zero, three = np.where(before, one - 1, one), np.where(after, two + 1, two)
    weight = 0.5 * np.stack(
        [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2]
    )
    rate = 0.5 * np.stack(
        [-1 + 4 * t - 3 * t**2, -10 * t + 9 * t**2, 1 + 8 * t - 9 * t**2, 3 * t**2 - 2 * t]
    )
    columns = np.stack([zero, one, two, three])
    for table in (weight, rate):
        # A missing p0 is 2 p1 - p2; its own column is p1 already. Likewise p3 = 2 p2 - p1.
        p0, p3 = np.where(before, 0.0, table[0]), np.where(after, 0.0, table[3])
        table[1] += p0 - p3
        table[2] += p3 - p0
    linear = np.stack([1 - t, t])
    return (
        _matrix(weight, columns, n),
        _matrix(rate, columns, n),
        _matrix(linear, columns[1:3], n),
    )


def _matrix(weight: NDArray[np.float64], columns: NDArray[np.int64], n: int) -> csr_array:
    """(rows, n) matrix with ``weight[k, r]`` at ``columns[k, r]``; repeated columns add up."""
    rows = weight.shape[1]
    start = np.arange(rows + 1) * len(weight)
    data = (weight.T.ravel().astype(np.float32), columns.T.ravel(), start)
    matrix = csr_array(data, shape=(rows, n))
    matrix.sum_duplicates()
    return matrix


def _faces(ring_counts: NDArray[np.int64], sides: int) -> NDArray[np.int32]:
    """Triangles between neighbouring rings of each fragment, and its two pole fans."""
    first = np.cumsum(ring_counts) - ring_counts
    last = first + ring_counts - 1
    rings = np.setdiff1d(np.arange(ring_counts.sum()), last)
    here, following = np.arange(sides), (np.arange(sides) + 1) % sides
    a, b = rings[:, None] * sides + here, rings[:, None] * sides + following
    quads = np.stack([a, b, b + sides, a, b + sides, a + sides], axis=-1).reshape(-1, 3)
    poles = ring_counts.sum() * sides + np.arange(2 * len(first))
    start, end = poles[: len(first), None], poles[len(first) :, None]
    tail = [np.broadcast_to(start, (len(first), sides)), first[:, None] * sides + following]
    tail.append(first[:, None] * sides + here)
    head = [np.broadcast_to(end, (len(first), sides)), last[:, None] * sides + here]
    head.append(last[:, None] * sides + following)
    fans = [np.stack(fan, axis=-1).reshape(-1, 3) for fan in (tail, head)]
    return np.concatenate([quads, *fans]).astype(np.int32)


def _unit(vectors: Float, lone: NDArray[np.bool_]) -> Float:
    """Unit vectors; +z where a residue has no neighbours or two beads coincide."""
    length = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    still = lone | (length < 1e-6)
    unit = vectors / np.where(still, 1.0, length)[:, None].astype(np.float32)
    unit[still] = (0.0, 0.0, 1.0)
    return np.asarray(unit, dtype=np.float32)


def _plane_normals(coords: Float, broken: NDArray[np.bool_]) -> Float:
    """(n, 3) normal of the plane through each bead and its two neighbours.

    A normal and its opposite serve equally: each takes the sign that turns least from the one
    before it, which keeps the tube from twisting. Straight pieces and fragment ends take the
    nearest earlier (else later) normal.
    """
    normals = np.zeros_like(coords)
    bond = np.diff(coords, axis=0)
    normals[1:-1] = np.cross(bond[:-1], bond[1:])
    length = np.sqrt(np.einsum("ij,ij->i", normals, normals))
    valid = length > 1e-3
    valid[1:] &= ~broken
    valid[:-1] &= ~broken
    fragment = np.concatenate([[0], np.cumsum(broken)])
    known = np.flatnonzero(valid)
    if len(known) == 0:
        return np.zeros_like(coords)
    unit = normals[known] / length[known, None]
    turn = np.einsum("ij,ij->i", unit[1:], unit[:-1])
    unit[1:] *= np.cumprod(np.where(turn < 0, -1, 1))[:, None]
    before = np.searchsorted(known, np.arange(len(coords)), side="right") - 1
    after = np.minimum(before + 1, len(known) - 1)
    clipped = np.maximum(before, 0)
    same = (before >= 0) & (fragment[known[clipped]] == fragment)
    filled: Float = np.where(same[:, None], unit[clipped], unit[after]).astype(np.float32)
    filled[~same & (fragment[known[after]] != fragment)] = 0.0
    return filled


def _perpendicular(vectors: Float, tangent: Float) -> Float:
    """The part of each vector across the tangent, as a unit vector; any where there is none."""
    across = vectors - np.einsum("ij,ij->i", vectors, tangent)[:, None] * tangent
    length = np.sqrt(np.einsum("ij,ij->i", across, across))
    poor = np.flatnonzero(length < 1e-3)
    if len(poor):
        axis = np.eye(3, dtype=np.float32)[np.abs(tangent[poor]).argmin(axis=1)]
        across[poor] = np.cross(tangent[poor], axis)
        length[poor] = np.sqrt(np.einsum("ij,ij->i", across[poor], across[poor]))
    return np.asarray(across / length[:, None], dtype=np.float32)
