"""From files to what a model is made of and trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cryoscope.data import InputError, Optics, Particles, Structure
from cryoscope.io.particle_cache import CacheSpec, cached_particles, open_or_build_cache
from cryoscope.io.relion import read_particles
from cryoscope.io.structures import read_structure
from cryoscope.models.coarse_grain import Beads, coarse_grain
from cryoscope.models.densities import BeadDensity, BeadShape
from cryoscope.models.likelihood import image_scale, match_data
from cryoscope.physics.fourier import Band, make_band
from cryoscope.physics.masks import soft_disc
from cryoscope.training.batches import TrainingSet
from cryoscope.training.config import TrainConfig

#: Particles looked at to find the noise spectrum and the sign of the contrast.
SAMPLE_SIZE = 512
#: Bounds of the automatic training box.
FINEST_PIXEL_A, SMALLEST_BOX_PX, LARGEST_BOX_PX = 1.5, 16, 128

#: Share of the residues that may lie outside the box.
MOST_OUTSIDE = 0.1

ProgressCallback = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Prepared:
    """Everything training needs, read and checked.

    Attributes
    ----------
    particles
        Cached, cropped, normalised particles.
    structure
        The reference in the frame of the poses (origin in the centre of the box).
    noise_power
        (m,) noise variance of each coefficient of ``band``.
    contrast
        +1 protein bright, -1 protein dark; images are multiplied by it when they are read.
    """

    particles: Particles
    structure: Structure
    beads: Beads
    band: Band
    noise_power: Tensor
    contrast: int

    @property
    def optics(self) -> Optics:
        """Sampling of the trained images."""
        return self.particles.optics[0]


def prepare(
    config: TrainConfig,
    *,
    progress: ProgressCallback = lambda stage, done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Prepared:
    """Read, check and cache everything a run needs.

    Raises
    ------
    InputError
        For anything in the user's files that cannot be trained on.
    """
    star, model_file = _named(config)
    progress("reading the particle table", 0, 1)
    original = read_particles(star)
    if original.poses is None:
        raise InputError(
            "the particles have no poses (rlnAngleRot, rlnAngleTilt, rlnAnglePsi)",
            file=star,
            cure="Refine them first (RELION Refine3D) and give its _data.star",
        )
    structure = place_structure(
        read_structure(model_file), original.optics[0], config.data.structure_origin, model_file
    )
    beads = coarse_grain(
        structure, centre=config.beads.centre, amplitude=config.beads.amplitude, file=model_file
    )
    _refuse_outside(beads, original.optics[0], model_file)
    box_px = _training_box_px(config, original, star)
    spec = CacheSpec(
        box_size_px=box_px,
        particle_radius_A=_radius_A(config, beads, original),
        contrast=1,
    )
    folder = Path(config.data.cache_dir or star.parent / "cryoscope-cache")
    cached = open_or_build_cache(
        original,
        spec,
        folder,
        progress=lambda done, total: progress("preparing particles", done, total),
        should_stop=should_stop,
    )
    particles = cached_particles(original, cached)
    optics = particles.optics[0]
    band = make_band(optics.box_size_px, optics.pixel_size_A, config.data.low_pass_A, with_dc=False)
    progress("measuring noise and contrast", 0, 1)
    sample = _sample(len(particles), config.seed)
    noise = (
        noise_power(particles.images.read(sample), spec.particle_radius_A, band)
        if config.loss.whiten
        else torch.ones(len(band))
    )
    contrast = {"bright": 1, "dark": -1}.get(config.data.contrast, 0) or detect_contrast(
        particles.take(sample), beads, band, noise, config.beads.b_factor_A2
    )
    return Prepared(particles, structure, beads, band, noise, contrast)


def place_structure(
    structure: Structure, optics: Optics, origin: str, file: str | Path = ""
) -> Structure:
    """Move a structure into the frame of the poses, whose origin is the centre of the box.

    Parameters
    ----------
    origin
        ``"centre"``, ``"corner"`` (the map's origin is voxel (0, 0, 0)), or ``"auto"``: whichever
        puts the structure's middle nearer to the centre of the box.

    Raises
    ------
    InputError
        When the middle of the structure lies outside the box either way.
    """
    middle_A = structure.coords_A.mean(0)
    half_A = optics.box_size_px * optics.pixel_size_A / 2
    corner_A = optics.box_size_px // 2 * optics.pixel_size_A
    offsets = {"centre": 0.0, "corner": corner_A}
    if origin == "auto":
        origin = min(offsets, key=lambda name: float(np.linalg.norm(middle_A - offsets[name])))
    moved = middle_A - offsets[origin]
    if np.abs(moved).max() > half_A:
        raise InputError(
            f"the structure lies outside the box: its middle is {np.linalg.norm(moved):.0f} A from "
            f"the box's centre, the box is {2 * half_A:.0f} A wide",
            file=file or None,
            cure="Fit the model into the consensus map these poses belong to and save it there",
        )
    # rounded as the run's reference file will hold them, so that it gives the same beads back
    return structure.with_coords(np.round(structure.coords_A - offsets[origin], 3))


def _refuse_outside(beads: Beads, optics: Optics, file: Path) -> None:
    """Refuse a structure of which much would not be in the images."""
    half_A = optics.box_size_px * optics.pixel_size_A / 2
    outside = int((np.linalg.norm(beads.centre_A, axis=1) > half_A).sum())
    if outside > MOST_OUTSIDE * len(beads):
        raise InputError(
            f"{outside:,} of {len(beads):,} residues lie outside the box: further than "
            f"{half_A:.0f} A from its centre",
            file=file,
            cure="Fit the model into the consensus map these poses belong to, keep only the chains "
            "in it, or extract with a larger box",
        )


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
    particles: Particles, beads: Beads, band: Band, noise: Tensor, b_factor_A2: float
) -> int:
    """+1 where the reference's projections fit the images with a positive scale, else -1.

    The sign is that of the mean least-squares scale over the particles given.
    """
    batch = TrainingSet(particles, band, 1, torch.device("cpu")).batch(np.arange(len(particles)))
    with torch.no_grad():
        shape = BeadShape(beads, b_factor_A2)
        centres = torch.as_tensor(beads.centre_A).float().expand(len(particles), -1, -1)
        density = BeadDensity(centres, shape.amplitude, shape.sigma_A(band.pixel_size_A))
        images = density.project(batch.rotation, band.box_size_px, band.pixel_size_A)
        data = match_data(batch.coefficients, batch.ctf, batch.shift_A, band, noise)
        scale = image_scale(band.transform(images), data)
    return 1 if float(scale.mean()) >= 0 else -1


def _named(config: TrainConfig) -> tuple[Path, Path]:
    for value, what, cure in (
        (config.data.particles, "no particles were given", "Name a RELION .star file"),
        (config.data.structure, "no structure was given", "Name a .pdb or .cif file (--structure)"),
    ):
        if not value:
            raise InputError(what, cure=cure)
    return Path(config.data.particles), Path(config.data.structure)


def training_box_px(images_box_px: int, pixel_size_A: float) -> int:
    """The box that ``data.box_size_px = 0`` stands for: no finer than beads need, at most 128."""
    wanted = round(images_box_px * pixel_size_A / FINEST_PIXEL_A / 2) * 2
    return max(SMALLEST_BOX_PX, min(wanted, LARGEST_BOX_PX, images_box_px))


def _training_box_px(config: TrainConfig, particles: Particles, star: Path) -> int:
    if particles.box_size_px < SMALLEST_BOX_PX:
        raise InputError(
            f"the images are {particles.box_size_px} px wide",
            file=star,
            cure=f"Extract them with {SMALLEST_BOX_PX} px or more",
        )
    if config.data.box_size_px == 0:
        return training_box_px(particles.box_size_px, particles.pixel_size_A)
    if config.data.box_size_px < SMALLEST_BOX_PX:
        raise InputError(
            f"a training box of {config.data.box_size_px} px is too small",
            cure=f"Train at {SMALLEST_BOX_PX} px or more (--box-px), or 0 for automatic",
        )
    if config.data.box_size_px > particles.box_size_px:
        raise InputError(
            f"the training box of {config.data.box_size_px} px is larger than the images' "
            f"{particles.box_size_px} px",
            file=star,
            cure=f"Train at {particles.box_size_px} px or less (--box-px)",
        )
    return config.data.box_size_px


def _radius_A(config: TrainConfig, beads: Beads, particles: Particles) -> float:
    half_A = particles.box_size_px * particles.pixel_size_A / 2
    if config.data.particle_radius_A > 0:
        return min(config.data.particle_radius_A, half_A)
    reach_A = float(np.linalg.norm(beads.centre_A, axis=1).max()) + 10.0
    return min(reach_A, 0.95 * half_A)


def _sample(count: int, seed: int) -> NDArray[np.int64]:
    generator = np.random.default_rng(seed)
    return np.sort(generator.permutation(count)[:SAMPLE_SIZE]).astype(np.int64)
