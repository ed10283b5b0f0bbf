"""``cryoscope demo`` and ``cryoscope bench demo`` on small sets, with a stand-in window."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cryoscope.cli import bench, demo
from cryoscope.cli.display import on_a_display
from cryoscope.cli.entry import run
from cryoscope.data import InputError, Latents
from cryoscope.io.relion import read_particles
from cryoscope.io.run_folder import RunFolder
from cryoscope.io.structures import read_models
from cryoscope.session import bench_demo
from cryoscope.session.demo import DemoSet
from tests.damage import PARTICLES

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="displays of Linux")
FIGURES = {"first_paint_s": 1.5, "reacts_s": 2.5}


@pytest.fixture
def virtual_display(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """No display, and in place of the program that makes one a script that ends in some lines.

    ``$last`` is the file that the window was asked for.
    """
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(folder))

    def does(lines: str) -> None:
        program = folder / "xvfb-run"
        program.write_text(f"#!/bin/sh\nfor last; do :; done\n{lines}\n")
        program.chmod(0o755)

    return does


@linux
def test_without_a_display_one_is_made_or_the_cure_is_said(
    virtual_display: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="no display, and xvfb-run is not installed"):
        on_a_display(["view"])
    virtual_display("exit 0")
    command, environment = on_a_display(["view", "run"])
    assert Path(command[0]).name == "xvfb-run"
    assert command[-2:] == ["view", "run"]
    assert environment["LIBGL_ALWAYS_SOFTWARE"] == "1"
    monkeypatch.setenv("DISPLAY", ":7")
    assert on_a_display(["view", "run"])[0] == ["view", "run"]


@linux
@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ('echo picture > "$last"', ""),
        ("echo 'cryoscope: no OpenGL here' >&2; exit 1", "no OpenGL here"),
        ("exit 3", "code 3"),
    ],
)
def test_a_picture_is_left_or_its_absence_explained(
    virtual_display: Callable[[str], None], tmp_path: Path, script: str, problem: str
) -> None:
    virtual_display(script)
    picture = tmp_path / "window.png"
    picture.write_bytes(b"an old one")
    said = demo.take_picture(tmp_path / "run", picture)
    assert problem in said
    assert bool(said) == bool(problem)
    assert (picture.read_text() if picture.exists() else "") == ("" if problem else "picture\n")


@linux
def test_the_window_is_measured_or_its_problem_told(
    virtual_display: Callable[[str], None], tmp_path: Path
) -> None:
    assert "xvfb-run is not installed" in bench.measure_window(tmp_path)["window_problem"]
    virtual_display(f"echo '{json.dumps(FIGURES)}' > \"$last\"")
    assert bench.measure_window(tmp_path) == FIGURES
    virtual_display("echo first >&2; echo 'no graphics' >&2; exit 1")
    assert bench.measure_window(tmp_path) == {"window_problem": "no graphics"}
    virtual_display("exit 1")
    assert bench.measure_window(tmp_path) == {"window_problem": "it did not run"}


@linux
def test_the_demo_without_a_window_leaves_its_files(
    here: Path, virtual_display: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["demo", "--headless", "--out", str(here), "--minutes", "0.01"]
    assert run(words) == 0
    said = capsys.readouterr().out
    assert "complete after" in said
    assert "no picture: there is no display" in said
    assert RunFolder.open(here / "run-001").has_checkpoint()
    models = read_models(here / "trajectory_pc1.pdb")
    assert models.coords_A.shape[0] == 10
    subset = read_particles(here / "subset_pc1_high.star")
    (saved,) = RunFolder.open(here / "run-001").load_selections()
    assert saved.name == demo.SELECTION_NAME
    assert len(subset) == len(saved) == -(-PARTICLES // 5)
    everything = read_particles(here / "particles.star")
    assert subset.uid.tolist() == everything.uid[saved.mask].tolist()
    # a set of another size is not taken for the one asked for, nor written over
    assert run([*words, "--particles", "100"]) == 2
    assert f"has {PARTICLES} particles, not 100" in capsys.readouterr().err


def test_the_demo_opens_the_window(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from cryoscope.cli import window

    asked: dict[str, object] = {}
    monkeypatch.setattr(window, "open_window", lambda paths, **given: asked.update(given) or 0)
    assert run(["demo", "--out", str(tmp_path), "--particles", "250"]) == 0
    assert asked == {"demo": tmp_path, "demo_particles": 250}


@pytest.fixture(scope="module")
def moving(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo set of a dozen tiny images, simulated as the command does where there is none."""
    small = DemoSet(particles=100, box_px=16, pixel_size_A=6.4)
    folder = tmp_path_factory.mktemp("demo") / "set"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cryoscope.session.demo.DemoSet", lambda: small)
        assert demo.simulate_demo_set(folder, particles=12) == folder / "particles.star"
    return folder


def test_a_set_that_is_not_there_is_simulated_once(moving: Path) -> None:
    star = moving / "particles.star"
    particles = read_particles(star)
    assert (len(particles), particles.optics[0].box_size_px) == (12, 16)
    made = star.stat().st_mtime_ns
    assert demo.simulate_demo_set(moving) == star
    assert star.stat().st_mtime_ns == made


def test_without_latents_there_is_no_high_end() -> None:
    z = np.full((5, 2), np.nan, dtype=np.float32)
    with pytest.raises(InputError, match="no particle has latents"):
        demo.high_end(Latents(z, None, np.arange(5).astype(str), "r", 1))


def test_training_is_measured_beside_trivial_predictors(moving: Path, tmp_path: Path) -> None:
    import torch

    threads = torch.get_num_threads()
    figures = bench_demo.measure_training(moving, tmp_path / "run", seconds=0.3)
    torch.set_num_threads(threads)
    assert figures["particles"] == 12
    assert figures["images_per_s_best"] >= figures["images_per_s_median"] > 0
    guesses = [figures[f"rmsd_{name}_A"] for name in ("do_nothing", "mean_structure", "best_line")]
    assert guesses == sorted(guesses, reverse=True)  # each knows more than the one before
    assert guesses[-1] > 0.05  # the way from closed to open is no straight line
    assert 0 < figures["rmsd_A"] < 2 * guesses[0]
    assert 0 <= figures["spearman_pc1"] <= 1
    assert RunFolder.open(tmp_path / "run").has_checkpoint()


#: In place of the worker: a state that every step moves on, saved after every third of twenty.
WORKER = """#!{python}
import json, sys, time
sys.path.insert(0, {root!r})
import numpy as np
from cryoscope.data import Latents
from cryoscope.io.run_folder import RunFolder
command = json.loads(sys.stdin.readline())
path = command["run"]
if command["resume"]:
    run, state = RunFolder.open(path), RunFolder.open(path).load_checkpoint()[0]["state"]
    state = state + {forgotten}
else:
    run, state = RunFolder.create(path, command["config"], {{"particle_count": 3}}), np.zeros(1)
def say(**event):
    run.append_event(event)
    print(json.dumps(event), flush=True)
def latents(live):
    z = np.arange(6, dtype=np.float32).reshape(3, 2) * np.float32(state[0])
    run.save_latents(Latents(z, None, np.array(["a", "b", "c"]), "r", 1), live=live)
latents(live=True)
while state[0] < 20:
    state = state + 1
    step = int(state[0])
    say(kind="step_done", step=step)
    if step % 3 == 0:
        run.save_checkpoint(step, {{"state": state}}, {{"step": step}})
        say(kind="checkpoint_saved", step=step)
    if step == 7 and path.endswith("killed") and not command["resume"]:
        time.sleep(60)
latents(live=False)
run.save_checkpoint(20, {{"state": state}}, {{"step": 20}})
say(kind="run_finished", step=step)
run.close()
"""


@linux
@pytest.mark.parametrize(("forgotten", "difference"), [(0, 0.0), (0.5, 2.5)])
def test_a_killed_run_is_held_against_one_left_alone(
    forgotten: float, difference: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(__file__).resolve().parents[1]
    worker = tmp_path / "python"
    worker.write_text(WORKER.format(python=sys.executable, root=str(root), forgotten=forgotten))
    worker.chmod(0o755)
    monkeypatch.setattr(bench_demo, "sys", SimpleNamespace(executable=str(worker)))
    figures = bench_demo.measure_resume(tmp_path, tmp_path)
    # what a resumed worker gets wrong is found in the latents
    assert figures["resume_largest_latent_difference"] == pytest.approx(difference)
    assert figures["resume_latent_spread"] == pytest.approx(20 * np.arange(6).std())
    assert figures["resume_unreadable_files"] == 0
    assert figures["resume_steps_lost"] == 1
    steps = {
        name: [e["step"] for e in RunFolder.open(tmp_path / name).read_events()
               if e["kind"] == "step_done"]
        for name in ("left-alone", "killed")
    }  # fmt: skip
    assert steps["left-alone"] == [*range(1, 21)]
    assert steps["killed"] == [*range(1, 8), *range(7, 21)]


def test_the_table_of_the_demo_bench(
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    measured = {"rmsd_A": 1.234, "spearman_pc1": 0.97, "particles": PARTICLES}
    small = DemoSet(particles=PARTICLES)
    monkeypatch.setattr("cryoscope.session.demo.DemoSet", lambda: small)
    asked: list[tuple[Path, float]] = []

    def measure(*, data: Path, seconds: float) -> dict[str, object]:
        asked.append((data, seconds))
        return dict(measured)

    monkeypatch.setattr(bench_demo, "run", measure)
    words = ["bench", "demo", "--no-window", "--seconds", "7", "--out", str(here)]
    assert run([*words, "--json", str(here / "figures.json")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert asked == [(here, 7.0)]
    (row,) = (line for line in lines if line.startswith("mean CA RMSD"))
    assert row.split()[-4:] == ["1.234", "A", "<=", "1.3"]
    assert f"particles: {PARTICLES}" in lines
    assert not any("first paint" in line for line in lines)  # not measured, not shown
    assert json.loads((here / "figures.json").read_text()) == measured
