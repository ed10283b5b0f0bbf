"""Harmonic restraints on pairs of points in all frames of a path at once.

Coordinates are (points, frames, 3). A list of pairs is a sparse signed incidence matrix, so that
differences and forces of all frames are two sparse products.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_TINY_A = 1e-6


@dataclass(frozen=True)
class Springs:
    """``stiffness (d - target)^2 / 2`` for pairs of points, each present in every frame.

    Attributes
    ----------
    incidence, transposed
        (m, n) sparse, +1 at the first point and -1 at the second, and its transpose.
    target_A
        (m, frames) lengths at rest.
    stiffness
        (m,) per A^2.
    """

    incidence: csr_matrix
    transposed: csr_matrix
    target_A: FloatArray
    stiffness: FloatArray

    @classmethod
    def between(
        cls, pairs: IntArray, points: int, target_A: FloatArray, stiffness: FloatArray
    ) -> Springs:
        """Springs between ``pairs`` (m, 2) of ``points`` points."""
        m = len(pairs)
        rows = np.repeat(np.arange(m), 2)
        signs = np.tile([1.0, -1.0], m)
        incidence = csr_matrix((signs, (rows, pairs.ravel())), shape=(m, points))
        return cls(incidence, incidence.T.tocsr(), target_A, stiffness)

    def energy(self, coords: FloatArray) -> tuple[float, FloatArray]:
        """Energy and its gradient (n, frames, 3)."""
        n, frames, _ = coords.shape
        difference = (self.incidence @ coords.reshape(n, -1)).reshape(-1, frames, 3)
        length = np.sqrt(np.einsum("mfi,mfi->mf", difference, difference)) + _TINY_A
        strain = length - self.target_A
        force = self.stiffness[:, None] * strain
        value = 0.5 * float(np.vdot(force, strain))
        difference *= (force / length)[..., None]
        return value, (self.transposed @ difference.reshape(len(force), -1)).reshape(coords.shape)


@dataclass(frozen=True)
class Contacts:
    """``stiffness (limit - d)^2 / 2`` where a pair in a frame is closer than its limit.

    Attributes
    ----------
    first, second
        (c,) flat indices ``point * frames + frame``.
    limit_A
        (c,) distance below which the pair repels.
    """

    first: IntArray
    second: IntArray
    limit_A: FloatArray
    stiffness: float

    def energy(self, coords: FloatArray) -> tuple[float, FloatArray]:
        """Energy and its gradient (n, frames, 3)."""
        flat = coords.reshape(-1, 3)
        gradient = np.zeros_like(flat)
        difference = flat[self.first] - flat[self.second]
        length = np.sqrt(np.einsum("ci,ci->c", difference, difference)) + _TINY_A
        depth = np.maximum(self.limit_A - length, 0.0)
        push = (-self.stiffness * depth / length)[:, None] * difference
        for axis in range(3):
            gradient[:, axis] = np.bincount(self.first, push[:, axis], len(flat))
            gradient[:, axis] -= np.bincount(self.second, push[:, axis], len(flat))
        return 0.5 * self.stiffness * float(depth @ depth), gradient.reshape(coords.shape)


def close_contacts(
    coords: FloatArray,
    excluded: IntArray,
    start_A: FloatArray,
    end_A: FloatArray,
    *,
    limit_A: float,
    margin_A: float,
    stiffness: float,
) -> Contacts:
    """Pairs nearer than ``limit_A + margin_A`` in some frame, each in the frames where it is.

    The limit of a pair is ``limit_A`` or the shorter of its distances at the two ends, so that
    hydrogen bonds and whatever the ends themselves show are let be.
    """
    n, frames, _ = coords.shape
    codes = np.sort(excluded[:, 0] * n + excluded[:, 1])
    first, second, limits = [], [], []
    for frame in range(frames):
        pairs = cKDTree(coords[:, frame]).query_pairs(limit_A + margin_A, output_type="ndarray")
        pairs = pairs.astype(np.int64)
        at = np.searchsorted(codes, pairs[:, 0] * n + pairs[:, 1])
        known = codes[np.minimum(at, len(codes) - 1)] if len(codes) else np.full(len(at), -1)
        i, j = pairs[known != pairs[:, 0] * n + pairs[:, 1]].T
        at_start = np.linalg.norm(start_A[i] - start_A[j], axis=1)
        at_end = np.linalg.norm(end_A[i] - end_A[j], axis=1)
        first.append(i * frames + frame)
        second.append(j * frames + frame)
        limits.append(np.minimum(limit_A, np.minimum(at_start, at_end)))
    return Contacts(
        np.concatenate(first), np.concatenate(second), np.concatenate(limits), stiffness
    )


def relax(
    coords: FloatArray,
    terms: Sequence[Springs | Contacts],
    *,
    hold: float,
    smooth: float,
    iterations: int,
) -> FloatArray:
    """Minimise restraints over the inner frames by L-BFGS; the first and last frame stay.

    Parameters
    ----------
    coords
        (n, frames, 3) starting path.
    terms
        Restraints over all frames.
    hold
        Stiffness of a pull to the starting path.
    smooth
        Stiffness against the second difference between frames of the displacement from it.
    iterations
        At most this many steps.
    """
    if coords.shape[1] < 3:
        return coords.copy()
    path = coords.copy()
    shape = (coords.shape[0], coords.shape[1] - 2, 3)

    def value_and_gradient(inner: FloatArray) -> tuple[float, FloatArray]:
        path[:, 1:-1] = inner.reshape(shape)
        moved = path - coords
        bend = moved[:, :-2] - 2 * moved[:, 1:-1] + moved[:, 2:]
        value = 0.5 * hold * float(np.vdot(moved, moved)) + 0.5 * smooth * float(
            np.vdot(bend, bend)
        )
        gradient = hold * moved
        gradient[:, :-2] += smooth * bend
        gradient[:, 1:-1] -= 2 * smooth * bend
        gradient[:, 2:] += smooth * bend
        for term in terms:
            energy, slope = term.energy(path)
            value += energy
            gradient += slope
        return value, gradient[:, 1:-1].ravel()

    # Vectors this short gain nothing from BLAS threads, which wait for each other on busy cores.
    with threadpool_limits(1, user_api="blas"):
        result = minimize(
            value_and_gradient,
            coords[:, 1:-1].ravel(),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": iterations, "maxcor": 12, "ftol": 1e-9, "gtol": 1e-3},
        )
    path[:, 1:-1] = result.x.reshape(shape)
    return path
