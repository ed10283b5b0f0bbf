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


def test_a_run_of_cryodrgn_is_followed(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cryodrgn_runs, "LOOK_EVERY_S", 0.05)
    folder = tmp_path / "theirs"
    write(folder, VolumeConfig(widths=(8, 8)))
    actions.open_run(session, folder)
    eventually(lambda: session.latents is not None and session.run.ready, "a decoder")
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
