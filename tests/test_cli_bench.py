"""``cryoscope bench atomic`` and ``volume`` on a dozen images: cases, tables, exit codes."""

from __future__ import annotations

import json
import signal
import stat
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryoscope.cli.bench_cases import run_bench
from cryoscope.cli.entry import run
from cryoscope.io.resources import resource_path
from cryoscope.io.run_folder import RunFolder
from cryoscope.io.structures import read_structure, write_structure
from cryoscope.session import bench_atomic, bench_atomic_cases, bench_volume_cases
from cryoscope.session.bench_atomic_report import MARKS
from cryoscope.session.bench_runs import BenchStopped, run_cases, trained_run
from cryoscope.session.demo import CLOSED
from cryoscope.simulation.simulate import SimulationStopped
from cryoscope.training.presets import preset
from tests.session.test_bench_volume import FAKE

IMAGES = 12


@pytest.fixture
def fixtures(tmp_path: Path) -> Path:
    """In place of the globin a hundred residues of another chain; no trajectory."""
    chain = read_structure(resource_path(CLOSED))
    file = tmp_path / "fixtures" / "structures" / "4hhb_A_141res.pdb"
    file.parent.mkdir(parents=True)
    write_structure(file, chain.take(np.flatnonzero(chain.residue_id <= 100)))
    return tmp_path / "fixtures"


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scale ``smoke``, a dozen images of it."""
    size = bench_atomic_cases.Scale(IMAGES, 16, 6.4, oracle_particles=4)
    monkeypatch.setitem(bench_atomic_cases.SCALES, "smoke", size)
    few = replace(
        bench_volume_cases.SCALES["smoke"],
        particles=IMAGES, box_px=16, pixel_size_A=7.2, epochs=1, width=8, layers=2, sampled=2,
        oracle_particles=4,
    )  # fmt: skip
    monkeypatch.setitem(bench_volume_cases.SCALES, "smoke", few)


def atomic(out: Path, fixtures: Path, cases: str, *more: str) -> int:
    words = ["--scale", "smoke", "--fixtures", str(fixtures), "--device", "cpu", "--out", str(out)]
    return run(["bench", "atomic", "--cases", cases, *words, *more])


@pytest.mark.usefixtures("tiny")
def test_the_atomic_bench_measures_beside_floors_and_goes_on(
    fixtures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, copy = tmp_path / "bench", tmp_path / "figures.json"
    cases = "cryofold-approximate,cryofold-hinge,noise"
    assert atomic(out, fixtures, cases, "--json", str(copy)) == 0
    said = capsys.readouterr().out
    figures = json.loads(copy.read_text())
    assert figures == json.loads((out / "table.json").read_text())
    assert (out / "table.md").read_text("utf-8") in said
    assert (out / "table.png").read_bytes().startswith(b"\x89PNG")
    found = figures["cases"]
    # the trajectory is not there: that case says so, and the others are measured all the same
    assert "not part of Cryoscope" in found["noise"]["problem"]
    for name in ("cryofold-approximate", "cryofold-hinge"):
        assert found[name]["problem"] == ""
        assert found[name]["speed"]["epochs"] == 1
        assert RunFolder.open(out / "runs" / name).has_checkpoint()
    # one structure: the floor is the wrong model that was started from
    start_A = found["cryofold-approximate"]["floors"]["ca_rmse_A"]["do nothing"]
    assert start_A == pytest.approx(5.15, rel=0.2)
    assert (out / "inputs" / "globin-0.1-approximate.pdb").is_file()
    # a motion: guesses that know more come closer, and the oracle knows most
    floors = found["cryofold-hinge"]["floors"]["rmsd_A"]
    assert floors["oracle"] < floors["mean structure"] < floors["do nothing"]
    assert floors["best fit of 16 modes"] < floors["do nothing"]
    assert (out / "inputs" / "hinge.pdb").is_file()
    # the same again trains nothing and finds the same
    made = {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}
    assert made
    assert atomic(out, fixtures, cases, "--json", str(copy)) == 0
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")} == made
    again = json.loads(copy.read_text())["cases"]
    for name in ("cryofold-approximate", "cryofold-hinge"):
        assert again[name]["figures"] == pytest.approx(found[name]["figures"])
        for figure, known in found[name]["floors"].items():
            assert again[name]["floors"][figure] == pytest.approx(known)


@pytest.mark.usefixtures("tiny")
def test_an_error_of_ours_fails_the_bench_but_not_the_other_cases(
    fixtures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*given: object) -> Path:
        raise ZeroDivisionError("oh no")

    monkeypatch.setattr(bench_atomic, "trained_run", broken)
    assert atomic(tmp_path / "out", fixtures, "cryofold-exact,noise") == 1
    found = json.loads((tmp_path / "out" / "table.json").read_text())["cases"]
    assert found["cryofold-exact"]["problem"] == "ZeroDivisionError: oh no"
    assert "not part of Cryoscope" in found["noise"]["problem"]


def test_unknown_cases_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("atomic", "volume"):
        assert run(["bench", name, "--cases", "nothing", "--out", str(tmp_path / "out")]) == 2
        assert "no case 'nothing'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_ctrl_c_keeps_what_is_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(progress: Any, should_stop: Any, after_each: Any) -> Any:
        after_each({})
        assert not should_stop()
        signal.raise_signal(signal.SIGINT)
        assert should_stop()
        raise BenchStopped

    code = run_bench(tmp_path, None, interrupted, lambda done: ({"n": len(done)}, "# t", []), MARKS)
    assert code == 130
    assert "keeping what is done" in capsys.readouterr().err
    assert json.loads((tmp_path / "table.json").read_text()) == {"n": 0}


def test_stopping_in_a_simulation_stops_the_bench() -> None:
    case = bench_atomic_cases.CASES[0]
    told: list[object] = []

    def stopped(outcome: object) -> None:
        raise SimulationStopped

    with pytest.raises(BenchStopped):
        run_cases([bench_atomic.Outcome(case)], stopped, told.append)
    assert told == []


def test_a_stopped_training_goes_on_in_the_same_folder(here: Path, tmp_path: Path) -> None:
    base = preset("cryoscope-default")
    data = replace(
        base.data, particles=str(here / "particles.star"), structure=str(here / "reference.pdb"),
        box_size_px=16,
    )  # fmt: skip
    optimiser = replace(base.optimiser, epochs=3, batch_size=8)
    # A checkpoint after every step: an event each, however quick the steps are.
    config = replace(base, device="cpu", data=data, optimiser=optimiser, checkpoint_s=1e-6)
    told: list[tuple[str, int, int]] = []

    def train(stop: bool) -> Path:
        def should_stop() -> bool:
            return stop and bool(list((tmp_path / "runs").glob("case/checkpoints/*.safetensors")))

        return trained_run("case", config, tmp_path, 24, lambda *t: told.append(t), should_stop)

    with pytest.raises(BenchStopped):
        train(stop=True)
    assert told[-1][1] < 8
    path = train(stop=False)
    assert path == tmp_path / "runs" / "case"
    assert told[-1] == ("case", 8, 9)  # what is left is said by the measuring
    events = RunFolder.open(path).read_events()
    assert [event["step"] for event in events if event["kind"] == "run_started"][1] > 0
    told.clear()
    assert train(stop=False) == path
    assert told == []


@pytest.mark.usefixtures("tiny")
def test_the_volume_bench_trains_the_peer_on_the_same_data(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    peer = programs / "cryodrgn"
    text = FAKE.format(python=sys.executable, particles=IMAGES).replace("(8, 8, 8)", "(16, 16, 16)")
    peer.write_text(text)
    peer.chmod(0o755 | stat.S_IEXEC)
    out = tmp_path / "bench"
    words = ["--scale", "smoke", "--device", "cpu", "--out", str(out), "--cases", "uniform-1d"]
    assert run(["bench", "volume", *words, "--peer", str(programs / "python")]) == 0
    figures = json.loads((out / "table.json").read_text())
    ours, theirs = (figures["cases"][name] for name in ("uniform-1d", "uniform-1d/cryodrgn"))
    assert ours["problem"] == theirs["problem"] == ""
    assert theirs["speed"]["version"] == "4.3.1"
    # the stand-in numbers the particles and draws flat maps: neither tells anything
    assert theirs["figures"]["images_per_s"] == pytest.approx(IMAGES / 61.5)
    assert ours["figures"].keys() == theirs["figures"].keys()
    floors = theirs["floors"]
    assert floors["spearman"]["oracle"] > 0.5
    assert theirs["figures"]["resolution_A"] >= floors["resolution_A"]["oracle"]
    rows = [row for row in figures["rows"] if row["case"] == "uniform-1d"]
    assert any("uniform-1d/cryodrgn" in row["must_reach"] for row in rows)
