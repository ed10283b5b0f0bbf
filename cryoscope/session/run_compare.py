"""Runs beside each other: losses on the same axes, settings that differ, latents row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import Embedding, InputError, Latents
from cryoscope.session.records import RunStatus, RunView
from cryoscope.session.run_clones import differing
from cryoscope.training.config import TrainConfig, config_from_json

if TYPE_CHECKING:
    from cryoscope.analysis.latent_agreement import LatentAgreement
    from cryoscope.session.jobs import Job
    from cryoscope.session.state import Session

COMPARE_JOB = "Comparing runs"
MOST_RUNS, SMALL_PX, LARGE_PX = 6, 64, 160
_GROUND = (22, 24, 29)


@dataclass(frozen=True, eq=False)
class ComparedRun:
    """One of the runs that are compared.

    Attributes
    ----------
    passes
        (k,) passes through the particles at each row of ``run.history``: runs of different batch
        sizes and particle counts lie on the same axis.
    latents
        Its newest, or None.
    xy
        (n, 2) principal components of its latents, turned onto those of the first run.
    picture
        (h, w, 3) of ``xy``, every particle in the colour of its place along PC1 of the first run:
        where the colours are mixed, the runs disagree. None without latents.
    agreement
        With the latents of the first run, over ``shared`` particles; None for the first itself.
    """

    run: RunView
    config: TrainConfig
    particle_count: int
    passes: NDArray[np.float64] = field(repr=False)
    latents: Latents | None = field(repr=False)
    xy: NDArray[np.float32] | None = field(default=None, repr=False)
    picture: NDArray[np.uint8] | None = field(default=None, repr=False)
    agreement: LatentAgreement | None = None
    shared: int = 0

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.run.folder.name


@dataclass(frozen=True)
class SettingRow:
    """A setting that is not the same in all runs; a value per run, None where it has none."""

    path: str
    label: str
    unit: str
    values: tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs, the first of which the others are compared with, and the settings that differ."""

    runs: tuple[ComparedRun, ...]
    settings: tuple[SettingRow, ...]


def add_compared_runs(session: Session, folders: Sequence[str | Path]) -> None:
    """Put runs beside those that are compared already (at first: the one that is open).

    What was read before is read again, so that runs that go on are up to date.
    """
    known = () if session.comparison is None else session.comparison.runs
    paths = [one.run.folder for one in known]
    if not paths and session.run is not None:
        paths.append(session.run.folder)
    paths += [Path(folder).expanduser().absolute() for folder in folders]
    _compare(session, list(dict.fromkeys(paths)))


def stop_comparing(session: Session, folder: str | Path | None = None) -> None:
    """Take a run out of the comparison; without ``folder`` end it."""
    comparison = session.comparison
    if comparison is None or folder is None:
        session.comparison = None
        return
    gone = Path(folder).expanduser().absolute()
    paths = [one.run.folder for one in comparison.runs if one.run.folder != gone]
    if len(paths) < 2:
        session.comparison = None
    else:
        _compare(session, paths)


def sibling_runs(session: Session) -> tuple[Path, ...]:
    """Runs in the folder of the run that is open, newest last, without those compared already."""
    run, comparison = session.snapshot("run", "comparison")
    if run is None or not run.folder.parent.is_dir():
        return ()
    known = {run.folder} if comparison is None else {one.run.folder for one in comparison.runs}
    found = [path.parent for path in run.folder.parent.glob("*/run.json")]
    return tuple(sorted(path for path in found if path not in known))


def show_compared_latents(session: Session, folder: str | Path) -> None:
    """Show the latents of a compared run in the picture of the open one, matched by particle.

    States are still decoded by the open run, from its own latents of the particles pointed at.
    """
    comparison, latents = session.snapshot("comparison", "latents")
    path = Path(folder).expanduser().absolute()
    runs = () if comparison is None else comparison.runs
    other = next((one for one in runs if one.run.folder == path), None)
    if other is None or other.latents is None or other.xy is None or latents is None:
        session.report(
            InputError(f"{path.name} has no latents to show", cure="Compare it with the open run.")
        )
        return
    xy = _gathered(other.xy, other.latents, latents)
    axes = (f"PC1 of {other.name}", f"PC2 of {other.name}")
    picture = Embedding(xy, axes, None, None, f"run-{other.run.run_id}-{other.latents.epoch}")
    session.change(embedding=picture, cursor_xy=None)


def _compare(session: Session, paths: list[Path]) -> None:
    def work(job: Job) -> None:
        if len(paths) > MOST_RUNS:
            raise InputError(f"{len(paths)} runs at once", cure=f"Compare {MOST_RUNS} at most.")
        runs = []
        for number, path in enumerate(paths):
            job.progress(number, len(paths), f"Reading {path.name}")
            runs.append(_read(path))
        compared = beside_each_other(runs)
        job.check()
        session.comparison = Comparison(tuple(compared), _settings(compared))

    session.pool.submit(COMPARE_JOB, work, key="compare")


def _read(path: Path) -> ComparedRun:
    """A run as it is on disk now."""
    from cryoscope.io.run_folder import RunFolder
    from cryoscope.session.attached_runner import run_writer
    from cryoscope.session.run_history import read_past

    folder = RunFolder.open(path)
    config = config_from_json(folder.config(), file=str(path / "config.json"))
    run = read_past(folder).run
    if run.status.active and run_writer(path) is None:
        run = replace(run, status=RunStatus.STOPPED)
    has_any = bool(folder.latent_epochs()) or (path / "latents" / "live.npz").is_file()
    latents = folder.load_latents(live=run.status.active) if has_any else None
    count = folder.info().get("particle_count")
    count = count if isinstance(count, int) and count > 0 else 1
    passes = run.history.step.astype(np.float64) * (min(config.optimiser.batch_size, count) / count)
    return ComparedRun(run, config, count, passes, latents)


def beside_each_other(runs: list[ComparedRun]) -> list[ComparedRun]:
    """With the pictures of all latents, and their agreement with those of the first run."""
    from cryoscope.analysis.latent_agreement import latent_agreement, turned_onto
    from cryoscope.analysis.reduce import pca_embedding

    first = next((one for one in runs if one.latents is not None), None)
    if first is None or first.latents is None:
        return runs
    base = pca_embedding(first.latents.z).xy
    rank = _ranks(base[:, 0])
    found = []
    for one in runs:
        if one.latents is None:
            found.append(one)
            continue
        xy = pca_embedding(one.latents.z).xy if one is not first else base
        agreement, shared = None, len(one.latents)
        if one is not first:
            there = _gathered(base, first.latents, one.latents)
            xy = turned_onto(xy, there)
            z = _gathered(first.latents.z, first.latents, one.latents)
            shared = int(np.isfinite(z).all(axis=1).sum())
            agreement = latent_agreement(z, one.latents.z)
        colour = _gathered(rank[:, None], first.latents, one.latents)[:, 0]
        picture = _picture(xy, colour)
        found.append(replace(one, xy=xy, picture=picture, agreement=agreement, shared=shared))
    return found


def _settings(runs: Sequence[ComparedRun]) -> tuple[SettingRow, ...]:
    """Every setting that some run has otherwise than the first."""
    first = runs[0].config
    rows: dict[str, SettingRow] = {}
    changes = [{change.path: change for change in differing(first, one.config)} for one in runs]
    for found in changes:
        for path, change in found.items():
            values = tuple(other[path].now if path in other else change.before for other in changes)
            rows[path] = SettingRow(path, change.label, change.unit, values)
    return tuple(rows.values())


def _gathered(values: NDArray[np.floating], theirs: Latents, ours: Latents) -> NDArray[np.float32]:
    """Rows of ``values`` (of the particles of ``theirs``) in the order of ``ours``; NaN if none."""
    if np.array_equal(theirs.uid, ours.uid):
        return np.asarray(values, dtype=np.float32)
    order = np.argsort(theirs.uid)
    place = np.searchsorted(theirs.uid[order], ours.uid).clip(0, max(len(order) - 1, 0))
    row = order[place]
    known = theirs.uid[row] == ours.uid
    return np.where(known[:, None], values[row], np.nan).astype(np.float32)


def _ranks(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """0 to 1 by rank; NaN stays NaN."""
    ranks = np.full(len(values), np.nan, dtype=np.float32)
    known = np.flatnonzero(np.isfinite(values))
    ranks[known[np.argsort(values[known])]] = np.linspace(0, 1, len(known))
    return ranks


def _picture(xy: NDArray[np.floating], colour: NDArray[np.floating]) -> NDArray[np.uint8]:
    """(h, w, 3) the particles as dots in the mean colour of each pixel."""
    from cryoscope.analysis.raster import lookup_table

    size = int(np.clip(2.6 * np.sqrt(len(xy)), SMALL_PX, LARGE_PX))  # dots of few are larger
    image = np.full((size, size, 3), _GROUND, dtype=np.uint8)
    known = np.isfinite(xy).all(axis=1)
    if not known.any():
        return image
    places = xy[known].astype(np.float64)
    low, high = np.percentile(places, (0.5, 99.5), axis=0)
    span = np.maximum(high - low, 1e-9) * 1.2
    pixel = np.floor(((places - (low + high) / 2) / span + 0.5) * size).astype(np.int64)
    inside = ((pixel >= 0) & (pixel < size)).all(axis=1)
    flat = (size - 1 - pixel[inside, 1]) * size + pixel[inside, 0]
    values = colour[known][inside]
    coloured = np.isfinite(values)
    count = np.bincount(flat, minlength=size * size)
    weight = np.bincount(flat[coloured], minlength=size * size)
    total = np.bincount(flat[coloured], values[coloured], minlength=size * size)
    mean = total / np.maximum(weight, 1)
    table = lookup_table("sea")
    drawn = image.reshape(-1, 3)
    drawn[count > 0] = 120  # particles that the first run does not have
    drawn[weight > 0] = table[np.round(40 + 215 * mean[weight > 0]).astype(np.int64)]
    return image
