from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cryoscope.data import CTFParams, Optics, Particles, ParticleSource, Poses, Structure
from cryoscope.session import ParticlesView, Session, StructureView, actions
from cryoscope.session.process_runner import ProcessRunner, worker_environment
from cryoscope.session.thread_runner import ThreadRunner
from tests.session.fake_worker import BEADS, PARTICLES, FakeEngine, fake_latents, reference_A

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0


def eventually(condition: Callable[[], object], what: str = "") -> None:
    """Wait until ``condition`` holds; fail after a time that no machine needs."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.005)


def fake_process() -> ProcessRunner:
    env = {**worker_environment(), "PYTHONPATH": str(ROOT)}
    return ProcessRunner([sys.executable, "-m", "tests.session.fake_worker"], env=env)


def fake_thread() -> ThreadRunner:
    return ThreadRunner(FakeEngine)


RUNNERS = {"process": fake_process, "thread": fake_thread}


@pytest.fixture
def sessions() -> Iterator[Callable[[], Session]]:
    """Makes sessions whose runner is a fake in a thread, and closes them."""
    made: list[Session] = []

    def make() -> Session:
        made.append(Session(make_runner=fake_thread))
        return made[-1]

    yield make
    for session in made:
        actions.close(session)


def structure() -> Structure:
    """One CA atom per bead of the fake worker."""
    return Structure(
        coords_A=reference_A(),
        element=np.full(BEADS, "C"),
        atom_name=np.full(BEADS, "CA"),
        residue_name=np.full(BEADS, "ALA"),
        residue_id=np.arange(1, BEADS + 1),
        chain_id=np.full(BEADS, "A"),
        insertion_code=np.full(BEADS, ""),
        b_factor_A2=np.zeros(BEADS),
        occupancy=np.ones(BEADS),
    )


class NoImages:
    """Images that nobody reads."""

    box_size_px = 16

    def __len__(self) -> int:
        return PARTICLES

    def read(self, index: np.ndarray) -> np.ndarray:
        raise AssertionError("the session reads no images")

    def take(self, index: np.ndarray) -> NoImages:
        return self


def particles(folder: Path) -> Particles:
    """The particles of the fake worker, from a STAR file that is really there."""
    uid = fake_latents("", 0, 0).uid
    star = folder / "particles.star"
    rows = "\n".join(f"{name} 1 1 1 0 0 10000 10000 0 1" for name in uid)
    columns = ("ImageName", "AngleRot", "AngleTilt", "AnglePsi", "OriginXAngst", "OriginYAngst")
    columns += ("DefocusU", "DefocusV", "DefocusAngle", "OpticsGroup")
    head = "\n".join(f"_rln{name} #{place}" for place, name in enumerate(columns, start=1))
    optics = (
        "data_optics\n\nloop_\n_rlnOpticsGroup #1\n_rlnImagePixelSize #2\n_rlnImageSize #3\n"
        "_rlnVoltage #4\n_rlnSphericalAberration #5\n_rlnAmplitudeContrast #6\n"
        "1 2.0 16 300 2.7 0.1\n\n"
    )
    star.write_text(f"{optics}data_particles\n\nloop_\n{head}\n{rows}\n")
    return Particles(
        images=NoImages(),
        optics=(Optics(2.0, 16),),
        ctf=CTFParams.uniform(PARTICLES, 10_000.0),
        poses=Poses(np.broadcast_to(np.eye(3), (PARTICLES, 3, 3)), np.zeros((PARTICLES, 2))),
        half_set=np.ones(PARTICLES, dtype=np.int8),
        uid=uid,
        source=ParticleSource(star, np.arange(PARTICLES)),
    )


def with_inputs(session: Session, folder: Path, **fake: object) -> Session:
    """Open the fake inputs without reading files; ``fake`` is what the worker shall do wrong."""
    record = particles(folder)
    config = replace(session.config, device=json.dumps(fake))
    session.change(
        particles=ParticlesView.of(record),
        structure=StructureView.of(folder / "model.pdb", structure()),
        config=config,
    )
    return session


@pytest.fixture(params=["process", "thread"])
def session(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Session]:
    """A session with open inputs, on each kind of runner."""
    opened = Session(make_runner=RUNNERS[request.param])
    yield with_inputs(opened, tmp_path)
    actions.close(opened)


@pytest.fixture
def quiet_session(tmp_path: Path) -> Iterator[Session]:
    """A session with latents and no runner."""
    opened = with_inputs(Session(make_runner=fake_thread), tmp_path)
    yield opened
    actions.close(opened)
