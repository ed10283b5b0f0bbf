"""``cryoscope import-selection`` and what ``export`` and ``latents`` hand on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cryoscope.cli.entry import run
from cryoscope.data import Selection
from cryoscope.io.run_folder import RunFolder

KINDS = ("star", "txt", "pkl", "json", "csv", "parquet")


def ours(*arguments: object) -> int:
    return run([str(one) for one in arguments])


@pytest.fixture
def folder(here: Path) -> RunFolder:
    """A run with a selection."""
    opened = RunFolder.open(here / "earlier")
    count = len(opened.load_latents())
    opened.save_selections([Selection("open state", np.arange(count) % 3 == 1, "#123456", "note")])
    return opened


def test_there_and_back(folder: RunFolder, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = folder.load_selections()[0]
    kinds = [k for k in KINDS if k != "parquet" or pytest.importorskip("pyarrow")]
    for kind in kinds:
        out = here / f"kept.{kind}"
        extra = ["--columns", "z,cluster,selection"] if kind == "star" else []
        assert ours("export", folder.path, "--selection", "open state", "-o", out, *extra) == 0
        assert ours("import-selection", folder.path, out, "--as", f"from {kind}") == 0
        assert ours("export", folder.path, "--selection", out, "-o", here / "again.txt") == 0
        numbers = np.loadtxt(here / "again.txt", dtype=int)
        np.testing.assert_array_equal(numbers, np.flatnonzero(wanted.mask))
    made = folder.load_selections()
    assert [one.name for one in made] == ["open state", *(f"from {kind}" for kind in kinds)]
    for one in made[1:]:
        np.testing.assert_array_equal(one.mask, wanted.mask)
    text = capsys.readouterr().out
    assert "rows of particles.star, in its order: " in text
    assert f"from csv: {len(wanted):,} of {len(wanted.mask):,} particles" in text
    star = (here / "kept.star").read_text()
    for column in ("_cryoscopeZ1", "_cryoscopeCluster", "_cryoscopeSelection_open_state"):
        assert column in star


def test_the_table_of_all_particles(folder: RunFolder, here: Path) -> None:
    out = here / "all.csv"
    assert ours("latents", folder.path, "-o", out, "--covariates") == 0
    head = out.read_text().splitlines()[0].split(",")
    assert {"particle", "z1", "PC2", "defocus_u_A", "selection: open state"} <= set(head)
    assert ours("import-selection", folder.path, out, "--name", "open state") == 0
    first, second = folder.load_selections()
    np.testing.assert_array_equal(first.mask, second.mask)
    assert second.name == "open state 2"
    assert ours("export", folder.path, "--selection", "all", "-o", here / "all.star") == 0
    own = [line for line in (here / "particles.star").read_text().splitlines() if "@" in line]
    assert [line for line in (here / "all.star").read_text().splitlines() if "@" in line] == own


def test_refusals(folder: RunFolder, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (here / "particles.star").read_text()
    (here / "others.star").write_text(text.replace("@particles", "@others"))
    (here / "z.npy").write_bytes(b"PK\x03\x04 an archive")
    np.savez(here / "archive.npz", a=np.arange(3))
    (here / "archive.npz").rename(here / "b.npy")
    np.save(here / "objects.npy", np.array([{}]), allow_pickle=True)
    huge = (
        b"\x93NUMPY\x01\x00v\x00"
        + b"{'descr': '<i8', 'fortran_order': False, 'shape': (1000000000000,), }"
    )
    (here / "huge.npy").write_bytes(huge.ljust(127) + b"\n")
    for file, words in (
        ("others.star", "others.star, row 1: image "),
        ("z.npy", "no particle numbers"),
        ("b.npy", "no particle numbers"),
        ("objects.npy", "no particle numbers"),
        ("huge.npy", "no particle numbers"),
        ("absent.csv", "no such file"),
    ):
        assert ours("import-selection", folder.path, here / file) == 2
        assert words in capsys.readouterr().err, file
    for file in ("z.npy", "b.npy", "objects.npy", "huge.npy"):
        code = ours("export", folder.path, "--selection", here / file, "-o", here / "x.txt")
        assert code == 2
        assert "does not hold numbers" in capsys.readouterr().err, file
    columns = ("export", folder.path, "--selection", "open state", "-o", here / "x.star")
    assert ours(*columns, "--columns", "z,nonsense") == 2
    assert "no column 'nonsense'" in capsys.readouterr().err
    assert not (here / "x.star").exists()
    assert len(folder.load_selections()) == 1
