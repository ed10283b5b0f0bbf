"""Latents that follow the view or the defocus: found, said, and looked at again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryoscope.data import CTFParams, Latents, Poses
from cryoscope.session import ParticlesView, Session, actions, associating
from cryoscope.session.associating import associate
from cryoscope.session.records import RunStatus, RunView
from tests.session.conftest import fake_thread, particles
from tests.session.fake_worker import PARTICLES

DEFOCUS_A = np.random.default_rng(1).uniform(8e3, 2e4, PARTICLES)


@pytest.fixture
def session(tmp_path) -> Iterator[Session]:  # type: ignore[no-untyped-def]
    """Particles seen from everywhere; the first axis of the latents is the defocus."""
    opened = Session(make_runner=fake_thread)
    record = replace(
        particles(tmp_path),
        poses=Poses(
            Rotation.random(PARTICLES, random_state=0).as_matrix(), np.zeros((PARTICLES, 2))
        ),
        ctf=CTFParams.uniform(PARTICLES, DEFOCUS_A),
    )
    opened.change(particles=ParticlesView.of(record), run=RunView(tmp_path / "run"))
    yield opened
    actions.close(opened)


def latents(session: Session, following: bool = True) -> Latents:
    z = np.random.default_rng(2).normal(size=(PARTICLES, 3)).astype(np.float32)
    if following:
        z[:, 0] += 3 * (DEFOCUS_A - DEFOCUS_A.mean()) / DEFOCUS_A.std()
    assert session.particles is not None
    return Latents(z, None, session.particles.record.uid, "run", 1)


def test_what_follows_the_defocus_is_said_with_a_cure(session: Session) -> None:
    session.latents = latents(session)
    associate(session)
    assert actions.wait(session, 30)
    (caution,) = actions.axis_cautions(session)
    assert caution.text.startswith("PC1 follows the defocus (")
    assert "CTF and not motion" in caution.cure
    assert caution.colour == "defocus"
    assert caution.colour in {choice.name for choice in actions.covariate_choices(session)}


def test_other_order_same_answer(session: Session) -> None:
    mine = latents(session)
    order = np.random.default_rng(0).permutation(PARTICLES)
    session.latents = replace(mine, z=mine.z[order], uid=mine.uid[order])
    associate(session)
    assert actions.wait(session, 30)
    assert [one.colour for one in actions.axis_cautions(session)] == ["defocus"]
    session.latents = replace(mine, uid=np.char.add(mine.uid, "x"))
    associate(session, every_s=0)
    assert actions.wait(session, 30)
    assert session.associations == ()


def test_nothing_is_said_of_what_is_chance_or_cannot_be_known(session: Session) -> None:
    session.latents = latents(session, following=False)
    associate(session)
    assert actions.wait(session, 30)
    assert session.associations
    assert actions.axis_cautions(session) == ()
    session.particles = None
    associate(session)
    assert session.associations == ()


def test_while_training_it_is_not_asked_again_and_again(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[object] = []
    monkeypatch.setattr(associating, "_look", lambda *given: looked.append(given))
    assert session.run is not None
    session.run = replace(session.run, status=RunStatus.RUNNING)
    for _ in range(3):
        session.latents = latents(session)
        associate(session)
        assert actions.wait(session, 30)
    assert len(looked) == 1
    associate(session, every_s=0)
    assert actions.wait(session, 30)
    assert len(looked) == 2
