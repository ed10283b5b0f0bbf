"""Slow collective motions of a structure: an anisotropic elastic network's lowest modes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix, identity
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh, splu
from scipy.spatial import cKDTree

Array = NDArray[np.float64]

#: Springs reach this far (ANM's usual cutoff for CA atoms).
CUTOFF_A = 15.0
#: Coordinates up to which the whole spectrum is computed.
DENSE_UP_TO = 900
#: Eigenvalues below this are those of parts that no spring joins.
LEAST_STIFFNESS = 1e-5

# Below the softest motions that matter, and large enough for an exact factorisation.
_SHIFT = 1e-4
# Restarts after which Lanczos is given up for a factorisation (stiff structures need far fewer).
_RESTARTS = 40
# Vectors of the smallest Krylov space: few wanted modes converge as fast as many.
_LEAST_KRYLOV = 64
# Copies of one eigenvalue that are looked for at a time.
_COPIES = 4


def elastic_modes(
    anchor_A: Array, count: int, *, cutoff_A: float = CUTOFF_A, seed: int = 0
) -> tuple[Array, Array]:
    """The ``count`` softest modes, net translation and rotation left out.

    ANM Hessian with unit springs between anchors closer than the cutoff: off-diagonal blocks
    ``-r r^T / |r|^2``, diagonal blocks minus their sum (equation 1 of Nashed et al. 2022 with the
    sign, the norm and the diagonal that are missing in print). The six rigid-body motions are taken
    out beforehand, since an iterative solver asked for the smallest eigenvalues can miss copies of
    a six-fold zero and so lose real modes.

    Small structures get their whole spectrum; large ones a Lanczos iteration, which is quick where
    the network is stiff; loose ones, on which it stalls, one on the factorised inverse, which is
    quick where springs are few.

    Parameters
    ----------
    anchor_A
        (N, 3) positions.
    count
        Modes wanted; fewer come back from small structures.
    cutoff_A
        Reach of the springs. Parts that no spring joins move freely: zero eigenvalues.
    seed
        Of the iterative solver's first vector (large structures).

    Returns
    -------
    Eigenvalues (k,) and orthonormal modes (3N, k), x, y, z of each anchor side by side.
    """
    size = 3 * len(anchor_A)
    if count < 1:
        return np.zeros(0), np.zeros((size, 0))
    hessian = _hessian(anchor_A, cutoff_A)
    rigid = rigid_motions(anchor_A)
    # Gershgorin: no eigenvalue exceeds the largest row sum.
    lift = max(float(abs(hessian).sum(axis=1).max()), 1.0)
    count = min(count, size - rigid.shape[1])
    if size <= DENSE_UP_TO:
        values, vectors = np.linalg.eigh(hessian.toarray() + lift * rigid @ rigid.T)
        return values[:count], vectors[:, :count]
    try:
        vectors = _largest(lambda v: lift * v - hessian @ v, rigid, count, 1e-9, _RESTARTS, seed)
    except ArpackNoConvergence:
        factors = splu(
            (hessian + _SHIFT * identity(size)).tocsc(),
            permc_spec="MMD_AT_PLUS_A",
            diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )
        vectors = _largest(factors.solve, rigid, count, 1e-8, None, seed)
    return _rayleigh_ritz(hessian, vectors, count)


def rigid_motions(anchor_A: Array) -> Array:
    """(3N, 6) orthonormal basis of net translations and small rotations about the centre.

    Fewer columns come back where the anchors lie on a line or a point.
    """
    centred = anchor_A - anchor_A.mean(0)
    axes = np.eye(3)
    columns = [np.broadcast_to(axis, centred.shape).ravel() for axis in axes]
    columns += [np.cross(axis, centred).ravel() for axis in axes]
    basis, strength, _ = np.linalg.svd(np.stack(columns, axis=1), full_matrices=False)
    return np.asarray(basis[:, strength > 1e-8 * strength[0]])


def best_mode_fit_A(
    reference_A: Array,
    targets_A: NDArray[np.floating],
    modes: Array,
    *,
    rigid: bool = True,
    rounds: int = 2,
) -> Array:
    """How near motions along ``modes`` can come to each target: the floor of a mode deformer.

    Least squares on the orthonormal modes and, unless each target is to stay where it is, on its
    rotation and translation.

    Parameters
    ----------
    reference_A
        (N, 3) where the modes start from.
    targets_A
        (F, N, 3) structures to reach.
    modes
        (3N, k) orthonormal columns.
    rigid
        Superpose every target first: on the reference (Kabsch), then on its own best fit.
    rounds
        Times that the latter is done; the reference's frame is not quite the best one where motions
        are large, and the second time changes little.

    Returns
    -------
    (F,) RMSD in A.
    """
    targets = np.asarray(targets_A, dtype=np.float64)
    fitted = np.broadcast_to(reference_A, targets.shape)
    for _ in range(1 + rounds if rigid else 1):
        if rigid:
            targets = _superposed(targets, fitted)
        offset = (targets - reference_A).reshape(len(targets), -1)
        fitted = reference_A + ((offset @ modes) @ modes.T).reshape(targets.shape)
    return np.asarray(np.sqrt(((targets - fitted) ** 2).sum(-1).mean(-1)))


def _superposed(moving_A: Array, fixed_A: Array) -> Array:
    """(F, N, 3) each structure on its partner, by the best proper rotation (Kabsch)."""
    middle = fixed_A.mean(1, keepdims=True)
    centred = moving_A - moving_A.mean(1, keepdims=True)
    left, _, right = np.linalg.svd(centred.transpose(0, 2, 1) @ (fixed_A - middle))
    left[:, :, 2] *= np.sign(np.linalg.det(left @ right))[:, None]
    return np.asarray(centred @ (left @ right) + middle)


def _hessian(anchor_A: Array, cutoff_A: float) -> csr_matrix:
    count = len(anchor_A)
    pairs = cKDTree(anchor_A).query_pairs(cutoff_A, output_type="ndarray")
    unit = anchor_A[pairs[:, 0]] - anchor_A[pairs[:, 1]]
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True).clip(1e-6)
    block = unit[:, :, None] * unit[:, None, :]
    diagonal = np.zeros((count, 3, 3))
    np.add.at(diagonal, pairs[:, 0], block)
    np.add.at(diagonal, pairs[:, 1], block)
    each = np.arange(count)
    first = np.concatenate([pairs[:, 0], pairs[:, 1], each])
    second = np.concatenate([pairs[:, 1], pairs[:, 0], each])
    values = np.concatenate([-block, -block, diagonal])
    row = np.broadcast_to(3 * first[:, None, None] + np.arange(3)[:, None], values.shape)
    column = np.broadcast_to(3 * second[:, None, None] + np.arange(3), values.shape)
    size = 3 * count
    return coo_matrix((values.ravel(), (row.ravel(), column.ravel())), (size, size)).tocsr()


def _largest(
    apply: Callable[[Array], Array],
    known: Array,
    count: int,
    tolerance: float,
    restarts: int | None,
    seed: int,
) -> Array:
    """(n, >= count) eigenvectors of the largest eigenvalues outside the span of ``known``.

    Krylov spaces of one vector hold one copy of each eigenvalue, and meet the others through
    rounding errors only: what has been found is taken out and the search goes on until nothing
    is left that is larger than the smallest found.

    Raises
    ------
    ArpackNoConvergence
        After ``restarts`` restarts.
    """
    size = len(known)
    rng = np.random.default_rng(seed)
    found_values, found = np.zeros(0), np.zeros((size, 0))
    wanted = count
    while wanted:
        basis = np.concatenate([known, found], axis=1)

        def outside(v: Array, basis: Array = basis) -> Array:
            return np.asarray(v - basis @ (basis.T @ v))

        operator = LinearOperator((size, size), lambda v, out=outside: out(apply(out(v.ravel()))))
        values, vectors = eigsh(
            operator,
            k=wanted,
            which="LA",
            tol=tolerance,
            v0=outside(rng.normal(size=size)),
            ncv=min(max(2 * wanted + 1, _LEAST_KRYLOV), size - 1),
            maxiter=restarts,
        )
        least = np.sort(found_values)[-count] if len(found_values) >= count else -np.inf
        found_values = np.concatenate([found_values, values])
        found = np.linalg.qr(np.concatenate([found, vectors], axis=1))[0]
        missed = values.max() > least * (1 + 1e-6)
        room = size - known.shape[1] - found.shape[1]
        wanted = min(_COPIES, room) if missed else 0
    return found


def _rayleigh_ritz(hessian: csr_matrix, vectors: Array, count: int) -> tuple[Array, Array]:
    """The ``count`` softest motions within the span of orthonormal ``vectors``."""
    values, turn = np.linalg.eigh(vectors.T @ (hessian @ vectors))
    return values[:count], vectors @ turn[:, :count]
