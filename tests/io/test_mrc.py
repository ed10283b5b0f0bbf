"""Maps: axis order, origin, voxel size and bad files."""

from __future__ import annotations

import struct
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from cryoscope.data import InputError, Provenance, Volume
from cryoscope.io.mrc import read_volume, write_volume
from cryoscope.io.mrc_header import read_header


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(4, 6, 8)).astype(np.float32)


def write_mrc(path: Path, data: np.ndarray, **fields: object) -> Path:
    with mrcfile.new(path, data, overwrite=True) as file:
        file.voxel_size = 2.0
        for name, value in fields.items():
            file.header[name] = value
    return path


def test_round_trip(tmp_path: Path, values: np.ndarray) -> None:
    made = Volume(values, 1.25, (-3.0, 4.0, 5.5), Provenance("decoded", run_id="r1", epoch=3))
    write_volume(tmp_path / "map.mrc", made)
    read = read_volume(tmp_path / "map.mrc")
    np.testing.assert_array_equal(read.values, values)
    assert read.values.dtype == np.float32
    assert read.voxel_size_A == pytest.approx(1.25)
    assert read.origin_A == pytest.approx((-3.0, 4.0, 5.5))
    assert read.provenance == Provenance("file", detail="map.mrc")
    assert mrcfile.validate(tmp_path / "map.mrc")
    with mrcfile.open(tmp_path / "map.mrc") as file:
        assert file.get_labels() == ["Cryoscope: decoded by the model (r1, epoch 3)"]
    assert [p.name for p in tmp_path.iterdir()] == ["map.mrc"]


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)])
def test_axis_order_and_start(
    tmp_path: Path, values: np.ndarray, order: tuple[int, int, int]
) -> None:
    # file axis i runs along zyx axis order[i]; x is 1, z is 3
    labels = [3 - axis for axis in order]
    start = {"z": -2, "y": 5, "x": 7}
    stored = [start["zyx"[axis]] for axis in order]
    path = write_mrc(
        tmp_path / "map.mrc",
        np.ascontiguousarray(values.transpose(order)),
        maps=labels[0],
        mapr=labels[1],
        mapc=labels[2],
        nzstart=stored[0],
        nystart=stored[1],
        nxstart=stored[2],
    )
    read = read_volume(path, voxel_size_A=2.0)
    np.testing.assert_array_equal(read.values, values)
    assert read.values.flags.c_contiguous
    assert read.origin_A == (14.0, 10.0, -4.0)


def test_no_axis_order_is_the_usual_one(tmp_path: Path, values: np.ndarray) -> None:
    path = write_mrc(tmp_path / "a.mrc", values, mapc=0, mapr=0, maps=0)
    np.testing.assert_array_equal(read_volume(path).values, values)
    path = write_mrc(tmp_path / "b.mrc", values, mapc=1, mapr=1, maps=3)
    with pytest.raises(InputError, match="axis order"):
        read_volume(path)


def test_zero_voxel_size(tmp_path: Path, values: np.ndarray) -> None:
    path = write_mrc(tmp_path / "map.mrc", values, cella=(0, 0, 0))
    with pytest.raises(InputError, match=r"map\.mrc.*no voxel size.*voxel_size_A"):
        read_volume(path)
    assert read_volume(path, voxel_size_A=3.0).voxel_size_A == 3.0
    with pytest.raises(InputError, match="voxel size of 0"):
        read_volume(path, voxel_size_A=0.0)


def test_voxels_that_are_no_cubes(tmp_path: Path, values: np.ndarray) -> None:
    path = write_mrc(tmp_path / "map.mrc", values, cella=(16, 12, 10))
    with pytest.raises(InputError, match="no cubes"):
        read_volume(path)


def test_oblique_axes(tmp_path: Path, values: np.ndarray) -> None:
    path = write_mrc(tmp_path / "map.mrc", values, cellb=(90, 94, 90))
    with pytest.raises(InputError, match="right angles"):
        read_volume(path)


def test_nan_truncated_foreign_and_missing(tmp_path: Path, values: np.ndarray) -> None:
    values[0, 0, 0] = np.nan
    path = write_mrc(tmp_path / "map.mrc", values)
    with pytest.raises(InputError, match="NaN"):
        read_volume(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match="truncated"):
        read_volume(path)
    path.write_bytes(b"HEADER    hydrolase" * 100)
    with pytest.raises(InputError, match="not an MRC file"):
        read_volume(path)
    path.write_bytes(b"\x1f\x8b" + bytes(2000))
    with pytest.raises(InputError, match="compressed"):
        read_volume(path)
    with pytest.raises(InputError, match="no such file"):
        read_volume(tmp_path / "other.mrc")


def test_unwritable_folder_is_named(tmp_path: Path, values: np.ndarray) -> None:
    with pytest.raises(InputError, match="no folder"):
        write_volume(tmp_path / "no" / "map.mrc", Volume(values, 1.0, (0.0, 0.0, 0.0)))


def test_real_maps(fixtures_dir: Path) -> None:
    molmap = read_volume(fixtures_dir / "maps/1ake_molmap_2A_64.mrc")
    assert (molmap.voxel_size_A, molmap.origin_A) == (2.0, (-64.0, -64.0, -64.0))
    start = read_volume(fixtures_dir / "maps/EMD-3197.map")
    assert start.origin_A == pytest.approx((-22.8, 0.0, 0.0))
    with pytest.raises(InputError, match="no voxel size"):
        read_volume(fixtures_dir / "maps/clean70SRibosome_vol_65p.mrc")
    assert read_volume(
        fixtures_dir / "maps/clean70SRibosome_vol_65p.mrc", voxel_size_A=5.0
    ).values.shape == (65, 65, 65)
    unstamped = read_volume(fixtures_dir / "synthetic/tomodrgn_10076_DE/10076_classD_32.mrc")
    assert unstamped.values.shape == (32, 32, 32)


def test_a_real_map_with_permuted_axes(fixtures_dir: Path) -> None:
    path = fixtures_dir / "maps/EMD-3001.map"
    with pytest.raises(InputError, match="no cubes"):
        read_volume(path)
    read = read_volume(path, voxel_size_A=0.43)
    # columns run along z, rows along x, sections along y
    with mrcfile.open(path) as file:
        np.testing.assert_array_equal(read.values, np.transpose(file.data, (2, 0, 1)))
    assert read.origin_A == pytest.approx((-21 * 0.43, -12 * 0.43, 0.0))


@pytest.mark.parametrize("stamp", [True, False])
@pytest.mark.parametrize("order", ["<", ">"])
def test_bytes_whose_header_makes_sense_in_either_order(
    tmp_path: Path, order: str, stamp: bool
) -> None:
    """256 is 65536 the other way round, and mode 0 is 0: the stamp decides, else the size."""
    raw = bytearray(1024)
    struct.pack_into(f"{order}4i", raw, 0, 256, 256, 256, 0)
    if stamp:
        raw[208:214] = b"MAP " + (b"\x44\x44" if order == "<" else b"\x11\x11")
    path = tmp_path / "a.mrc"
    with path.open("wb") as file:
        file.write(raw)
        file.truncate(1024 + 256**3 + (512 if stamp else 0))
    header = read_header(path)
    assert header.shape == (256, 256, 256)
    assert header.dtype == np.dtype("i1")
    with path.open("r+b") as file:
        file.truncate(1024 + 256**2)
    with pytest.raises(InputError, match=r"truncated|extended header"):
        read_header(path)
