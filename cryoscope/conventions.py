"""The conventions of Cryoscope, and the only functions that convert between them.

1.  Volumes are ``volume[z, y, x]``, stacks ``images[n, y, x]``, float32, C order. Vectors and
    matrices act on **xyz columns**. Only :func:`zyx_from_xyz` and :func:`xyz_from_zyx` flip axes.
2.  The origin of a box of ``n`` samples is index ``n // 2``. Boxes are even.
3.  The beam runs along +z. ``x_image = R @ x_map``; a projection sums over z, so that
    ``F_image(k) = F_volume(R.T @ (kx, ky, 0))``.
4.  RELION angles: ``R = Rotation.from_euler("ZYZ", [rot, tilt, psi], degrees=True).inv()``.
    cryoSPARC poses: ``R = expmap(pose).T``; the zero vector is the identity.
5.  ``shift_A = -rlnOrigin{X,Y}Angst``: the particle's centre lies at ``+shift_A`` from that of
    the image. The model is shifted, never the data: phase ``exp(-2 pi i k . shift)``.
6.  One FFT pair (``physics.fourier``): DC in the corner, real-space origin in the centre;
    frequencies in 1/A.
7.  CTF as RELION's with protein bright: ``CTF(0) = +amplitude_contrast``. The contrast of the data
    is one explicit sign, +1 for protein bright, -1 for protein dark.
8.  Angles are degrees in records and files, radians inside one function. Lengths are A; ``_px``
    only where the name says so.
9.  A bead of mass ``A`` is ``A (2 pi s^2)^(-3/2) exp(-r^2 / 2 s^2)``; its transform is
    ``A exp(-2 pi^2 s^2 k^2)``.
10. SNR is ``Var(signal over the whole box, after CTF) / noise variance`` at the sampling that is
    trained.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.floating]


def zyx_from_xyz(vectors: ArrayLike) -> FloatArray:
    """Reorder the last axis from (x, y, z) to (z, y, x) (convention 1)."""
    return np.asarray(vectors)[..., ::-1]


def xyz_from_zyx(vectors: ArrayLike) -> FloatArray:
    """Reorder the last axis from (z, y, x) to (x, y, z) (convention 1)."""
    return np.asarray(vectors)[..., ::-1]


def rotation_from_relion_deg(euler_deg: ArrayLike) -> NDArray[np.float64]:
    """Rotation matrices map -> image from RELION's rot, tilt, psi (convention 4).

    Parameters
    ----------
    euler_deg
        (N, 3) rlnAngleRot, rlnAngleTilt, rlnAnglePsi in degrees.

    Returns
    -------
    (N, 3, 3) matrices acting on xyz columns.
    """
    angles = np.asarray(euler_deg, dtype=np.float64).reshape(-1, 3)
    if len(angles) == 0:
        return np.zeros((0, 3, 3))
    from scipy.spatial.transform import Rotation  # half a second that many callers do not need

    return Rotation.from_euler("ZYZ", angles, degrees=True).inv().as_matrix()


def relion_deg_from_rotation(rotation: ArrayLike) -> NDArray[np.float64]:
    """RELION's rot, tilt, psi in degrees from (N, 3, 3) matrices map -> image (convention 4).

    Tilt lies in [0, 180]; where it is 0 or 180, psi is set to 0 and rot carries the turn.
    """
    matrices = np.asarray(rotation, dtype=np.float64).reshape(-1, 3, 3)
    if len(matrices) == 0:
        return np.zeros((0, 3))
    tilt = np.arccos(np.clip(matrices[:, 2, 2], -1.0, 1.0))
    free = np.hypot(matrices[:, 2, 0], matrices[:, 2, 1]) > 1e-9
    rot = np.where(
        free,
        np.arctan2(matrices[:, 2, 1], matrices[:, 2, 0]),
        np.arctan2(-matrices[:, 1, 0], matrices[:, 1, 1]),
    )
    psi = np.where(free, np.arctan2(matrices[:, 1, 2], -matrices[:, 0, 2]), 0.0)
    return np.rad2deg(np.stack([rot, tilt, psi], axis=1))


def rotation_from_cryosparc(pose: ArrayLike) -> NDArray[np.float64]:
    """Rotation matrices map -> image from cryoSPARC rotation vectors in radians (convention 4)."""
    vectors = np.asarray(pose, dtype=np.float64).reshape(-1, 3)
    if len(vectors) == 0:
        return np.zeros((0, 3, 3))
    from scipy.spatial.transform import Rotation

    return Rotation.from_rotvec(vectors).inv().as_matrix()


def cryosparc_from_rotation(rotation: ArrayLike) -> NDArray[np.float64]:
    """cryoSPARC rotation vectors in radians from (N, 3, 3) matrices map -> image."""
    matrices = np.asarray(rotation, dtype=np.float64).reshape(-1, 3, 3)
    if len(matrices) == 0:
        return np.zeros((0, 3))
    from scipy.spatial.transform import Rotation

    return Rotation.from_matrix(matrices).inv().as_rotvec()


def shift_from_relion_origin_A(origin_A: ArrayLike) -> FloatArray:
    """Where the particle lies in the image, from rlnOrigin{X,Y}Angst (convention 5)."""
    return -np.asarray(origin_A)


def relion_origin_from_shift_A(shift_A: ArrayLike) -> FloatArray:
    """rlnOrigin{X,Y}Angst from where the particle lies in the image (convention 5)."""
    return -np.asarray(shift_A)


def electron_wavelength_A(voltage_kv: ArrayLike) -> FloatArray:
    """Relativistic electron wavelength in A: 12.2639 / sqrt(V + 0.97845e-6 V^2), V in volt."""
    volt = np.asarray(voltage_kv, dtype=np.float64) * 1e3
    return np.asarray(12.2639 / np.sqrt(volt + 0.97845e-6 * volt**2))


def centred_coordinates_A(box_size_px: int, pixel_size_A: float) -> NDArray[np.float64]:
    """Positions in A of the samples of a box along one axis; the origin is sample n // 2."""
    index = np.arange(box_size_px, dtype=np.float64) - box_size_px // 2
    return index * pixel_size_A


def other_hand(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mirror image of a map [z, y, x] of even sides, along z; the origin n // 2 stays."""
    return np.ascontiguousarray(np.roll(values[::-1], 1, axis=0))
