"""cryoSTAR's published training step in plain PyTorch, to compare with.

Written from the description in the paper (Li et al. 2024) and of what its program does: an MLP on
the pixels, a mirrored decoder of one offset per bead, the dense separable projector, the CTF by
Fourier transforms, a masked correlation, bonds, a fixed list of clashes, and elastic pairs of which
the most variable are let go. The translation of the data by interpolation is left out, which only
makes it faster.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor, nn

from cryoscope.models.coarse_grain import Beads
from cryoscope.physics.ctf import CTFTable, ctf
from cryoscope.physics.fourier import frequencies_per_A, irfft2_centred, rfft2_centred
from cryoscope.physics.imaging import rotate_to_image
from cryoscope.physics.projectors import project_dense

WIDTHS = (512, 256, 128, 64, 32)
LATENT_DIM = 8
SIGMA_A, ELASTIC_A, KEPT = 2.0, 12.0, 0.99
CLASH_A, WATCHED_A = 4.0, (4.0, 10.0)
MASK_SHARE = 0.9375


def mlp(widths: tuple[int, ...]) -> nn.Sequential:
    """Linear layers with a ReLU after each."""
    layers: list[nn.Module] = []
    for a, b in pairwise(widths):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers)


class PublishedStep:
    """Model, optimiser and data of the published method; ``advance`` is one step."""

    def __init__(
        self,
        beads: Beads,
        images: Tensor,
        rotation: Tensor,
        table: CTFTable,
        pixel_size_A: float,
        batch_size: int,
    ) -> None:
        self.images, self.rotation, self.table = images, rotation, table
        self.pixel_size_A, self.batch_size, self.step = pixel_size_A, batch_size, 0
        box_px, count = images.shape[-1], len(beads)
        self.reference_A = torch.as_tensor(beads.anchor_A).float()
        self.mass = torch.as_tensor(beads.mass).float()
        self.sigma_A = torch.full((count,), SIGMA_A)
        self.encoder = mlp((box_px**2, *WIDTHS))
        self.mean, self.log_var = (nn.Linear(WIDTHS[-1], LATENT_DIM) for _ in range(2))
        decoder = mlp((LATENT_DIM, *reversed(WIDTHS)))
        self.decoder = nn.Sequential(decoder, nn.Linear(WIDTHS[0], 3 * count))
        parts = (self.encoder, self.mean, self.log_var, self.decoder)
        self.optimiser = torch.optim.AdamW(
            [parameter for part in parts for parameter in part.parameters()], lr=1e-4
        )
        kx, ky = frequencies_per_A(box_px, pixel_size_A)
        grid_y, grid_x = torch.meshgrid(ky, kx, indexing="ij")
        self.kx, self.ky = grid_x.flatten(), grid_y.flatten()
        self.inside = (grid_x**2 + grid_y**2).sqrt() <= 0.5 / pixel_size_A  # low-pass
        along = torch.arange(box_px) - box_px // 2
        radius_px = MASK_SHARE * box_px / 2
        self.mask = ((along[:, None] ** 2 + along**2) <= radius_px**2).float()
        self._pairs(beads)

    def _pairs(self, beads: Beads) -> None:
        bonds = np.flatnonzero(beads.bonded)
        self.bonds = torch.as_tensor(np.stack([bonds, bonds + 1], axis=1))
        near = cKDTree(beads.anchor_A).query_pairs(ELASTIC_A, output_type="ndarray")
        same_chain = beads.chain[near[:, 0]] == beads.chain[near[:, 1]]
        apart = np.abs(near[:, 0] - near[:, 1]) > 1
        self.elastic = torch.as_tensor(near[same_chain & apart])
        distance_A = np.linalg.norm(beads.anchor_A[near[:, 0]] - beads.anchor_A[near[:, 1]], axis=1)
        watched = near[(distance_A >= WATCHED_A[0]) & (distance_A <= WATCHED_A[1]) & apart]
        self.watched = torch.as_tensor(np.concatenate([watched, np.flip(watched, axis=1)]))
        self.bond_A, self.elastic_A = (
            self._distance_A(self.reference_A[None], pairs)[0]
            for pairs in (self.bonds, self.elastic)
        )

    @staticmethod
    def _distance_A(coords_A: Tensor, pairs: Tensor) -> Tensor:
        first, second = (coords_A.index_select(1, pairs[:, i]) for i in (0, 1))
        return (first - second).norm(dim=-1)

    def _structure_loss(self, coords_A: Tensor) -> Tensor:
        bond = (self._distance_A(coords_A, self.bonds) - self.bond_A).square().mean()
        clash = (CLASH_A - self._distance_A(coords_A, self.watched)).clamp_min(0).square().mean()
        error = (self._distance_A(coords_A, self.elastic) - self.elastic_A).square()
        variance = error.detach().var(0)
        kept = variance <= torch.quantile(variance, KEPT)
        return bond + clash + error[:, kept].mean()

    def _image_loss(self, coords_A: Tensor, rows: Tensor) -> Tensor:
        box_px = self.images.shape[-1]
        xy_A = rotate_to_image(coords_A, self.rotation[rows])
        drawn = project_dense(xy_A, self.mass, self.sigma_A, box_px, self.pixel_size_A)
        value = ctf(self.table.take(rows), self.kx, self.ky).view(len(rows), *self.inside.shape)
        model = irfft2_centred(rfft2_centred(drawn) * value * self.inside) * self.mask
        data = irfft2_centred(rfft2_centred(self.images[rows]) * self.inside) * self.mask
        overlap = (model * data).sum((1, 2))
        scale = model.flatten(1).std(1) * data.flatten(1).std(1)
        return -(overlap / scale).mean() / self.mask.sum()

    def advance(self) -> None:
        """One optimiser step."""
        start = self.step * self.batch_size % (len(self.images) - self.batch_size + 1)
        rows = torch.arange(start, start + self.batch_size)
        features = self.encoder((self.images[rows] * self.mask).flatten(1))
        mean, log_var = self.mean(features), self.log_var(features)
        z = mean + torch.randn_like(mean) * torch.exp(0.5 * log_var)
        coords_A = self.reference_A + self.decoder(z).view(len(rows), -1, 3)
        nats = 0.5 * (mean.square() + log_var.exp() - 1 - log_var)
        loss = self._image_loss(coords_A, rows) + self._structure_loss(coords_A)
        loss = loss + 0.5 * nats.mean(0).clamp_min(3.0).mean() / self.mask.sum()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self.step += 1
