"""From files to what a model is made of and trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cryoscope.data import InputError, Optics, Particles
from cryoscope.io.mrc import read_volume
from cryoscope.io.particle_cache import (
    CacheEstimate,
    CacheSpec,
    cached_particles,
    open_or_build_cache,
)
from cryoscope.models.coarse_grain import Beads
from cryoscope.models.densities import make_density_shape
from cryoscope.models.registry import needs_structure
from cryoscope.physics.fourier import Band, make_band
from cryoscope.training.config import TrainConfig
from cryoscope.training.consensus import (
    LARGEST_BOX_PX,
    SMALLEST_BOX_PX,
    LowPass,
    automatic_low_pass,
    training_box_px,
)
from cryoscope.training.given_latents import given_latents
from cryoscope.training.given_particles import read_given_particles
from cryoscope.training.reference import Reference, read_reference
from cryoscope.training.statistics import contrast_by_map, detect_contrast, noise_power
from cryoscope.training.subsets import training_rows, with_noise_images
from cryoscope.training.windowing import windowed

#: Particles looked at to find the noise spectrum and the sign of the contrast.
SAMPLE_SIZE = 512
#: Sampling no finer than this is chosen by itself.
FINEST_PIXEL_A = 1.5
#: Beads are compared with a map at the widths they have at this sampling.
BEAD_PIXEL_A = 1.5
#: Without an atomic model the particle reaches so far, of the half-box (cryoDRGN's window).
BLIND_RADIUS = 0.85

ProgressCallback = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Prepared:
    """Everything training needs, read and checked.

    Attributes
    ----------
    particles
        Cached, cropped, normalised particles.
    reference
        The atomic model in the frame of the poses; None for a model without atoms.
    noise_power
        (m,) noise variance of each coefficient of ``band``.
    contrast
        +1 protein bright, -1 protein dark; images are multiplied by it when they are read.
    train_rows
        (M,) the particles that are trained on, in rising order.
    low_pass_A
        Finest resolution of ``band``; 0 = Nyquist.
    latents
        (N, d) given latents of all particles (density stage), or None.
    agreement
        How the low-pass was found: FSC of structure and consensus map; None where it was given.
    """

    particles: Particles
    reference: Reference | None
    band: Band
    noise_power: Tensor
    contrast: int
    train_rows: NDArray[np.int64]
    low_pass_A: float
    latents: NDArray[np.float32] | None
    agreement: LowPass | None

    @property
    def report(self) -> tuple[str, ...]:
        """What became of the structure, and how the low-pass was found: a sentence each."""
        about_atoms = () if self.reference is None else self.reference.report
        return about_atoms if self.agreement is None else (*about_atoms, self.agreement.remark())

    @property
    def optics(self) -> Optics:
        """Sampling of the trained images."""
        return self.particles.optics[0]

    @property
    def beads(self) -> Beads | None:
        """What the atomic model is made of, where there is one."""
        return None if self.reference is None else self.reference.beads


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
    star = _named(config)
    progress("reading the particle table", 0, 1)
    original = read_given_particles(config.data)
    if original.poses is None:
        raise InputError(
            "the particles have no poses (rlnAngleRot, rlnAngleTilt, rlnAnglePsi; in a .cs file "
            "alignments3D/pose)",
            file=star,
            cure="Refine them first, and give the .star (RELION Refine3D: _data.star) or .cs file "
            "of that refinement",
        )
    reference = read_reference(config, original.optics[0]) if config.data.structure else None
    latents = given_latents(config, original)
    agreement = _agreement(config, reference, original)
    low_pass_A = config.data.low_pass_A if agreement is None else agreement.resolution_A
    spec = CacheSpec(
        box_size_px=_training_box_px(config, original, star, low_pass_A),
        particle_radius_A=_radius_A(config, reference, original),
        contrast=1,
        float16=config.data.cache_float16,
    )
    folder = Path(config.data.cache_dir or star.parent / "cryoscope-cache")
    stage = "preparing particles"

    def announce(estimate: CacheEstimate) -> None:
        nonlocal stage
        stage = f"preparing particles (cache of {estimate.words()})"
        progress(stage, 0, len(original))

    cached = open_or_build_cache(
        original,
        spec,
        folder,
        announce=announce,
        progress=lambda done, total: progress(stage, done, total),
        should_stop=should_stop,
    )
    particles = cached_particles(original, cached)
    optics = particles.optics[0]
    band = make_band(optics.box_size_px, optics.pixel_size_A, low_pass_A, with_dc=False)
    progress("measuring noise and contrast", 0, 1)
    sample = _sample(len(particles), config.seed)
    measured = noise_power(particles.images.read(sample), spec.particle_radius_A, band)
    noise = measured if config.loss.whiten else torch.ones(len(band))
    contrast = {"bright": 1, "dark": -1}.get(config.data.contrast, 0) or _contrast(
        config, particles.take(sample), reference, band, noise
    )
    if config.data.control == "noise":
        particles = with_noise_images(particles, band, measured, config.seed)
    if config.data.window_radius > 0:
        particles = windowed(particles, config.data.window_radius)
    train_rows, _ = training_rows(particles, config.data.subset, config.data.held_out, config.seed)
    return Prepared(
        particles,
        reference,
        band,
        noise,
        contrast,
        train_rows,
        low_pass_A,
        latents,
        agreement,
    )


def _contrast(
    config: TrainConfig,
    sample: Particles,
    reference: Reference | None,
    band: Band,
    noise: Tensor,
) -> int:
    """Sign of the protein in the images, by the atomic model where there is one."""
    if reference is None:
        return contrast_by_map(sample)
    return detect_contrast(sample, reference.beads, band, noise, config.beads)


def _agreement(
    config: TrainConfig, reference: Reference | None, particles: Particles
) -> LowPass | None:
    """How far structure and consensus map agree; None where that is not asked for."""
    if config.data.low_pass_A > 0 or not config.data.consensus_map or reference is None:
        return None
    file, beads = Path(config.data.consensus_map), reference.beads
    with torch.no_grad():
        centres_A = torch.as_tensor(beads.centre_A).float()[None]
        density = make_density_shape(beads, config.beads).density(centres_A, BEAD_PIXEL_A)
    return automatic_low_pass(
        density, beads.centre_A, read_volume(file), particles.optics[0], file=file
    )


def _named(config: TrainConfig) -> Path:
    """The particle file; refuses a configuration that names too little."""
    if not config.data.particles:
        raise InputError("no particles were given", cure="Name a RELION .star file")
    if not config.data.structure and needs_structure(config.model):
        raise InputError("no structure was given", cure="Name a .pdb or .cif file (--structure)")
    return Path(config.data.particles)


def automatic_box_px(images_box_px: int, pixel_size_A: float, low_pass_A: float = 0.0) -> int:
    """The box that ``data.box_size_px = 0`` stands for.

    No finer than beads need, at most 128; with a low-pass the smallest that holds it.
    """
    wanted = round(images_box_px * pixel_size_A / FINEST_PIXEL_A / 2) * 2
    widest = max(SMALLEST_BOX_PX, min(wanted, LARGEST_BOX_PX, images_box_px))
    if low_pass_A <= 0:
        return widest
    return min(widest, training_box_px(images_box_px, pixel_size_A, low_pass_A))


def _training_box_px(
    config: TrainConfig, particles: Particles, star: Path, low_pass_A: float
) -> int:
    if particles.box_size_px < SMALLEST_BOX_PX:
        raise InputError(
            f"the images are {particles.box_size_px} px wide",
            file=star,
            cure=f"Extract them with {SMALLEST_BOX_PX} px or more",
        )
    if config.data.box_size_px == 0:
        return automatic_box_px(particles.box_size_px, particles.pixel_size_A, low_pass_A)
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


def _radius_A(config: TrainConfig, reference: Reference | None, particles: Particles) -> float:
    half_A = particles.box_size_px * particles.pixel_size_A / 2
    if config.data.particle_radius_A > 0:
        return min(config.data.particle_radius_A, half_A)
    if reference is None:
        return BLIND_RADIUS * half_A
    reach_A = float(np.linalg.norm(reference.beads.centre_A, axis=1).max()) + 10.0
    return min(reach_A, 0.95 * half_A)


def _sample(count: int, seed: int) -> NDArray[np.int64]:
    generator = np.random.default_rng(seed)
    return np.sort(generator.permutation(count)[:SAMPLE_SIZE]).astype(np.int64)
