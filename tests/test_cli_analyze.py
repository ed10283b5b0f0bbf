"""``cryoscope analyze`` and ``cryoscope landscape`` on a small trained run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cryoscope.cli.entry import run
from cryoscope.io.mrc import read_volume
from cryoscope.io.structures import read_models
from tests.damage import BOX_PX, PARTICLES, files


def test_analyze_a_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["analyze", "earlier", "-o", "found", "--clusters", "2", "--frames", "3"]
    code = run([*words, "--pcs", "1", "--anchors", "0,5", "--json", "figures.json"])
    said = capsys.readouterr()
    assert code == 0, said.err
    assert "clusters            2" in said.out
    names = {path.name for path in Path("found").iterdir()}
    assert names >= {"particles.csv", "clusters", "pc1", "path", "pca.png", "summary.json"}
    assert len(read_models("found/pc1/states.pdb").coords_A) == 3
    assert read_volume("found/pc1/state-01.mrc").values.shape == (BOX_PX,) * 3
    assert json.loads(Path("figures.json").read_text())["particles"] == PARTICLES


def test_landscape_of_a_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["landscape", "earlier", "--sketch", "12", "--states", "2", "--box-px", "16"]
    words += ["--samples", "6", "--components", "3"]
    assert run(words) == 0, capsys.readouterr().err
    assert "states                   2" in capsys.readouterr().out
    folder = Path("earlier/landscape")
    mean = read_volume(folder / "state-01-mean.mrc")
    whole = read_volume(folder / "mask.mrc")
    assert mean.values.shape == whole.values.shape == (16,) * 3
    assert mean.voxel_size_A == pytest.approx(3.2 * BOX_PX / 16)
    rows = [np.loadtxt(folder / f"state-0{i}.txt", dtype=int, ndmin=1) for i in (1, 2)]
    assert sorted(np.concatenate(rows).tolist()) == list(range(PARTICLES))
    # The states' lists go back to the particle file.
    assert len(read_models(folder / "states.pdb").coords_A) == 2
    words = ["export", "earlier", "--selection", str(folder / "state-01.txt"), "-o", "one.star"]
    assert run([*words, "--particles", "particles.star"]) == 0, capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["analyze", "earlier", "--clusters", "500"], "500 clusters cannot be made of"),
        (["analyze", "earlier", "--anchors", "1,x"], "not particle numbers"),
        (["analyze", "nowhere"], "not a run folder"),
        (["landscape", "earlier"], "a sketch of 500 cannot be made of"),
        (["landscape", "earlier", "--box-px", "300"], "even box"),
        (["landscape", "nowhere"], "not a run folder"),
    ],
)
def test_bad_input(
    words: list[str], said: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(Path())
    assert run(words) == 2
    error = capsys.readouterr().err.strip()
    assert said in error
    assert "\n" not in error
    left = set(files(Path())) - set(before)
    assert left <= {"earlier/landscape", "earlier/landscape/stages"}
