"""Slow collective motions of a structure: an anisotropic elastic network's lowest modes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.linalg import LinearOperator, eigsh
from scipy.spatial import cKDTree

#: Springs reach this far (ANM's usual cutoff for CA atoms).
CUTOFF_A = 15.0
#: Coordinates up to which the whole spectrum is computed.
DENSE_UP_TO = 900


def elastic_modes(
    anchor_A: NDArray[np.float64], count: int, *, cutoff_A: float = CUTOFF_A, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The ``count`` softest modes, net translation and rotation left out.

    ANM Hessian with unit springs between anchors closer than the cutoff: off-diagonal blocks
    ``-r r^T / |r|^2``, diagonal blocks minus their sum. The six rigid-body motions are lifted out
    of the way (added with a large eigenvalue), since an iterative solver asked for the smallest
    eigenvalues can miss copies of a six-fold zero and so lose real modes.

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
    lift = 4.0 * max(float(hessian.diagonal().max()), 1.0)
    count = min(count, size - rigid.shape[1])
    if size <= DENSE_UP_TO:
        values, vectors = np.linalg.eigh(hessian.toarray() + lift * rigid @ rigid.T)
        return values[:count], vectors[:, :count]
    operator = LinearOperator(
        (size, size), matvec=lambda v: hessian @ v + lift * (rigid @ (rigid.T @ v))
    )
    start = np.random.default_rng(seed).normal(size=size)
    values, vectors = eigsh(operator, k=count, which="SA", tol=1e-6, v0=start)
    order = np.argsort(values)
    return values[order], vectors[:, order]


def rigid_motions(anchor_A: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3N, 6) orthonormal basis of net translations and small rotations about the centre.

    Fewer columns come back where the anchors lie on a line or a point.
    """
    centred = anchor_A - anchor_A.mean(0)
    axes = np.eye(3)
    columns = [np.broadcast_to(axis, centred.shape).ravel() for axis in axes]
    columns += [np.cross(axis, centred).ravel() for axis in axes]
    basis, strength, _ = np.linalg.svd(np.stack(columns, axis=1), full_matrices=False)
    return np.asarray(basis[:, strength > 1e-8 * strength[0]])


def _hessian(anchor_A: NDArray[np.float64], cutoff_A: float) -> csr_matrix:
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
