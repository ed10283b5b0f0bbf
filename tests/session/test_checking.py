"""A selection checked against its images: preview, control, the decoded map, files, cancelling."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryoscope.data import InputError, Latents, Particles, Selection
from cryoscope.io.mrc import read_volume
from cryoscope.io.stack import MrcStack
from cryoscope.session import ParticlesView, Session, actions, child_process
from cryoscope.session.check_measures import selected_rows
from cryoscope.session.records import RunView
from cryoscope.session.shown import DecodedStates
from tests.session.conftest import eventually, fake_thread
from tests.session.test_reconstruct import BOX, COUNT, PIXEL_A, particles

__all__ = ["particles"]  # the fixture
MASK = np.arange(COUNT) % 2 == 0


@pytest.fixture
def open_session(particles: Particles, tmp_path: Path) -> Iterator[Session]:
    """Particles that can be read, latents, a selection, and no model."""
    z = np.random.default_rng(3).normal(size=(COUNT, 3)).astype(np.float32)
    session = Session(make_runner=fake_thread)
    session.change(
        particles=ParticlesView.of(particles),
        run=RunView(tmp_path / "run"),
        latents=Latents(z, None, particles.uid, "run", 4),
        selections=(Selection("left half", MASK),),
        active_selection="left half",
    )
    yield session
    actions.close(session)


def decodes(session: Session, monkeypatch: pytest.MonkeyPatch, **answer: Any) -> list[np.ndarray]:
    """Let the session decode ``answer``; what it is asked for is collected."""
    asked: list[np.ndarray] = []

    def states(z: np.ndarray, job: object, *, volume: bool = False) -> DecodedStates:
        assert volume
        asked.append(z)
        return DecodedStates(np.zeros((1, 0, 3), np.float32), z, **answer)

    monkeypatch.setattr(session.decoder, "states", states)
    return asked


def read_stack(path: Path) -> np.ndarray:
    stack = MrcStack(path)
    return stack.read(np.arange(len(stack)))


def test_preview_then_everything(
    open_session: Session, particles: Particles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cryoscope.session.reconstruct import reconstruct

    truth = reconstruct(particles, box_size_px=BOX // 2).full
    asked = decodes(open_session, monkeypatch, volume=truth.values, voxel_size_A=truth.voxel_size_A)
    seen: list[Any] = []
    open_session.events.check.connect(seen.append)
    actions.reconstruct_selection(open_session)
    assert actions.wait(open_session, 120)
    first, check = seen
    assert first.stage == "preview"
    assert first.verdict.startswith("Preview from 150 particles")
    assert check is open_session.check
    assert check.stage == "done"
    assert check.particle_count == 150
    assert check.control is not None
    assert check.fsc.resolution_A < 12
    assert check.verdict.startswith("150 particles give ")
    assert "as many drawn at random give" in check.verdict
    latents = open_session.latents
    assert latents is not None
    np.testing.assert_allclose(asked[0][0], latents.z[MASK].mean(axis=0), atol=1e-6)
    # compared in the coarser box, to whose Nyquist frequency it agrees
    assert check.decoded_fsc is not None
    assert len(check.decoded_fsc.frequency_per_A) == BOX // 4 + 1
    assert check.decoded_fsc.limited
    assert check.decoded_fsc.text == f"{4 * PIXEL_A:.1f} Å (Nyquist)"
    assert check.views.selected.sum() == 150
    assert open_session.shown is not None
    assert open_session.shown.label == "reconstructed from 150 particles (left half)"
    folder = tmp_path / "run" / "volumes" / "check-left-half"
    assert check.folder == folder
    said = json.loads((folder / "check.json").read_text())
    assert said["resolution_A"] == check.fsc.resolution_A
    assert {a["covariate"] for a in said["associations"]} == {
        "viewing direction", "angle in the image", "defocus",
    }  # fmt: skip
    np.testing.assert_allclose(read_volume(folder / "decoded.mrc").values, truth.values, atol=1e-6)
    np.testing.assert_allclose(read_volume(folder / "map.mrc").values, check.map.values, atol=1e-6)
    averages = check.averages
    assert averages is not None
    assert averages.images.shape == (len(averages), BOX, BOX)
    assert list(averages.projections) == ["decoded", "reconstructed"]
    assert averages.counts.min() >= 5
    assert np.median(averages.agreement["reconstructed"]) > 0.5
    stack = read_stack(folder / "view-averages.mrcs")
    np.testing.assert_allclose(stack, averages.images, atol=1e-5)
    assert (folder / "views.png").read_bytes().startswith(b"\x89PNG")
    head, *rows = (folder / "views.csv").read_text().splitlines()
    assert head.endswith("elevation_deg,correlation_decoded,correlation_reconstructed")
    assert len(rows) == len(averages)
    actions.show_checked(open_session, "decoded")
    assert open_session.shown.label.startswith("decoded by the model (run, epoch 4)")
    actions.show_checked(open_session, "reconstructed")
    assert open_session.shown.density is check.map


def test_without_a_model_it_says_why(open_session: Session, tmp_path: Path) -> None:
    actions.reconstruct_selection(open_session, "left half", tmp_path / "here", control=False)
    assert actions.wait(open_session, 120)
    check = open_session.check
    assert check is not None
    assert check.decoded is None
    assert check.decoded_fsc is None
    assert "no trained model is open" in check.notes[0]
    assert check.control is None
    assert (tmp_path / "here" / "half1.mrc").is_file()


def test_another_field_of_view_is_not_compared(
    open_session: Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    decodes(open_session, monkeypatch, volume=np.ones((16,) * 3, np.float32), voxel_size_A=1.0)
    actions.reconstruct_selection(open_session, out=tmp_path / "x", control=False)
    assert actions.wait(open_session, 120)
    check = open_session.check
    assert check is not None
    assert check.decoded_fsc is None
    assert "another field of view" in check.notes[0]


def test_cancelled_after_the_preview(open_session: Session, tmp_path: Path) -> None:
    def cancel(check: Any) -> None:
        actions.cancel_job(open_session, actions.CHECK_JOB)

    open_session.events.check.connect(cancel)
    actions.reconstruct_selection(open_session, out=tmp_path / "maps")
    assert actions.wait(open_session, 60)
    check = open_session.check
    assert check is not None
    assert check.stage == "preview"
    assert open_session.notice is None
    assert not (tmp_path / "maps" / "check.json").exists()


def test_the_process_ends_when_it_is_cancelled(
    open_session: Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    spawn = child_process.spawn

    def spawn_and_note(command: Sequence[str]) -> subprocess.Popen[bytes]:
        started.append(spawn(command))
        return started[-1]

    monkeypatch.setattr(child_process, "spawn", spawn_and_note)
    actions.reconstruct_selection(open_session, out=tmp_path / "maps")
    eventually(lambda: started, "the process")
    actions.cancel_job(open_session, actions.CHECK_JOB)
    assert actions.wait(open_session, 60)
    assert started[0].poll() is not None
    assert open_session.check is None
    assert open_session.notice is None


def test_what_the_process_refuses_is_said(
    open_session: Session, particles: Particles, tmp_path: Path
) -> None:
    one_half = replace(particles, half_set=np.ones(COUNT, dtype=np.int8))
    open_session.particles = ParticlesView.of(one_half)
    actions.reconstruct_selection(open_session, out=tmp_path / "maps")
    assert actions.wait(open_session, 60)
    assert open_session.check is None
    assert open_session.notice is not None
    assert "0 in half-set 2: both need some. Choose more particles" in open_session.notice.text


def test_looking_elsewhere_is_not_called_back(
    open_session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Any] = []

    def look_away(check: Any) -> None:
        if check.stage == "preview":
            open_session.shown = None

    open_session.events.check.connect(look_away)
    open_session.events.shown.connect(shown.append)
    actions.reconstruct_selection(open_session, control=False)
    assert actions.wait(open_session, 120)
    assert open_session.check is not None
    assert open_session.check.stage == "done"
    assert open_session.shown is None


def test_refusals(open_session: Session, tmp_path: Path) -> None:
    actions.reconstruct_selection(open_session, "no such")
    assert open_session.notice is not None
    assert "no selection 'no such'" in open_session.notice.text
    (tmp_path / "file").write_text("")
    actions.reconstruct_selection(open_session, out=tmp_path / "file" / "folder")
    assert actions.wait(open_session, 60)
    assert open_session.check is None
    assert open_session.notice.level == "error"
    open_session.particles = None
    actions.reconstruct_selection(open_session)
    assert "no particle file is open" in open_session.notice.text


def test_rows_go_by_name_where_the_file_has_another_order(particles: Particles) -> None:
    latents = Latents(np.zeros((COUNT, 2), np.float32), None, particles.uid, "run", 0)
    turned = particles.take(np.arange(COUNT)[::-1])
    rows = selected_rows(turned, Selection("s", MASK), latents)
    assert set(turned.uid[rows]) == set(particles.uid[MASK])
    fewer = particles.take(np.arange(10))
    with pytest.raises(InputError, match="not in the file"):
        selected_rows(fewer, Selection("s", MASK), latents)
    with pytest.raises(InputError, match="is empty"):
        selected_rows(particles, Selection("s", np.zeros(COUNT, bool)), latents)
