"""The same maps as ``cryodrgn backproject_voxel``, run by its own interpreter."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from cryoscope.cli.entry import run
from cryoscope.io.mrc import read_volume
from cryoscope.io.relion import read_particles
from cryoscope.physics.fsc import shell_numbers
from cryoscope.session.reconstruct import reconstruct

BOX, PIXEL_A = 64, 2.4
_VARIABLE = "CRYOSCOPE_CRYODRGN_PYTHON"


@pytest.fixture
def cryodrgn() -> str:
    """The command of the installation that the environment names."""
    python = os.getenv(_VARIABLE)
    if not python:
        pytest.skip(f"{_VARIABLE} names no interpreter with cryoDRGN")
    return str(Path(python).parent / "cryodrgn")


def low_passed(volume: np.ndarray, share_of_nyquist: float) -> np.ndarray:
    spectrum = torch.fft.rfftn(torch.as_tensor(volume).double())
    spectrum[shell_numbers(len(volume)) > share_of_nyquist * len(volume) / 2] = 0
    return torch.fft.irfftn(spectrum, s=volume.shape).numpy()


@pytest.mark.slow
def test_maps_are_those_of_backproject_voxel(cryodrgn: str, tmp_path: Path) -> None:
    model = Path(__file__).resolve().parents[2] / "resources" / "structures" / "1ake_A.pdb"
    folder = tmp_path / "set"
    options = ["--particles", "1500", "--box-px", str(BOX), "--pixel-size-A", str(PIXEL_A)]
    assert run(["simulate", str(folder), "--structure", str(model), *options]) == 0
    star = folder / "particles.star"

    def call(*words: str) -> None:
        subprocess.run([cryodrgn, *words], check=True, capture_output=True, timeout=500)

    size = ["-D", str(BOX), "--Apix", str(PIXEL_A)]
    poses, ctf = str(tmp_path / "pose.pkl"), str(tmp_path / "ctf.pkl")
    call("parse_pose_star", str(star), *size, "-o", poses)
    call("parse_ctf_star", str(star), *size, "-o", ctf)
    files = ["--poses", poses, "--ctf", ctf, "-o", str(tmp_path / "theirs"), "--no-half-maps"]
    # with --uninvert-data bright protein comes out negative: left alone, its map is positive
    call("backproject_voxel", str(folder / "particles.mrcs"), *files)
    theirs = read_volume(tmp_path / "theirs" / "backproject.mrc")
    assert theirs.voxel_size_A == pytest.approx(PIXEL_A, rel=1e-4)
    particles = read_particles(star)
    for regularisation in (0.3, 1.0):
        ours = reconstruct(particles, control=False, regularisation=regularisation).full.values
        pair = [low_passed(one, 0.5).ravel() for one in (ours, theirs.values)]
        assert np.corrcoef(pair[0], pair[1])[0, 1] > 0.99
