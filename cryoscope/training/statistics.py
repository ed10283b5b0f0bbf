"""What a sample of the images tells before training: noise spectrum and sign of the contrast."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cryoscope.data import Particles
from cryoscope.models.coarse_grain import Beads
from cryoscope.models.densities import make_density_shape
from cryoscope.models.likelihood import image_scale, match_data
from cryoscope.physics.backproject import Backprojector
from cryoscope.physics.ctf import ctf_table
from cryoscope.physics.fourier import Band
from cryoscope.physics.map_contrast import map_contrast
from cryoscope.physics.masks import soft_disc
from cryoscope.training.batches import TrainingSet
from cryoscope.training.config import BeadConfig

#: Box of the map that tells the contrast without an atomic model.
BLIND_BOX_PX = 24


def noise_power(images: NDArray[np.float32], radius_A: float, band: Band) -> Tensor:
    """(m,) noise variance per coefficient, averaged over shells.

    The spectrum of what lies outside the particle: images times one minus a soft disc, divided by
    the mean square of that window.
    """
    window = 1 - soft_disc(band.box_size_px, radius_A / band.pixel_size_A, edge_px=4)
    if float((window > 0.5).float().mean()) < 0.02:
        return torch.ones(len(band))  # nothing but particle in the box: the images are normalised
    power = band.transform(torch.as_tensor(images) * window).abs().square().mean(0)
    power = power / window.square().mean()
    count = torch.bincount(band.shell, band.weight, band.shell_count)
    total = torch.bincount(band.shell, band.weight * power, band.shell_count)
    return (total / count.clamp_min(1e-6)).clamp_min(1e-3)[band.shell]


def detect_contrast(
    particles: Particles, beads: Beads, band: Band, noise: Tensor, settings: BeadConfig
) -> int:
    """+1 where the reference's projections fit the images with a positive scale, else -1.

    The sign is that of the mean least-squares scale over the particles given.
    """
    batch = TrainingSet(particles, band, 1, torch.device("cpu")).batch(np.arange(len(particles)))
    with torch.no_grad():
        centres = torch.as_tensor(beads.centre_A).float().expand(len(particles), -1, -1)
        density = make_density_shape(beads, settings).density(centres, band.pixel_size_A)
        data = match_data(batch.coefficients, batch.ctf, batch.shift_A, band, noise)
        scale = image_scale(density.project_band(batch.rotation, band), data)
    return 1 if float(scale.mean()) >= 0 else -1


def contrast_by_map(particles: Particles) -> int:
    """+1 where the particles' map is protein in emptiness, -1 where it is its negative.

    A map of a few hundred particles at low resolution is enough to tell.
    """
    assert particles.poses is not None
    box_px = min(BLIND_BOX_PX, particles.box_size_px)
    pixel_A = particles.pixel_size_A * particles.box_size_px / box_px
    backprojector = Backprojector(box_px, pixel_A)
    backprojector.insert(
        torch.as_tensor(particles.images.read(np.arange(len(particles)))),
        torch.as_tensor(np.asarray(particles.poses.rotation, dtype=np.float32)),
        torch.as_tensor(np.asarray(particles.poses.shift_A, dtype=np.float32)),
        ctf_table(particles.ctf, particles.optics),
    )
    return map_contrast(backprojector.finish(), pixel_A)
