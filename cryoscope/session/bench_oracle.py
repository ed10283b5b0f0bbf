"""What the true forward model knows of the particles of a bench; kept beside the set."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryoscope.analysis.floors import Oracle, bayes_oracle
from cryoscope.data import Poses
from cryoscope.io.atomic import atomic_path
from cryoscope.io.relion import read_particles
from cryoscope.session.bench_sets import Progress, SimulatedSet


def oracle_of(made: SimulatedSet, particles: int, progress: Progress) -> Oracle | None:
    """Posterior over the true frames by the simulation's own images; kept beside the set.

    None where all particles are alike.
    """
    if len(made.truth.t_of_frame) < 2:
        return None
    file = made.folder.with_name(f"{made.folder.name}.oracle.npz")
    particles = min(particles, len(made.truth))
    kept = _read_oracle(file, particles)
    if kept is not None:
        return kept
    oracle = _new_oracle(made, particles, progress)
    with atomic_path(file) as temporary, temporary.open("wb") as stream:
        np.savez(stream, rows=oracle.rows, posterior=oracle.posterior)
    return oracle


def _read_oracle(file: Path, particles: int) -> Oracle | None:
    """The oracle kept in a file; None where it is missing, damaged or smaller."""
    if not file.is_file():
        return None
    try:
        with np.load(file, allow_pickle=False) as arrays:
            oracle = Oracle(arrays["rows"], arrays["posterior"])
    except (ValueError, KeyError, OSError, EOFError):
        return None  # it is only kept to save time
    return oracle if len(oracle.rows) >= particles else None


def _new_oracle(made: SimulatedSet, particles: int, progress: Progress) -> Oracle:
    import torch

    from cryoscope.simulation.ensemble import load_ensemble

    truth, settings = made.truth, made.settings
    recorded = read_particles(made.star)
    ensemble = load_ensemble(settings)
    imager = ensemble.imager(
        recorded.optics[0], settings.b_factor_A2, torch.device(settings.device)
    )
    every = np.arange(len(ensemble))
    poses, stage = Poses(truth.rotation, truth.shift_A), f"oracle of {made.folder.name}"
    seen = itertools.count(1)

    def clean_images(row: int) -> NDArray[np.float32]:
        progress(stage, next(seen), particles)
        same = np.full(len(every), row)
        images, _ = imager.images(every, poses.take(same), recorded.ctf.take(same))
        return images * np.float32(truth.signal_scale)

    return bayes_oracle(
        recorded.images.read,
        clean_images,
        truth.frame_of_particle,
        len(every),
        truth.noise_sd,
        particles=particles,
    )
