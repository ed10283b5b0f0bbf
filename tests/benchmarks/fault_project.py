"""Saving a project as the window does: a session, its verbs, its autosave; for the campaign."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from fault_processes import Left, Say
from fault_works import PARTICLES, ROUNDS
from numpy.typing import NDArray

from cryoscope.data import Latents, Selection
from cryoscope.io.particles_file import read_any
from cryoscope.io.project_folder import ProjectFolder
from cryoscope.io.run_folder import RunFolder
from cryoscope.io.selections_file import read_selections
from cryoscope.session import Session, actions
from cryoscope.training.config import config_to_json
from cryoscope.training.presets import preset

PATIENCE_S = 120.0
_BUT = "The project was opened, but:"


def prepare_run(at: Path) -> None:
    """A run with latents of the simulated set, and without anything to decode."""
    star = at / "set" / "particles.star"
    info = {"particle_count": PARTICLES, "particles": str(star)}
    run = RunFolder.create(at / "opened-run", config_to_json(preset("cryodrgn")), info)
    z = np.random.default_rng(5).normal(size=(PARTICLES, 8)).astype(np.float32)
    run.save_latents(Latents(z, None, read_any(star).uid, run.run_id, 3), live=False)


class SavingProject:
    """Selects particles and saves the project that is open, again and again."""

    name = "saving a project"

    def begin(self, at: Path, say: Say) -> None:
        """Open the project, or make it, and save number after number."""
        session, _ = self._opened(at)
        if session.project is None:
            actions.save_project(session, at / "project")
            _finish(session)
        first = 1 + max((_number(one) for one in session.selections), default=0)
        for number in range(first, first + ROUNDS):
            old = [one.name for one in session.selections]
            right = np.random.default_rng(number).normal()
            actions.lasso(session, [[-90, -90], [right, -90], [right, 90], [-90, 90]])
            made = session.selections[-1]
            actions.note_selection(session, made.name, _digest(made.mask))
            actions.rename_selection(session, made.name, f"number {number}")
            for name in old:
                actions.remove_selection(session, name)
            actions.save_project(session)
            _finish(session)
            say(number)
        actions.close(session)

    def look(self, at: Path) -> Left:
        """It opens without complaint, all selections are their own, and so in the save before."""
        if not ProjectFolder.is_one(at / "project"):
            return Left(0)
        folder = ProjectFolder(at / "project")
        saves, problems = folder.saves()
        assert not problems, problems
        for save in saves:
            if (part := save.parts.get("selections")) is not None:
                for one in folder.read_part(part, read_selections):
                    _check(one)
        session, complaints = self._opened(at)
        assert session.project is not None, complaints
        assert not [one for one in complaints if one.startswith(_BUT)], complaints
        assert session.latents is not None
        for one in session.selections:
            _check(one)
        number = max((_number(one) for one in session.selections), default=0)
        actions.close(session)
        return Left(number)

    def _opened(self, at: Path) -> tuple[Session, list[str]]:
        """A session with the project open, or with the run only; what it complained of."""
        session, complaints = Session(), []

        def hear(notice: object) -> None:
            if getattr(notice, "level", "") in ("warning", "error"):
                complaints.append(str(getattr(notice, "text", "")))

        session.events.notice.connect(hear)
        if ProjectFolder.is_one(at / "project"):
            actions.open_project(session, at / "project")
        else:
            actions.open_files(session, [at / "opened-run"])
        _finish(session)
        return session, complaints


def _finish(session: Session) -> None:
    assert actions.wait(session, PATIENCE_S)
    assert session.notice.level != "error", session.notice.text


def _number(selection: Selection) -> int:
    """The number it is named for; 0 of one that was just drawn."""
    word, _, number = selection.name.partition(" ")
    return int(number) if word == "number" else 0


def _check(selection: Selection) -> None:
    if _number(selection):
        assert selection.note == _digest(selection.mask), selection.name


def _digest(mask: NDArray[np.bool_]) -> str:
    return hashlib.sha256(np.packbits(mask).tobytes()).hexdigest()[:16]
