from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryoscope.data import InputError, ParticleSource, Poses
from cryoscope.io.micrographs import micrograph_names
from cryoscope.io.run_folder import RunFolder
from cryoscope.session import ParticlesView, RunView, Session
from cryoscope.session.covariates import covariate, covariate_choices, view_angles_deg
from cryoscope.session.follow import show_latents
from cryoscope.session.particle_card import low_passed, particle_at
from tests.session.conftest import PARTICLES, fake_latents


@pytest.fixture
def session(quiet_session: Session) -> Session:
    show_latents(quiet_session, fake_latents("run", 1, 0))
    return quiet_session


def test_every_choice_without_an_obstacle_gives_values(session: Session) -> None:
    choices = covariate_choices(session)
    assert choices[0].name == "density"
    given = 0
    for choice in choices[1:]:
        if choice.why_not:
            with pytest.raises(InputError):
                covariate(session, choice.name)
        elif choice.name not in ("drift", "micrograph"):
            found = covariate(session, choice.name)
            assert found.values.shape == (PARTICLES,)
            assert np.isfinite(found.values).all()
            assert found.counts.sum() == PARTICLES
            assert len(found.table) == (len(found.categories) or 256)
            given += 1
    assert given >= 8
    with pytest.raises(InputError, match="no covariate"):
        covariate(session, "shoe size")


def test_defocus_in_micrometres_by_the_row_of_each_latent(session: Session) -> None:
    record = session.particles.record
    defocus = np.arange(PARTICLES) * 100.0
    turned = replace(record.ctf, defocus_u_A=defocus, defocus_v_A=defocus)
    record = replace(record, ctf=turned).take(np.arange(PARTICLES)[::-1])
    session.particles = ParticlesView.of(record)
    found = covariate(session, "defocus")
    assert found.unit == "µm"
    np.testing.assert_allclose(found.values, defocus / 1e4, rtol=1e-6)


def test_view_angles_are_those_of_convention_4() -> None:
    angles = np.array([[10.0, 20.0, 30.0], [-170.0, 90.0, 5.0], [120.0, 179.0, -60.0]])
    rotation = Rotation.from_euler("ZYZ", angles, degrees=True).inv().as_matrix()
    found = np.stack(view_angles_deg(Poses(rotation, np.zeros((3, 2)))), axis=1)
    np.testing.assert_allclose(found, angles, atol=1e-6)
    upright = Rotation.from_euler("Z", 40.0, degrees=True).inv().as_matrix()[None]
    azimuth, tilt, psi = view_angles_deg(Poses(upright, np.zeros((1, 2))))
    np.testing.assert_allclose([azimuth[0], tilt[0], psi[0]], [0, 0, 40], atol=1e-6)


def test_micrographs_are_named_by_the_file(session: Session, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no micrographs"):
        covariate(session, "micrograph")
    star = tmp_path / "particles.star"
    text = star.read_text().replace("_rlnImageName #1", "_rlnImageName #1\n_rlnMicrographName #11")
    head, mark, rows = text.rpartition("_rlnOpticsGroup #10\n")
    named = [f"{row} mic{i % 3}.mrc" for i, row in enumerate(rows.strip().splitlines())]
    head = head.replace("\n_rlnMicrographName #11", "")
    star.write_text(f"{head}{mark}_rlnMicrographName #11\n" + "\n".join(named) + "\n")
    names = micrograph_names(ParticleSource(star, np.array([4, 0])))
    assert names.tolist() == ["mic1.mrc", "mic0.mrc"]
    found = covariate(session, "micrograph")
    assert found.categories == ("mic0.mrc", "mic1.mrc", "mic2.mrc")


def test_drift_is_between_the_last_two_epochs(session: Session, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    (folder / "latents").mkdir(parents=True)
    run = RunFolder(folder)
    session.run = RunView(folder)
    run.save_latents(fake_latents("run", 1, 0), live=False)
    with pytest.raises(InputError, match="fewer than two"):
        covariate(session, "drift")
    before, after = fake_latents("run", 1, 0), fake_latents("run", 2, 10)
    run.save_latents(after, live=False)
    found = covariate(session, "drift")
    expected = np.linalg.norm(after.z - before.z, axis=1)
    np.testing.assert_allclose(found.values, expected, rtol=1e-6)
    assert "1 to 2" in found.label


def test_the_particle_under_the_mouse(session: Session) -> None:
    place = tuple(float(v) for v in session.embedding.xy[23])

    class Stack:
        box_size_px = 32

        def read(self, index: np.ndarray) -> np.ndarray:
            raise InputError("the stack is gone", file="a.mrcs")

    record = replace(session.particles.record, images=Stack())
    session.particles = replace(session.particles, record=record)
    card = particle_at(session, place, (1e-3, 1e-3))
    assert (card.row, card.file_row, card.name) == (23, 24, session.latents.uid[23])
    assert card.image is None
    assert "gone" in card.remark
    Stack.read = lambda self, index: np.ones((1, 32, 32), np.float32)
    assert particle_at(session, place, (1e-3, 1e-3)).image.shape == (32, 32)
    assert particle_at(session, (1e6, 1e6), (1.0, 1.0)) is None


def test_low_passing_removes_what_is_fine_and_keeps_what_is_broad() -> None:
    y, x = np.indices((64, 64)) - 32
    blob = np.exp(-(x**2 + y**2) / 200)
    noisy = blob + 0.5 * (-1.0) ** (x + y)
    shown, clean = (low_passed(one, 2.0).astype(float) for one in (noisy, blob))
    assert np.abs(shown - clean).max() <= 2
    assert shown[32, 32] == 255
    assert shown[0, 0] < 5
