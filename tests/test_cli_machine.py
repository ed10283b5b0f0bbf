"""What the command line says of itself and its machine: progress, Ctrl-C, doctor, no window."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cryoscope.cli import console, doctor
from cryoscope.cli.console import StageProgress, stop_on_interrupt
from cryoscope.cli.entry import run
from cryoscope.session.extensions import look_at_all

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard error is a terminal of a hundred columns, as far as rich can tell."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("NO_COLOR", raising=False)


@pytest.mark.usefixtures("terminal")
def test_a_terminal_gets_bars_with_counts_and_lines_that_stay(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with StageProgress() as progress:
        progress.update("reading", 0, 0)
        progress.say("kept [214] residues")  # no markup: brackets stay
        progress.update("training", 1_500, 3_000, "loss 1.25")
    said = capsys.readouterr().err
    for words in ("reading", "kept [214] residues", "training", "1,500 / 3,000", "loss 1.25"):
        assert words in said


def test_a_log_gets_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 100.0
    monkeypatch.setattr(console, "time", SimpleNamespace(monotonic=lambda: now_s))
    with StageProgress() as progress:
        progress.update("starting", 0, 0)  # not counted: nothing to say
        progress.update("training", 1, 9, "loss 3")
        progress.update("training", 2, 9)
        now_s += console.PLAIN_EVERY_S
        progress.update("training", 3, 9)
        progress.update("training", 9, 9)  # the end is always said
        progress.update("counting", 12, 0)
        progress.say("done")
    assert capsys.readouterr().err.splitlines() == [
        "training  1 / 9  loss 3", "training  3 / 9", "training  9 / 9", "counting  12", "done",
    ]  # fmt: skip


def test_the_first_ctrl_c_asks_and_the_second_ends(capsys: pytest.CaptureFixture[str]) -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    asked: list[int] = []
    with stop_on_interrupt(lambda: asked.append(1), "saving a checkpoint") as interrupt:
        assert not interrupt.asked
        signal.raise_signal(signal.SIGTERM)
        assert interrupt.asked
        signal.raise_signal(signal.SIGTERM)  # a batch system says it twice
        assert asked == [1]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert asked == [1]
    assert capsys.readouterr().err.count("stopping, saving a checkpoint") == 1
    assert [signal.getsignal(number) for number in SIGNALS] == before


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No display, and no programs but those put into the folder."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    return tmp_path


def program(file: Path) -> None:
    file.write_text("#!/bin/sh\n")
    file.chmod(0o755)


def test_doctor_looks_everywhere_and_says_what_to_do(
    bare: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["doctor"]) == 0
    said = capsys.readouterr().out
    for what in ("cryoscope", "Python", "numpy", "torch", "device", "threads", "disk", "display"):
        assert any(line.startswith(f"{what} ") for line in said.splitlines()), what
    found, _, cures = said.partition("\nWhat to do:\n")
    assert "none (no xvfb-run either)" in found
    assert "  display: work without the window" in cures
    program(bare / "xvfb-run")
    assert doctor._display()[0].found == "none (xvfb-run is installed)"


@pytest.mark.parametrize(
    ("answer", "found", "cure"),
    [
        (("4.5 Mesa\n", ""), "4.5 Mesa", False),
        (("", "a\nno GLX\n"), "does not work: no GLX", True),
        (("", ""), "does not work: the probe crashed", True),
        (None, "does not work: no answer", True),
    ],
)
def test_doctor_tells_what_opengl_answers(
    answer: tuple[str, str] | None, found: str, cure: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def probe(command: list[str], **given: Any) -> Any:
        assert command[1:] == ["-m", "cryoscope.app.opengl"]
        if answer is None:
            raise doctor.subprocess.TimeoutExpired(command, given["timeout"])
        return SimpleNamespace(stdout=answer[0], stderr=answer[1])

    monkeypatch.setenv("DISPLAY", ":7")
    monkeypatch.setattr(doctor.subprocess, "run", probe)
    (finding,) = doctor._display()
    assert (finding.what, finding.found, bool(finding.cure)) == ("OpenGL", found, cure)


def test_doctor_knows_gpus_and_drivers_that_do_not_fit(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    assert doctor._computing()[0].cure == "" or torch.cuda.is_available()
    program(bare / "nvidia-smi")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    for built, words in ((None, "install its CUDA build"), ("12.8", "driver for CUDA 12.8")):
        monkeypatch.setattr(torch.version, "cuda", built)
        assert words in doctor._computing()[0].cure
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    sizes = [4e9, 80e9]
    about = [SimpleNamespace(name=f"GPU {n}", total_memory=size) for n, size in enumerate(sizes)]
    monkeypatch.setattr(torch.cuda, "get_device_properties", about.__getitem__)
    finding = doctor._computing()[0]
    assert finding.found == "cuda:0 GPU 0, 4 GB; cuda:1 GPU 1, 80 GB"
    assert "smaller box" in finding.cure


@pytest.mark.parametrize("enough", [True, False])
def test_doctor_weighs_memory_and_disk(
    enough: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size_GB = 100 if enough else 1
    monkeypatch.setattr(doctor, "memory_GB", lambda: float(size_GB))
    usage = SimpleNamespace(free=size_GB * 10**9)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda folder: usage)
    memory, disk = doctor.machine(tmp_path)
    assert (memory.found, disk.found) == (f"{size_GB} GB", f"{size_GB} GB free in {tmp_path}")
    assert bool(memory.cure) is bool(disk.cure) is not enough
    monkeypatch.setattr(doctor, "memory_GB", lambda: None)
    assert [finding.what for finding in doctor.machine(tmp_path)] == ["disk"]


def test_doctor_names_extensions_that_do_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [finding.what for finding in doctor.extensions()] == [
        f"{one.kind} {one.name}" for one, _ in look_at_all()
    ]
    good = SimpleNamespace(kind="model", name="m", distribution="hello")
    bad = SimpleNamespace(kind="reader", name="r", distribution="broken")
    monkeypatch.setattr(
        "cryoscope.session.extensions.look_at_all", lambda: [(good, ""), (bad, "no module x")]
    )
    first, second = doctor.extensions()
    assert (first.found, first.cure) == ("hello (extension)", "")
    assert (second.found, second.cure) == (
        "broken: skipped, no module x",
        "update or remove broken",
    )


@pytest.mark.parametrize("arguments", [[], ["demo"], ["view"]])
def test_without_the_windows_packages_the_cure_is_said(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "cryoscope.app.main", None)
    assert run(arguments) == 2
    said = capsys.readouterr().err
    assert "cryoscope.app.main is missing" in said
    assert "pip install 'cryoscope[app]'" in said


def test_the_window_is_given_what_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[list[Path], dict[str, object]]] = []

    def open_window(paths: list[Path], **given: object) -> int:
        asked.append((paths, given))
        return 3

    opened: Callable[..., int] = open_window
    monkeypatch.setitem(sys.modules, "cryoscope.app.main", SimpleNamespace(open_window=opened))
    assert run(["view", str(tmp_path), "--screenshot", "a.png"]) == 3
    ((paths, given),) = asked
    assert paths == [tmp_path]
    assert given["screenshot"] == Path("a.png")
    assert given["demo"] is None
