from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cryoscope.data import Provenance, Volume
from cryoscope.io.mrc import write_volume
from cryoscope.io.run_folder import RunFolder
from cryoscope.io.structures import write_structure
from cryoscope.session import RunStatus, Session, actions
from cryoscope.session.demo import start_demo
from cryoscope.training.config import TrainConfig, config_to_json
from tests.session.conftest import BEADS, PARTICLES, eventually, fake_thread, particles, structure
from tests.session.test_selecting import error


@pytest.fixture
def session() -> Iterator[Session]:
    made = Session(make_runner=fake_thread)
    yield made
    actions.close(made)


def real_inputs(folder: Path) -> list[Path]:
    """A particle file with its stack, and a structure."""
    star = particles(folder).source.file
    header = np.zeros(256, dtype="<i4")
    header[:4] = [16, 16, PARTICLES, 2]
    header[7:10] = header[:3]
    header.view("<f4")[10:13] = np.array([16, 16, PARTICLES]) * 2.0
    header[52] = int.from_bytes(b"MAP ", "little")
    header[53] = int.from_bytes(b"DA\0\0", "little")
    images = np.random.default_rng(0).normal(size=(PARTICLES, 16, 16)).astype("<f4")
    (folder / "stack.mrcs").write_bytes(header.tobytes() + images.tobytes())
    write_structure(folder / "model.pdb", structure())
    return [star, folder / "model.pdb"]


def test_particles_and_structure(session: Session, tmp_path: Path) -> None:
    star, model = real_inputs(tmp_path)
    actions.open_files(session, [star, str(model)])
    assert actions.wait(session, 60)
    assert session.notice is not None
    assert session.notice.level == "info"
    assert session.notice.text.startswith("Opened: particles.star: 300 particles, 16 px")
    assert "model.pdb: structure of 12 residues" in session.notice.text
    view = session.particles
    assert (view.count, view.box_size_px, view.pixel_size_A) == (PARTICLES, 16, 2.0)
    assert view.has_poses
    assert view.optics_groups == 1
    assert session.structure.residues == BEADS
    assert session.structure.chains == ("A",)
    assert session.config.data.particles == str(star)
    assert session.config.data.structure == str(model)
    assert session.shown.label == "read from model.pdb"
    assert len(session.shown.backbone.faces) > 0
    actions.start_training(session, tmp_path / "run")
    eventually(lambda: session.latents is not None, "latents")


def test_a_map_as_wide_as_the_particles_is_their_consensus_map(
    session: Session, tmp_path: Path
) -> None:
    star, _ = real_inputs(tmp_path)
    values = np.random.default_rng(0).normal(size=(16, 16, 16)).astype(np.float32)
    for name, voxel_A in (("other.mrc", 3.0), ("map.mrc", 2.0)):
        write_volume(tmp_path / name, Volume.centred(values, voxel_A, Provenance("file")))
    actions.open_files(session, [star])
    assert actions.wait(session, 60)
    actions.open_files(session, [tmp_path / "other.mrc"])
    assert actions.wait(session, 60)
    assert session.config.data.consensus_map == ""
    actions.open_files(session, [tmp_path / "map.mrc"])
    assert actions.wait(session, 60)
    assert session.config.data.consensus_map == str(tmp_path / "map.mrc")
    assert "consensus map" in session.notice.text
    actions.choose_preset(session, "cryostar")
    assert session.config.data.consensus_map == str(tmp_path / "map.mrc")


def test_maps_are_trained_without_a_structure(session: Session, tmp_path: Path) -> None:
    star, _ = real_inputs(tmp_path)
    assert "particles" in actions.why_not_train(session)
    actions.open_files(session, [star])
    assert actions.wait(session, 60)
    assert "reference structure" in actions.why_not_train(session)
    actions.start_training(session, tmp_path / "run")
    assert "cryoscope-volume" in session.notice.text
    actions.choose_preset(session, "cryoscope-volume")
    assert actions.why_not_train(session) == ""
    groups = {field.group for field in actions.form_fields(session.config)}
    assert "Volume" in groups
    assert not groups & {"Beads", "Deformer", "Pose"}
    actions.start_training(session, tmp_path / "run")
    eventually(lambda: session.run is not None and session.run.step > 0, "a step")
    assert session.run.reference is None


def test_a_map_is_shown_with_its_provenance(session: Session, tmp_path: Path) -> None:
    grid = np.indices((16, 16, 16)) - 8
    values = np.exp(-(grid**2).sum(0) / 18).astype(np.float32)
    write_volume(tmp_path / "map.mrc", Volume.centred(values, 2.0, Provenance("file")))
    actions.open_files(session, [tmp_path / "map.mrc"])
    assert actions.wait(session, 60)
    assert session.shown.label == "read from map.mrc"
    assert len(session.shown.isosurface.faces) > 0
    assert session.config.data.consensus_map == ""  # of no particles that are open
    actions.set_iso_sigma(session, 30.0)
    eventually(lambda: len(session.shown.isosurface.faces) == 0, "an empty surface")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("missing.star", "no such file"),
        ("stack.mrcs", "Open its .star or .cs file"),
        ("notes.txt", "cannot be opened"),
        ("broken.star", "broken.star"),
        ("broken.pdb", "broken.pdb"),
        ("broken.mrc", "broken.mrc"),
        ("folder", "not a run folder"),
    ],
)
def test_what_cannot_be_opened(session: Session, tmp_path: Path, name: str, said: str) -> None:
    if name == "folder":
        (tmp_path / name).mkdir()
    elif not name.startswith("missing"):
        (tmp_path / name).write_bytes(b"rubbish\n")
    actions.open_files(session, [tmp_path / name])
    assert actions.wait(session, 60)
    assert said in error(session)
    assert "\n" not in error(session)
    assert (session.particles, session.structure, session.run) == (None, None, None)


def test_one_bad_file_does_not_keep_the_rest_out(session: Session, tmp_path: Path) -> None:
    _, model = real_inputs(tmp_path)
    actions.open_files(session, [tmp_path / "missing.star", model])
    assert actions.wait(session, 60)
    assert session.structure is not None
    assert "no such file" in error(session)


def test_a_structure_without_ca(session: Session, tmp_path: Path) -> None:
    atoms = structure()
    atoms.atom_name[:] = "S"
    write_structure(tmp_path / "ligand.pdb", atoms)
    actions.open_files(session, [tmp_path / "ligand.pdb"])
    assert actions.wait(session, 60)
    assert "no residue has a CA" in error(session)


def test_a_run_that_was_killed_before_its_first_latents(session: Session, tmp_path: Path) -> None:
    RunFolder.create(tmp_path / "run", config_to_json(TrainConfig()), {"particle_count": 3})
    actions.open_files(session, [tmp_path / "run"])
    assert actions.wait(session, 60)
    assert session.run.status is RunStatus.IDLE
    assert session.latents is None
    assert session.notice.level == "warning"
    actions.resume_training(session)
    eventually(lambda: session.run.status is RunStatus.RUNNING, "a start from the beginning")


def test_a_run_of_a_newer_version(session: Session, tmp_path: Path) -> None:
    RunFolder.create(tmp_path / "run", {}, {})
    file = tmp_path / "run" / "run.json"
    file.write_text(file.read_text().replace('"format": 1', '"format": 99'))
    actions.open_run(session, tmp_path / "run")
    assert actions.wait(session, 60)
    assert "format 99" in error(session)


SIMULATOR = """
import json, pathlib, sys, time
assert sys.argv[-1] == "--progress-json"
out = pathlib.Path(sys.argv[1])
print(json.dumps({"stage": "simulating", "done": 1, "total": 2}), flush=True)
if "--particles" in sys.argv and sys.argv[sys.argv.index("--particles") + 1] == "7":
    print("it broke", file=sys.stderr)
    sys.exit(4)
if sys.argv[sys.argv.index("--particles") + 1] == "8":
    (out / "pid").write_text(str(__import__("os").getpid()))
    time.sleep(3600)
"""


def simulator(folder: Path) -> list[str]:
    script = folder / "simulator.py"
    script.write_text(textwrap.dedent(SIMULATOR))
    return [sys.executable, str(script)]


def test_demo_reports_a_failing_simulation(session: Session, tmp_path: Path) -> None:
    from cryoscope.session.demo import DemoSet

    start_demo(session, tmp_path, demo=DemoSet(particles=7), program=simulator(tmp_path))
    assert actions.wait(session, 60)
    assert error(session) == "the simulation failed (exit code 4): it broke"


@pytest.mark.skipif(os.name != "posix", reason="looks for the child's process the POSIX way")
def test_cancelling_the_demo_kills_the_simulation(session: Session, tmp_path: Path) -> None:
    from cryoscope.session.demo import DemoSet

    start_demo(session, tmp_path, demo=DemoSet(particles=8), program=simulator(tmp_path))
    eventually(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), "start")
    eventually(lambda: session.jobs and session.jobs[0].done == 1, "progress")
    assert session.jobs[0].text == "Simulating"
    actions.cancel_job(session, "Demo")
    assert actions.wait(session, 60)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    assert session.notice is None


def test_demo_trains_on_the_set_that_is_there(session: Session, tmp_path: Path) -> None:
    real_inputs(tmp_path)
    (tmp_path / "truth.npz").write_bytes(b"")
    (tmp_path / "model.pdb").rename(tmp_path / "reference.pdb")
    (tmp_path / "run-001").mkdir()
    start_demo(session, tmp_path, program=["no such program"])
    eventually(lambda: session.run is not None and session.run.step > 0, "training")
    assert session.run.folder == tmp_path / "run-002"
