from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cryoscope.data import InputError
from cryoscope.io.run_folder import RunFolder
from cryoscope.training.config import TrainConfig
from cryoscope.training.encoding import encode_particles, load_trained_run
from cryoscope.training.trainer import train


def trained(config: TrainConfig, path: Path, **data: object) -> RunFolder:
    list(train(replace(config, data=replace(config.data, **data)), path))
    return RunFolder.open(path)


def test_particles_are_encoded_as_the_run_did(small_config: TrainConfig, tmp_path: Path) -> None:
    run = trained(small_config, tmp_path / "run")
    saved = run.load_latents()
    found = encode_particles(run.path)
    np.testing.assert_allclose(found.z, saved.z, atol=1e-4)
    np.testing.assert_array_equal(found.uid, saved.uid)
    assert (found.run_id, found.epoch) == (run.run_id, 2)
    rows = np.array([7, 3], dtype=np.int64)
    some = encode_particles(run.path, rows=rows)
    np.testing.assert_allclose(some.z, saved.z[rows], atol=1e-4)
    np.testing.assert_array_equal(some.uid, saved.uid[rows])


def test_a_half_set_run_encodes_all_particles(small_config: TrainConfig, tmp_path: Path) -> None:
    run = trained(small_config, tmp_path / "run", subset="half1", held_out=0.1)
    found = load_trained_run(run.path)
    seen, unseen = found.rows()
    assert (found.prepared.particles.half_set[seen] == 1).all()
    assert len(seen) + len(unseen) == 80
    assert len(found.encode()) == 160
    cost = found.data_term(unseen)
    assert cost.shape == (8,)
    assert np.isfinite(cost).all()
    np.testing.assert_allclose(found.data_term(unseen), cost)
    coords_A = found.decoder.coords_A(found.encode(unseen).z)
    assert coords_A.shape == (8, 40, 3)


def test_particles_that_have_moved(
    small_config: TrainConfig, small_set: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(small_set, copy, ignore=shutil.ignore_patterns("cryoscope-cache"))
    run = trained(small_config, tmp_path / "run", particles=str(copy / "particles.star"))
    (copy / "particles.star").rename(copy / "moved.star")
    with pytest.raises(InputError, match=r"particles\.star"):
        encode_particles(run.path)
    assert len(encode_particles(run.path, copy / "moved.star")) == 160


def test_a_run_without_a_checkpoint(small_config: TrainConfig, tmp_path: Path) -> None:
    run = trained(small_config, tmp_path / "run")
    for file in (run.path / "checkpoints").iterdir():
        file.unlink()
    with pytest.raises(InputError, match="no checkpoint"):
        load_trained_run(run.path)
