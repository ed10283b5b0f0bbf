"""Against cryoDRGN itself: its parsers, its maps from our decoder, our runs in its commands."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from cryoscope.cli.entry import run
from cryoscope.data import CTFParams, Latents, Optics, Particles, ParticleSource, Poses
from cryoscope.io.cryodrgn_files import write_indices
from cryoscope.io.cryodrgn_run import CryodrgnRun
from cryoscope.io.particles_file import read_any, read_metadata
from cryoscope.io.relion import write_particle_star
from cryoscope.io.safe_pickle import read_pickles
from cryoscope.io.stack import StackWriter
from cryoscope.models.volume_field import VolumeField
from cryoscope.training.cryodrgn_export import write_cryodrgn_run
from cryoscope.training.cryodrgn_model import load_cryodrgn_decoder
from cryoscope.training.model_config import VolumeConfig

pytestmark = pytest.mark.slow
COUNT, BOX, PIXEL_A = 40, 16, 6.0
Program = Callable[..., None]


@pytest.fixture(scope="module")
def cryodrgn() -> Program:
    """Runs ``cryodrgn`` or ``cryodrgn_utils``."""
    python = os.getenv("CRYOSCOPE_CRYODRGN_PYTHON")
    if not python:
        pytest.skip("CRYOSCOPE_CRYODRGN_PYTHON does not name a Python that has cryoDRGN")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}

    def call(*words: str | Path, cwd: Path, program: str = "cryodrgn") -> None:
        command = [str(Path(python).parent / program), *map(str, words)]
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]

    return call


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small set with poses, shifts and CTF, and our conversion of it for cryoDRGN."""
    folder = tmp_path_factory.mktemp("project")
    random = np.random.default_rng(0)
    with StackWriter(folder / "p.mrcs", BOX, PIXEL_A, count=COUNT) as writer:
        writer.append(random.normal(size=(COUNT, BOX, BOX)))
    poses = Poses(
        Rotation.random(COUNT, random_state=1).as_matrix(), random.uniform(-9, 9, (COUNT, 2))
    )
    particles = Particles(
        images=read_none(),
        optics=(Optics(PIXEL_A, BOX),),
        ctf=CTFParams.uniform(COUNT, random.uniform(1e4, 2e4, COUNT), astigmatism_A=300),
        poses=poses,
        half_set=np.ones(COUNT, dtype=np.int8),
        uid=np.arange(COUNT).astype(np.str_),
        source=ParticleSource(folder / "p.star", np.arange(COUNT)),
    )
    write_particle_star(folder / "p.star", particles, [f"{i + 1:06d}@p.mrcs" for i in range(COUNT)])
    assert run(["convert", str(folder / "p.star"), str(folder / "ours")]) == 0
    write_indices(folder / "ind.pkl", np.arange(5, 35))
    return folder


def read_none() -> object:
    """Images that nobody asks for."""
    return object()


@pytest.fixture(scope="module")
def trained(cryodrgn: Program, project: Path) -> Path:
    """Runs of cryoDRGN on our pose.pkl, ctf.pkl and ind.pkl."""
    inputs = ("p.mrcs", "--poses", "ours/pose.pkl", "--ctf", "ours/ctf.pkl", "--ind", "ind.pkl")
    common = ("-b", "8", "--no-amp", "--enc-dim", "8", "--dec-dim", "12", "--no-analysis")
    cryodrgn("train_vae", *inputs, *common, "--zdim", "2", "-n", "2", "-o", "vae", cwd=project)
    hartley = ("--pe-type", "geom_lowf", "--domain", "hartley", "--dec-layers", "2")
    words = (*inputs, *common, *hartley, "--zdim", "1", "-n", "1", "-o", "geom")
    cryodrgn("train_vae", *words, cwd=project)
    return project


def values(path: Path) -> NDArray[np.float32]:
    with mrcfile.open(path) as file:
        assert float(file.voxel_size.x) == pytest.approx(PIXEL_A)
        return np.array(file.data)


def within_nyquist(volume: NDArray[np.float32]) -> NDArray[np.float64]:
    k = np.fft.fftfreq(len(volume))
    inside = k[:, None, None] ** 2 + k[:, None] ** 2 + k**2 <= 0.25 * (1 + 1e-6)
    return np.fft.ifftn(np.fft.fftn(volume) * inside).real


def assert_same_map(ours: NDArray[np.float32], theirs: NDArray[np.floating]) -> None:
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.999
    assert float(ours.std() / theirs.std()) == pytest.approx(1, abs=2e-3)


def compare_parsed(ours: Path, pose: Path, ctf: Path) -> None:
    mine, them = (read_pickles(file)[0] for file in (ours / "pose.pkl", pose))
    np.testing.assert_allclose(mine[0], them[0], atol=1e-6 if them[0].dtype == np.float32 else 0)
    np.testing.assert_allclose(mine[1], them[1], atol=1e-7, rtol=1e-6)
    mine, them = (read_pickles(file)[0] for file in (ours / "ctf.pkl", ctf))
    np.testing.assert_allclose(mine, np.nan_to_num(them), rtol=2e-7, atol=1e-5)


def test_our_tables_are_theirs(cryodrgn: Program, project: Path) -> None:
    cryodrgn("parse_pose_star", "p.star", "-o", "pose.pkl", cwd=project)
    cryodrgn("parse_ctf_star", "p.star", "-o", "ctf.pkl", cwd=project)
    compare_parsed(project / "ours", project / "pose.pkl", project / "ctf.pkl")


# cryoDRGN does not look into the stack for the box size.
@pytest.mark.parametrize(
    ("name", "box"),
    [
        ("particles/relion31_5/relion31.star", ()),
        ("particles/aspire_17/particles_relion31.star", ("-D", "200")),
        ("metadata/relion31.6opticsgroups.star", ()),
    ],
)
def test_real_star_files(
    cryodrgn: Program, fixtures_dir: Path, tmp_path: Path, name: str, box: tuple[str, ...]
) -> None:
    star = fixtures_dir / name
    assert run(["convert", str(star), str(tmp_path / "ours")]) == 0
    cryodrgn("parse_pose_star", star, "-o", "pose.pkl", *box, cwd=tmp_path)
    cryodrgn("parse_ctf_star", star, "-o", "ctf.pkl", "--ps", "0", *box, cwd=tmp_path)
    compare_parsed(tmp_path / "ours", tmp_path / "pose.pkl", tmp_path / "ctf.pkl")


def test_maps_are_those_of_eval_vol(cryodrgn: Program, trained: Path) -> None:
    # Outside of the Nyquist sphere cryoDRGN's Hartley networks give what was never trained.
    for name, epoch, z in (("vae", 2, [0.5, -0.3]), ("geom", 1, [0.7])):
        words = (f"{name}/weights.{epoch}.pkl", "-c", f"{name}/config.yaml", "--Apix", PIXEL_A)
        cryodrgn("eval_vol", *map(str, words), "-z", *map(str, z), "-o", "x.mrc", cwd=trained)
        decoder = load_cryodrgn_decoder(trained / name)
        volume = decoder.volume(np.array(z))
        assert volume.voxel_size_A == pytest.approx(PIXEL_A)
        assert_same_map(volume.values, within_nyquist(values(trained / "x.mrc")))


def test_latents_and_inputs_of_their_run(trained: Path) -> None:
    found = CryodrgnRun.open(trained / "vae")
    assert found.epochs() == [1, 2]
    assert found.newest_epoch() == 2
    latents = found.latents()
    assert latents.uid[0] == "000006@p.mrcs"
    assert latents.z.shape == (30, 2)
    assert latents.log_var is not None
    poses, original = found.poses(), read_any(trained / "p.star").poses
    assert poses is not None
    assert original is not None
    np.testing.assert_allclose(poses.shift_A, original.shift_A[5:35], atol=1e-5)


@pytest.mark.parametrize(
    ("domain", "encoding", "residual"),
    [("fourier", "gaussian", True), ("hartley", "geometric-low", False)],
)
def test_our_run_in_their_commands(
    cryodrgn: Program, project: Path, tmp_path: Path, domain: str, encoding: str, residual: bool
) -> None:
    settings = VolumeConfig(
        domain=domain,  # type: ignore[arg-type]
        encoding=encoding,  # type: ignore[arg-type]
        widths=(20, 20),
        residual=residual,
    )
    field = VolumeField(BOX, 3, settings)
    field.amplitude.fill_(1.7)
    metadata = read_metadata(project / "p.star")
    z = np.random.default_rng(1).normal(size=(COUNT, 3)).astype(np.float32)
    optics, out = Optics(PIXEL_A, BOX), tmp_path / "written"
    write_cryodrgn_run(
        out,
        field,
        settings,
        Latents(z, None, metadata.uid, "run", 3),
        optics,
        particles=project / "p.star",
        metadata=metadata,
    )
    words = ("written/weights.3.pkl", "-c", "written/config.yaml", "--Apix", str(PIXEL_A))
    cryodrgn("eval_vol", *words, "-z", *map(str, z[0]), "-o", "x.mrc", cwd=tmp_path)
    decoder = load_cryodrgn_decoder(out)
    assert decoder.epoch == 3
    theirs = within_nyquist(values(tmp_path / "x.mrc"))
    assert_same_map(decoder.volume(z[0]).values, theirs)
    with torch.no_grad():
        direct = decoder.model.decode(torch.as_tensor(z[:1]))
        direct.field = field  # type: ignore[attr-defined]
        assert_same_map(direct.voxelize(BOX, PIXEL_A)[0].numpy(), theirs)
    if domain == "fourier":
        cryodrgn("analyze", "written", "3", "--ksample", "3", "--skip-umap", cwd=tmp_path)
        assert (out / "analyze.3" / "kmeans3" / "vol_001.mrc").is_file()


def test_filter_star_takes_our_indices(cryodrgn: Program, project: Path, tmp_path: Path) -> None:
    words = (project / "p.star", "--ind", project / "ind.pkl", "-o", "some.star")
    cryodrgn("filter_star", *words, cwd=tmp_path, program="cryodrgn_utils")
    assert read_metadata(tmp_path / "some.star").uid.tolist() == [
        f"{i + 1:06d}@p.mrcs" for i in range(5, 35)
    ]
