"""Selections checked against the data: reconstructed, compared with chance and with the model."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError, Latents, Particles, Selection, Volume
from cryoscope.session.check_measures import (
    latent_associations,
    map_to_map,
    named_curve,
    selected_rows,
    some_of,
    views_of,
    write_check,
)
from cryoscope.session.check_records import Check
from cryoscope.session.contours import contour_of
from cryoscope.session.jobs import Cancelled, Job
from cryoscope.session.opening import reporting
from cryoscope.session.records import RunView, ShownState
from cryoscope.session.selecting import find_active, find_selection
from cryoscope.session.shown import shown_decoded, with_density, with_level
from cryoscope.session.state import Session

if TYPE_CHECKING:
    from cryoscope.session.reconstruct import Reconstruction

#: Name of the job, to be cancelled by.
CHECK_JOB = "Reconstructing"
#: The preview: at most so many particles, in a box of at most so many voxels a side.
PREVIEW_PARTICLES, PREVIEW_PX = 4000, 64


def reconstruct_selection(
    session: Session,
    name: str = "",
    out: str | Path | None = None,
    *,
    box_size_px: int = 0,
    control: bool = True,
) -> None:
    """Reconstruct a selection from its images, and say what that means; returns at once.

    A coarse preview is shown as soon as it is there; then come half-maps, their FSC, that of as
    many particles drawn at random, and the FSC with the map decoded at the selection's centre. All
    of it is ``session.check``; a newer call takes the place of one that runs.

    Parameters
    ----------
    name
        The selection; "" for the active one.
    out
        Folder for the files, see `cryoscope.session.reconstruct_files.write_reconstruction`, and
        ``decoded.mrc`` and ``check.json``; by default ``volumes/check-<name>`` in the run folder.
    box_size_px
        Even side of the maps; 0: that of the images.
    control
        Whether to reconstruct the random control, which takes as long again.
    """
    with reporting(session):
        selection = find_selection(session, name) if name else find_active(session)
        run, latents, view = session.snapshot("run", "latents", "particles")
        if view is None:
            raise InputError("no particle file is open", cure="Open the run's particle file.")
        if out is None and run is None:
            raise InputError("no run is open to write beside", cure="Choose a folder.")
        word = re.sub(r"[^\w.+-]+", "-", selection.name).strip("-.") or "selection"
        folder = (
            Path(out).expanduser().absolute()
            if out is not None
            else run.folder / "volumes" / f"check-{word}"
        )
        asked = _Asked(view.record, selection, latents, run, folder, box_size_px, control)
        session.pool.submit(
            CHECK_JOB,
            lambda job: _check(session, asked, job),
            key="check",
            text=f"Reconstructing {selection.name}",
        )


def show_checked(session: Session, what: Literal["reconstructed", "decoded"]) -> None:
    """Show the map that the last check reconstructed, or the state decoded at its centre."""
    check = session.check
    if check is None:
        return
    if what == "decoded" and check.decoded is not None:
        session.shown = with_level(check.decoded, contour_of(session, "decoded"))
    elif what == "reconstructed":
        session.shown = _with_reconstruction(session, check.decoded, check.map)


@dataclass(frozen=True, eq=False)
class _Asked:
    """What is to be checked, as it was when it was asked for."""

    particles: Particles
    selection: Selection
    latents: Latents | None
    run: RunView | None
    folder: Path
    box_size_px: int
    control: bool


def _check(session: Session, asked: _Asked, job: Job) -> None:
    """Decode the centre, show a preview, reconstruct, compare, write; for jobs."""
    from cryoscope.io.atomic import require_writable

    require_writable(asked.folder)
    particles, name = asked.particles, asked.selection.name
    rows = selected_rows(particles, asked.selection, asked.latents)
    notes: list[str] = []
    decoded = _decoded_centre(session, asked, job, notes)
    few = some_of(rows, particles.half_set, PREVIEW_PARTICLES)
    box_px = min(PREVIEW_PX, asked.box_size_px or particles.box_size_px)
    preview = _reconstructed(job, "Preview", particles, few, box_size_px=box_px, control=False)
    first = Check(
        selection=name,
        stage="preview",
        particle_count=len(rows),
        half_counts=preview.half_counts,
        map=_named(preview.full, f"{name}, preview"),
        fsc=named_curve(
            preview.fsc.frequency_per_A, preview.fsc.corrected, preview.fsc.resolution_A
        ),
        control=None,
        decoded_fsc=None,
        decoded=decoded,
        views=views_of(particles, rows),
        associations=latent_associations(particles, asked.latents),
        notes=tuple(notes),
    )
    job.check()
    _publish(session, asked, first, show=True)
    found = _reconstructed(
        job,
        f"Reconstructing {name}",
        particles,
        rows,
        box_size_px=asked.box_size_px,
        control=asked.control,
        out=asked.folder,
    )
    check = _finished(first, found, asked.folder)
    write_check(check, asked.folder)
    job.check()
    # Whoever has gone on to look at something else is not called back.
    looking = session.shown is not None and session.shown.density is first.map
    _publish(session, asked, check, show=looking)
    session.notify("info", f"{name} reconstructed to {check.fsc.text}: {asked.folder}")


def _publish(session: Session, asked: _Asked, check: Check, *, show: bool) -> None:
    """Set ``session.check``, unless another run is open by now."""
    state = _with_reconstruction(session, check.decoded, check.map) if show else None

    def decide() -> dict[str, Any]:
        now, then = session.run, asked.run
        if (now and now.folder) != (then and then.folder):
            return {}
        return {"check": check} if state is None else {"check": check, "shown": state}

    session.revise(decide)


def _with_reconstruction(
    session: Session, decoded: ShownState | None, volume: Volume
) -> ShownState:
    """The reconstructed map about the backbone that the model decodes at the selection's centre."""
    base = decoded if decoded is not None else session.shown
    state = with_density(base, volume, contour_of(session, "reconstructed"))
    if len(state.coords_A) == 0:
        return state
    beside = "decoded by the model" if decoded is not None else "as before"
    return replace(state, label=f"Map {state.label}\nBackbone {beside}")


def _reconstructed(
    job: Job, text: str, particles: Particles, rows: NDArray[np.int64], **options: Any
) -> Reconstruction:
    from cryoscope.session.reconstruct import ReconstructionStopped, reconstruct

    def progress(stage: str, done: int, total: int) -> None:
        job.progress(done, total, f"{text}: {stage}")

    try:
        return reconstruct(
            particles, rows, progress=progress, should_stop=lambda: job.cancelled, **options
        )
    except ReconstructionStopped as stopped:
        raise Cancelled from stopped


def _finished(first: Check, found: Reconstruction, folder: Path) -> Check:
    """The check with everything in it."""
    control = found.control
    notes = list(first.notes)
    return replace(
        first,
        stage="done",
        half_counts=found.half_counts,
        map=_named(found.full, first.selection),
        fsc=named_curve(found.fsc.frequency_per_A, found.fsc.corrected, found.fsc.resolution_A),
        control=None
        if control is None
        else named_curve(control.frequency_per_A, control.corrected, control.resolution_A),
        decoded_fsc=map_to_map(found, first.decoded, notes),
        notes=tuple(notes),
        folder=folder,
    )


def _decoded_centre(
    session: Session, asked: _Asked, job: Job, notes: list[str]
) -> ShownState | None:
    """The state at the mean latent of the selection; ``notes`` gets the reason where none is."""
    latents, run = asked.latents, asked.run
    if latents is None or run is None:
        return None
    z = latents.z[asked.selection.mask]
    z = z[np.isfinite(z).all(axis=1)]
    if len(z) == 0:
        return None
    job.progress(0, 0, "Decoding the centre of the selection")
    centre = z.mean(axis=0, dtype=np.float64).astype(np.float32)
    try:
        states = session.decoder.states(centre[None], job, volume=True)
    except InputError as error:
        notes.append(f"Not compared with the decoded map: {error}")
        return None
    return shown_decoded(
        0,
        states,
        run.reference,
        contour=contour_of(session, "decoded"),
        run_id=run.folder.name,
        epoch=latents.epoch,
    )


def _named(volume: Volume, detail: str) -> Volume:
    return replace(volume, provenance=replace(volume.provenance, detail=detail))
