"""cryoDRGN's pickles, stacks with them, and its run folders, watched while they are written."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from scipy.spatial.transform import Rotation

from cryoscope.conventions import rotation_from_relion_deg
from cryoscope.data import CTFParams, InputError, Optics, Poses
from cryoscope.io.cryodrgn_files import (
    box_lengths_A,
    read_ctf,
    read_indices,
    read_labels,
    read_poses,
    read_z,
    write_ctf,
    write_indices,
    write_poses,
    write_z,
)
from cryoscope.io.cryodrgn_run import FINAL, CryodrgnRun
from cryoscope.io.particle_export import export_rows
from cryoscope.io.particles_file import read_any, read_metadata
from cryoscope.io.stack import StackWriter
from cryoscope.io.star import read_star

COUNT, BOX = 6, 8
ROTATION = Rotation.random(COUNT, random_state=0).as_matrix()
SHIFT_A = np.linspace(-5, 5, 2 * COUNT).reshape(COUNT, 2)
CONFIG: dict[str, Any] = {
    "dataset_args": {
        "particles": "/gone/p.mrcs",
        "ctf": "/gone/ctf.pkl",
        "poses": "/gone/pose.pkl",
        "ind": None,
        "norm": [0.0, 2.5],
    },
    "lattice_args": {"D": BOX + 1, "extent": 0.5},
    "model_args": {"players": 3, "zdim": 2, "pe_type": "gaussian", "domain": "fourier"},
}


def stack(folder: Path, name: str = "p.mrcs", count: int = COUNT) -> Path:
    with StackWriter(folder / name, BOX, 1.5) as writer:
        writer.append(np.arange(count)[:, None, None] * np.ones((BOX, BOX)))
    return folder / name


def tables(folder: Path) -> tuple[Path, Path]:
    """pose.pkl and ctf.pkl of two optics groups of different pixel size."""
    optics = (Optics(1.5, 16, name="a"), Optics(2.0, 16, 200.0, name="b"))
    ctf = CTFParams.uniform(COUNT, 15000.0)
    ctf.optics_group[3:] = 1
    length_A = np.where(ctf.optics_group == 0, 24.0, 32.0)
    write_poses(folder / "pose.pkl", Poses(ROTATION, SHIFT_A), length_A)
    write_ctf(folder / "ctf.pkl", ctf, optics)
    return folder / "pose.pkl", folder / "ctf.pkl"


def run_folder(folder: Path, **changed: Any) -> Path:
    """A run of cryoDRGN with two epochs, its inputs beside it."""
    out = folder / "run"
    out.mkdir()
    tables(folder)
    config = {**CONFIG, **changed}
    (out / "config.yaml").write_text(yaml.safe_dump(config))
    for epoch in (1, 2):
        z = np.full((COUNT, 2), epoch, dtype=np.float32)
        write_z(out / f"z.{epoch}.pkl", z, z - 1)
        (out / f"weights.{epoch}.pkl").write_bytes(b"PK")
    return out


def test_every_particle_keeps_its_own_sampling(tmp_path: Path) -> None:
    pose, ctf = tables(tmp_path)
    particles = read_any(stack(tmp_path), pose=pose, ctf=ctf)
    # The images were Fourier-cropped from 16 to 8 px: pixels are twice as large, per group.
    assert [(o.pixel_size_A, o.box_size_px) for o in particles.optics] == [(3.0, 8), (4.0, 8)]
    assert particles.ctf.optics_group.tolist() == [0, 0, 0, 1, 1, 1]
    assert particles.poses is not None
    np.testing.assert_array_equal(particles.poses.rotation, ROTATION)
    np.testing.assert_allclose(particles.poses.shift_A, SHIFT_A, atol=1e-12)
    write_indices(tmp_path / "ind.pkl", np.array([4, 1]))
    some = read_any(stack(tmp_path), pose=pose, ctf=ctf, ind=tmp_path / "ind.pkl")
    assert some.uid.tolist() == ["000005@p.mrcs", "000002@p.mrcs"]
    assert some.images.read(np.arange(2))[:, 0, 0].tolist() == [4.0, 1.0]
    export_rows(some, [False, True], tmp_path / "one.pkl")
    assert read_indices(tmp_path / "one.pkl").tolist() == [1]


def test_lists_of_stacks(tmp_path: Path) -> None:
    _, ctf = tables(tmp_path)
    stack(tmp_path, "a.mrcs", 4)
    stack(tmp_path, "b.mrcs", 2)
    (tmp_path / "all.txt").write_text("a.mrcs\nb.mrcs\n")
    particles = read_any(tmp_path / "all.txt", ctf=ctf)
    assert particles.uid.tolist()[3:5] == ["000004@a.mrcs", "000001@b.mrcs"]
    assert particles.images.read(np.array([5, 3]))[:, 0, 0].tolist() == [1.0, 3.0]
    with pytest.raises(InputError, match="no CTF and no pixel size"):
        read_any(tmp_path / "a.mrcs")
    with pytest.raises(InputError, match=r"for 6 particles, but a.mrcs has 4"):
        read_any(tmp_path / "a.mrcs", ctf=ctf)


def test_poses_of_all_forms(tmp_path: Path) -> None:
    path = tmp_path / "pose.pkl"
    for content in (ROTATION, (ROTATION,), [ROTATION.astype(np.float32)]):
        path.write_bytes(pickle.dumps(content))
        poses = read_poses(path, 24.0)
        np.testing.assert_allclose(poses.rotation, ROTATION, atol=1e-6)
        assert not poses.shift_A.any()
    for content, problem in (
        ((ROTATION, np.full((COUNT, 2), 4.0)), "row 1: a shift is longer than the box"),
        ((2 * ROTATION,), "row 1: a matrix is no rotation"),
        ((ROTATION, np.zeros((2, 2))), r"shifts have 6 x 2 numbers; this holds 2 x 2"),
        ((ROTATION * np.nan,), "not a number among the rotation matrices"),
        ("words", "rotation matrices have"),
        ((), "no poses"),
    ):
        path.write_bytes(pickle.dumps(content))
        with pytest.raises(InputError, match=problem):
            read_poses(path, 24.0)
    shift_A = np.zeros((COUNT, 2))
    shift_A[1] = 25
    with pytest.raises(InputError, match="row 2: a particle lies outside its image"):
        write_poses(tmp_path / "new.pkl", Poses(ROTATION, shift_A), 24.0)
    assert not (tmp_path / "new.pkl").exists()


def test_bad_tables(tmp_path: Path) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(np.ones((3, 8))))
    with pytest.raises(InputError, match="CTF parameters have N x 9 numbers; this holds 3 x 8"):
        read_ctf(path)
    path.write_bytes(pickle.dumps(np.zeros((3, 9))))
    with pytest.raises(InputError, match="row 1: box size, pixel size"):
        read_ctf(path)
    path.write_bytes(pickle.dumps(np.array([0, 7, 99])))
    with pytest.raises(InputError, match="row 3: there is no particle 99 among 50"):
        read_indices(path, 50)
    assert read_labels(path).tolist() == [0, 7, 99]
    path.write_bytes(pickle.dumps(np.array([0.5])))
    with pytest.raises(InputError, match="no particle numbers"):
        read_indices(path)
    path.write_bytes(pickle.dumps(np.array([[1.0, 2], [np.nan, 3]])))
    with pytest.raises(InputError, match="row 2: not a number among the latents"):
        read_z(path)


def test_latents_with_and_without_variances(tmp_path: Path) -> None:
    path, z = tmp_path / "z.1.pkl", np.ones((3, 2))
    write_z(path, z)
    assert read_z(path)[1] is None
    with pytest.raises(InputError, match="log-variances are missing"):
        read_z(path, with_log_var=True)
    write_z(path, z, z * 2)
    found = read_z(path)[1]
    assert found is not None
    assert found.dtype == np.float32


def test_a_run_that_was_moved(tmp_path: Path) -> None:
    run = CryodrgnRun.open(run_folder(tmp_path))
    assert CryodrgnRun.is_one(run.path)
    assert run.epochs() == [1, 2]
    latents = run.latents()
    assert (latents.epoch, latents.run_id, latents.z[0, 0]) == (2, "run", 2.0)
    assert latents.uid[1] == "000002@p.mrcs"
    poses = run.poses()
    assert poses is not None
    np.testing.assert_allclose(poses.shift_A, SHIFT_A, atol=1e-12)
    assert run.optics().pixel_size_A == 3.0
    with pytest.raises(InputError, match=r"no epoch 9.*Epochs: 1, 2"):
        run.latents(9)
    with pytest.raises(InputError, match="no epoch 9"):
        run.weights_path(9)


def test_a_run_of_some_particles(tmp_path: Path) -> None:
    data = {**CONFIG["dataset_args"], "ind": "/gone/ind.pkl"}
    folder = run_folder(tmp_path, dataset_args=data)
    write_indices(tmp_path / "ind.pkl", np.arange(COUNT)[::-1])
    run = CryodrgnRun.open(folder)
    assert run.latents().uid[0] == "000006@p.mrcs"
    poses = run.poses()
    assert poses is not None
    np.testing.assert_allclose(poses.rotation[0], ROTATION[-1])
    write_indices(tmp_path / "ind.pkl", np.arange(3))
    with pytest.raises(InputError, match="for 6 particles, but the run's inputs have 3"):
        CryodrgnRun.open(folder).latents()
    write_indices(tmp_path / "ind.pkl", np.arange(1, COUNT + 1))
    with pytest.raises(InputError, match="ind names particle 6, but there are 6"):
        CryodrgnRun.open(folder).poses()


def test_a_run_that_is_still_training(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    run = CryodrgnRun.open(folder)
    assert run.newest_epoch() == 2
    content = (folder / "z.2.pkl").read_bytes()
    first = len(content) // 2
    for written in (0, 10, first - 1, first, first + 10, len(content) - 1):
        (folder / "z.3.pkl").write_bytes(content[:written])
        assert run.newest_epoch() == 2, written
    (folder / "z.3.pkl").write_bytes(content)
    assert run.newest_epoch() == 3
    for path in folder.glob("z.*.pkl"):
        path.unlink()
    assert run.newest_epoch() is None
    with pytest.raises(InputError, match="no whole epoch yet"):
        run.latents()
    (folder / "z.pkl").write_bytes(content)
    assert run.epochs() == [FINAL]
    assert run.latents().z.shape == (COUNT, 2)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("cmd: [", "not readable as settings"),
        ("!!python/object/apply:os.system ['true']", "not readable as settings"),
        ("just text", "holds no settings"),
        ("a: 1", "not the settings of a cryoDRGN run"),
        (yaml.safe_dump({**CONFIG, "lattice_args": {"D": 10**9}}), "not the settings"),
    ],
)
def test_bad_settings(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(InputError, match=problem) as caught:
        CryodrgnRun.open(tmp_path)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="no run of cryoDRGN"):
        CryodrgnRun.open(tmp_path / "none")


def test_real_tables_agree_with_the_star_file(fixtures_dir: Path) -> None:
    folder = fixtures_dir / "synthetic" / "tomodrgn_10076_DE"
    block = read_star(folder / "10076_classD_32_sim.star").particle_block()
    angles = [block.numbers(f"_rlnAngle{name}") for name in ("Rot", "Tilt", "Psi")]
    ctf, optics = read_ctf(folder / "ctf_classD.pkl")
    poses = read_poses(folder / "pose_classD.pkl", box_lengths_A(ctf, optics))
    rotation = rotation_from_relion_deg(np.stack(angles, axis=1))
    np.testing.assert_allclose(poses.rotation, rotation, atol=1e-6)
    np.testing.assert_allclose(ctf.defocus_u_A, block.numbers("_rlnDefocusU"), rtol=1e-6)


def test_mixed_pixel_sizes_are_kept_apart(fixtures_dir: Path) -> None:
    star = read_metadata(fixtures_dir / "metadata" / "relion31.6opticsgroups.star")
    sizes_A = {o.pixel_size_A for o in star.optics}
    assert sizes_A == {1.24, 1.25}


def test_a_decoder_alone_has_epochs_and_no_latents(tmp_path: Path) -> None:
    """Of a homogeneous reconstruction there are weights only; without ctf.pkl pixels are 1 A."""
    data = {**CONFIG["dataset_args"], "ctf": None, "poses": None}
    model = {"pe_type": "gaussian", "domain": "fourier"}
    out = run_folder(tmp_path, dataset_args=data, model_args=model)
    for epoch in (1, 2):
        (out / f"z.{epoch}.pkl").unlink()
    run = CryodrgnRun.open(out)
    assert run.settings.latent_dim == 0
    assert run.epochs() == [1, 2]
    assert run.newest_epoch() == 2
    assert run.weights_path() == out / "weights.2.pkl"
    assert run.ctf() is None
    assert run.poses() is None
    assert (run.optics().pixel_size_A, run.optics().box_size_px) == (1.0, BOX)
    with pytest.raises(InputError, match=r"no epoch 7.*Epochs: 1, 2"):
        run.weights_path(7)


def test_the_inputs_of_a_run_are_found_beside_it_or_missed_by_name(tmp_path: Path) -> None:
    out = run_folder(tmp_path)
    stack(tmp_path)
    run = CryodrgnRun.open(out)
    inputs = run.inputs()
    assert {key: path.name for key, path in inputs.items()} == {
        "path": "p.mrcs", "pose": "pose.pkl", "ctf": "ctf.pkl",
    }  # fmt: skip
    assert read_any(**inputs).uid.tolist() == run.latents().uid.tolist()
    (tmp_path / "pose.pkl").unlink()
    with pytest.raises(InputError, match="not there any more") as caught:
        run.poses()
    assert caught.value.file == "/gone/pose.pkl"
    assert str(out) in caught.value.cure


def test_the_first_images_alone(tmp_path: Path) -> None:
    """``--ind 4`` of cryoDRGN takes the first four."""
    run = CryodrgnRun.open(run_folder(tmp_path, dataset_args={**CONFIG["dataset_args"], "ind": 4}))
    index = run.indices()
    assert index is not None
    assert index.tolist() == [0, 1, 2, 3]
    poses, ctf = run.poses(), run.ctf()
    assert poses is not None
    assert ctf is not None
    np.testing.assert_array_equal(poses.rotation, ROTATION[:4])
    assert len(ctf[0]) == 4


def test_settings_that_are_too_large_or_older(tmp_path: Path) -> None:
    run = run_folder(tmp_path)
    with (run / "config.yaml").open("ab") as file:
        file.truncate(1 << 28)
    with pytest.raises(InputError, match=r"too large for a config\.yaml"):
        CryodrgnRun.open(run)
    (run / "config.yaml").unlink()
    (run / "config.pkl").write_bytes(b"")
    with pytest.raises(InputError, match=r"before 1\.1.*config\.pkl"):
        CryodrgnRun.open(run)


def test_tables_of_one_run_that_do_not_belong_together(tmp_path: Path) -> None:
    out = run_folder(tmp_path)
    write_poses(tmp_path / "pose.pkl", Poses(ROTATION[:4], SHIFT_A[:4]), np.full(4, 24.0))
    with pytest.raises(InputError, match=r"for 4 particles, but ctf.pkl for 6"):
        CryodrgnRun.open(out).poses()
    write_z(out / "z.2.pkl", np.zeros((COUNT, 3), np.float32), np.zeros((COUNT, 3), np.float32))
    run = CryodrgnRun.open(out)
    with pytest.raises(InputError, match=r"holds 3 dimensions; config\.yaml says 2"):
        run.latents(2)
    assert run.newest_epoch() == 1  # the newest that is whole
