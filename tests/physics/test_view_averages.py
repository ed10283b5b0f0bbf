"""Averages of turned and shifted images, and projections in the same view."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from cryoscope.data import CTFParams, Optics
from cryoscope.physics.ctf import ctf_table
from cryoscope.physics.fourier import make_band
from cryoscope.physics.imaging import rotate_to_image, transfer
from cryoscope.physics.projectors import project_dense
from cryoscope.physics.view_averages import ViewAverager, agreement, project_volume

BOX, PIXEL_A, COUNT = 48, 2.5, 60


def blobs() -> torch.Tensor:
    return torch.randn(20, 3, generator=torch.Generator().manual_seed(3)) * 12


def images_of(rotation: torch.Tensor, shift_A: torch.Tensor, params: CTFParams) -> torch.Tensor:
    xy_A = rotate_to_image(blobs().expand(len(rotation), -1, -1), rotation.float())
    flat = project_dense(xy_A, torch.ones(20), torch.full((20,), 4.0), BOX, PIXEL_A)
    band = make_band(BOX, PIXEL_A)
    table = ctf_table(params, (Optics(PIXEL_A, BOX),))
    return band.embed(band.transform(flat) * transfer(table, shift_A.float(), band))


def volume() -> torch.Tensor:
    axis = (torch.arange(BOX) - BOX // 2) * PIXEL_A
    made = torch.zeros(BOX, BOX, BOX)
    for x, y, z in blobs():
        gx, gy, gz = (torch.exp(-((axis - one) ** 2) / 32) for one in (x, y, z))
        made += gz[:, None, None] * gy[None, :, None] * gx
    return made


def test_turned_and_shifted_images_average_to_the_projection() -> None:
    rng = np.random.default_rng(1)
    view = torch.as_tensor(Rotation.random(random_state=5).as_matrix())
    turn = torch.as_tensor(rng.uniform(-np.pi, np.pi, COUNT))
    about = torch.as_tensor(Rotation.from_euler("z", turn.numpy()[:, None]).as_matrix())
    shift_A = torch.as_tensor(rng.normal(size=(COUNT, 2)) * 6)
    params = CTFParams.uniform(COUNT, rng.uniform(8e3, 2e4, COUNT), astigmatism_A=2500.0)
    images = images_of(about @ view, shift_A, params)
    noisy = images + images.std() * 1.5 * torch.randn(
        images.shape, generator=torch.Generator().manual_seed(0)
    )
    made = ViewAverager(BOX, PIXEL_A)
    table = ctf_table(params, (Optics(PIXEL_A, BOX),))
    for part in torch.arange(COUNT).split(25):
        made.add(noisy[part], turn[part], shift_A[part], table.take(part))
    assert made.count == COUNT
    flat = project_volume(volume(), PIXEL_A, view[None], BOX, PIXEL_A)[0]
    assert agreement(made.average(), made.as_seen(flat)) > 0.97
    mirrored = project_volume(volume().flip(0), PIXEL_A, view[None], BOX, PIXEL_A)[0]
    assert agreement(made.average(), made.as_seen(mirrored)) < 0.9


def test_a_coarser_average_is_the_same_picture() -> None:
    params = CTFParams.uniform(40, np.linspace(8e3, 2e4, 40))
    view = torch.eye(3, dtype=torch.float64).expand(40, 3, 3)
    images = images_of(view, torch.zeros(40, 2), params)
    table = ctf_table(params, (Optics(PIXEL_A, BOX),))
    coarse = ViewAverager(BOX // 2, 2 * PIXEL_A)
    coarse.add(images, torch.zeros(40), torch.zeros(40, 2), table)
    flat = project_volume(volume(), PIXEL_A, view[:1], BOX // 2, 2 * PIXEL_A)[0]
    assert agreement(coarse.average(), coarse.as_seen(flat)) > 0.98


def test_projections_are_those_of_convention_3() -> None:
    rotation = torch.as_tensor(Rotation.random(3, random_state=0).as_matrix())
    xy_A = rotate_to_image(blobs().expand(3, -1, -1), rotation.float())
    dense = project_dense(xy_A, torch.ones(20), torch.full((20,), 4.0), BOX, PIXEL_A)
    flat = project_volume(volume(), PIXEL_A, rotation, BOX, PIXEL_A)
    for one, two in zip(dense, flat, strict=True):
        assert agreement(one, two, reach=1.4) > 0.995


def test_nothing_added_is_nothing() -> None:
    empty = ViewAverager(16, 3.0)
    assert not empty.average().any()
    assert agreement(torch.zeros(16, 16), torch.ones(16, 16)) == 0.0
