"""The landscape of the open run is made: by a process of its own, with its progress."""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cryoscope.data import InputError
from cryoscope.session.child_process import run_child
from cryoscope.session.covariates import STATE_COVARIATE, VOLUME_COVARIATE, colour_by
from cryoscope.session.jobs import Cancelled, Job
from cryoscope.session.landscape_reading import LANDSCAPE_FOLDER, read_landscape
from cryoscope.session.landscape_records import (
    LARGEST_BOX_PX,
    LandscapeSettings,
    LandscapeView,
)
from cryoscope.session.latent_views import view_latents
from cryoscope.session.opening import reporting
from cryoscope.session.state import Session

#: Name of the job, to be cancelled by.
LANDSCAPE_JOB = "Landscape"
_MOST_SKETCHED, _FEWEST_SKETCHED = 500, 10
#: What is said of every stage; what is decoded is counted.
_STAGES = {
    "sketching the latents": "Choosing particles that stand for all",
    "decoding the sketch": "Decoding sketched volumes",
    "mask": "Making the mask",
    "components of the maps": "Principal components of the volumes",
    "decoding samples": "Decoding more volumes, to place all particles",
    "learning the landscape": "Placing all particles",
    "maps of states": "Mean volumes of the states",
    "files": "Writing the files",
}
#: The command's words, in those of a window.
_WORDS = (
    ("--sketch or --samples", "the number of sketched volumes"),
    ("--sketch", "sketched volumes:"),
    ("--states", "the number of states"),
    ("--box-px", "the box of the volumes"),
    (" (--mask)", ""),
)
_RATE_SMOOTHING = 0.1


def make_landscape(
    session: Session,
    *,
    sketch: int = 0,
    states: int = 10,
    mask: str | Path = "",
    box_size_px: int = 64,
    samples: int | None = None,
    linkage: str = "average",
) -> None:
    """Make the landscape of the open run, of its newest latents and checkpoint; returns at once.

    It is ``session.landscape``, and lies in the run folder as ``cryoscope landscape`` leaves it.
    The work is done by a process of its own, which cancelling kills: what is decoded is kept, and
    the same call goes on from there.

    Parameters
    ----------
    sketch
        Particles at which maps are decoded; 0 for :func:`suggested_sketch`.
    mask
        A map (.mrc) that is above 0.5 inside; "" for wherever any map is dense; "box" for none.
    samples
        Particles whose maps are decoded too, to learn where all the others lie; by default as many
        as are sketched.
    states, box_size_px, linkage
        See :class:`cryoscope.session.landscape_records.LandscapeSettings`.
    """
    with reporting(session):
        if why := why_no_landscape(session):
            raise InputError("no landscape can be made now", cure=why)
        run, known = session.run, _known(session)
        assert run is not None
        _refuse_cryodrgn(run.folder)
        count = sketch or suggested_sketch(session)
        if count > known:
            raise InputError(
                f"{count:,} volumes cannot be sketched of {known:,} particles with latents",
                cure=f"Choose {suggested_sketch(session):,} or so.",
            )
        chosen = str(mask)
        if Path(chosen).suffix:
            chosen = str(Path(chosen).expanduser().absolute())
        settings = LandscapeSettings(
            sketch=count,
            states=min(states, count),
            mask=chosen,
            box_size_px=box_size_px,
            samples=count if samples is None else samples,
            linkage=linkage,
        )
        try:
            settings.check()
        except InputError as error:
            raise _in_window_words(error) from error
        session.pool.submit(
            LANDSCAPE_JOB,
            lambda job: _make(session, run.folder, settings, job),
            key="landscape",
            text=f"Landscape of {run.folder.name}",
        )


def why_no_landscape(session: Session) -> str:
    """What is missing before a landscape can be made, as what to do; empty if nothing is."""
    run = session.run
    if run is None:
        return "Train on particles, or open a run folder, first."
    latents = session.latents
    if latents is None:
        return "Wait for the first latents of the run."
    if len(latents) < _FEWEST_SKETCHED:
        return f"Open a run of {_FEWEST_SKETCHED} particles or more."
    return ""


def suggested_sketch(session: Session) -> int:
    """How many volumes are sketched unless somebody says otherwise."""
    latents = session.latents
    if latents is None:
        return _MOST_SKETCHED
    return min(_MOST_SKETCHED, max(len(latents) // 4, _FEWEST_SKETCHED))


def largest_volume_px(session: Session) -> int:
    """The largest box that volumes of the open run are decoded in for a landscape."""
    particles, px = session.particles, session.config.data.box_size_px
    own = px or (LARGEST_BOX_PX if particles is None else particles.box_size_px)
    return min(own, LARGEST_BOX_PX)


def _make(session: Session, run_path: Path, settings: LandscapeSettings, job: Job) -> None:
    folder = run_path / LANDSCAPE_FOLDER
    command = [sys.executable, "-m", "cryoscope.session.landscape_process", str(run_path)]
    answers = _Answers(settings, job)
    job.progress(0, 0, "Reading the model")
    try:
        run_child("the landscape", [*command, json.dumps(asdict(settings))], job, answers.take)
    except Cancelled:
        _free(folder / "landscape.lock")
        raise
    run, latents = session.snapshot("run", "latents")
    if latents is None or run is None or run.folder != run_path:
        return  # another run is open by now; this one has its landscape when it is opened again
    found = read_landscape(folder, latents)
    job.check()
    now = session.revise(lambda: _if_open(session, run_path, found))
    if now:
        _refresh(session)
        particles, states = sum(one.particles for one in found.states), len(found.states)
        session.notify("info", f"Landscape of {particles:,} particles, {states} states: {folder}")


def _free(lock: Path) -> None:
    """Take away the lock of a process that was killed."""
    from cryoscope.io.process_lock import process_lock

    with suppress(InputError):
        if lock.exists():
            with process_lock(lock, "landscape"):
                pass


def _if_open(session: Session, run_path: Path, found: LandscapeView) -> dict[str, Any]:
    run = session.run
    return {"landscape": found} if run is not None and run.folder == run_path else {}


def _refresh(session: Session) -> None:
    """Bring what is shown of an earlier landscape up to date."""
    view, colouring = session.snapshot("latent_view", "colouring")
    if view.kind == "volume":
        view_latents(session, "volume", view.x, view.y)
    if colouring is not None and colouring.name.startswith((STATE_COVARIATE, VOLUME_COVARIATE)):
        colour_by(session, colouring.name)


class _Answers:
    """Turns what the other process says into the job's progress, with the time that is left."""

    def __init__(self, settings: LandscapeSettings, job: Job) -> None:
        self._settings, self._job = settings, job
        self._total = settings.sketch + settings.samples
        self._done, self._seconds_each, self._last_s = 0, 0.0, time.monotonic()

    def take(self, line: bytes) -> None:
        """Take one line; raises InputError if the process refuses, or says what nobody knows."""
        try:
            said = json.loads(line)
            if "refused" in said:
                refused = said["refused"]
                raise _in_window_words(InputError(refused.pop("problem"), **refused))
            stage, done, total = said["progress"]
            text = _STAGES[stage]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            words = line.decode(errors="replace").strip()[:200]
            raise InputError(f"the landscape said {words!r}") from error
        if stage == "decoding the sketch":
            self._count(int(done))
        elif stage == "decoding samples":
            # Fewer than were asked for where there are no more particles.
            self._total = self._settings.sketch + int(total)
            self._count(self._settings.sketch + int(done))
        if stage.startswith("decoding"):
            text = f"{text}: {int(done):,} of {int(total):,}{self._left()}"
        self._job.progress(min(self._done, self._total), self._total, text)

    def _count(self, done: int) -> None:
        now_s = time.monotonic()
        if done > self._done:
            each = (now_s - self._last_s) / (done - self._done)
            before = self._seconds_each or each
            self._seconds_each = before + _RATE_SMOOTHING * (each - before)
        self._done, self._last_s = done, now_s

    def _left(self) -> str:
        seconds = self._seconds_each * (self._total - self._done)
        if self._done < 5 or seconds < 5:
            return ""
        if seconds < 90:
            return f", about {max(10, round(seconds, -1)):.0f} s left"
        return f", about {seconds / 60:.0f} min left"


def _in_window_words(error: InputError) -> InputError:
    cure, problem = error.cure or "", error.problem
    for word, other in _WORDS:
        cure, problem = cure.replace(word, other), problem.replace(word, other)
    return InputError(problem, file=error.file, row=error.row, cure=cure)


def _refuse_cryodrgn(folder: Path) -> None:
    from cryoscope.io.cryodrgn_run import CryodrgnRun

    if CryodrgnRun.is_one(folder):
        raise InputError(
            "the landscape is made of Cryoscope's own runs, and this is one of cryoDRGN",
            cure="Use cryodrgn analyze_landscape, or train the preset cryoscope-volume here.",
        )


def _known(session: Session) -> int:
    from cryoscope.analysis.reduce import finite_rows

    latents = session.latents
    return 0 if latents is None else int(finite_rows(latents.z).sum())
