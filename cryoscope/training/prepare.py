"""From files to what a model is made of and trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cryoscope.data import InputError, Optics, Particles, Structure
from cryoscope.io.mrc import read_volume
from cryoscope.io.particle_cache import CacheSpec, cached_particles, open_or_build_cache
from cryoscope.io.relion import read_particles
from cryoscope.io.structures import read_structure
from cryoscope.models.coarse_grain import Beads, beads_for
from cryoscope.models.densities import make_density_shape
from cryoscope.physics.fourier import Band, make_band
from cryoscope.training.config import TrainConfig
from cryoscope.training.consensus import (
    LARGEST_BOX_PX,
    SMALLEST_BOX_PX,
    automatic_low_pass,
    training_box_px,
)
from cryoscope.training.statistics import detect_contrast, noise_power
from cryoscope.training.subsets import training_rows, with_noise_images

#: Particles looked at to find the noise spectrum and the sign of the contrast.
SAMPLE_SIZE = 512
#: Sampling no finer than this is chosen by itself.
FINEST_PIXEL_A = 1.5
#: Beads are compared with a map at the widths they have at this sampling.
BEAD_PIXEL_A = 1.5

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
    train_rows
        (M,) the particles that are trained on, in rising order.
    low_pass_A
        Finest resolution of ``band``; 0 = Nyquist.
    report
        What became of the structure, and how the low-pass was found: a sentence each.
    """

    particles: Particles
    structure: Structure
    beads: Beads
    band: Band
    noise_power: Tensor
    contrast: int
    train_rows: NDArray[np.int64]
    low_pass_A: float
    report: tuple[str, ...]

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
    beads = beads_for(structure, config.beads, model_file)
    _refuse_outside(beads, original.optics[0], model_file)
    radius_A = _radius_A(config, beads, original)
    low_pass_A, remark = _low_pass(config, beads, original)
    box_px = _training_box_px(config, original, star, low_pass_A)
    spec = CacheSpec(
        box_size_px=box_px,
        particle_radius_A=radius_A,
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
    band = make_band(optics.box_size_px, optics.pixel_size_A, low_pass_A, with_dc=False)
    progress("measuring noise and contrast", 0, 1)
    sample = _sample(len(particles), config.seed)
    measured = noise_power(particles.images.read(sample), spec.particle_radius_A, band)
    noise = measured if config.loss.whiten else torch.ones(len(band))
    contrast = {"bright": 1, "dark": -1}.get(config.data.contrast, 0) or detect_contrast(
        particles.take(sample), beads, band, noise, config.beads
    )
    if config.data.control == "noise":
        particles = with_noise_images(particles, band, measured, config.seed)
    train_rows, _ = training_rows(particles, config.data.subset, config.data.held_out, config.seed)
    report = tuple(filter(None, [beads.report, _hetero_left_out(model_file, structure), remark]))
    return Prepared(
        particles, structure, beads, band, noise, contrast, train_rows, low_pass_A, report
    )


def _hetero_left_out(file: Path, polymer: Structure) -> str:
    """A sentence about the waters, ions and ligands of a file, which get no bead."""

    def names(structure: Structure) -> Counter[str]:
        return Counter(map(str, structure.residue_name[structure.residue_starts()]))

    lost = names(read_structure(file, keep_hetero=True)) - names(polymer)
    if not lost:
        return ""
    listed = ", ".join(f"{count:,} {name}" for name, count in lost.most_common(8))
    return f"Waters, ions and ligands are not modelled: {listed}{', ...' * (len(lost) > 8)}."


def _low_pass(config: TrainConfig, beads: Beads, particles: Particles) -> tuple[float, str]:
    """Finest resolution to train at (0 = Nyquist), and a sentence about how it was found."""
    if config.data.low_pass_A > 0 or not config.data.consensus_map:
        return config.data.low_pass_A, ""
    file = Path(config.data.consensus_map)
    with torch.no_grad():
        centres_A = torch.as_tensor(beads.centre_A).float()[None]
        density = make_density_shape(beads, config.beads).density(centres_A, BEAD_PIXEL_A)
    found = automatic_low_pass(
        density, beads.centre_A, read_volume(file), particles.optics[0], file=file
    )
    return found.resolution_A, found.remark()


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
    trace_A = beads.anchor_A[beads.trace]
    outside = int((np.linalg.norm(trace_A, axis=1) > half_A).sum())
    if outside > MOST_OUTSIDE * len(trace_A):
        raise InputError(
            f"{outside:,} of {len(trace_A):,} residues lie outside the box: further than "
            f"{half_A:.0f} A from its centre",
            file=file,
            cure="Fit the model into the consensus map these poses belong to, keep only the chains "
            "in it, or extract with a larger box",
        )


def _named(config: TrainConfig) -> tuple[Path, Path]:
    for value, what, cure in (
        (config.data.particles, "no particles were given", "Name a RELION .star file"),
        (config.data.structure, "no structure was given", "Name a .pdb or .cif file (--structure)"),
    ):
        if not value:
            raise InputError(what, cure=cure)
    return Path(config.data.particles), Path(config.data.structure)


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


def _radius_A(config: TrainConfig, beads: Beads, particles: Particles) -> float:
    half_A = particles.box_size_px * particles.pixel_size_A / 2
    if config.data.particle_radius_A > 0:
        return min(config.data.particle_radius_A, half_A)
    reach_A = float(np.linalg.norm(beads.centre_A, axis=1).max()) + 10.0
    return min(reach_A, 0.95 * half_A)


def _sample(count: int, seed: int) -> NDArray[np.int64]:
    generator = np.random.default_rng(seed)
    return np.sort(generator.permutation(count)[:SAMPLE_SIZE]).astype(np.int64)
