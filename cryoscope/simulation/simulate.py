"""Structures along a path -> particles with known truth (the command ``simulate``)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import (
    CTFParams,
    InputError,
    Optics,
    Particles,
    ParticleSource,
    Poses,
)
from cryoscope.io.relion import write_particle_star
from cryoscope.io.stack import StackImages, StackWriter
from cryoscope.physics.devices import named_device
from cryoscope.simulation.config import SimulationConfig
from cryoscope.simulation.ensemble import Ensemble, load_ensemble
from cryoscope.simulation.images import AtomImager
from cryoscope.simulation.optics_draw import (
    draw_ctf,
    draw_half_sets,
    draw_poses,
    generator,
    optics_of,
)
from cryoscope.simulation.output_folder import OutputFolder
from cryoscope.simulation.truth import Truth

Progress = Callable[[int, int], None]

_CHUNK_BYTES = 64 * 1024**2
_PILOT = 512
_NOISE_SD = 1.0


class SimulationStopped(Exception):
    """The simulation was stopped on request; no particle file was written."""


@dataclass(frozen=True, eq=False)
class DrawnSet:
    """All random draws of a simulated set but the noise; ``frame`` is (N,)."""

    frame: NDArray[np.int64]
    poses: Poses
    ctf: CTFParams
    half_set: NDArray[np.int8]
    optics: Optics


@dataclass(frozen=True)
class _Written:
    """What came of writing the stacks."""

    image_names: NDArray[np.str_]
    stack_of_particle: NDArray[np.int64]
    image_of_particle: NDArray[np.int64]
    signal_variance: float
    spread_beyond_box: int


def draw_set(config: SimulationConfig, ensemble: Ensemble) -> DrawnSet:
    """Draw frames, poses, CTF and half-sets of all particles."""
    return DrawnSet(
        ensemble.draw(config),
        draw_poses(config),
        draw_ctf(config),
        draw_half_sets(config),
        optics_of(config),
    )


def simulate(
    config: SimulationConfig,
    out: Path,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Path:
    """Simulate a particle set.

    ``out`` receives ``particles*.mrcs``, ``truth.npz`` (see :mod:`cryoscope.simulation.truth`),
    ``reference.pdb`` (heavy atoms of the first frame where the poses expect them; ``.cif`` when too
    large for a PDB file), ``simulation.json`` (settings and what was measured) and at the very end
    ``particles.star``: a folder with a particle file is complete. Noise is white with variance 1;
    the signal is scaled to the SNR asked for (convention 10).

    Parameters
    ----------
    config
        What to simulate.
    out
        Folder: absent, empty, or an earlier simulation, which is replaced.
    progress
        Called with images done and images in all.
    should_stop
        Asked before every thousand images or so.

    Returns
    -------
    ``out / "particles.star"``.

    Raises
    ------
    InputError
        Settings, files or the output folder cannot be used.
    SimulationStopped
        ``should_stop`` said so.
    """
    config.check()
    device = named_device(config.device)
    ensemble = load_ensemble(config)
    drawn = draw_set(config, ensemble)
    imager = ensemble.imager(drawn.optics, config.b_factor_A2, device)
    scale = _NOISE_SD * float(np.sqrt(config.snr / _pilot_variance(imager, drawn)))
    scale *= 1.0 if config.contrast == "bright" else -1.0
    folder = OutputFolder.prepare(Path(out), config)
    try:
        written = _write_stacks(config, folder, imager, drawn, scale, progress, should_stop)
        _write_tables(config, folder, imager, ensemble, drawn, written, scale)
    except BaseException:  # stopped or failed: half a set is worth nothing
        folder.discard()
        raise
    return folder.star


def _write_tables(
    config: SimulationConfig,
    folder: OutputFolder,
    imager: AtomImager,
    ensemble: Ensemble,
    drawn: DrawnSet,
    written: _Written,
    scale: float,
) -> None:
    """Write what belongs to the stacks; the particle file comes last."""
    truth = _truth(config, ensemble, drawn, written, scale)
    folder.write_reference(ensemble.path.structure)
    truth.write(folder.truth)
    folder.write_settings(
        config,
        {
            "snr": truth.snr_measured,
            "pixels_times_snr": config.box_px**2 * truth.snr_measured,
            "particles_times_snr": config.particles * truth.snr_measured,
            "frames": len(ensemble),
            "atoms": len(ensemble.path.structure),
            "residues": len(truth.residue_id),
            "radius_A": imager.radius_A,
            "images_with_ctf_beyond_padded_box": written.spread_beyond_box,
        },
    )
    _write_star(config, folder, drawn, written)


def _chunks(first: int, last: int, box_px: int) -> Iterator[slice]:
    """Runs of at most a thousand images that fit in memory several times over."""
    step = max(32, min(1024, _CHUNK_BYTES // (4 * box_px**2)))
    for begin in range(first, last, step):
        yield slice(begin, min(begin + step, last))


def _image_variance(images: NDArray[np.float32]) -> NDArray[np.float64]:
    return images.var(axis=(1, 2), dtype=np.float64)


def _pilot_variance(imager: AtomImager, drawn: DrawnSet) -> float:
    """Mean variance of noise-free images over the whole box, from particles spread over the set."""
    count = len(drawn.frame)
    index = np.unique(np.linspace(0, count - 1, min(count, _PILOT)).astype(np.int64))
    total = 0.0
    for some in _chunks(0, len(index), drawn.optics.box_size_px):
        rows = index[some]
        images, _ = imager.images(drawn.frame[rows], drawn.poses.take(rows), drawn.ctf.take(rows))
        total += float(_image_variance(images).sum())
    if not total > 0:
        raise InputError("the images hold no signal", cure="Lower the B-factor or the pixel size")
    return total / len(index)


def _write_stacks(
    config: SimulationConfig,
    folder: OutputFolder,
    imager: AtomImager,
    drawn: DrawnSet,
    scale: float,
    progress: Progress | None,
    should_stop: Callable[[], bool] | None,
) -> _Written:
    """Write all stacks: equal runs of particles, one chunk at a time."""
    bounds = np.linspace(0, config.particles, config.stacks + 1).astype(np.int64)
    variance_sum, short = 0.0, 0
    for number, file in enumerate(folder.stack_files(config.stacks)):
        first, last = int(bounds[number]), int(bounds[number + 1])
        with StackWriter(file, config.box_px, config.pixel_size_A, count=last - first) as writer:
            for some in _chunks(first, last, config.box_px):
                if should_stop is not None and should_stop():
                    raise SimulationStopped
                clean, beyond = imager.images(
                    drawn.frame[some], drawn.poses.take(some), drawn.ctf.take(some)
                )
                variance_sum += float(_image_variance(clean).sum())
                short += beyond
                rng = generator(config.seed, "noise", some.start)
                noise = rng.standard_normal(clean.shape, dtype=np.float32)
                writer.append(clean * np.float32(scale) + noise * np.float32(_NOISE_SD))
                if progress is not None:
                    progress(some.stop, config.particles)
    stack = np.repeat(np.arange(config.stacks), np.diff(bounds))
    image = np.arange(config.particles) - bounds[stack]
    files = [file.name for file in folder.stack_files(config.stacks)]
    names = np.array([f"{i + 1:06d}@{files[s]}" for i, s in zip(image, stack, strict=True)])
    return _Written(names, stack, image, variance_sum / config.particles, short)


def _truth(
    config: SimulationConfig, ensemble: Ensemble, drawn: DrawnSet, written: _Written, scale: float
) -> Truth:
    structure = ensemble.path.structure
    index = structure.alpha_carbons()
    coordinate = ensemble.coordinate_of_frame.astype(np.float32)
    states, names = ensemble.states(config)
    t_of_frame = coordinate[:, 0]
    coords_ca_A = ensemble.path.coords_A[:, index].astype(np.float32)
    return Truth(
        frame_of_particle=drawn.frame.astype(np.int32),
        t=t_of_frame[drawn.frame],
        t_of_frame=t_of_frame,
        coords_ca_A=np.tile(coords_ca_A, (len(ensemble.present), 1, 1)),
        residue_id=structure.residue_id[index],
        chain_id=structure.chain_id[index],
        rotation=drawn.poses.rotation.astype(np.float32),
        shift_A=drawn.poses.shift_A.astype(np.float32),
        defocus_u_A=drawn.ctf.defocus_u_A,
        defocus_v_A=drawn.ctf.defocus_v_A,
        defocus_angle_deg=drawn.ctf.defocus_angle_deg,
        half_set=drawn.half_set,
        snr=config.snr,
        snr_measured=scale**2 * written.signal_variance / _NOISE_SD**2,
        noise_sd=_NOISE_SD,
        signal_scale=scale,
        coordinate_of_frame=coordinate,
        coordinate_is_closed=np.full(coordinate.shape[1], ensemble.closed),
        state_of_frame=states,
        state_names=names,
        ca_present=ensemble.present[:, index].repeat(len(ensemble.path), axis=0),
    )


def _write_star(
    config: SimulationConfig, folder: OutputFolder, drawn: DrawnSet, written: _Written
) -> None:
    images = StackImages.open(
        folder.stack_files(config.stacks),
        written.stack_of_particle,
        written.image_of_particle,
        table=folder.star,
    )
    shift_A = drawn.poses.shift_A if config.known_shifts else np.zeros_like(drawn.poses.shift_A)
    particles = Particles(
        images=images,
        optics=(drawn.optics,),
        ctf=drawn.ctf,
        poses=Poses(drawn.poses.rotation, shift_A),
        half_set=drawn.half_set,
        uid=written.image_names,
        source=ParticleSource(folder.star, np.arange(config.particles, dtype=np.int64)),
    )
    write_particle_star(folder.star, particles, written.image_names)
