"""Fourier insertion against a direct sum, and maps against the structures they were made from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numba
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from cryoscope.data import CTFParams, Optics
from cryoscope.physics.backproject import Backprojector, half_planes
from cryoscope.physics.ctf import CTFTable, ctf, ctf_table
from cryoscope.physics.fourier import make_band
from cryoscope.physics.imaging import rotate_to_image, transfer
from cryoscope.physics.masks import soft_sphere
from cryoscope.physics.projectors import project_dense

PIXEL_A = 3.0


@pytest.fixture
def _all_threads() -> Iterator[None]:
    before = numba.get_num_threads()
    yield
    numba.set_num_threads(before)


def views(count: int, box: int, shift_A: float = 4.0) -> tuple[torch.Tensor, torch.Tensor, Any]:
    """Rotations, shifts and CTFs of some particles."""
    rng = np.random.default_rng(1)
    rotation = torch.as_tensor(Rotation.random(count, random_state=2).as_matrix())
    shift = torch.as_tensor(rng.normal(size=(count, 2)) * shift_A)
    params = CTFParams.uniform(count, rng.uniform(8e3, 2e4, count), astigmatism_A=400.0)
    return rotation, shift, ctf_table(params, (Optics(PIXEL_A, box),))


def direct_sums(
    images: NDArray[Any],
    rotation: NDArray[Any],
    shift_A: NDArray[Any],
    table: CTFTable,
    pad: int,
    weights: NDArray[Any],
) -> tuple[NDArray[Any], NDArray[Any]]:
    """What `Backprojector.sums` gives, one coefficient of the whole plane after the other."""
    n = images.shape[-1]
    reach = pad * n // 2
    value = np.zeros((2 * reach + 1,) * 3, complex)
    weight = np.zeros((2 * reach + 1,) * 3)
    for b, image in enumerate(images):
        spectrum = np.fft.fft2(image.astype(np.float64), norm="ortho")
        for ky in range(-n // 2 + 1, n // 2):
            for kx in range(-n // 2 + 1, n // 2):
                if kx**2 + ky**2 >= (n // 2) ** 2:
                    continue
                k_per_A = np.array([kx, ky]) / (n * PIXEL_A)
                one = torch.as_tensor(k_per_A)[:, None].float()
                c = float(ctf(table.take(torch.tensor([b])), one[0], one[1]))
                phase = np.exp(2j * np.pi * k_per_A @ shift_A[b]) * (-1) ** (kx + ky)
                x, y, z = (kx * rotation[b, 0] + ky * rotation[b, 1]) * pad
                base = [int(np.floor(v)) for v in (z, y, x)]
                for corner in np.ndindex(2, 2, 2):
                    place = [i + j for i, j in zip(base, corner, strict=True)]
                    share = np.prod([1 - abs(v - i) for v, i in zip((z, y, x), place, strict=True)])
                    if max(map(abs, place)) > reach:
                        assert share < 1e-6
                        continue
                    where = tuple(i + reach for i in place)
                    value[where] += weights[b] * share * c * spectrum[ky, kx] * phase
                    weight[where] += weights[b] * share * c**2
    return value[:, :, reach:], weight[:, :, reach:]


@pytest.mark.parametrize("pad", [1, 2])
def test_the_kernel_is_the_direct_sum(pad: int) -> None:
    n, count = 10, 4
    rotation, shift_A, table = views(count, n)
    rotation[0] = torch.eye(3)  # falls on the voxels and on the face of the half-space
    images = torch.randn(count, n, n)
    weights = torch.tensor([1.0, 0.5, 2.0, 1.0])
    ours = Backprojector(n, PIXEL_A, pad=pad)
    ours.insert(images, rotation, shift_A, table, weights=weights)
    value, weight = direct_sums(
        images.numpy(), rotation.numpy(), shift_A.numpy(), table, pad, weights.numpy()
    )
    assert ours.count == count
    found, found_weight = ours.sums()
    np.testing.assert_allclose(found, value, atol=2e-5)
    np.testing.assert_allclose(found_weight, weight, atol=2e-5)


@pytest.mark.usefixtures("_all_threads")
def test_threads_do_not_change_a_bit() -> None:
    """Shares are planes; a process with one thread has its planes cut by hand."""
    rotation, shift_A, table = views(40, 16)
    images = torch.randn(40, 16, 16)
    found = []
    for threads in {1, numba.config.NUMBA_NUM_THREADS}:
        numba.set_num_threads(threads)
        one = Backprojector(16, PIXEL_A)
        one.insert(images, rotation, shift_A, table)
        found.append(one._grid)
    cut = Backprojector(16, PIXEL_A)
    cut._shares = lambda turn: np.array([0, 3, 8, 9, 17])  # type: ignore[method-assign]
    cut.insert(images, rotation, shift_A, table)
    for other in (*found[1:], cut._grid):
        assert np.array_equal(found[0], other)


def test_shares_are_even_and_cover_the_grid() -> None:
    one = Backprojector(32, PIXEL_A)
    rotation = Rotation.random(200, random_state=0).as_matrix()
    bounds = one._shares(rotation[:, :2])
    assert bounds[0] == 0
    assert bounds[-1] == 33
    assert (np.diff(bounds) >= 0).all()


def blobs(box: int, count: int, **options: Any) -> tuple[torch.Tensor, torch.Tensor, Any]:
    """Bead positions, and recorded images of them with poses and CTFs."""
    coords_A = torch.randn(12, 3, generator=torch.Generator().manual_seed(3)) * 9
    rotation, shift_A, table = views(count, box, **options)
    xy_A = rotate_to_image(coords_A.expand(count, -1, -1), rotation.float())
    images = project_dense(xy_A, torch.ones(12), torch.full((12,), 4.0), box, PIXEL_A)
    band = make_band(box, PIXEL_A)
    recorded = band.embed(band.transform(images) * transfer(table, shift_A.float(), band))
    return coords_A, recorded, (rotation, shift_A, table)


def true_map(coords_A: torch.Tensor, box: int, voxel_A: float) -> torch.Tensor:
    """[z, y, x] Gaussians of width 4 A at the beads."""
    axis = (torch.arange(box) - box // 2) * voxel_A
    x, y, z = (torch.exp(-((axis - coords_A[:, i, None]) ** 2) / 32) for i in range(3))
    return torch.einsum("iz,iy,ix->zyx", z, y, x)


def correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    inside = soft_sphere(len(a), 0.4 * len(a)) > 0.5
    return float(torch.corrcoef(torch.stack([a[inside], b[inside]]))[0, 1])


@pytest.mark.parametrize(("box_px", "pad"), [(32, 1), (32, 2), (24, 1)])
def test_a_map_is_what_its_images_were_made_of(box_px: int, pad: int) -> None:
    coords_A, images, known = blobs(32, 400)
    voxel_A = PIXEL_A * 32 / box_px
    one = Backprojector(box_px, voxel_A, pad=pad)
    one.insert(images, *known)
    found = one.finish(0.01)
    assert found.dtype == torch.float32
    assert correlation(found, true_map(coords_A, box_px, voxel_A)) > 0.985
    # mirror images and swapped axes are other maps
    assert correlation(found.flip(0), true_map(coords_A, box_px, voxel_A)) < 0.9


def test_projections_of_a_map_have_the_scale_of_the_images() -> None:
    """A point in the centre, which the trilinear shares do not dim, without CTF."""
    box = 16
    rotation, _, table = views(500, box)
    image = torch.zeros(500, box, box)
    image[:, 8, 8] = 1.0
    flat = CTFTable(**{**vars(table), "defocus_mean_A": torch.zeros(500)})
    flat = CTFTable(**{**vars(flat), "defocus_half_difference_A": torch.zeros(500)})
    flat = CTFTable(**{**vars(flat), "spherical_aberration_A": torch.zeros(500)})
    flat = CTFTable(**{**vars(flat), "amplitude_contrast": torch.ones(500)})
    one = Backprojector(box, PIXEL_A)
    one.insert(image, rotation, torch.zeros(500, 2), flat)
    found = one.finish(0.0)
    assert float(found[8, 8, 8]) == float(found.max())
    assert float(found.sum()) == pytest.approx(1.0, rel=0.02)


def test_gridding_brightens_away_from_the_centre() -> None:
    _, images, known = blobs(16, 30)
    one = Backprojector(16, PIXEL_A)
    one.insert(images, *known)
    plain, corrected = one.finish(), one.finish(gridding=True)
    ratio = corrected / plain
    assert float(ratio[8, 8, 8]) == pytest.approx(1)
    assert float(ratio[8, 8, 12]) == pytest.approx(1 / float(np.sinc(0.25)) ** 2, rel=1e-4)
    assert float(ratio[0, 0, 0]) == pytest.approx(1 / float(np.sinc(0.5)) ** 2, rel=1e-3)


def test_two_halves_are_the_whole() -> None:
    _, images, (rotation, shift_A, table) = blobs(16, 20)
    halves, whole = [Backprojector(16, PIXEL_A) for _ in range(2)], Backprojector(16, PIXEL_A)
    whole.insert(images, rotation, shift_A, table)
    for number, half in enumerate(halves):
        here = torch.arange(number, 20, 2)
        half.insert(images[here], rotation[here], shift_A[here], table.take(here))
    both = halves[0].plus(halves[1])
    assert both.count == 20
    torch.testing.assert_close(both.finish(), whole.finish(), atol=1e-6, rtol=1e-4)
    with pytest.raises(ValueError, match="add up"):
        both.plus(Backprojector(16, 2.0))


def test_nothing_inserted_is_an_empty_map() -> None:
    assert not Backprojector(8, 1.0).finish().any()


@pytest.mark.parametrize("cut", [8, 12, 16])
def test_half_planes_are_those_of_the_cropped_images(cut: int) -> None:
    from cryoscope.io.image_preparation import fourier_crop

    images = torch.randn(3, 16, 16)
    theirs = torch.fft.rfft2(torch.as_tensor(fourier_crop(images.numpy(), cut)), norm="ortho")
    inside = np.r_[0 : cut // 2, cut // 2 + 1 : cut]
    ours = half_planes(images, cut)
    assert ours.shape == theirs.shape
    torch.testing.assert_close(
        ours[:, inside, : cut // 2], theirs[:, inside, : cut // 2], atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize(
    ("box", "pixel_A", "pad"), [(7, 1.0, 1), (8, 0.0, 1), (8, 1.0, 0), (2, 1.0, 1)]
)
def test_impossible_maps_are_refused(box: int, pixel_A: float, pad: int) -> None:
    with pytest.raises(ValueError, match="no map"):
        Backprojector(box, pixel_A, pad=pad)


@pytest.mark.parametrize("shape", [(2, 6, 6), (2, 8, 10), (8, 8), (2, 9, 9)])
def test_images_that_do_not_fit_are_refused(shape: tuple[int, ...]) -> None:
    rotation, shift_A, table = views(2, 8)
    with pytest.raises(ValueError, match="for a map of 8 px"):
        Backprojector(8, 1.0).insert(torch.zeros(shape), rotation, shift_A, table)
