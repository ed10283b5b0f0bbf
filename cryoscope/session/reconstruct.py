"""Selections reconstructed from the data: half-maps, their FSC, and a random control."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cryoscope.data import HalfMaps, InputError, Optics, Particles, Provenance, Volume
from cryoscope.io.atomic import require_writable
from cryoscope.io.image_preparation import background_mask
from cryoscope.io.mrc import read_volume
from cryoscope.io.particles_file import read_any
from cryoscope.physics.backproject import REGULARISATION, Backprojector
from cryoscope.physics.ctf import CTFTable, ctf_table
from cryoscope.physics.map_contrast import map_contrast
from cryoscope.physics.map_fsc import FSCCurves, half_map_fsc
from cryoscope.physics.masks import map_mask
from cryoscope.session.reconstruct_files import write_reconstruction
from cryoscope.training.consensus import crop_map

Progress = Callable[[str, int, int], None]
Rows = NDArray[np.int64]

_BATCH_BYTES = 1 << 24
_LEAST_BATCH, _MOST_BATCH = 16, 1024


class ReconstructionStopped(Exception):
    """The reconstruction was stopped on request; nothing was written."""


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """What the images of some particles say.

    Attributes
    ----------
    full, halves, mask
        The map of all of them, those of the two half-sets, and the mask of the FSC. Protein is
        positive.
    fsc
        Of the half-maps.
    control
        Of the half-maps of as many particles drawn at random; None where there is none.
    half_counts
        Particles in each half-set.
    contrast
        +1 where protein was bright in the images, -1 where it was dark.
    files
        What was written.
    """

    full: Volume
    halves: HalfMaps
    mask: Volume
    fsc: FSCCurves
    control: FSCCurves | None
    half_counts: tuple[int, int]
    contrast: int
    files: tuple[Path, ...] = ()

    @property
    def resolution_A(self) -> float:
        """Where the corrected FSC falls to 0.143."""
        return self.fsc.resolution_A

    def summary(self) -> str:
        """One line about it."""
        first, second = self.half_counts
        text = f"{first + second:,} particles ({first:,} + {second:,}): "
        text += f"{self.resolution_A:.2f} A at FSC 0.143"
        if self.control is not None:
            text += f"; as many drawn at random: {self.control.resolution_A:.2f} A"
        return text


def reconstruct(
    particles: Particles | str | Path,
    rows: NDArray[np.integer] | None = None,
    *,
    box_size_px: int = 0,
    mask: Volume | Path | None = None,
    out: Path | None = None,
    control: bool = True,
    contrast: int = 0,
    regularisation: float = REGULARISATION,
    pad: int = 1,
    seed: int = 0,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Reconstruction:
    """Reconstruct particles from their own images: a map, half-maps, FSC, and a random control.

    The control has as many particles of each half-set, drawn at random from all of them, those of
    the selection included: what any selection of that size would give. (The rest alone is no such
    measure: with the selection a state is missing from it.) Its FSC has the same mask.

    Parameters
    ----------
    particles
        Particles with poses, or their file.
    rows
        Which of them; None: all, and then there is no control.
    box_size_px
        Even side of the maps (Fourier crop: same field of view, faster); 0: that of the images.
    mask
        Soft mask of the FSC, of the maps' box or of the images'; None: made from the map.
    out
        Folder that everything is written to, see `write_reconstruction`; None: nothing is.
    contrast
        +1 protein bright in the images, -1 dark, 0: found from the map, whose lumps are protein.
    regularisation, pad
        See `Backprojector`.
    seed
        Of the control.
    progress
        Called with what is being done, and how many images of how many are inserted.
    should_stop
        Asked between batches.

    Raises
    ------
    InputError
        No poses, no particles in a half-set, rows that are not there, a box or mask that does not
        fit, images that are not numbers, or files that cannot be read or written.
    ReconstructionStopped
        If ``should_stop`` said so.
    """
    if out is not None:
        require_writable(out)  # now, not after minutes of work
    if not isinstance(particles, Particles):
        particles = read_any(Path(particles))
    chosen = _checked_rows(particles, rows)
    box_px = _checked_box(particles, box_size_px)
    random = _control_rows(particles, chosen, seed) if control else None
    total = len(chosen) + (0 if random is None else len(random))
    work = _Inserting(particles, box_px, pad, progress, should_stop, total)
    given = None if mask is None else _given_mask(mask, work.optics, particles.box_size_px)

    halves = work.halves(chosen, "inserting images")
    found = _solved(halves, work, given, contrast, regularisation)
    if random is not None:
        drawn = [one.finish(regularisation) for one in work.halves(random, "inserting the control")]
        inside = torch.as_tensor(found.mask.values)
        curves = half_map_fsc(drawn[0], drawn[1], inside, work.optics.pixel_size_A)
        found = replace(found, control=curves)
    if out is None:
        return found
    return replace(found, files=write_reconstruction(found, out, particles.source.file))


def _solved(
    halves: list[Backprojector],
    work: _Inserting,
    mask: Tensor | None,
    contrast: int,
    regularisation: float,
) -> Reconstruction:
    """The maps of inserted half-sets, protein positive, and their FSC; no control yet."""
    voxel_A = work.optics.pixel_size_A
    both = halves[0].plus(halves[1])
    full, *maps = [one.finish(regularisation) for one in (both, *halves)]
    sign = contrast or map_contrast(full, voxel_A)
    full, *maps = [one * sign for one in (full, *maps)]
    inside = _automatic_mask(full, work.optics, work.particles) if mask is None else mask
    counts = (halves[0].count, halves[1].count)
    return Reconstruction(
        full=_volume(full, voxel_A, sum(counts)),
        halves=HalfMaps(*(_volume(m, voxel_A, c) for m, c in zip(maps, counts, strict=True))),
        mask=_volume(inside, voxel_A, sum(counts)),
        fsc=half_map_fsc(maps[0], maps[1], inside, voxel_A),
        control=None,
        half_counts=counts,
        contrast=sign,
    )


class _Inserting:
    """Reading images of one set in batches, and inserting them into maps of half-sets."""

    def __init__(
        self,
        particles: Particles,
        box_px: int,
        pad: int,
        progress: Progress | None,
        should_stop: Callable[[], bool] | None,
        total: int,
    ) -> None:
        assert particles.poses is not None
        self.particles, self._pad, self._total = particles, pad, total
        self._progress, self._should_stop = progress, should_stop
        self._done = 0
        self._rotation = torch.as_tensor(np.asarray(particles.poses.rotation, dtype=np.float64))
        self._shift_A = torch.as_tensor(np.asarray(particles.poses.shift_A, dtype=np.float64))
        self._ctf: CTFTable = ctf_table(particles.ctf, particles.optics)
        self.optics: Optics = particles.optics[0].cropped(box_px)
        full_px = particles.box_size_px
        self._corners = np.flatnonzero(background_mask(full_px, 1.0, full_px / 2))

    def halves(self, rows: Rows, stage: str) -> list[Backprojector]:
        """The two half-sets of some rows, inserted."""
        made = []
        for number in (1, 2):
            one = Backprojector(self.optics.box_size_px, self.optics.pixel_size_A, pad=self._pad)
            here = rows[self.particles.half_set[rows] == number]
            for batch, images in self._read(here):
                self._insert(one, batch, images)
                self._done += len(batch)
                if self._progress is not None:
                    self._progress(stage, self._done, self._total)
            made.append(one)
        return made

    def _read(self, rows: Rows) -> Iterator[tuple[Rows, NDArray[np.float32]]]:
        """Rows and their images; the next are read while these are used."""
        source = self.particles.images
        image_bytes = 4 * source.box_size_px**2
        size = min(max(_LEAST_BATCH, _BATCH_BYTES // image_bytes), _MOST_BATCH)
        batches = [rows[i : i + size] for i in range(0, len(rows), size)]
        if not batches:
            return
        with ThreadPoolExecutor(1, thread_name_prefix="reconstruct-read") as pool:
            coming = pool.submit(source.read, batches[0])
            for number, batch in enumerate(batches):
                if self._should_stop is not None and self._should_stop():
                    raise ReconstructionStopped(f"{self._done:,} of {self._total:,} images")
                images = coming.result()
                if number + 1 < len(batches):
                    coming = pool.submit(source.read, batches[number + 1])
                yield batch, images

    def _insert(self, into: Backprojector, rows: Rows, images: NDArray[np.float32]) -> None:
        flat = images.reshape(len(images), -1)
        with np.errstate(invalid="ignore", over="ignore"):
            # a level that all pixels share is no signal, and a mask would make it one
            level = np.take(flat, self._corners, axis=1).mean(axis=1)
            usable = np.isfinite(flat.sum(axis=1)) & np.isfinite(level)
        if not usable.all():
            row = int(rows[np.flatnonzero(~usable)[0]])
            raise InputError(
                f"image {self.particles.uid[row]} has values that are not numbers",
                file=self.particles.source.file,
                row=int(self.particles.source.row[row]) + 1,
                cure="Remove this particle, or extract it again",
            )
        flat -= level[:, None]
        index = torch.as_tensor(rows)
        into.insert(
            torch.as_tensor(images),
            self._rotation[index],
            self._shift_A[index],
            self._ctf.take(index),
        )


def _checked_rows(particles: Particles, rows: NDArray[np.integer] | None) -> Rows:
    """The rows in ascending order, each once; InputError where they cannot be reconstructed."""
    file = particles.source.file
    if particles.poses is None:
        raise InputError(
            "the particles have no poses", file=file, cure="Give particles of a refinement"
        )
    count = len(particles)
    chosen = np.arange(count) if rows is None else np.unique(np.asarray(rows, dtype=np.int64))
    if len(chosen) and not 0 <= int(chosen[0]) <= int(chosen[-1]) < count:
        wrong = int(chosen[0]) if chosen[0] < 0 else int(chosen[-1])
        raise InputError(
            f"there is no particle {wrong} among {count:,}",
            file=file,
            cure="Rows count from 0; give those of this file",
        )
    sizes = np.bincount(particles.half_set[chosen].astype(np.int64), minlength=3)[1:3]
    if not sizes.all():
        raise InputError(
            f"of {len(chosen):,} chosen particles {sizes[0]:,} are in half-set 1 and {sizes[1]:,} "
            "in half-set 2: both need some",
            file=file,
            cure="Choose more particles, or check rlnRandomSubset",
        )
    return chosen.astype(np.int64)


def _checked_box(particles: Particles, box_size_px: int) -> int:
    full_px = particles.box_size_px
    box_px = box_size_px or full_px
    if box_px % 2 or not 16 <= box_px <= full_px:
        raise InputError(
            f"images of {full_px} px cannot be cropped to {box_px} px",
            file=particles.source.file,
            cure=f"Choose an even --box-px from 16 to {full_px}",
        )
    return box_px


def _control_rows(particles: Particles, rows: Rows, seed: int) -> Rows | None:
    """As many rows of each half-set drawn from all of it; None where these are all there are."""
    if len(rows) == len(particles):
        return None
    generator = np.random.default_rng([seed, 3])
    drawn = []
    for number in (1, 2):
        size = int((particles.half_set[rows] == number).sum())
        drawn.append(
            generator.choice(np.flatnonzero(particles.half_set == number), size, replace=False)
        )
    return np.sort(np.concatenate(drawn)).astype(np.int64)


def _automatic_mask(full: Tensor, optics: Optics, particles: Particles) -> Tensor:
    """The map's own mask."""
    low_pass_A = max(15.0, 4 * optics.pixel_size_A)
    mask = map_mask(full, optics.pixel_size_A, low_pass_A=low_pass_A)
    if not bool(mask.any()):
        raise InputError(
            "the map holds nothing that a mask could be made of",
            file=particles.source.file,
            cure="Check poses and contrast, or give a mask",
        )
    return mask


def _given_mask(mask: Volume | Path, optics: Optics, full_px: int) -> Tensor:
    """A mask in the maps' box; one of the images' box is cropped like them."""
    file = mask if isinstance(mask, Path) else None
    volume = mask if isinstance(mask, Volume) else read_volume(mask)
    box_px, shape = optics.box_size_px, volume.values.shape
    if shape not in ((box_px,) * 3, (full_px,) * 3):
        raise InputError(
            f"a mask of {' x '.join(map(str, shape))} for maps of {box_px} px",
            file=file,
            cure=f"Give a mask of {box_px} or {full_px} px a side",
        )
    values = crop_map(volume.values, box_px)
    lowest, highest = float(volume.values.min()), float(volume.values.max())
    if lowest < -0.01 or highest > 1.01 or highest < 0.5:
        raise InputError(
            f"a mask with values from {lowest:.3g} to {highest:.3g}",
            file=file,
            cure="Give a mask with values from 0 to 1",
        )
    return torch.as_tensor(np.clip(values, 0, 1))


def _volume(values: Tensor, voxel_size_A: float, count: int) -> Volume:
    provenance = Provenance("reconstructed", particle_count=count)
    return Volume.centred(values.float().numpy(), voxel_size_A, provenance)
