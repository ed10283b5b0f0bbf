"""What a hostile but honest user does: one line that names file, row and cure, and exit code 2."""

from __future__ import annotations

import errno
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from cryoscope.cli.entry import run
from cryoscope.data import Volume
from cryoscope.io.mrc import write_volume
from cryoscope.io.run_folder import RunFolder
from cryoscope.io.stack import StackWriter
from tests.damage import (
    BOX_PX,
    INPUT,
    OTHER_GROUP,
    PARTICLES,
    Damage,
    edit,
    edit_atoms,
    files,
    overwrite,
    without_anchors,
)

TRAIN = ["train", "particles.star", "--structure", "reference.pdb", "--out", "run"]
TRAIN += ["--box-px", str(BOX_PX), "--epochs", "1", "--set", "threads=1", "--device", "cpu"]


def refused(
    arguments: list[str], folder: Path, capsys: pytest.CaptureFixture[str], *words: str
) -> None:
    """The command ends with code 2 and one line that holds ``words``, and leaves nothing."""
    before = files(folder)
    capsys.readouterr()
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    # Where images are at fault, the size of the cache has been said before they were read.
    said = captured.err.strip().splitlines()
    lines = [line for line in said if not line.startswith("preparing particles (cache of ")]
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("cryoscope: ")
    for word in words:
        assert word in lines[0], lines[0]
    assert files(folder) == before


@pytest.mark.parametrize("case", INPUT)
def test_train(case: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damage, words = INPUT[case]
    damage(here)
    refused(TRAIN, here, capsys, *words)


ARGUMENTS: dict[str, tuple[list[str], tuple[str, ...]]] = {
    "missing structure": ([*TRAIN, "--structure", "no.pdb"], ("no.pdb", "no such file")),
    "no structure": ([*TRAIN[:2], *TRAIN[4:]], ("--structure",)),
    "no such device": ([*TRAIN, "--device", "cuda:99"], ("cuda:99", "cpu")),
    "box too large": ([*TRAIN, "--box-px", "64"], ("particles.star", "32 px", "--box-px")),
    "a run is there": ([*TRAIN, "--out", "earlier"], ("earlier", "--resume")),
    "a file is there": ([*TRAIN, "--out", "truth.npz"], ("truth.npz", "another --out")),
    "simulate a file": (["simulate", "truth.npz", "--structure", "reference.pdb"], ("truth.npz",)),
    "simulate over others": (["simulate", "earlier", "--structure", "reference.pdb"], ("earlier",)),
    "decode onto a file": (["decode", "earlier", "-o", "truth.npz"], ("truth.npz", "a file")),
    "decode below a file": (["decode", "earlier", "-o", "truth.npz/x"], ("no folder truth.npz",)),
    "decode over others": (["decode", "earlier", "-o", "earlier"], ("earlier", "not empty")),
    "no such component": (["decode", "earlier", "--pc", "0", "-o", "d"], ("--pc",)),
    "view nothing": (["view", "no.star"], ("no.star", "no such file")),
    "latents nowhere": (["latents", "earlier", "-o", "no/z.csv"], ("no/z.csv", "Create it")),
}


@pytest.mark.parametrize("case", ARGUMENTS)
def test_arguments(case: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, words = ARGUMENTS[case]
    refused(arguments, here, capsys, *words)


def test_simulate_refuses_structures(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["simulate", "out", "--structure", "reference.pdb", "--particles", "9"]
    refused([*command, "--box-px", "16", "--pixel-size-A", "1"], here, capsys, "outside the box")
    INPUT["structure with no CA"][0](here)
    refused(command, here, capsys, "reference.pdb", "no CA atom", "protein")


@pytest.mark.parametrize("numbers", ["", "3\n24\n", "x\n"], ids=["empty", "beyond", "words"])
def test_export_refuses_selections(
    numbers: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "some.txt").write_text(numbers, encoding="utf-8")
    command = ["export", "earlier", "--selection", "some.txt", "-o", "out.star"]
    words = {"": ("selection is empty",), "3\n24\n": ("some.txt, row 2", "from 0 to 23")}
    refused([*command, "--particles", "particles.star"], here, capsys, *words.get(numbers, ()))


@pytest.mark.parametrize("command", ["latents", "decode", "export", "train"])
def test_a_run_of_a_newer_version(
    command: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit("earlier/run.json", '"format": 1', '"format": 9')(here)
    arguments = {
        "latents": ["latents", "earlier", "-o", "z.csv"],
        "decode": ["decode", "earlier", "-o", "states"],
        "export": ["export", "earlier", "--selection", "a", "-o", "a.star"],
        "train": [*TRAIN, "--out", "earlier", "--resume"],
    }
    refused(arguments[command], here, capsys, "earlier", "format 9", "Update Cryoscope")


def test_a_damaged_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit("earlier/run.json", "pixel_size_A", "pixel_size")(here)
    refused(["decode", "earlier", "-o", "d"], here, capsys, "run.json", "pixel_size_A", "Restore")


COMMANDS_THAT_WRITE = {
    "train": (TRAIN, "here/run"),
    "simulate": (["simulate", "out", "--structure", "reference.pdb", "--particles", "9"], "out"),
    "latents": (["latents", "earlier", "-o", "z.csv"], "z.csv"),
    "decode": (["decode", "earlier", "-o", "states"], "states"),
    "per particle": (["decode", "earlier", "--per-particle", "-o", "c.npy"], "c.npy"),
}


@pytest.mark.parametrize("case", COMMANDS_THAT_WRITE)
@pytest.mark.parametrize(
    ("number", "words"), [(errno.EROFS, "not writable"), (errno.ENOSPC, "disk is full")]
)
def test_nothing_can_be_written(
    case: str,
    number: int,
    words: str,
    here: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments, name = COMMANDS_THAT_WRITE[case]

    def fail(*args: object, **options: object) -> None:
        raise OSError(number, "no")

    for method in ("touch", "mkdir"):
        monkeypatch.setattr(Path, method, fail)
    monkeypatch.setattr("cryoscope.io.atomic.tempfile.TemporaryFile", fail)
    refused(arguments, here, capsys, name, words, "--out")


def test_disk_too_small_for_the_cache(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage(free=1_000_000))
    refused(TRAIN, here, capsys, "cryoscope-cache", "34 MB", "1 MB are free", "data.cache_dir")


def test_disk_full_half_way_through_maps(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Path] = []

    def fail_third(path: Path, volume: Volume) -> None:
        written.append(path)
        if len(written) == 3:
            from cryoscope.io.atomic import explain_os_errors

            with explain_os_errors(path):
                raise OSError(errno.ENOSPC, "no")
        write_volume(path, volume)

    monkeypatch.setattr("cryoscope.io.mrc.write_volume", fail_third)
    before = files(here)
    assert run(["decode", "earlier", "-o", "states"]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert f"states{'/'}state-003.mrc: the disk is full" in last.replace("\\", "/")
    assert files(here) == before


def test_a_stopped_simulation_leaves_nothing(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(self: StackWriter, images: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(StackWriter, "append", interrupt)
    before = files(here)
    assert run(["simulate", "out", "--structure", "reference.pdb", "--particles", "9"]) == 130
    assert files(here) == before
    assert "Traceback" not in capsys.readouterr().err


def in_a_project(folder: Path) -> None:
    """Stacks are named from the RELION project's folder, two folders above the particle file."""
    job = folder / "Extract" / "job003"
    job.mkdir(parents=True)
    (folder / "particles.mrcs").rename(job / "particles.mrcs")
    star = folder / "particles.star"
    text = star.read_text(encoding="utf-8")
    star.write_text(text.replace("@particles", "@Extract/job003/particles"), encoding="utf-8")


def windows_line_ends(folder: Path) -> None:
    star = folder / "particles.star"
    star.write_bytes(star.read_bytes().replace(b"\n", b"\r\n"))


ODD_BUT_USABLE: dict[str, Damage] = {
    "zero voxel size of the stack": overwrite("particles.mrcs", 40, bytes(12)),
    "an optics group that is not used": edit(
        "particles.star", "opticsGroup1\t1\t", OTHER_GROUP.format("1.0", "48")
    ),
    "stacks of a RELION project": in_a_project,
    "Windows line ends": windows_line_ends,
    "residues without a CA": without_anchors,
    "one residue": edit_atoms(lambda line: line if int(line[22:26]) == 1 else ""),
}


@pytest.mark.parametrize("case", ODD_BUT_USABLE)
def test_odd_but_usable(case: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ODD_BUT_USABLE[case](here)
    assert run(TRAIN) == 0
    errors = capsys.readouterr().err
    left_out = "reference.pdb: 7 residues left out of the model (B 1 ALA, B 2 ALA"
    assert (left_out in errors) == (case == "residues without a CA")
    assert RunFolder.open(here / "run").load_latents().z.shape[0] == PARTICLES


def test_a_run_killed_before_its_first_checkpoint_starts_again(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(TRAIN) == 0
    shutil.rmtree(here / "run" / "checkpoints")
    (here / "run" / "checkpoints").mkdir()
    (here / "run" / "reference.pdb").unlink()
    assert run([*TRAIN, "--resume"]) == 0
    assert "training    complete" in capsys.readouterr().out
    kinds = [event["kind"] for event in RunFolder.open(here / "run").read_events()]
    assert kinds.count("run_finished") == 1
    assert run(["decode", "run", "--frames", "2", "-o", "states"]) == 0
