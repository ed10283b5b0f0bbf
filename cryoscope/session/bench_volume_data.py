"""The simulated sets of ``cryoscope bench volume``, and their true maps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cryoscope.io.relion import read_particles
from cryoscope.io.resources import resource_path
from cryoscope.session.bench_sets import Progress, SimulatedSet, simulated
from cryoscope.session.bench_volume_cases import COMMON, DATA_SETS, VolumeCase, scale_of
from cryoscope.session.demo import OPEN
from cryoscope.simulation.config import SimulationConfig
from cryoscope.simulation.true_volumes import true_volumes

if TYPE_CHECKING:
    from pathlib import Path

Maps = NDArray[np.float32]

_IMAGES_AT_ONCE = 1024


def settings_of(case: VolumeCase, scale: str) -> SimulationConfig:
    """What is simulated for a case."""
    size = scale_of(case, scale)
    config = SimulationConfig(
        structures=(str(resource_path(OPEN)),),
        particles=size.particles,
        box_px=size.box_px,
        pixel_size_A=size.pixel_size_A,
    )
    return replace(config, **COMMON | dict(DATA_SETS[case.data].settings))


def make_set(
    case: VolumeCase,
    scale: str,
    out: Path,
    progress: Progress,
    should_stop: Callable[[], bool],
) -> SimulatedSet:
    """The set of a case below ``out / "data"``; errors as of ``bench_sets.simulated``."""
    return simulated(case.data, settings_of(case, scale), out, progress, should_stop)


def sampled_particles(made: SimulatedSet, count: int) -> NDArray[np.int64]:
    """(count,) particles whose map is looked at: the same ones for every program."""
    drawn = np.random.default_rng(0).permutation(len(made.truth))[:count]
    return np.sort(drawn)


def frame_maps(made: SimulatedSet, frames: Iterable[int]) -> dict[int, Maps]:
    """The true map of each frame."""
    wanted = sorted(set(map(int, frames)))
    return dict(zip(wanted, true_volumes(made.settings, wanted), strict=True))


def mean_map(made: SimulatedSet, maps: dict[int, Maps]) -> Maps:
    """The mean of the particles' true maps: the best that one map for all could be."""
    frame, count = np.unique(made.truth.frame_of_particle, return_counts=True)
    total = sum(maps[int(f)].astype(np.float64) * c for f, c in zip(frame, count, strict=True))
    return np.asarray(total / len(made.truth), dtype=np.float32)


def backprojection(made: SimulatedSet) -> Maps:
    """The homogeneous reconstruction of all images."""
    import torch

    from cryoscope.physics.backproject import Backprojector
    from cryoscope.physics.ctf import ctf_table

    particles = read_particles(made.star)
    projector = Backprojector(particles.box_size_px, particles.pixel_size_A)
    table = ctf_table(particles.ctf, particles.optics)
    for rows in torch.arange(len(particles)).split(_IMAGES_AT_ONCE):
        projector.insert(
            torch.as_tensor(particles.images.read(rows.numpy())),
            torch.as_tensor(made.truth.rotation[rows]),
            torch.as_tensor(made.truth.shift_A[rows]),
            table.take(rows),
        )
    return np.asarray(projector.finish().numpy())
