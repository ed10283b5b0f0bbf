from __future__ import annotations

import math

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from cryoscope.physics.imaging import rotate_to_image, rotation_matrix


def vectors() -> torch.Tensor:
    drawn = torch.randn(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    drawn[0] = 0
    drawn[1] *= 1e-9
    drawn[2] *= math.pi / drawn[2].norm()
    return drawn


def test_rotation_vectors_become_the_matrices_of_scipy() -> None:
    ours = rotation_matrix(vectors()).numpy()
    assert np.allclose(ours, Rotation.from_rotvec(vectors().numpy()).as_matrix(), atol=1e-12)


def test_single_precision_rotations_are_orthogonal() -> None:
    turns = rotation_matrix(vectors().float())
    assert torch.allclose(turns @ turns.transpose(1, 2), torch.eye(3).expand(20, 3, 3), atol=1e-5)
    assert torch.equal(turns[0], torch.eye(3))


def test_a_turn_about_the_beam_turns_the_image_from_x_to_y() -> None:
    turn = rotation_matrix(torch.tensor([[0.0, 0.0, math.pi / 2]]))
    place = rotate_to_image(torch.tensor([[[2.0, 0.0, 5.0]]]), turn)
    assert torch.allclose(place, torch.tensor([[[0.0, 2.0]]]), atol=1e-6)


def test_gradients_are_numerically_right_and_those_at_zero_are_the_generators() -> None:
    turned = vectors()[3:6].requires_grad_()
    assert torch.autograd.gradcheck(rotation_matrix, turned)
    zero = torch.zeros(1, 3, dtype=torch.float64)
    slope = torch.autograd.functional.jacobian(rotation_matrix, zero)[0, :, :, 0]
    axis = torch.eye(3, dtype=torch.float64)
    for k in range(3):
        expected = torch.stack([torch.linalg.cross(axis[k], axis[i]) for i in range(3)], dim=1)
        assert torch.allclose(slope[:, :, k], expected, atol=1e-12)
