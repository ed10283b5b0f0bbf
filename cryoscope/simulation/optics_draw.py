"""Random draws of what differs from particle to particle: pose, shift, defocus, half-set."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from cryoscope.data import CTFParams, Optics, Poses
from cryoscope.simulation.config import SimulationConfig

#: Separate random streams, so that changing one setting leaves the other draws as they were.
STREAMS = ("frames", "poses", "shifts", "optics", "half-sets", "noise", "compositions")


def generator(seed: int, stream: str, part: int = 0) -> np.random.Generator:
    """The random numbers of one stream; ``part`` counts pieces that are made independently."""
    return np.random.default_rng([seed, STREAMS.index(stream), part])


def draw_poses(config: SimulationConfig) -> Poses:
    """Uniform rotations (normalised normal quaternions) and normal shifts."""
    quaternions = generator(config.seed, "poses").standard_normal((config.particles, 4))
    shift_px = generator(config.seed, "shifts").standard_normal((config.particles, 2))
    shift_px *= config.shift_px
    return Poses(Rotation.from_quat(quaternions).as_matrix(), shift_px * config.pixel_size_A)


def draw_ctf(config: SimulationConfig) -> CTFParams:
    """Log-normal defocus within limits, half-normal astigmatism at a uniform angle.

    All zero without a microscope: together with :func:`optics_of`, a CTF of exactly 1.
    """
    if not config.ctf:
        return CTFParams.uniform(config.particles, 0.0)
    rng = generator(config.seed, "optics")
    count = config.particles
    log_defocus = np.log(config.defocus_A) + config.defocus_log_sd * rng.standard_normal(count)
    defocus_A = np.clip(np.exp(log_defocus), config.defocus_min_A, config.defocus_max_A)
    difference_A = config.astigmatism_A * np.abs(rng.standard_normal(count))
    return CTFParams(
        defocus_u_A=defocus_A + difference_A / 2,
        defocus_v_A=defocus_A - difference_A / 2,
        defocus_angle_deg=rng.uniform(0.0, 180.0, count),
        phase_shift_deg=np.zeros(count),
        b_factor_A2=np.zeros(count),
        scale=np.ones(count),
        optics_group=np.zeros(count, dtype=np.int64),
    )


def draw_half_sets(config: SimulationConfig) -> NDArray[np.int8]:
    """(N,) 1 or 2: of every two particles in a row, one at random is in each half-set."""
    count = config.particles
    first = generator(config.seed, "half-sets").integers(0, 2, (count + 1) // 2)
    pairs = np.stack([first, 1 - first], axis=1).ravel()[:count]
    return (pairs + 1).astype(np.int8)


def optics_of(config: SimulationConfig) -> Optics:
    """The one optics group."""
    return Optics(
        pixel_size_A=config.pixel_size_A,
        box_size_px=config.box_px,
        voltage_kv=config.voltage_kv,
        spherical_aberration_mm=config.spherical_aberration_mm if config.ctf else 0.0,
        amplitude_contrast=config.amplitude_contrast if config.ctf else 1.0,
    )
