"""How far structure and consensus map agree, and the box that is enough to train so far."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.fft
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from cryoscope.conventions import centred_coordinates_A, zyx_from_xyz
from cryoscope.data import InputError, Optics, Volume
from cryoscope.models.interfaces import Density
from cryoscope.physics.fsc import fourier_shell_correlation, resolution_A

#: The correlation at which structure and map no longer agree (cryoSTAR, Methods).
AGREEMENT = 0.5
#: Coarser shells are decided by solvent and mask and are not looked at.
COARSEST_A = 25.0
#: The soft mask is 1 up to this distance from the nearest bead, then falls over the second.
MASK_REACH_A, MASK_EDGE_A = 8.0, 10.0
#: Largest relative difference between the width of the map and that of the images.
SAME_WIDTH = 5e-3
#: Bounds of the automatic training box; maps are compared in boxes of at most the last.
SMALLEST_BOX_PX, LARGEST_BOX_PX = 16, 128
#: Nyquist of the training box over the low-pass.
BOX_MARGIN = 1.05


@dataclass(frozen=True, eq=False)
class LowPass:
    """Where the Fourier shell correlation of structure and map falls to 0.5.

    Attributes
    ----------
    resolution_A
        That resolution; Nyquist of the comparison where the correlation never falls so low.
    at_nyquist
        Whether it never does.
    shell_resolution_A, fsc
        (shells,) the curve, from the coarsest shell (1) on.
    """

    resolution_A: float
    at_nyquist: bool
    shell_resolution_A: NDArray[np.float64]
    fsc: NDArray[np.float64]

    def remark(self) -> str:
        """One sentence for the user."""
        if self.at_nyquist:
            return (
                f"Structure and map agree (FSC > {AGREEMENT}) up to {self.resolution_A:.1f} A, "
                "the finest that was compared."
            )
        return (
            f"Low-pass {self.resolution_A:.1f} A: where the FSC between structure and map "
            f"falls to {AGREEMENT}."
        )

    def table(self) -> str:
        """The curve as CSV: resolution_A, fsc."""
        rows = zip(self.shell_resolution_A, self.fsc, strict=True)
        lines = [f"{resolution:.4f},{value:.5f}" for resolution, value in rows]
        return "\n".join(["resolution_A,fsc", *lines]) + "\n"


def automatic_low_pass(
    density: Density,
    centre_A: NDArray[np.floating],
    volume: Volume,
    optics: Optics,
    *,
    file: str | Path,
) -> LowPass:
    """The resolution up to which bead model and consensus map tell the same (cryoSTAR, Methods).

    Both are compared inside a soft mask round the structure, in a box of at most 128 samples over
    the field of view of the images.

    Parameters
    ----------
    density
        The reference as one density (B = 1), in the frame of the poses.
    centre_A
        (N, 3) bead centres.
    volume
        Consensus map of the same poses. The centre of its box is their origin (convention 2),
        whatever its header says about an origin.
    optics
        Sampling of the original images.
    file
        The map's file, for errors.

    Raises
    ------
    InputError
        When the map is no even cube, does not cover the field of view of the images, or does not
        show the structure where it lies.
    """
    _check_map(volume, optics, file)
    box_px = min(volume.values.shape[0], optics.box_size_px, LARGEST_BOX_PX)
    voxel_A = optics.box_size_px * optics.pixel_size_A / box_px
    with torch.no_grad():
        model = density.voxelize(box_px, voxel_A)[0].float().cpu()
    mask = torch.as_tensor(structure_mask(centre_A, box_px, voxel_A))
    consensus = torch.as_tensor(crop_map(volume.values, box_px))
    found = compare_maps(model, consensus, mask, voxel_A)
    if found.resolution_A >= COARSEST_A and not found.at_nyquist:
        raise InputError(
            f"the map does not show the structure where it lies: their FSC is below {AGREEMENT} "
            f"at {found.resolution_A:.0f} A",
            file=file,
            cure="Fit the model into this map (check its hand and contrast), set "
            "data.structure_origin, or give data.low_pass_A and no map",
        )
    return found


def compare_maps(model: Tensor, consensus: Tensor, mask: Tensor, voxel_size_A: float) -> LowPass:
    """Where the masked FSC of two (n, n, n) maps first falls to 0.5.

    Shells coarser than 25 A are decided by solvent and mask and are passed over; the result is not
    coarser than the first shell that is looked at.
    """
    outside = consensus[mask < 0.5]
    level = outside.mean() if len(outside) else 0.0
    fsc = fourier_shell_correlation(model * mask, (consensus - level) * mask)
    shell_A = len(model) * voxel_size_A / np.arange(1, len(fsc))
    fine = torch.as_tensor(shell_A <= COARSEST_A)
    looked_at = torch.where(fine, fsc[1:], 1.0)
    found_A = resolution_A(torch.cat([fsc[:1], looked_at]), voxel_size_A, AGREEMENT)
    if bool(fine.any()) and float(looked_at[fine][0]) < AGREEMENT:
        found_A = max(found_A, COARSEST_A)
    never = not bool((looked_at < AGREEMENT).any())
    return LowPass(float(found_A), never, shell_A, fsc[1:].numpy())


def training_box_px(box_size_px: int, pixel_size_A: float, low_pass_A: float) -> int:
    """The smallest even box that holds a low-pass: training at the band-limit loses nothing.

    Its Nyquist frequency lies 5 % beyond ``1 / low_pass_A``; its half has small prime factors, for
    the FFT. At least 16 px, at most the images' own box.

    Parameters
    ----------
    box_size_px, pixel_size_A
        Sampling of the images.
    low_pass_A
        Finest resolution that is trained, above 0.
    """
    width_A = box_size_px * pixel_size_A
    half_px = scipy.fft.next_fast_len(math.ceil(BOX_MARGIN * width_A / low_pass_A))
    return min(max(2 * half_px, SMALLEST_BOX_PX), box_size_px)


def structure_mask(
    centre_A: NDArray[np.floating], box_size_px: int, voxel_size_A: float
) -> NDArray[np.float32]:
    """(n, n, n) [z, y, x]: 1 within 8 A of a bead, a cosine edge of 10 A, then 0."""
    axis_A = centred_coordinates_A(box_size_px, voxel_size_A)
    index = np.rint((zyx_from_xyz(centre_A) - axis_A[0]) / voxel_size_A).astype(np.int64)
    inside = ((index >= 0) & (index < box_size_px)).all(1)
    empty = np.ones((box_size_px,) * 3, dtype=bool)
    empty[tuple(index[inside].T)] = False
    distance_A = distance_transform_edt(empty, sampling=voxel_size_A)
    depth = np.clip((distance_A - MASK_REACH_A) / MASK_EDGE_A, 0, 1)
    return np.asarray(0.5 * (1 + np.cos(np.pi * depth)), dtype=np.float32)


def crop_map(values: NDArray[np.floating], box_size_px: int) -> NDArray[np.float32]:
    """The same field of view in fewer samples (Fourier crop); sample n // 2 stays the origin."""
    full_px = values.shape[0]
    if box_size_px == full_px:
        return np.asarray(values, dtype=np.float32)
    half = box_size_px // 2
    # frequencies -half .. half - 1 of two axes, 0 .. half of the third, which is real
    kept = np.r_[0:half, full_px - half : full_px]
    spectrum = scipy.fft.rfftn(np.asarray(values, dtype=np.float32))
    spectrum = spectrum[kept][:, kept][:, :, : half + 1]
    cropped = scipy.fft.irfftn(spectrum, s=(box_size_px,) * 3)
    return np.asarray(cropped * (box_size_px / full_px) ** 3, dtype=np.float32)


def _check_map(volume: Volume, optics: Optics, file: str | Path) -> None:
    shape = volume.values.shape
    if len(set(shape)) != 1 or shape[0] % 2:
        raise InputError(
            f"the map is {' x '.join(map(str, shape[::-1]))} voxels, not an even cube",
            file=file,
            cure="Give the consensus map as the refinement wrote it, not cropped or resampled",
        )
    map_A, images_A = shape[0] * volume.voxel_size_A, optics.box_size_px * optics.pixel_size_A
    if abs(map_A - images_A) > SAME_WIDTH * images_A:
        raise InputError(
            f"the map is {map_A:.1f} A wide ({shape[0]} voxels of {volume.voxel_size_A:.4g} A), "
            f"the images {images_A:.1f} A ({optics.box_size_px} px of "
            f"{optics.pixel_size_A:.4g} A)",
            file=file,
            cure="Give the consensus map that was refined from these particles, in their box, with "
            "its voxel size in the header",
        )
