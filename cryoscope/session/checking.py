"""Selections checked against the data: reconstructed, compared with chance and with the model."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cryoscope.data import InputError, Latents, Particles, Selection, Volume
from cryoscope.session.check_answers import (
    associations_in,
    averages_in,
    curve_of,
    map_of,
    views_in,
)
from cryoscope.session.check_files import write_shown_again
from cryoscope.session.check_handover import CheckRequest, hand_over, leave_decoded, take_answer
from cryoscope.session.check_measures import selected_rows, some_of, write_check
from cryoscope.session.check_records import Check
from cryoscope.session.child_process import run_child
from cryoscope.session.contours import contour_of
from cryoscope.session.jobs import Job
from cryoscope.session.opening import reporting
from cryoscope.session.records import RunView, ShownState
from cryoscope.session.selecting import find_active, find_selection
from cryoscope.session.shown import shown_decoded, with_density, with_level
from cryoscope.session.state import Session

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
    many particles drawn at random, the FSC with the map decoded at the selection's centre, and
    averages by view. All of it is ``session.check``; a newer call takes the place of one that runs.
    The work is done by a process of its own, which cancelling kills.

    Parameters
    ----------
    name
        The selection; "" for the active one.
    out
        Folder for the files, see `cryoscope.session.reconstruct_files.write_reconstruction`, and
        ``decoded.mrc``, ``check.json``, and the averages by view with projections of the maps; by
        default ``volumes/check-<name>`` in the run folder.
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
        if view.missing_images:
            raise InputError(f"the images are missing: {view.missing_images}")
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
        state = with_level(check.decoded, contour_of(session, "decoded"))
    elif what == "reconstructed":
        state = with_reconstruction(session, check.decoded, check.map)
    else:
        return
    # A new number: a state that was asked for before does not take its place when it arrives.
    session.decoder.rest()
    session.shown = replace(state, request_id=session.decoder.new_id())


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
    """Show a preview, then everything, as another process finds it; for jobs."""
    from cryoscope.io.atomic import require_writable

    require_writable(asked.folder)
    particles = asked.particles
    rows = selected_rows(particles, asked.selection, asked.latents)
    request = CheckRequest(
        particles=particles,
        rows=rows,
        few=some_of(rows, particles.half_set, PREVIEW_PARTICLES),
        latents=asked.latents,
        box_size_px=asked.box_size_px,
        preview_px=min(PREVIEW_PX, asked.box_size_px or particles.box_size_px),
        control=asked.control,
        out=asked.folder,
    )
    with tempfile.TemporaryDirectory(prefix="cryoscope-check-") as name:
        folder = Path(name)
        job.progress(0, 0, f"Handing over {asked.selection.name}")
        hand_over(request, folder, job)
        answers = _Answers(session, asked, folder, job, len(rows))
        command = [sys.executable, "-m", "cryoscope.session.check_process", name]
        run_child("the reconstruction", command, job, answers.take)
    if answers.check is None or answers.check.stage != "done":
        raise InputError("the reconstruction ended without an answer", cure="Try again.")


class _Answers:
    """Turns what the other process says into ``session.check`` and the job's progress."""

    def __init__(
        self, session: Session, asked: _Asked, folder: Path, job: Job, particle_count: int
    ) -> None:
        self._session, self._asked, self._folder, self._job = session, asked, folder, job
        self._count = particle_count
        self._decoded: ShownState | None = None
        self._notes: list[str] = []
        self.check: Check | None = None

    def take(self, line: bytes) -> None:
        """Take one line; raises InputError if the process refuses, or says what nobody knows."""
        try:
            said = json.loads(line)
            if "refused" in said:
                raise InputError(said["refused"].pop("problem"), **said["refused"])
            if "progress" in said:
                text, done, total = said["progress"]
                self._job.progress(int(done), int(total), str(text))
                return
            step = {"begun": self._begun, "preview": self._preview, "done": self._done}
            act = step[said["stage"]]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            words = line.decode(errors="replace").strip()[:200]
            raise InputError(f"the reconstruction said {words!r}") from error
        act()

    def _begun(self) -> None:
        """While the other process gets ready: decode the centre, which it will ask for."""
        self._decoded = _decoded_centre(self._session, self._asked, self._job, self._notes)
        density = None if self._decoded is None else self._decoded.density
        leave_decoded(self._folder, density)

    def _preview(self) -> None:
        arrays, record = take_answer(self._folder, "preview")
        name = self._asked.selection.name
        self.check = Check(
            selection=name,
            stage="preview",
            particle_count=self._count,
            half_counts=tuple(record["half_counts"]),
            map=map_of(arrays, record, f"{name}, preview"),
            fsc=curve_of(arrays, record, "fsc"),
            control=None,
            decoded_fsc=None,
            decoded=self._decoded,
            views=views_in(arrays, record),
            notes=tuple(self._notes),
        )
        self._job.check()
        _publish(self._session, self._asked, self.check, show=True)

    def _done(self) -> None:
        first, session = self.check, self._session
        assert first is not None
        arrays, record = take_answer(self._folder, "done")
        control, compared = (f"{one}-correlation" in arrays for one in ("control", "decoded"))
        self.check = check = replace(
            first,
            stage="done",
            half_counts=tuple(record["half_counts"]),
            map=map_of(arrays, record, first.selection),
            fsc=curve_of(arrays, record, "fsc"),
            control=curve_of(arrays, record, "control") if control else None,
            decoded_fsc=curve_of(arrays, record, "decoded") if compared else None,
            averages=averages_in(arrays, record),
            associations=associations_in(record),
            notes=(*first.notes, *record["notes"]),
            folder=self._asked.folder,
        )
        write_check(check, self._asked.folder)
        write_shown_again(check, self._asked.folder)
        self._job.check()
        # Whoever has gone on to look at something else is not called back.
        looking = session.shown is not None and session.shown.density is first.map
        _publish(session, self._asked, check, show=looking)
        text = f"{first.selection} reconstructed to {check.fsc.text}: {self._asked.folder}"
        session.notify("info", text)


def _publish(session: Session, asked: _Asked, check: Check, *, show: bool) -> None:
    """Set ``session.check``, unless another run is open by now."""
    state = with_reconstruction(session, check.decoded, check.map) if show else None

    def decide() -> dict[str, Any]:
        now, then = session.run, asked.run
        if (now and now.folder) != (then and then.folder):
            return {}
        return {"check": check} if state is None else {"check": check, "shown": state}

    session.revise(decide)


def with_reconstruction(session: Session, decoded: ShownState | None, volume: Volume) -> ShownState:
    """The reconstructed map about the backbone that the model decodes at the selection's centre."""
    base = decoded if decoded is not None else session.shown
    state = with_density(base, volume, contour_of(session, "reconstructed"))
    if len(state.coords_A) == 0:
        return state
    beside = "decoded by the model" if decoded is not None else "as before"
    return replace(state, label=f"Map {state.label}\nBackbone {beside}")


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
