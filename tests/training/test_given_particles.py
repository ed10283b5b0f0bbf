"""The settings say which class's poses are taken, and where else images are looked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryoscope.data import InputError
from cryoscope.training.config import TrainConfig
from cryoscope.training.given_particles import read_given_particles
from cryoscope.training.prepare import prepare
from tests.io.test_cryosparc import ALIGNMENTS, project, records, without


def classes(folder: Path) -> Path:
    """Particles of a heterogeneous refinement: an alignment to each of two classes."""
    fields: list[Any] = []
    for number in (0, 1):
        name = f"alignments_class_{number}"
        fields += [(f"{name}/pose", "f4", 3), (f"{name}/shift", "f4", 2), (f"{name}/psize_A", "f4")]
    table = without(records(4, fields), *ALIGNMENTS)
    table["alignments_class_1/pose"] = [0.1, 0.2, 0.3]
    return project(folder, table)


def test_the_class_is_asked_for_by_its_number(tmp_path: Path) -> None:
    data = replace(TrainConfig().data, particles=str(classes(tmp_path)))
    with pytest.raises(InputError, match=r"alignments of 2 classes \(0, 1\).*--class K"):
        read_given_particles(data)
    first, second = (read_given_particles(replace(data, class_number=k)).poses for k in (0, 1))
    assert first is not None
    assert second is not None
    np.testing.assert_array_equal(first.rotation[0], np.eye(3))
    assert not np.allclose(second.rotation[0], np.eye(3))
    with pytest.raises(InputError, match=r"no alignment of class 7.*classes 0, 1"):
        read_given_particles(replace(data, class_number=7))


def test_images_in_another_folder(small_config: TrainConfig, tmp_path: Path) -> None:
    source = Path(small_config.data.particles)
    moved = tmp_path / "elsewhere" / source.name
    moved.parent.mkdir()
    moved.write_bytes(source.read_bytes())
    data = replace(small_config.data, particles=str(moved))
    with pytest.raises(InputError, match="stacks are missing"):
        read_given_particles(data)
    found = read_given_particles(replace(data, image_folder=str(source.parent)))
    np.testing.assert_array_equal(found.uid, read_given_particles(small_config.data).uid)


@pytest.mark.parametrize("float16", [False, True])
def test_the_size_of_the_cache_is_said_before_it_is_made(
    small_config: TrainConfig, tmp_path: Path, float16: bool
) -> None:
    data = replace(small_config.data, cache_dir=str(tmp_path / "cache"), cache_float16=float16)
    told: list[tuple[str, int, int]] = []
    prepared = prepare(
        replace(small_config, data=data), progress=lambda *report: told.append(report)
    )
    size = (tmp_path / "cache" / "particles.npy").stat().st_size - 128
    assert size == len(prepared.particles) * prepared.optics.box_size_px**2 * (2 if float16 else 4)
    first = next(report for report in told if report[0].startswith("preparing particles"))
    assert first[0].startswith(f"preparing particles (cache of {size / 1e6:,.1f} MB, ")
    assert first[1:] == (0, len(prepared.particles))
    assert prepared.particles.images.read(np.arange(2)).dtype == np.float32
    told.clear()
    prepare(replace(small_config, data=data), progress=lambda *report: told.append(report))
    assert not any(report[0].startswith("preparing particles") for report in told)
