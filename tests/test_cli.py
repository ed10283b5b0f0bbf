from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryoscope.cli.entry import COMMANDS, app, run
from cryoscope.cli.latent_file import read_states
from cryoscope.cli.settings import parse_settings, with_settings
from cryoscope.data import InputError, Latents, Selection
from cryoscope.io.run_folder import RunFolder
from cryoscope.training.config import config_to_json
from cryoscope.training.presets import DEFAULT_PRESET, preset

ROOT = Path(__file__).resolve().parents[1]


def cryoscope(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "cryoscope", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "140", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.fixture
def run_folder(tmp_path: Path) -> RunFolder:
    """A run with latents of ten particles, without a checkpoint."""
    config = config_to_json(preset(DEFAULT_PRESET))
    folder = RunFolder.create(tmp_path / "run", config, {"particle_count": 10})
    z = np.random.default_rng(0).normal(size=(10, 8)).astype(np.float32)
    uid = np.array([f"{i + 1:06d}@a.mrcs" for i in range(10)])
    folder.save_latents(Latents(z, None, uid, folder.run_id, 3), live=False)
    folder.save_selections(
        [Selection("mine", np.arange(10) < 4), Selection("none", np.zeros(10, bool))]
    )
    return folder


def one_line(text: str) -> str:
    """The text without its line end, which must be the only one; no traceback."""
    assert "Traceback" not in text
    lines = text.strip().splitlines()
    assert len(lines) == 1, text
    return lines[0]


def test_help_needs_neither_torch_nor_qt(tmp_path: Path) -> None:
    code = (
        "import sys; from cryoscope.cli.entry import run; code = run(sys.argv[1:]);"
        "heavy = {'torch', 'scipy', 'pandas', 'napari', 'qtpy', 'PySide6', 'numba', 'sklearn'}"
        " & set(sys.modules); assert not heavy, heavy; sys.exit(code)"
    )
    for words in (["--help"], ["train", "--help"], ["--version"]):
        child = subprocess.run(
            [sys.executable, "-c", code, *words],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        if words == ["train", "--help"] and "scipy" in child.stderr:
            pytest.fail(child.stderr)
        assert child.returncode == 0, child.stderr


def test_help_lists_every_command(tmp_path: Path) -> None:
    child = cryoscope("--help", cwd=tmp_path)
    assert child.returncode == 0
    assert set(COMMANDS) == {
        "view", "demo", "simulate", "train", "latents", "decode", "export", "control", "bench",
        "doctor", "analyze", "landscape", "reconstruct", "convert", "import-selection", "ask",
    }  # fmt: skip
    for name in COMMANDS:
        assert re.search(rf"\b{name}\b", child.stdout)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"cryoscope {name}" in text
    assert len(text.split()) > 20


def test_train_help_lists_settings_with_units_and_defaults(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    assert run(["train", "--help"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"optimiser\.epochs +30 +Passes through the particles", text)
    assert re.search(r"data\.box_size_px +0 px", text)
    assert re.search(r"data\.low_pass_A +0\.0 Å", text)
    assert "loss.restraints.1.release_fraction" in text


def test_simulate_defaults_are_those_of_the_configuration() -> None:
    from cryoscope.cli.simulate import simulate
    from cryoscope.simulation.config import SimulationConfig

    config = SimulationConfig()
    own = {"out", "structure", "to", "trajectory", "topology", "progress_json"}
    own |= {"hinge", "angle_deg", "compositions"}
    for name, parameter in inspect.signature(simulate).parameters.items():
        if name not in own:
            assert parameter.default == getattr(config, name), name


def test_simulate_distributions_are_those_of_the_configuration() -> None:
    from cryoscope.cli.simulate import Distribution
    from cryoscope.simulation.distributions import DISTRIBUTIONS

    assert tuple(Distribution) == DISTRIBUTIONS


def test_simulate_motions_are_those_of_the_configuration() -> None:
    from cryoscope.cli.simulate import Motion
    from cryoscope.simulation.config import MOTIONS

    assert tuple(Motion) == MOTIONS


BAD = {
    "no such particles": (["train", "no.star", "--structure", "no.pdb", "-o", "r"], "no.star"),
    "no such setting": (["train", "a.star", "-o", "r", "--set", "foo=1"], "'foo'"),
    "no sign": (["train", "a.star", "-o", "r", "--set", "foo"], "NAME=VALUE"),
    "out of range": (["train", "a.star", "-o", "r", "--set", "latent.dim=0"], "latent.dim"),
    "odd box": (["train", "a.star", "-o", "r", "--box-px", "63"], "data.box_size_px"),
    "no such preset": (["train", "a.star", "-o", "r", "--preset", "x"], "no preset 'x'"),
    "missing argument": (["train"], "`cryoscope train --help`"),
    "not a number": (["train", "a.star", "-o", "r", "--epochs", "x"], "--epochs"),
    "no such option": (["latents", "r", "--foo"], "--foo"),
    "resume nothing": (["train", "a.star", "-o", "r", "--resume"], "not a run folder"),
    "no run": (["latents", "r", "-o", "z.csv"], "not a run folder"),
    "no run to decode": (["decode", "r", "-o", "d"], "not a run folder"),
    "no run to export": (["export", "r", "--selection", "s", "-o", "s.star"], "not a run folder"),
    "no such file or command": (["trian"], "cryoscope --help"),
    "nothing to simulate": (["simulate", "out"], "structure"),
    "two sources": (["simulate", "out", "--to", "b.pdb"], "--structure"),
    "odd simulated box": (["simulate", "out", "--structure", "a.pdb", "--box-px", "63"], "63"),
    "no such structure": (["simulate", "out", "--structure", "no.pdb"], "no.pdb"),
    "control without a folder": (["control", "noise", "a.star", "--structure", "r.pdb"], "--out"),
    "a wrong model for noise": (
        ["control", "noise", "a.star", "-o", "c", "--wrong", "w.pdb"],
        "--wrong",
    ),
    "no run to control": (["control", "held-out", "r"], "not a run folder"),
    "no particles to control": (
        ["control", "wrong-reference", "no.star", "--structure", "r.pdb", "-o", "c"],
        "no.star",
    ),
    "two choices": (["decode", "r", "-o", "d", "--pc", "1", "--clusters", "3"], "one of --z"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_code_2(
    case: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments, words = BAD[case]
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    last = captured.err.strip().splitlines()[-1]
    assert last.startswith("cryoscope: ")
    assert words in last
    assert "Traceback" not in captured.err
    assert list(tmp_path.iterdir()) == []


def test_bad_input_in_a_process_of_its_own(tmp_path: Path) -> None:
    child = cryoscope("latents", "nowhere", "-o", "z.csv", cwd=tmp_path)
    assert child.returncode == 2
    assert child.stdout == ""
    assert one_line(child.stderr).startswith("cryoscope: nowhere: this is not a run folder")


def test_files_without_a_command_are_for_the_window(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from cryoscope.cli import window

    opened: list[Any] = []

    def remember(paths: list[Path], **options: Any) -> int:
        opened.append((paths, options))
        return 0

    monkeypatch.setattr(window, "open_window", remember)
    assert run([str(tmp_path)]) == 0
    assert run([]) == 0
    assert run(["--screenshot", "a.png", "--exit-after", "2"]) == 0
    assert [paths for paths, _ in opened] == [[tmp_path], [], []]
    assert opened[2][1]["screenshot"] == Path("a.png")
    assert opened[2][1]["exit_after_s"] == 2


def test_unexpected_errors_are_one_line_with_a_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def fail(path: str | Path) -> RunFolder:
        raise ZeroDivisionError("oh\nno")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(RunFolder, "open", staticmethod(fail))
    assert run(["latents", "r", "-o", "z.csv"]) == 1
    line = one_line(capsys.readouterr().err)
    assert "ZeroDivisionError: oh no" in line
    (log,) = tmp_path.iterdir()
    assert str(log) in line
    assert "Traceback" in log.read_text(encoding="utf-8")


def test_interrupt_is_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(path: str | Path) -> RunFolder:
        raise KeyboardInterrupt

    monkeypatch.setattr(RunFolder, "open", staticmethod(interrupt))
    assert run(["latents", "r", "-o", "z.csv"]) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_latents_as_tables(run_folder: RunFolder, tmp_path: Path) -> None:
    assert run(["latents", str(run_folder.path), "-o", str(tmp_path / "z.csv")]) == 0
    header, *rows = (tmp_path / "z.csv").read_text(encoding="utf-8").splitlines()
    assert header == "particle,z1,z2,z3,z4,z5,z6,z7,z8,PC1,PC2"
    assert len(rows) == 10
    assert rows[0].startswith("000001@a.mrcs,")
    np.testing.assert_allclose(
        read_states(tmp_path / "z.csv", 8), run_folder.load_latents().z, rtol=1e-5
    )
    assert run(["latents", str(run_folder.path), "-o", str(tmp_path / "z.npz")]) == 0
    np.testing.assert_array_equal(read_states(tmp_path / "z.npz", 8), run_folder.load_latents().z)


def test_latents_of_unknown_kind_or_epoch(
    run_folder: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["latents", str(run_folder.path), "-o", str(tmp_path / "z.xls")]) == 2
    assert ".csv" in one_line(capsys.readouterr().err)
    assert run(["latents", str(run_folder.path), "-o", "z.csv", "--epoch", "9"]) == 2
    assert "no latents of epoch 9" in one_line(capsys.readouterr().err)


def test_export_of_a_selection_as_numbers(run_folder: RunFolder, tmp_path: Path) -> None:
    out = tmp_path / "mine.txt"
    assert run(["export", str(run_folder.path), "--selection", "mine", "-o", str(out)]) == 0
    assert out.read_text(encoding="utf-8") == "0\n1\n2\n3\n"
    again = tmp_path / "again.txt"
    assert run(["export", str(run_folder.path), "--selection", str(out), "-o", str(again)]) == 0
    assert again.read_bytes() == out.read_bytes()


@pytest.mark.parametrize(
    ("selection", "out", "words"),
    [
        ("none", "a.star", "empty"),
        ("nobody", "a.star", "'mine', 'none'"),
        ("mine", "a.star", "--particles"),
        ("mine", "a.doc", ".star, .cs, .pkl, .txt"),
    ],
)
def test_what_cannot_be_exported(
    run_folder: RunFolder,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    selection: str,
    out: str,
    words: str,
) -> None:
    target = tmp_path / out
    code = run(["export", str(run_folder.path), "--selection", selection, "-o", str(target)])
    assert code == 2
    assert words in one_line(capsys.readouterr().err)
    assert not target.exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [("1\n10\n", "row 2: there is no particle 10"), ("x\n", "numbers"), ("1.5\n", "numbers")],
)
def test_files_of_particle_numbers_are_checked(
    run_folder: RunFolder,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    content: str,
    words: str,
) -> None:
    file = tmp_path / "numbers.txt"
    file.write_text(content, encoding="utf-8")
    arguments = ["--selection", str(file), "-o", str(tmp_path / "a.txt")]
    assert run(["export", str(run_folder.path), *arguments]) == 2
    assert words in one_line(capsys.readouterr().err)


def test_settings_are_json_or_text() -> None:
    texts = ["a=1", "b=0.5", "c=true", "d=[1,2]", "e=cuda:0", "f=a=b"]
    assert parse_settings(texts) == {
        "a": 1, "b": 0.5, "c": True, "d": [1, 2], "e": "cuda:0", "f": "a=b",
    }  # fmt: skip
    config = with_settings(
        preset(DEFAULT_PRESET), parse_settings(["encoder.widths=[64,32]", "device=cpu"])
    )
    assert config.encoder.widths == (64, 32)
    assert config.device == "cpu"


def test_a_resumed_run_keeps_its_settings(
    run_folder: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    from cryoscope.cli.train import _resumed

    assert _resumed(run_folder.path, None, {"optimiser.epochs": 30}) == preset(DEFAULT_PRESET)
    with pytest.raises(InputError, match=r"not started with optimiser\.epochs = 31"):
        _resumed(run_folder.path, None, {"optimiser.epochs": 31})


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", "1 2\n3 4\n", "2 x 2 numbers"),
        ("a.csv", "z1,z2\n1,2\n", "no latents"),
        ("a.txt", "1 2 nan\n", "row 1"),
        ("a.npy", "not an array", "no latents"),
        ("b.txt", None, "no such file"),
    ],
)
def test_files_of_states_are_checked(
    tmp_path: Path, name: str, content: str | None, words: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=words):
        read_states(tmp_path / name, 3)


def test_one_state_may_be_one_row(tmp_path: Path) -> None:
    np.save(tmp_path / "z.npy", np.arange(3.0))
    assert read_states(tmp_path / "z.npy", 3).shape == (1, 3)


def test_doctor_says_what_is_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from cryoscope.cli.doctor import machine, packages

    (found,) = packages(("numpy",), "cure")
    assert found.found == np.__version__
    (absent,) = packages(("no-such-package-xyz",), "install it")
    assert absent.cure == "install it"
    assert any("GB free" in finding.found for finding in machine(tmp_path))


def test_high_end_is_a_fifth() -> None:
    from cryoscope.cli.demo import high_end

    z = np.random.default_rng(0).normal(size=(1000, 4)).astype(np.float32)
    z[:100] = np.nan
    uid = np.arange(1000).astype(str)
    chosen = high_end(Latents(z, None, uid, "r", 1))
    assert len(chosen) == 180
    assert not chosen.mask[:100].any()
    json.dumps(chosen.made_by)


def test_commands_are_registered_once() -> None:
    names = [command.name for command in app.registered_commands]
    assert len(names) == len(set(names))


@pytest.mark.slow
def test_the_whole_path(tmp_path: Path) -> None:
    """Simulate, train, stop, resume, decode, export: each in a process of its own."""
    models = ROOT / "resources" / "structures"
    simulated = cryoscope(
        "simulate", "set", "--structure", models / "1ake_A.pdb", "--particles", "300",
        "--progress-json", cwd=tmp_path,
    )  # fmt: skip
    assert simulated.returncode == 0, simulated.stderr
    stages = [json.loads(line) for line in simulated.stdout.splitlines()]
    assert stages[-1] == {"stage": "simulating particles", "done": 300, "total": 300}
    star, reference = "set/particles.star", "set/reference.pdb"
    options = ["--structure", reference, "--out", "run", "--epochs", "2", "--set", "threads=1"]
    trained = cryoscope("train", star, *options, cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    assert "training    complete after 6 steps" in trained.stdout
    again = cryoscope("train", star, *options, cwd=tmp_path)
    assert again.returncode == 2
    assert "--resume" in again.stderr
    decoded = cryoscope("decode", "run", "--frames", "3", "-o", "states", cwd=tmp_path)
    assert decoded.returncode == 0, decoded.stderr
    names = {path.name for path in (tmp_path / "states").iterdir()}
    maps = {f"state-{number:03d}.mrc" for number in (1, 2, 3)}
    assert names == {"states.csv", "states.pdb", "motion.csv", *maps}
    per_particle = cryoscope("decode", "run", "--per-particle", "-o", "c.npy", cwd=tmp_path)
    assert per_particle.returncode == 0, per_particle.stderr
    coords_A = np.load(tmp_path / "c.npy", allow_pickle=False)
    assert coords_A.shape == (300, 214, 3)
    assert coords_A.dtype == np.float32
    (tmp_path / "some.txt").write_text("2\n5\n", encoding="utf-8")
    exported = cryoscope(
        "export", "run", "--selection", "some.txt", "-o", "set/sub.star", cwd=tmp_path
    )
    assert exported.returncode == 0, exported.stderr
    text = (tmp_path / "set" / "sub.star").read_text(encoding="utf-8")
    assert "000003@particles.mrcs" in text
    assert "000004@particles.mrcs" not in text
