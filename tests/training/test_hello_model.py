"""The example extension is installed and trained, as a user would, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.extension_installing import install_source

ROOT = Path(__file__).resolve().parents[2]
PROJECT = ROOT / "plugins" / "hello-model"
MOTION_EXPLAINED = 0.6


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables of a Python that has hello-model installed."""
    if not PROJECT.is_dir():
        pytest.skip("plugins/ is not in this checkout")
    target = tmp_path_factory.mktemp("site")
    install_source(PROJECT, target)
    paths = [str(target), str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def _cryoscope(environment: dict[str, str], *words: object) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "cryoscope", *map(str, words)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_model_is_about_eighty_lines() -> None:
    lines = (PROJECT / "hello_model" / "model.py").read_text("utf-8").splitlines()
    code = [line for line in lines if line.strip() and not line.strip().startswith(('"""', "#"))]
    assert len(code) <= 90


def test_the_doctor_lists_it(environment: dict[str, str]) -> None:
    said = _cryoscope(environment, "doctor")
    assert "cryoscope-hello-model 0.1.0" in said


def test_it_trains_decodes_and_finds_the_motion(
    environment: dict[str, str], tmp_path: Path
) -> None:
    structures = ROOT / "resources" / "structures"
    _cryoscope(
        environment, "simulate", tmp_path / "set",
        "--structure", structures / "1ake_A.pdb", "--to", structures / "4ake_A.pdb",
        "--particles", 600, "--box-px", 32, "--pixel-size-A", 3.2, "--snr", 1,
    )  # fmt: skip
    _cryoscope(
        environment, "train", tmp_path / "set" / "particles.star", "--preset", "hello-modes",
        "--out", tmp_path / "run", "--epochs", 20, "--set", "threads=1", "--device", "cpu",
    )  # fmt: skip
    _cryoscope(environment, "latents", tmp_path / "run", "-o", tmp_path / "z.npz")
    _cryoscope(environment, "decode", tmp_path / "run", "--pc", 1, "-o", tmp_path / "maps")
    assert len(list((tmp_path / "maps").glob("*.mrc"))) == 10
    z = np.load(tmp_path / "z.npz")["z"]
    t = np.load(tmp_path / "set" / "truth.npz")["t"]
    design = np.column_stack([z, np.ones(len(z))])
    fitted = design @ np.linalg.lstsq(design, t, rcond=None)[0]
    assert np.corrcoef(fitted, t)[0, 1] > MOTION_EXPLAINED
