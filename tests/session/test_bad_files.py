"""Bad input in the session: a notice with the command line's text, and nothing else changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cryoscope.data import Provenance, Volume
from cryoscope.io.mrc import write_volume
from cryoscope.session import RunStatus, Session, actions
from cryoscope.session.thread_runner import ThreadRunner
from tests.damage import BOX_PX, INPUT, edit, files, overwrite, without_anchors

PATIENCE_S = 120.0
# Poses and sound images are needed only to train.
ONLY_TRAINING = ("NaN in", "constant", "structure ", "no angles")
OPENED = [name for name in INPUT if not name.startswith(ONLY_TRAINING)]
OPENED += ["structure with no CA"]


@pytest.fixture
def session() -> Iterator[Session]:
    opened = Session(make_runner=ThreadRunner)
    yield opened
    actions.close(opened)


def error_of(session: Session) -> str:
    assert actions.wait(session, PATIENCE_S)
    assert session.notice is not None
    assert session.notice.level == "error"
    return session.notice.text


FIELDS = ("particles", "structure", "config", "run", "latents", "selections", "shown")


@pytest.mark.parametrize("case", OPENED)
def test_opening_in_the_window(case: str, here: Path, session: Session) -> None:
    damage, words = INPUT[case]
    damage(here)
    before = session.snapshot(*FIELDS)
    structure = "structure" in case
    actions.open_files(session, [here / ("reference.pdb" if structure else "particles.star")])
    said = error_of(session)
    for word in () if structure else words:
        assert word in said
    assert session.snapshot(*FIELDS) == before


def test_a_newer_run_in_the_window(here: Path, session: Session) -> None:
    edit("earlier/run.json", '"format": 1', '"format": 9')(here)
    before = session.snapshot(*FIELDS)
    actions.open_run(session, here / "earlier")
    said = error_of(session)
    assert "format 9" in said
    assert "Update" in said
    assert session.snapshot(*FIELDS) == before


def test_a_map_without_voxel_size_in_the_window(here: Path, session: Session) -> None:
    volume = Volume.centred(np.ones((8, 8, 8), dtype=np.float32), 2.0, Provenance("file"))
    write_volume(here / "map.mrc", volume)
    overwrite("map.mrc", 40, bytes(12))(here)
    before = session.snapshot(*FIELDS)
    actions.open_files(session, [here / "map.mrc"])
    said = error_of(session)
    assert "map.mrc: the header has no voxel size" in said
    assert session.snapshot(*FIELDS) == before


def trained_in_the_window(here: Path, session: Session) -> str:
    """Open both files, train, and return the status that the run ends with."""
    names = ("particles.star", "reference.pdb")
    actions.open_files(session, [here / name for name in names])
    assert actions.wait(session, PATIENCE_S)
    for name, value in {"optimiser.epochs": 1, "data.box_size_px": BOX_PX, "device": "cpu"}.items():
        actions.set_option(session, name, value)
    notices: list[tuple[str, str]] = []
    session.events.notice.connect(lambda notice: notices.append((notice.level, notice.text)))
    actions.start_training(session, here / "run")
    assert actions.wait(session, PATIENCE_S)
    thread = session.runner._thread  # type: ignore[union-attr]
    deadline = PATIENCE_S
    while session.run is not None and session.run.status.active and deadline > 0:
        thread.join(0.05)
        deadline -= 0.05
    assert session.run is not None
    return "\n".join(f"{level}: {text}" for level, text in notices)


@pytest.mark.parametrize(
    "case", ["NaN in an image", "structure far outside the box", "structure half outside the box"]
)
def test_training_in_the_window(case: str, here: Path, session: Session) -> None:
    damage, words = INPUT[case]
    damage(here)
    before = files(here)
    said = trained_in_the_window(here, session)
    assert session.run is not None
    assert session.run.status is RunStatus.FAILED
    for word in words:
        assert word in session.run.message
    assert f"error: {session.run.message}" in said
    assert files(here) == before


def test_what_is_left_out_is_said_in_the_window(here: Path, session: Session) -> None:
    without_anchors(here)
    said = trained_in_the_window(here, session)
    assert "warning: reference.pdb: 7 residues left out of the model" in said
