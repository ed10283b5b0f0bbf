"""A run of cryoDRGN opens like ours, and its new epochs are shown while it is written."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cryoscope.io.cryodrgn_files import write_z
from cryoscope.session import Session, actions, cryodrgn_runs
from cryoscope.session.thread_runner import ThreadRunner
from cryoscope.training.config import VolumeConfig
from tests.session.conftest import eventually
from tests.training.test_cryodrgn_model import COUNT, write


@pytest.fixture
def session() -> Iterator[Session]:
    made = Session(make_runner=ThreadRunner)
    yield made
    actions.close(made)


def followed(session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a small run of theirs that the session has opened and looks at often."""
    monkeypatch.setattr(cryodrgn_runs, "LOOK_EVERY_S", 0.05)
    folder = tmp_path / "theirs"
    write(folder, VolumeConfig(widths=(8, 8)))
    actions.open_run(session, folder)
    eventually(lambda: session.latents is not None and session.run.ready, "a decoder")
    return folder


def test_a_run_of_cryodrgn_is_followed(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = followed(session, tmp_path, monkeypatch)
    first = session.latents
    assert session.run.folder == folder
    assert session.run.reference is None
    actions.move_cursor(session, (0.0, 0.0))
    eventually(lambda: session.shown is not None and session.shown.density is not None, "a map")
    assert len(session.shown.backbone.faces) == 0
    newer = first.epoch + 1
    shutil.copy(folder / f"weights.{first.epoch}.pkl", folder / f"weights.{newer}.pkl")
    write_z(folder / f"z.{newer}.pkl", np.zeros((COUNT, first.z.shape[1]), dtype=np.float32) + 1)
    eventually(lambda: session.latents.epoch == newer, "the new epoch")
    assert np.all(session.latents.z == 1)
    assert session.run.epoch == newer


def test_a_run_before_its_first_epoch_is_waited_for(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cryodrgn_runs, "LOOK_EVERY_S", 0.05)
    folder, aside = tmp_path / "theirs", tmp_path / "aside"
    write(folder, VolumeConfig(widths=(8, 8)))
    aside.mkdir()
    made = sorted(path for path in folder.iterdir() if path.name.startswith(("z.", "weights.")))
    for path in made:
        path.rename(aside / path.name)
    actions.open_run(session, folder)
    assert actions.wait(session, 30)
    assert session.run.folder == folder
    assert session.run.epochs == ()
    assert session.latents is None
    assert any("waiting for its first" in entry.text for entry in session.journal.entries())
    for path in reversed(made):  # the latents last, as cryoDRGN writes them
        (aside / path.name).rename(path)
    eventually(lambda: session.latents is not None and session.run.ready, "its first epoch")
    assert session.run.epoch == session.latents.epoch == 4
    assert session.run.epochs == ((4, 4),)


def test_settings_that_are_spoilt_meanwhile_end_the_following(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = followed(session, tmp_path, monkeypatch)
    shown = session.latents
    session.change(notice=None)
    # whole, but of more particles than the run has: no newer epoch can be trusted
    write_z(folder / "z.9.pkl", np.ones((COUNT + 3, shown.z.shape[1]), dtype=np.float32))
    eventually(lambda: session.notice is not None, "an error is told")
    assert session.notice.level == "error"
    assert f"for {COUNT + 3} particles" in session.notice.text
    assert session.latents is shown
