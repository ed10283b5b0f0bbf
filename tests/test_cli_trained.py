"""What the commands do with a run that was really trained: decode it, go on, hold it to account."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from cryoscope.cli.entry import run
from cryoscope.cli.train import Outcome, _take
from cryoscope.data import Latents
from cryoscope.io.cryodrgn_files import read_z
from cryoscope.io.cryodrgn_run import CryodrgnRun
from cryoscope.io.mrc import read_volume
from cryoscope.io.run_folder import RunFolder
from cryoscope.io.structures import read_models
from cryoscope.training import events
from cryoscope.training.cryodrgn_model import load_cryodrgn_decoder
from cryoscope.training.decoding import load_decoder
from tests.damage import BOX_PX, PARTICLES

QUICK = ["--box-px", "16", "--device", "cpu", "--set", "threads=1"]
QUICK += ["--set", "encoder.widths=[8]", "--set", "deformer.widths=[8]"]


def latents() -> Latents:
    return RunFolder.open("earlier").load_latents()


@pytest.mark.usefixtures("here")
def test_particles_are_decoded_one_by_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["decode", "earlier", "--per-particle", "-o", "coords.npy"]) == 0
    assert f"{PARTICLES} particles x 214 residues" in capsys.readouterr().out
    coords_A = np.load("coords.npy", allow_pickle=False)
    expected_A = load_decoder(Path("earlier")).coords_A(latents().z)
    np.testing.assert_allclose(coords_A, expected_A, atol=1e-4)
    assert run(["decode", "earlier", "--per-particle", "-o", "coords.csv"]) == 2
    assert ".npy" in capsys.readouterr().err


@pytest.mark.usefixtures("here")
def test_states_by_file_cluster_component_and_path(capsys: pytest.CaptureFixture[str]) -> None:
    z = latents().z
    np.save("two.npy", z[[3, 9]])
    assert run(["decode", "earlier", "--z", "two.npy", "-o", "own"]) == 0
    models = read_models(Path("own/states.pdb"))
    expected_A = load_decoder(Path("earlier")).coords_A(z[[3, 9]])
    np.testing.assert_allclose(models.coords_A, expected_A, atol=2e-3)
    assert read_volume(Path("own/state-002.mrc")).values.shape == (BOX_PX,) * 3
    decode = ["decode", "earlier", "--no-maps", "-o"]
    assert run([*decode, "way", "--path", "two.npy", "--frames", "5"]) == 0
    rows = np.loadtxt("way/states.csv", delimiter=",", skiprows=1)[:, 1:]
    np.testing.assert_allclose(rows, np.linspace(z[3], z[9], 5), rtol=1e-4, atol=1e-5)
    capsys.readouterr()
    assert run([*decode, "groups", "--clusters", "3"]) == 0
    said = capsys.readouterr().out.splitlines()[0]
    sizes = [int(word) for word in said.partition(": ")[2].split(", ")]
    assert sum(sizes) == PARTICLES
    assert sizes == sorted(sizes, reverse=True)
    assert len(Path("groups/states.csv").read_text().splitlines()) == 4
    assert run([*decode, "pc", "--pc", "2", "--frames", "3"]) == 0
    states = np.loadtxt("pc/states.csv", delimiter=",", skiprows=1)[:, 1:]
    axis = np.linalg.svd(z - z.mean(0), full_matrices=False)[2][1]
    first, last = np.percentile(z @ axis, [5, 95])
    np.testing.assert_allclose(
        np.sort(states @ axis), np.linspace(first, last, 3), atol=1e-3 * np.abs(z).max()
    )
    np.save("one.npy", z[:1])
    assert run([*decode, "no", "--path", "one.npy"]) == 2
    assert "at least two states" in capsys.readouterr().err


@pytest.mark.usefixtures("here")
def test_a_run_goes_on_with_its_own_settings(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "particles.star", "--structure", "reference.pdb", "--out", "run", *QUICK]
    assert run([*words, "--epochs", "2"]) == 0
    said = capsys.readouterr()
    assert f"particles   {PARTICLES}" in said.out
    assert f"{PARTICLES} particles of 16 px" in said.err
    assert run([*words, "--epochs", "2"]) == 2  # there is a run already
    assert "Add --resume" in capsys.readouterr().err
    assert run([*words, "--epochs", "3", "--resume"]) == 2  # other settings
    assert "optimiser.epochs = 3" in capsys.readouterr().err
    assert run([*words, "--preset", "cryostar", "--resume"]) == 2
    assert "preset = cryostar" in capsys.readouterr().err
    before = RunFolder.open("run").load_latents().z
    assert run([*words, "--resume"]) == 0  # complete: nothing is trained
    assert "complete after 2 steps" in capsys.readouterr().out
    np.testing.assert_array_equal(RunFolder.open("run").load_latents().z, before)


@pytest.mark.usefixtures("here")
def test_another_process_of_several_leaves_the_writing_to_the_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment = {"RANK": "1", "WORLD_SIZE": "x", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"}
    for name, value in (environment | {"MASTER_ADDR": "a", "MASTER_PORT": "1"}).items():
        monkeypatch.setenv(name, value)
    words = ["train", "particles.star", "--out", "run"]
    assert run(words) == 2
    assert "is not a number" in capsys.readouterr().err
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert run(words) == 2
    assert "process 1 of 1 makes no sense" in capsys.readouterr().err
    assert not Path("run").exists()


class Said:
    """What training shows."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.bars: list[tuple[str, int, int, str]] = []

    def say(self, line: str) -> None:
        self.lines.append(line)

    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        self.bars.append((stage, done, total, note))


def test_what_training_says_and_remembers(tmp_path: Path) -> None:
    said, outcome = Said(), Outcome()
    started = events.RunStarted(
        run_id="r", particle_count=1200, bead_count=3, total_steps=40, step=0, device="cpu",
        contrast=-1, box_size_px=32, pixel_size_A=2.5, report="Kept all.", remark="Mind the gap.",
    )  # fmt: skip
    step = events.StepDone(20, 3, {"total": 1.25}, 0.5, 900.0, 90.0, remark="smaller parts")
    for event in (
        events.Progress("reading", 1, 4), started, step, events.Paused(20), events.Resumed(20),
        events.CheckpointSaved("c", 20), events.RunFinished(20, "stopped"),
    ):  # fmt: skip
        _take(event, outcome, said)  # type: ignore[arg-type]
    assert said.lines == [
        "1,200 particles of 32 px (2.50 A/px, protein dark) on cpu",
        "Kept all.",
        "Mind the gap.",
        "smaller parts",
        "paused after 20 steps, by request",
        "going on",
    ]
    assert said.bars[0] == ("reading", 1, 4, "")
    stage, done, total, note = said.bars[1]
    assert (stage, done, total) == ("training", 20, 40)
    assert note.split("  ") == [
        "epoch 3", "loss 1.25", "motion 0.50 A", "900 images/s", "1.5 min left",
    ]  # fmt: skip
    assert outcome.stopped_by_user
    assert not outcome.completed
    assert "stopped while preparing" in outcome.summary(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    summary = outcome.summary(tmp_path)
    assert "stopped (go on with --resume) after 20 steps" in summary
    assert "loss        1.25 per image" in summary
    endless = events.StepDone(21, 3, {"total": 1.0}, 0.5, 900.0, math.inf)
    _take(endless, outcome, said)  # type: ignore[arg-type]
    assert "left" not in said.bars[-1][3]


CONTROL = ["particles.star", "--structure", "reference.pdb", "--epochs", "1", *QUICK]


@pytest.mark.usefixtures("here")
def test_controls_train_tell_and_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["control", "noise", *CONTROL, "-o", "quiet"]
    assert run([*words, "--json", "noise.json"]) == 0
    said = capsys.readouterr().out
    figures = json.loads(Path("noise.json").read_text())
    assert f"{'motion_A':32s}{figures['motion_A']:.4g}" in said
    assert f"{'passed':32s}{'yes' if figures['passed'] else 'no'}" in said
    assert run(words) == 0
    assert capsys.readouterr().out == said  # nothing was trained anew
    kinds = [event["kind"] for event in RunFolder.open("quiet/noise").read_events()]
    assert kinds.count("step_done") == 1
    assert run([*words, "--set", "seed=5"]) == 2
    assert "started with other settings" in capsys.readouterr().err
    assert run(["control", "halves", *CONTROL, "-o", "both"]) == 0
    said = capsys.readouterr().out
    assert "both/disagreement.csv" in said
    assert Path("both/disagreement.csv").is_file()
    assert run(["control", "wrong-reference", *CONTROL, "-o", "mirror"]) == 0
    said = capsys.readouterr().out
    assert "wrong_minus_right" in said
    for name in ("right", "wrong"):
        assert RunFolder.open(f"mirror/{name}").config()["data"]["held_out"] > 0


@pytest.mark.usefixtures("here")
def test_held_out_images_of_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "particles.star", "--structure", "reference.pdb", "--out", "run", *QUICK]
    assert run([*words, "--epochs", "1", "--set", "data.held_out=0.25"]) == 0
    capsys.readouterr()
    assert run(["control", "held-out", "run"]) == 0
    lines = dict(line.rsplit(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert (lines["trained_particles"], lines["held_out_particles"]) == ("18", "6")
    gap = float(lines["data_held_out"]) - float(lines["data_trained"])
    assert float(lines["held_out_minus_trained"]) == pytest.approx(gap, rel=0.05, abs=0.05)


@pytest.mark.usefixtures("here")
def test_a_volume_run_is_written_for_cryodrgn(capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--preset", "cryodrgn", "--epochs", "1", "--box-px", "16", "--device", "cpu"]
    small += ["--set", "encoder.widths=[8,8]", "--set", "volume.widths=[8,8]", "--set", "threads=1"]
    assert run(["train", "particles.star", "--out", "maps", *small]) == 0
    capsys.readouterr()
    assert run(["convert", "maps", "theirs"]) == 0
    assert f"run of {PARTICLES} particles, epoch 1: theirs" in capsys.readouterr().out
    ours = RunFolder.open("maps").load_latents()
    theirs = CryodrgnRun.open("theirs")
    np.testing.assert_allclose(theirs.latents(theirs.newest_epoch()).z, ours.z, rtol=1e-6)
    decoded = load_cryodrgn_decoder(theirs).volume(ours.z[0]).values
    np.testing.assert_allclose(
        decoded, load_decoder(Path("maps")).volume(ours.z[0]).values, rtol=1e-3, atol=1e-4
    )
    # and read back: theirs as a table, ours as their pickle
    assert run(["convert", "theirs", "z.csv"]) == 0
    assert len(Path("z.csv").read_text().splitlines()) == PARTICLES + 1
    assert run(["convert", "maps", "z.pkl"]) == 0
    np.testing.assert_array_equal(read_z("z.pkl")[0], ours.z)


@pytest.mark.usefixtures("here")
def test_what_cannot_be_asked_of_a_run_that_nobody_trains(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for request in ("pause", "resume", "checkpoint", "stop"):
        assert run(["ask", "earlier", request]) == 2
        assert "nobody trains this run" in capsys.readouterr().err
    assert run(["ask", "particles.star", "stop"]) == 2
    assert not list(Path("earlier").glob("*request*"))
