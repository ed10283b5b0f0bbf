"""Noise-free images of atoms, formed in a box wide enough for what the CTF spreads."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import next_fast_len
from torch import Tensor

from cryoscope.data import CTFParams, Optics, Poses, Trajectory
from cryoscope.physics.atoms import atoms_to_map, project_atoms_fourier
from cryoscope.physics.ctf import CTFTable, ctf, ctf_table, delocalisation_A
from cryoscope.physics.fourier import frequencies_per_A, irfft2_centred
from cryoscope.physics.imaging import rotate_to_image
from cryoscope.physics.scattering import scattering_tables

MAX_PADDING = 4
_WAVES_AT_ONCE = 2_000_000
_IMAGES_AT_ONCE = 32


@dataclass(frozen=True, eq=False)
class AtomImager:
    """Everything that the images of one simulated set share.

    Attributes
    ----------
    coords_A
        (conformations, n, 3) float32.
    element_type, scattering_a_A, scattering_b_A2
        See :func:`cryoscope.physics.scattering.scattering_tables`.
    optics
        Sampling of the images.
    b_factor_A2
        Blur of every atom.
    radius_A
        Largest distance of an atom from the origin.
    present
        (compositions, n) which atoms there are. Frames are counted through all conformations of
        the first composition, then of the next.
    """

    coords_A: Tensor
    element_type: Tensor
    scattering_a_A: Tensor
    scattering_b_A2: Tensor
    optics: Optics
    b_factor_A2: float
    radius_A: float
    present: Tensor

    @classmethod
    def of(
        cls,
        path: Trajectory,
        optics: Optics,
        b_factor_A2: float,
        device: torch.device,
        present: NDArray[np.bool_] | None = None,
    ) -> AtomImager:
        """The imager of a path that is already centred; without ``present`` all atoms are there."""
        if present is None:
            present = np.ones((1, len(path.structure)), dtype=np.bool_)
        kind, a_A, b_A2 = scattering_tables(path.structure)
        return cls(
            coords_A=torch.as_tensor(path.coords_A, dtype=torch.float32, device=device),
            element_type=torch.as_tensor(kind, device=device),
            scattering_a_A=torch.as_tensor(a_A, device=device),
            scattering_b_A2=torch.as_tensor(b_A2, device=device),
            optics=optics,
            b_factor_A2=b_factor_A2,
            radius_A=float(np.linalg.norm(path.coords_A, axis=-1).max()),
            present=torch.as_tensor(present, device=device),
        )

    def padded_box_px(self, table: CTFTable, shift_A: Tensor) -> tuple[int, bool]:
        """Side of the box in which images are formed, and whether that is as wide as wanted.

        Signal reaches ``radius + shift + delocalisation`` (at Nyquist) from the centre; a periodic
        box must hold that plus half the image, or spread signal would come in again at the
        other side, in data and model alike. At most four times the image.
        """
        box_px, pixel_A = self.optics.box_size_px, self.optics.pixel_size_A
        spread_A = delocalisation_A(table, 2 * pixel_A)
        reach_A = self.radius_A + float(shift_A.norm(dim=1).max()) + spread_A
        wanted_px = max(box_px, math.ceil(reach_A / pixel_A + box_px / 2))
        padded_px = 2 * int(next_fast_len(math.ceil(wanted_px / 2), real=True))
        return min(padded_px, MAX_PADDING * box_px), wanted_px <= MAX_PADDING * box_px

    def _batch(
        self, frame: Tensor, rotation: Tensor, shift_A: Tensor, table: CTFTable, padded_px: int
    ) -> Tensor:
        """Images of frames that are all of one composition."""
        atoms = self.present[frame[0] // len(self.coords_A)]
        coords_A = self.coords_A[frame % len(self.coords_A)]
        kinds = self.element_type
        if not bool(atoms.all()):
            coords_A, kinds = coords_A[:, atoms], kinds[atoms]
        xy_A = rotate_to_image(coords_A, rotation) + shift_A[:, None]
        pixel_A = self.optics.pixel_size_A
        coefficients = project_atoms_fourier(
            xy_A,
            kinds,
            self.scattering_a_A,
            self.scattering_b_A2,
            padded_px,
            pixel_A,
            b_factor_A2=self.b_factor_A2,
        )
        kx, ky = frequencies_per_A(padded_px, pixel_A, xy_A.device)
        grid_y, grid_x = torch.meshgrid(ky, kx, indexing="ij")
        values = ctf(table, grid_x.flatten(), grid_y.flatten())
        images = irfft2_centred(coefficients * values.view_as(coefficients.real))
        first = padded_px // 2 - self.optics.box_size_px // 2
        inside = slice(first, first + self.optics.box_size_px)
        return images[:, inside, inside]

    def _handful(
        self, frame: NDArray[np.integer], poses: Poses, params: CTFParams
    ) -> tuple[NDArray[np.float32], bool]:
        """Images of a few particles in one padded box, and whether that box was wide enough."""
        device = self.coords_A.device
        table = ctf_table(params, (self.optics,))
        shift_A = torch.as_tensor(poses.shift_A, dtype=torch.float32)
        padded_px, enough = self.padded_box_px(table, shift_A)
        rotation = torch.as_tensor(poses.rotation, dtype=torch.float32)
        which = torch.as_tensor(frame, dtype=torch.int64)
        step = max(1, _WAVES_AT_ONCE // (min(len(self.element_type), 1024) * padded_px))
        alike = which // len(self.coords_A)
        out = torch.empty(len(which), self.optics.box_size_px, self.optics.box_size_px)
        with torch.no_grad():
            for composition in alike.unique():
                for part in torch.nonzero(alike == composition).squeeze(1).split(step):
                    out[part] = self._batch(
                        which[part].to(device),
                        rotation[part].to(device),
                        shift_A[part].to(device),
                        table.take(part).to(device),
                        padded_px,
                    ).cpu()
        return out.numpy(), enough

    def volume(self, frame: int, box_size_px: int, voxel_size_A: float) -> NDArray[np.float32]:
        """(n, n, n) map of one frame, blurred as its images are (``physics.atoms_to_map``)."""
        composition, conformation = divmod(frame, len(self.coords_A))
        atoms = self.present[composition]
        with torch.no_grad():
            density = atoms_to_map(
                self.coords_A[conformation, atoms],
                self.element_type[atoms],
                self.scattering_a_A,
                self.scattering_b_A2,
                box_size_px,
                voxel_size_A,
                b_factor_A2=self.b_factor_A2,
            )
        return np.asarray(density.cpu().numpy())

    def images(
        self, frame: NDArray[np.integer], poses: Poses, params: CTFParams
    ) -> tuple[NDArray[np.float32], int]:
        """Noise-free images, protein bright.

        Particles are taken in the order of their defocus, so that the box is as small as each
        handful allows.

        Returns
        -------
        (N, y, x) float32, and the number of images for which four times the box was too little.
        """
        count, box_px = len(poses), self.optics.box_size_px
        out = np.empty((count, box_px, box_px), dtype=np.float32)
        order = np.argsort(params.defocus_u_A + params.defocus_v_A, kind="stable")

        def fill(some: NDArray[np.int64]) -> int:
            out[some], enough = self._handful(frame[some], poses.take(some), params.take(some))
            return 0 if enough else len(some)

        pieces = np.split(order, range(_IMAGES_AT_ONCE, count, _IMAGES_AT_ONCE))
        with _one_thread_each() as workers, ThreadPoolExecutor(workers) as pool:
            return out, sum(pool.map(fill, pieces))


@contextmanager
def _one_thread_each() -> Iterator[int]:
    """Torch's threads, given out as workers that run alone.

    Handfuls are independent; threads inside every small product spend their time waiting for each
    other, ten times as long as they compute when the cores are shared with other programs.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)
