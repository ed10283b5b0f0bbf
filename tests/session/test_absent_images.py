"""A run whose image stacks are gone: its particles' table opens, and what needs images says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cryoscope.data import Latents
from cryoscope.io.cryosparc import read_cs_particles
from cryoscope.io.cryosparc_table import read_cs
from cryoscope.io.run_folder import RunFolder
from cryoscope.io.stack import StackWriter
from cryoscope.session import Session, actions
from cryoscope.training.config import TrainConfig, config_to_json
from tests.io.test_cryosparc import BOX as CS_BOX
from tests.io.test_cryosparc import project as cs_project
from tests.io.test_cryosparc import records as cs_records
from tests.session.conftest import fake_thread
from tests.session.test_selecting import error


@pytest.fixture
def session() -> Iterator[Session]:
    made = Session(make_runner=fake_thread)
    yield made
    actions.close(made)


def a_cryosparc_run(folder: Path) -> tuple[Path, Path]:
    """A finished run of cryoSPARC particles whose stack is gone, and their .cs file."""
    count = 40
    cs = cs_project(folder, cs_records(count))
    stack = folder / "J1" / "extract" / "p.mrc"
    with StackWriter(stack, CS_BOX, 1.5) as writer:
        writer.append(np.random.default_rng(0).normal(size=(count, CS_BOX, CS_BOX)))
    config = config_to_json(TrainConfig())
    config["data"] |= {"particles": str(cs)}
    config["model"] = "volume"
    run = RunFolder.create(folder / "run", config, {"particle_count": count, "particles": str(cs)})
    uid = read_cs_particles(cs).uid
    z = np.random.default_rng(1).normal(size=(count, 2)).astype(np.float32)
    run.save_latents(Latents(z, None, uid, run.run_id, 1), live=False)
    stack.unlink()
    return run.path, cs


def test_a_cryosparc_run_without_its_stack_keeps_its_table(
    session: Session, tmp_path: Path
) -> None:
    run, cs = a_cryosparc_run(tmp_path)
    actions.open_files(session, [run])
    assert actions.wait(session, 60)
    told = [one.text for one in session.journal.entries() if "images are missing" in one.text]
    assert len(told) == 1
    assert "p.mrc" in told[0]
    assert "trained on" in told[0]
    assert "reconstructed" in told[0]
    view = session.particles
    assert (view.count, view.box_size_px, view.pixel_size_A) == (40, CS_BOX, 1.5)
    assert view.has_poses
    assert "p.mrc" in view.missing_images
    for name in ("defocus", "tilt", "half_set", "optics_group"):
        actions.colour_by(session, name)
        assert actions.wait(session, 60)
        assert session.colouring.name == name
    actions.select(session, {"kind": "range", "covariate": "z1", "low": 0.0, "high": None})
    assert actions.wait(session, 60)
    actions.export_selection(session, "selection 1", tmp_path / "subset.cs")
    assert actions.wait(session, 60)
    written, chosen = read_cs(tmp_path / "subset.cs"), session.selections[0].mask
    assert written["uid"].tolist() == read_cs(cs)["uid"][chosen].tolist()
    card = actions.particle_at(session, tuple(session.embedding.xy[0]), (0.1, 0.1))
    assert card.image is None
    assert "p.mrc" in card.remark
    assert "images of these particles are missing" in actions.why_not_train(session)
    actions.reconstruct_selection(session)
    assert "images are missing" in error(session)
