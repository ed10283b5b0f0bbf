"""One test per rule of cryoscope.conventions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cryoscope import conventions as c

angle = st.floats(-360, 360, allow_nan=False)


def relion_matrix(rot: float, tilt: float, psi: float) -> np.ndarray:
    """RELION's Euler matrix written out: Rz(psi)^-1 Ry(tilt)^-1 Rz(rot)^-1 on column vectors."""

    def about_z(a: float) -> np.ndarray:
        return np.array([[np.cos(a), np.sin(a), 0], [-np.sin(a), np.cos(a), 0], [0, 0, 1]])

    def about_y(a: float) -> np.ndarray:
        return np.array([[np.cos(a), 0, -np.sin(a)], [0, 1, 0], [np.sin(a), 0, np.cos(a)]])

    a, b, g = np.deg2rad([rot, tilt, psi])
    return about_z(g) @ about_y(b) @ about_z(a)


def test_axes_flip_and_come_back() -> None:
    xyz = np.arange(6.0).reshape(2, 3)
    assert c.zyx_from_xyz(xyz).tolist() == [[2, 1, 0], [5, 4, 3]]
    assert np.array_equal(c.xyz_from_zyx(c.zyx_from_xyz(xyz)), xyz)


@given(angle, angle, angle)
def test_relion_angles_give_relions_matrix(rot: float, tilt: float, psi: float) -> None:
    ours = c.rotation_from_relion_deg([[rot, tilt, psi]])[0]
    assert np.allclose(ours, relion_matrix(rot, tilt, psi), atol=1e-9)


@given(angle, st.floats(-360, 360), angle)
def test_angles_come_back_as_the_same_rotation(rot: float, tilt: float, psi: float) -> None:
    matrix = c.rotation_from_relion_deg([[rot, tilt, psi]])
    angles = c.relion_deg_from_rotation(matrix)
    assert 0 <= angles[0, 1] <= 180
    assert np.allclose(c.rotation_from_relion_deg(angles), matrix, atol=1e-6)


@pytest.mark.parametrize("tilt", [0.0, 180.0, 1e-12, 180 - 1e-10])
def test_angles_at_the_poles(tilt: float) -> None:
    matrix = c.rotation_from_relion_deg([[33.0, tilt, 21.0]])
    back = c.rotation_from_relion_deg(c.relion_deg_from_rotation(matrix))
    assert np.allclose(back, matrix, atol=1e-6)


def test_cryosparc_poses_are_transposed_and_zero_is_identity() -> None:
    vector = np.array([[0.3, -0.7, 1.1], [0, 0, 0]])
    rotation = c.rotation_from_cryosparc(vector)
    assert np.allclose(rotation[0], Rotation.from_rotvec(vector[0]).as_matrix().T)
    assert np.allclose(rotation[1], np.eye(3))
    assert np.allclose(c.cryosparc_from_rotation(rotation), vector)


def test_the_particle_lies_opposite_to_relions_origin() -> None:
    assert c.shift_from_relion_origin_A([[1.0, -2.0]]).tolist() == [[-1.0, 2.0]]
    assert c.relion_origin_from_shift_A([[-1.0, 2.0]]).tolist() == [[1.0, -2.0]]


def test_wavelength_at_300_and_200_kv() -> None:
    assert c.electron_wavelength_A(300.0) == pytest.approx(0.019687, abs=2e-6)
    assert c.electron_wavelength_A(200.0) == pytest.approx(0.025079, abs=2e-6)


def test_the_origin_is_sample_n_half() -> None:
    grid = c.centred_coordinates_A(6, 2.0)
    assert grid.tolist() == [-6, -4, -2, 0, 2, 4]


def test_empty_tables_pass_through() -> None:
    empty = np.zeros((0, 3))
    assert c.rotation_from_relion_deg(empty).shape == (0, 3, 3)
    assert c.rotation_from_cryosparc(empty).shape == (0, 3, 3)
    assert c.relion_deg_from_rotation(np.zeros((0, 3, 3))).shape == (0, 3)
    assert c.cryosparc_from_rotation(np.zeros((0, 3, 3))).shape == (0, 3)
