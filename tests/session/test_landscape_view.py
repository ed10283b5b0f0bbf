"""The landscape of a run in a session: made by its own process, looked at, kept, opened again."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cryoscope.data import InputError
from cryoscope.io.mrc import read_volume, write_volume
from cryoscope.session import Session, actions
from cryoscope.session.covariates import covariate
from cryoscope.session.jobs import Job, JobPool
from cryoscope.session.journal_commands import command_line
from cryoscope.session.landscape_making import _Answers
from cryoscope.session.landscape_reading import read_landscape
from cryoscope.session.landscape_records import WHOLE_BOX, LandscapeSettings
from cryoscope.session.records import JobView
from tests.damage import BOX_PX, PARTICLES
from tests.session.conftest import ROOT, eventually, fake_thread

SMALL = {"sketch": 12, "samples": 6, "states": 3, "box_size_px": 16}


@pytest.fixture(scope="module")
def mapped(trained_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the trained run with a landscape; copy it before writing."""
    folder = tmp_path_factory.mktemp("mapped") / "set"
    shutil.copytree(trained_set, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        session = Session(make_runner=fake_thread)
        opened(session, folder / "run")
        actions.make_landscape(session, **SMALL)
        assert [job.name for job in session.jobs] == [actions.LANDSCAPE_JOB]
        assert actions.wait(session, 240)
        assert session.landscape is not None, session.notice
        actions.close(session)
    return folder


def errors(session: Session) -> str:
    """What went wrong, but for states of the scripted worker, which knows another molecule."""
    said = [entry.text for entry in session.journal.entries() if entry.level != "info"]
    return "\n".join(text for text in said if "the model has 12 beads" not in text)


def opened(session: Session, run: Path) -> None:
    actions.open_run(session, run)
    assert actions.wait(session, 60)
    assert session.latents is not None, session.notice


@pytest.fixture
def run(mapped: Path, tmp_path: Path) -> Path:
    shutil.copytree(mapped, tmp_path / "set")
    return tmp_path / "set" / "run"


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """Nothing is open."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    made = Session(make_runner=fake_thread)
    yield made
    actions.close(made)


@pytest.fixture
def session(bare: Session, run: Path) -> Session:
    """The run is open, and with it the landscape that it has."""
    opened(bare, run)
    return bare


def test_a_landscape_comes_back_with_its_run(session: Session, run: Path) -> None:
    found = session.landscape
    assert found is not None
    assert found.folder == run / "landscape"
    assert found.epoch == session.latents.epoch
    assert (found.maps, found.box_size_px, len(found.states)) == (12, 16, 3)
    assert 0 < found.mask_share <= 1
    assert sum(found.variance_fraction) == pytest.approx(1, abs=1e-5)
    assert sum(one.particles for one in found.states) == PARTICLES
    assert sum(one.share for one in found.states) == pytest.approx(1)
    assert [one.number for one in found.states] == [1, 2, 3]
    counts = np.bincount(found.particle_state, minlength=3)
    assert counts.tolist() == [one.particles for one in found.states]
    assert found.scores.shape[0] == PARTICLES
    assert np.isfinite(found.scores).all()
    assert found.picture.shape == (480, 480, 4)
    x0, x1, y0, y1 = found.bounds
    assert x0 < found.scores[:, 0].min() <= found.scores[:, 0].max() < x1
    assert y0 < y1
    actions.open_run(session, run)
    assert actions.wait(session, 60)
    assert session.landscape is not None
    assert session.landscape is not found


def test_a_state_is_shown_about_its_typical_backbone(session: Session, run: Path) -> None:
    assert actions.shown_landscape_state(session) == 0
    changed: list[str] = []
    session.events.shown.connect(lambda _state: changed.append("shown"))
    session.events.cursor_xy.connect(lambda _xy: changed.append("cursor"))
    actions.show_landscape_state(session, 2)
    assert actions.wait(session, 30)
    shown, one = session.shown, session.landscape.states[1]
    mean = read_volume(run / "landscape" / "state-02-mean.mrc")
    np.testing.assert_array_equal(shown.density.values, mean.values)
    assert shown.density.width_A == pytest.approx(3.2 * BOX_PX)
    assert len(shown.isosurface.faces) > 0
    assert shown.label == (
        f"State 2: mean of {one.maps} volumes, backbone of a typical particle\n"
        f"decoded by the model (run, epoch {session.latents.epoch})"
    )
    assert len(shown.coords_A) == len(session.run.reference)
    np.testing.assert_array_equal(shown.z, session.latents.z[one.typical_row])
    np.testing.assert_allclose(session.cursor_xy, session.embedding.xy[one.typical_row])
    assert actions.shown_landscape_state(session) == 2
    assert changed == ["cursor", "shown"], "else the window would take it for a live refresh"
    # New latents of a run that trains on do not take it away.
    session.decoder.refresh()
    time.sleep(0.3)
    assert session.shown is shown
    actions.show_landscape_state(session, 4)
    assert "no state 4" in errors(session)


def test_states_become_selections_once(session: Session) -> None:
    actions.select_landscape_states(session, [2])
    assert [one.name for one in session.selections] == ["state 2"]
    chosen = session.selections[0]
    assert len(chosen) == session.landscape.states[1].particles
    assert session.active_selection == "state 2"
    actions.select_landscape_states(session)
    assert [one.name for one in session.selections] == ["state 2", "state 1", "state 3"]
    assert np.sum([one.mask for one in session.selections], axis=0).tolist() == [1] * PARTICLES
    assert session.selections[0].colour == session.landscape.states[1].colour
    actions.select_landscape_states(session, [1])
    assert len(session.selections) == 3
    assert session.active_selection == "state 1"
    # How it was made can be repeated.
    actions.replay_selection(session, "state 2")
    assert actions.wait(session, 30)
    assert any("0 joined or left" in entry.text for entry in session.journal.entries())
    actions.undo(session)
    assert [one.name for one in session.selections] == ["state 2"]


def test_particles_are_coloured_and_laid_out_by_it(session: Session) -> None:
    found = session.landscape
    actions.colour_by(session, "landscape_state")
    assert actions.wait(session, 30)
    assert session.colouring.categories == ("state 1", "state 2", "state 3")
    assert session.colouring.counts.tolist() == [one.particles for one in found.states]
    assert covariate(session, "volume_pc1").values.tolist() == found.scores[:, 0].tolist()
    actions.view_latents(session, "volume", 1, 2)
    assert actions.wait(session, 30)
    np.testing.assert_allclose(session.embedding.xy, found.scores[:, :2])
    session.landscape = None
    choice = {one.name: one for one in actions.covariate_choices(session)}["landscape_state"]
    assert choice.why_not == "the run has no landscape yet"


def test_many_states_are_numbers(session: Session) -> None:
    found = session.landscape
    many = tuple(replace(found.states[0], number=i + 1) for i in range(13))
    session.landscape = replace(found, states=many)
    values = covariate(session, "landscape_state")
    assert values.kind == "continuous"
    assert values.values.tolist() == (found.particle_state + 1).tolist()
    actions.select_landscape_states(session, [2])
    assert len(session.selections[0]) == int((found.particle_state == 1).sum())


def test_with_a_mask_and_with_none(session: Session, run: Path, tmp_path: Path) -> None:
    actions.make_landscape(session, **SMALL, mask=WHOLE_BOX)
    assert actions.wait(session, 240)
    assert session.landscape.mask_share == 1.0, session.notice
    mean = read_volume(run / "landscape" / "state-01-mean.mrc")
    inside = replace(mean, values=(mean.values > mean.values.mean()).astype(np.float32))
    write_volume(tmp_path / "mask.mrc", inside)
    actions.make_landscape(session, **SMALL, mask=tmp_path / "mask.mrc")
    assert actions.wait(session, 240)
    assert session.landscape.mask_share == pytest.approx(inside.values.mean()), session.notice
    before = session.landscape
    actions.make_landscape(session, **SMALL, mask=tmp_path / "gone.mrc")
    assert actions.wait(session, 240)
    assert "gone.mrc" in errors(session)
    assert session.landscape is before


def test_cancelled_it_is_not_there_and_goes_on(session: Session, run: Path) -> None:
    shutil.rmtree(run / "landscape")
    session.landscape = None
    actions.make_landscape(session, sketch=20, samples=4, states=2, box_size_px=128)
    eventually(lambda: (run / "landscape" / "landscape.lock").exists(), "the lock")
    actions.cancel_job(session, actions.LANDSCAPE_JOB)
    assert actions.wait(session, 60)
    assert session.landscape is None
    assert not (run / "landscape" / "landscape.lock").exists()
    assert session.jobs == ()
    actions.make_landscape(session, **SMALL)
    assert actions.wait(session, 240)
    assert session.landscape is not None, session.notice


def test_a_volume_run_has_one_too(bare: Session, mapped: Path, tmp_path: Path) -> None:
    from cryoscope.cli.entry import run as cryoscope

    words = ["train", str(mapped / "particles.star"), "--out", str(tmp_path / "volumes")]
    words += ["--preset", "cryoscope-volume", "--box-px", str(BOX_PX), "--epochs", "1"]
    assert cryoscope([*words, "--set", "threads=1", "--device", "cpu"]) == 0
    opened(bare, tmp_path / "volumes")
    assert bare.landscape is None
    actions.make_landscape(bare, **SMALL)
    assert actions.wait(bare, 240)
    assert bare.landscape is not None, bare.notice
    actions.show_landscape_state(bare, 1)
    assert actions.wait(bare, 30)
    assert len(bare.shown.coords_A) == 0
    assert "backbone" not in bare.shown.label
    assert actions.largest_volume_px(bare) == BOX_PX


def test_what_is_missing_is_said(bare: Session, run: Path) -> None:
    assert "open a run folder" in actions.why_no_landscape(bare)
    actions.make_landscape(bare)
    assert "no landscape can be made now" in errors(bare)
    actions.show_landscape_state(bare, 1)
    assert "no landscape yet" in errors(bare)
    opened(bare, run)
    assert actions.why_no_landscape(bare) == ""
    assert actions.suggested_sketch(bare) == 10
    actions.make_landscape(bare, sketch=500)
    assert "24 particles with latents" in errors(bare)
    assert "Choose 10 or so" in errors(bare)
    actions.make_landscape(bare, box_size_px=63)
    assert "the box of the volumes 63" in errors(bare)


def test_a_damaged_landscape_is_told_and_the_run_opens(bare: Session, run: Path) -> None:
    folder = run / "landscape"
    whole = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    opened(bare, run)
    latents = bare.latents
    for name, content in (
        ("summary.json", b"{}"),
        ("summary.json", whole["summary.json"].replace(b'"maps": 12', b'"maps": "many"')),
        ("states.csv", b"state,particles\n1,2\n"),
        ("states.csv", whole["states.csv"].replace(b"typical_row", b"typical")),
        ("particles.csv", b"particle,state,VC1\nx,1,0.5\n"),
        ("particles.csv", whole["particles.csv"].replace(b",1,", b",77,")),
        ("particles.csv", b"\x00\xff" * 200),
    ):
        (folder / name).write_bytes(content)
        with pytest.raises(InputError, match=r"cannot be read|not those of this run") as caught:
            read_landscape(folder, latents)
        assert "Press Analyse" in str(caught.value)
        (folder / name).write_bytes(whole[name])
    (folder / "states.csv").unlink()
    actions.open_run(bare, run)
    assert actions.wait(bare, 60)
    assert bare.latents is not None
    assert bare.landscape is None
    assert "states.csv" in errors(bare)


def test_progress_says_what_is_done_and_how_long_it_takes() -> None:
    pool = JobPool(lambda: None, lambda error: None)
    job = Job(pool, JobView("Landscape", "", 0, 0, True), lambda _job: None, "", False)
    answers = _Answers(LandscapeSettings(sketch=40, samples=20), job)
    answers.take(b'{"progress": ["sketching the latents", 0, 1]}')
    assert (job.view.done, job.view.total) == (0, 60)
    for done in range(1, 11):
        answers._last_s -= 10
        answers.take(json.dumps({"progress": ["decoding the sketch", done, 40]}).encode())
    assert job.view.text == "Decoding sketched volumes: 10 of 40, about 8 min left"
    answers.take(b'{"progress": ["decoding samples", 5, 10]}')
    assert (job.view.done, job.view.total) == (45, 50)
    with pytest.raises(InputError, match="raise it") as caught:
        answers.take(b'{"refused": {"problem": "--states 0", "cure": "raise it", "file": null}}')
    assert "the number of states 0" in str(caught.value)
    for line in (b"no json", b"[]", b'{"progress": ["dancing", 1, 2]}'):
        with pytest.raises(InputError, match="the landscape said"):
            answers.take(line)


def test_the_same_in_a_terminal(session: Session, run: Path) -> None:
    arguments = {"session": session, "sketch": 0, "states": 10, "mask": "box"}
    arguments |= {"box_size_px": 64, "samples": None, "linkage": "average"}
    assert command_line("make_landscape", arguments) == (
        f"cryoscope landscape {run} --sketch 10 --states 10 --box-px 64 --samples 10 "
        "--linkage average --mask box"
    )
