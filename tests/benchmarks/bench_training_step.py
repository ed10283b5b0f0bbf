"""A whole training step of the default preset against cryoSTAR's published architecture.

``python tests/benchmarks/bench_training_step.py [--threads K] [--steps S]``: the same structure,
images, poses, CTF and batch, both in memory, after a first pass through the images, in one run,
step by step in turn; medians and their ratio; nothing is asserted.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from published_step import PublishedStep
from scipy.spatial.transform import Rotation

from cryoscope.data import CTFParams, Optics, Particles, ParticleSource, Poses, Structure
from cryoscope.io.resources import resource_path
from cryoscope.io.structures import read_structure
from cryoscope.models.coarse_grain import beads_for
from cryoscope.models.registry import make_model
from cryoscope.physics.ctf import ctf_table
from cryoscope.physics.fourier import make_band
from cryoscope.training.loop import Loop
from cryoscope.training.prepare import Prepared
from cryoscope.training.presets import preset
from cryoscope.training.reference import Reference

BATCH, IMAGES = 64, 512
#: Residues, box and pixel size.
SIZES = ((214, 64, 1.6), (5000, 128, 3.0))


class MemoryImages:
    """Images that are in memory already."""

    def __init__(self, values: NDArray[np.float32]) -> None:
        self.values, self.box_size_px = values, values.shape[-1]

    def __len__(self) -> int:
        return len(self.values)

    def read(self, index: NDArray[np.integer]) -> NDArray[np.float32]:
        """The images at ``index``."""
        return self.values[index]


def many_proteins(residues: int, spacing_A: float = 48.0) -> Structure:
    """Adenylate kinases on a cubic lattice, centred, until there are enough residues."""
    one = read_structure(resource_path("structures/1ake_A.pdb"))
    one = one.take(one.heavy_atoms())
    one = one.with_coords(one.coords_A - one.coords_A.mean(0))
    copies = -(-residues // len(one.alpha_carbons()))
    side = int(np.ceil(copies ** (1 / 3)))
    places = np.stack(np.meshgrid(*[np.arange(side)] * 3), axis=-1).reshape(-1, 3)[:copies]
    places_A = (places - (side - 1) / 2) * spacing_A
    every = one.take(np.tile(np.arange(len(one)), copies))
    coords_A = (one.coords_A[None] + places_A[:, None]).reshape(-1, 3)
    chain_id = np.repeat([f"{chr(65 + i)}" for i in range(copies)], len(one))
    every = replace(every, coords_A=coords_A, chain_id=chain_id)
    kept = every.alpha_carbons()[:residues][-1]
    return every.take(np.arange(len(every)) <= kept)


def random_particles(box_px: int, pixel_size_A: float) -> Particles:
    """White noise at random poses: what the images show does not change the time of a step."""
    rng = np.random.default_rng(0)
    return Particles(
        images=MemoryImages(rng.standard_normal((IMAGES, box_px, box_px), dtype=np.float32)),
        optics=(Optics(pixel_size_A, box_px),),
        ctf=CTFParams.uniform(IMAGES, rng.uniform(8000, 20000, IMAGES), astigmatism_A=200.0),
        poses=Poses(Rotation.random(IMAGES, random_state=0).as_matrix(), np.zeros((IMAGES, 2))),
        half_set=(np.arange(IMAGES) % 2 + 1).astype(np.int8),
        uid=np.arange(IMAGES).astype(str),
        source=ParticleSource("memory", np.arange(IMAGES)),  # type: ignore[arg-type]
    )


def our_step(particles: Particles, structure: Structure) -> tuple[Callable[[], None], object]:
    """The training loop's own step with the default preset, and the beads it uses."""
    config = preset("cryoscope-default")
    config = replace(config, optimiser=replace(config.optimiser, batch_size=BATCH, epochs=1000))
    beads = beads_for(structure, config.beads, "memory")
    optics = particles.optics[0]
    band = make_band(optics.box_size_px, optics.pixel_size_A, with_dc=False)
    noise = torch.ones(len(band))
    prepared = Prepared(
        particles=particles,
        reference=Reference(structure, beads, ()),
        band=band,
        noise_power=noise,
        contrast=1,
        train_rows=np.arange(IMAGES),
        low_pass_A=0.0,
        latents=None,
        agreement=None,
    )
    model = make_model(config.model, beads, band, noise, config)
    loop = Loop(config, prepared, model, torch.device("cpu"))
    # The first of many passes, in which what does not change is made of the images.
    for _ in range(loop.steps_per_epoch):
        loop.advance()
    return loop.advance, beads


def in_turn_ms(works: list[Callable[[], None]], steps: int) -> list[float]:
    """Median time of each work in ms, one call of each in turn, after one to warm up."""
    times: list[list[float]] = [[] for _ in works]
    for step in range(steps + 1):
        for work, own in zip(works, times, strict=True):
            begin = time.perf_counter()
            work()
            if step:
                own.append((time.perf_counter() - begin) * 1e3)
    return [statistics.median(own) for own in times]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--steps", type=int, default=7)
    chosen = parser.parse_args()
    if chosen.threads:
        from cryoscope.training.starting import set_threads

        set_threads(chosen.threads)
    print(f"batch {BATCH}, {torch.get_num_threads()} threads, images/s")
    print(f"{'':32s}{'default':>10s}{'published':>11s}{'ratio':>8s}")
    for residues, box_px, pixel_size_A in SIZES:
        structure = many_proteins(residues)
        particles = random_particles(box_px, pixel_size_A)
        ours, beads = our_step(particles, structure)
        assert particles.poses is not None
        theirs = PublishedStep(
            beads,  # type: ignore[arg-type]
            torch.as_tensor(particles.images.read(np.arange(IMAGES))),
            torch.as_tensor(particles.poses.rotation).float(),
            ctf_table(particles.ctf, particles.optics),
            pixel_size_A,
            BATCH,
        )
        ours_ms, theirs_ms = in_turn_ms([ours, theirs.advance], chosen.steps)
        name = f"{residues:,} beads, {box_px} px, {pixel_size_A} A/px"
        rates = (1e3 * BATCH / ours_ms, 1e3 * BATCH / theirs_ms)
        print(f"{name:32s}{rates[0]:10,.0f}{rates[1]:11,.1f}{rates[0] / rates[1]:7.1f}x")


if __name__ == "__main__":
    main()
