"""A simulated set, read back from its files, is what the settings and the truth say."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cryoscope.data import CTFParams, InputError, Poses, Structure, Trajectory
from cryoscope.io.relion import read_particles
from cryoscope.io.resources import resource_path
from cryoscope.io.structures import read_structure, write_structure, write_trajectory
from cryoscope.physics.ctf import ctf_table
from cryoscope.physics.fourier import make_band
from cryoscope.physics.imaging import rotate_to_image, transfer
from cryoscope.physics.projectors import project_dense
from cryoscope.simulation.config import SimulationConfig
from cryoscope.simulation.matching import rigid_motion
from cryoscope.simulation.simulate import SimulationStopped, simulate
from cryoscope.simulation.truth import Truth, read_truth

CONFIG = SimulationConfig(
    particles=240,
    box_px=48,
    pixel_size_A=2.0,
    snr=4.0,
    shift_px=2.0,
    astigmatism_A=4000.0,
    defocus_A=9000.0,
    stacks=2,
    seed=7,
)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three conformations of the first 80 residues of adenylate kinase."""
    structure = read_structure(resource_path("structures/4ake_A.pdb"))
    structure = structure.take(structure.residue_id <= 80)
    bend = np.array([0.0, 2.0, 4.0])[:, None, None] * (structure.residue_id > 40)[:, None]
    coords_A = structure.coords_A + bend * np.array([1.0, 0.5, 0.0])
    path = tmp_path_factory.mktemp("models") / "models.pdb"
    write_trajectory(path, Trajectory(structure, coords_A))
    return path


@pytest.fixture(scope="module")
def simulated(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("set")
    return simulate(replace(CONFIG, structures=(str(models),)), out)


def correlation(star: Path, truth: Truth, poses: Poses, ctf: CTFParams) -> float:
    """With CA beads at the truth's positions, low-passed to 8 A, noise accounted for."""
    particles = read_particles(star)
    box, pixel_A = particles.box_size_px, particles.pixel_size_A
    beads_A = torch.as_tensor(truth.coords_ca_A[truth.frame_of_particle])
    xy_A = rotate_to_image(beads_A, torch.as_tensor(poses.rotation, dtype=torch.float32))
    count = beads_A.shape[1]
    density = project_dense(xy_A, torch.ones(count), torch.full((count,), 2.4), box, pixel_A)
    band = make_band(box, pixel_A, 8.0, with_dc=False)
    shift_A = torch.as_tensor(poses.shift_A, dtype=torch.float32)
    model = band.transform(density) * transfer(ctf_table(ctf, particles.optics), shift_A, band)
    images = torch.as_tensor(particles.images.read(np.arange(len(particles))))
    data = band.transform(images)
    noise_power = len(data) * band.weight.sum() * truth.noise_sd**2
    signal_power = (band.weight * data.abs() ** 2).sum() - noise_power
    product = (band.weight * (model.conj() * data).real).sum()
    return float(product / torch.sqrt((band.weight * model.abs() ** 2).sum() * signal_power))


def test_files_fit_each_other(simulated: Path, models: Path) -> None:
    particles, truth = read_particles(simulated), read_truth(simulated.with_name("truth.npz"))
    assert len(particles) == len(truth) == 240
    assert particles.poses is not None
    np.testing.assert_allclose(particles.poses.rotation, truth.rotation, atol=1e-5)
    np.testing.assert_allclose(particles.poses.shift_A, truth.shift_A, atol=1e-4)
    np.testing.assert_allclose(particles.ctf.defocus_u_A, truth.defocus_u_A, atol=1e-2)
    np.testing.assert_array_equal(particles.half_set, truth.half_set)
    assert particles.pixel_size_A == pytest.approx(2.0)
    assert {name.split("@")[1] for name in particles.uid} == {
        "particles_1.mrcs",
        "particles_2.mrcs",
    }
    reference = read_structure(simulated.with_name("reference.pdb"))
    ca_A = reference.coords_A[reference.atom_name == "CA"]
    np.testing.assert_allclose(ca_A, truth.coords_ca_A[0], atol=1e-3)
    np.testing.assert_allclose(ca_A.mean(axis=0), 0.0, atol=1e-3)
    written = json.loads(simulated.with_name("simulation.json").read_text())
    assert written["settings"]["structures"] == [str(models)]
    assert written["measured"]["frames"] == 3


def test_images_without_a_microscope_and_with_shifts_untold(models: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, structures=(str(models),), ctf=False, known_shifts=False)
    star = simulate(replace(config, particles=60, stacks=1, snr=100.0), tmp_path / "set")
    particles, truth = read_particles(star), read_truth(star.with_name("truth.npz"))
    assert particles.poses is not None
    assert not particles.poses.shift_A.any()
    assert truth.shift_A.std() > 2.0
    told = Poses(particles.poses.rotation, truth.shift_A)
    assert correlation(star, truth, told, particles.ctf) > 0.95
    assert correlation(star, truth, particles.poses, particles.ctf) < 0.9
    # plain projections of a potential are never far below zero
    images = particles.images.read(np.arange(60))
    assert images.min() > -0.1 * images.max()


def test_snr_is_the_one_asked_for(simulated: Path) -> None:
    particles, truth = read_particles(simulated), read_truth(simulated.with_name("truth.npz"))
    assert truth.snr_measured == pytest.approx(4.0, rel=0.05)
    images = particles.images.read(np.arange(240))
    signal_variance = images.var(axis=(1, 2)).mean() - truth.noise_sd**2
    assert signal_variance / truth.noise_sd**2 == pytest.approx(4.0, rel=0.05)


def test_poses_shifts_and_ctf_in_the_star_file_explain_the_images(simulated: Path) -> None:
    particles, truth = read_particles(simulated), read_truth(simulated.with_name("truth.npz"))
    poses, ctf = particles.poses, particles.ctf
    assert poses is not None
    right = correlation(simulated, truth, poses, ctf)
    assert right > 0.95
    transposed = Poses(poses.rotation.transpose(0, 2, 1), poses.shift_A)
    mirrored = Poses(poses.rotation, -poses.shift_A)
    turned = replace(ctf, defocus_angle_deg=ctf.defocus_angle_deg + 90)
    assert correlation(simulated, truth, transposed, ctf) < 0.9 * right
    assert correlation(simulated, truth, mirrored, ctf) < 0.9 * right
    assert correlation(simulated, truth, poses, turned) < 0.97 * right


def test_same_seed_same_set_and_dark_is_the_negative(models: Path, tmp_path: Path) -> None:
    few = replace(CONFIG, structures=(str(models),), particles=8, stacks=1, snr=1e8)

    def images(config: SimulationConfig) -> np.ndarray:
        return read_particles(simulate(config, tmp_path)).images.read(np.arange(8))

    first = images(few)
    np.testing.assert_array_equal(first, images(few))
    np.testing.assert_allclose(first, -images(replace(few, contrast="dark")), atol=20)
    assert first.std() > 1000


def test_two_structures_make_a_path(tmp_path: Path) -> None:
    names = []
    for name in ("1ake_A.pdb", "4ake_A.pdb"):
        structure = read_structure(resource_path(f"structures/{name}"))
        names.append(str(tmp_path / name))
        write_structure(tmp_path / name, structure.take(structure.residue_id <= 40))
    config = SimulationConfig(structures=tuple(names), particles=4, frames=6, box_px=48)
    truth = read_truth(simulate(config, tmp_path / "out").with_name("truth.npz"))
    assert truth.coords_ca_A.shape == (6, 40, 3)


def test_stopping_leaves_no_particle_file(models: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, structures=(str(models),), particles=8, stacks=2)
    simulate(config, tmp_path)
    calls: list[tuple[int, int]] = []
    with pytest.raises(SimulationStopped):
        simulate(config, tmp_path, lambda *done: calls.append(done), lambda: bool(calls))
    assert calls == [(4, 8)]
    assert not (tmp_path / "particles.star").exists()
    assert not list(tmp_path.glob(".*"))
    simulate(config, tmp_path)
    assert (tmp_path / "particles.star").exists()


def test_other_folders_are_left_alone(models: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    config = replace(CONFIG, structures=(str(models),), particles=4)
    with pytest.raises(InputError, match="something else than a simulation"):
        simulate(config, tmp_path)
    (tmp_path / "simulation.json").write_text('{"kind": "other"}')
    with pytest.raises(InputError, match="something else than a simulation"):
        simulate(config, tmp_path)
    with pytest.raises(InputError, match="Choose another"):
        simulate(config, tmp_path / "thesis.txt")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_unwritable_folder_is_explained(models: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="not writable"):
        simulate(replace(CONFIG, structures=(str(models),), particles=4), tmp_path / "out")


def test_a_full_disk_leaves_nothing_half_written(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("cryoscope.io.stack.StackWriter.append", full)
    with pytest.raises(InputError, match=r"particles.mrcs: the disk is full"):
        simulate(replace(CONFIG, structures=(str(models),), particles=4, stacks=1), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_structures_that_cannot_be_projected_are_refused(models: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, structures=(str(models),), particles=4)
    with pytest.raises(InputError, match=r"outside the box of 16 px.*--box-px \d+"):
        simulate(replace(config, box_px=16), tmp_path / "out")
    structure = read_structure(models)

    def written(changed: Structure) -> SimulationConfig:
        write_structure(tmp_path / "changed.pdb", changed)
        return replace(config, structures=(str(tmp_path / "changed.pdb"),))

    with pytest.raises(InputError, match="no CA atom"):
        simulate(written(structure.take(structure.atom_name != "CA")), tmp_path / "out")
    element = structure.element.copy()
    element[3] = "X"
    with pytest.raises(InputError, match=r"changed.pdb: no scattering factor .* 'X'"):
        simulate(written(replace(structure, element=element)), tmp_path / "out")
    stray = structure.coords_A.copy()
    stray[0] += 500
    with pytest.raises(InputError, match="outside the box"):
        simulate(written(structure.with_coords(stray)), tmp_path / "out")
    with pytest.raises(InputError, match="device 'abacus'"):
        simulate(replace(config, device="abacus"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_damaged_truth_is_refused(simulated: Path, tmp_path: Path) -> None:
    whole = simulated.with_name("truth.npz").read_bytes()
    damaged = tmp_path / "truth.npz"
    for content in (b"", b"PK", whole[: len(whole) // 2], whole[:200] + b"x" * 50 + whole[250:]):
        damaged.write_bytes(content)
        with pytest.raises(InputError, match="truth"):
            read_truth(damaged)
    with pytest.raises(InputError, match="no such file"):
        read_truth(tmp_path / "absent.npz")


def test_dims_trajectory_simulates(fixtures_dir: Path, tmp_path: Path) -> None:
    pytest.importorskip("prody", reason="reading .psf needs ProDy")
    trajectories = fixtures_dir / "trajectories"
    config = SimulationConfig(
        trajectory=str(trajectories / "adk_dims0001_fit-core.dcd"),
        topology=str(trajectories / "adk4ake.psf"),
        particles=6,
    )
    truth = read_truth(simulate(config, tmp_path / "out").with_name("truth.npz"))
    assert truth.coords_ca_A.shape == (102, 214, 3)
    first_A, last_A = truth.coords_ca_A[[0, -1]].astype(np.float64)
    matrix, offset = rigid_motion(last_A, first_A)
    error_A = last_A @ matrix.T + offset - first_A
    assert np.sqrt((error_A**2).sum(-1).mean()) == pytest.approx(6.82, abs=0.01)
