"""`cryoscope convert` and exports for cryoDRGN and cryoSPARC, as a user types them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cryoscope.cli.entry import run
from cryoscope.data import Latents
from cryoscope.io.cryodrgn_files import read_indices, write_indices, write_z
from cryoscope.io.latents_file import read_latents, write_latents
from cryoscope.io.particles_file import read_any, read_metadata
from tests.damage import PARTICLES
from tests.io.test_cryosparc import project, records


def test_particles_for_cryodrgn_and_back(here: Path) -> None:
    assert run(["convert", "particles.star", "drgn"]) == 0
    assert sorted(p.name for p in Path("drgn").iterdir()) == ["ctf.pkl", "pose.pkl"]
    star = read_any("particles.star")
    again = read_any("particles.mrcs", pose="drgn/pose.pkl", ctf="drgn/ctf.pkl")
    assert star.poses is not None
    assert again.poses is not None
    np.testing.assert_array_equal(again.poses.rotation, star.poses.rotation)
    np.testing.assert_allclose(again.poses.shift_A, star.poses.shift_A, atol=1e-5)
    np.testing.assert_allclose(again.ctf.defocus_u_A, star.ctf.defocus_u_A, rtol=1e-6)
    assert run(["convert", "particles.star", "my_pose.pkl"]) == 0
    assert Path("my_pose.pkl").read_bytes() == Path("drgn/pose.pkl").read_bytes()


def test_selection_as_indices(here: Path) -> None:
    Path("some.txt").write_text("3\n1\n")
    assert run(["export", "earlier", "--selection", "some.txt", "-o", "ind.pkl"]) == 0
    assert read_indices("ind.pkl", PARTICLES).tolist() == [1, 3]
    assert run(["export", "earlier", "--selection", "ind.pkl", "-o", "some.star"]) == 0
    assert len(read_any("some.star")) == 2
    assert run(["export", "earlier", "--selection", "ind.pkl", "-o", "some.cs"]) == 2
    assert not Path("some.cs").exists()


def test_cryosparc(tmp_path: Path) -> None:
    cs = project(tmp_path, records())
    assert run(["convert", str(cs), str(tmp_path / "out.star")]) == 0
    star, ours = read_metadata(tmp_path / "out.star"), read_metadata(cs)
    assert star.image_names == ours.image_names
    assert star.poses is not None
    assert ours.poses is not None
    np.testing.assert_allclose(star.poses.rotation, ours.poses.rotation, atol=1e-6)
    np.testing.assert_allclose(star.poses.shift_A, ours.poses.shift_A, atol=1e-5)


def test_latents_and_indices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    z = np.arange(6, dtype=np.float32).reshape(3, 2)
    write_z(tmp_path / "z.7.pkl", z, z)
    assert run(["convert", "z.7.pkl", "z.npz"]) == 0
    assert read_latents(tmp_path / "z.npz").epoch == 7
    assert run(["convert", "z.npz", "again.pkl"]) == 0
    assert run(["convert", "z.7.pkl", "z.csv"]) == 0
    assert Path("z.csv").read_text().startswith("particle,z1,z2")
    write_indices(tmp_path / "ind.pkl", np.array([5, 2]))
    assert run(["convert", "ind.pkl", "ind.txt"]) == 0
    assert Path("ind.txt").read_text() == "5\n2\n"
    assert run(["convert", "ind.txt", "again_ind.pkl"]) == 0
    assert read_indices(tmp_path / "again_ind.pkl").tolist() == [5, 2]
    write_latents(tmp_path / "z.npz", Latents(z, None, np.array(["a", "b", "c"]), "r", 1))
    assert run(["convert", "z.npz", "z.npz"]) == 2


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["particles.star", "out.xyz"], "not clear what to write"),
        (["particles.star", "out.pkl"], "not clear what to write"),
        (["missing.star", "out"], "no such file"),
        (["reference.pdb", "out"], "cannot be converted"),
        (["earlier", "out"], "only runs of the volume model"),
        (["earlier", "out.csv", "--epoch", "99"], "no latents of epoch 99"),
    ],
)
def test_bad_conversions(
    here: Path, capsys: pytest.CaptureFixture[str], words: list[str], problem: str
) -> None:
    before = {path.name for path in here.iterdir()}
    assert run(["convert", *words]) == 2
    assert problem in capsys.readouterr().err
    assert {path.name for path in here.iterdir()} == before
