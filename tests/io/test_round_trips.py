"""What is written is read, in every format, for tables that are made up and for all real files.

Thousands of each: ``CRYOSCOPE_EXAMPLES=3000 pytest -o timeout=0 tests/io/test_round_trips.py``.
"""

from __future__ import annotations

import shutil
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.spatial.transform import Rotation

from cryoscope.data import (
    CTFParams,
    InputError,
    Latents,
    Optics,
    Particles,
    ParticleSource,
    Poses,
    Selection,
    Volume,
)
from cryoscope.io.cryodrgn_files import (
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
from cryoscope.io.cryosparc import export_cs_subset
from cryoscope.io.cryosparc_table import read_cs
from cryoscope.io.dcd import read_dcd, write_dcd
from cryoscope.io.latents_file import read_latents, write_latents
from cryoscope.io.mrc import read_volume, write_volume
from cryoscope.io.mrc_header import read_header
from cryoscope.io.particle_export import export_rows
from cryoscope.io.particles_file import read_any
from cryoscope.io.safe_pickle import read_pickles, write_pickles
from cryoscope.io.selection_import import read_selections_of
from cryoscope.io.selections_file import read_selections, write_selections
from cryoscope.io.stack import MrcStack, StackWriter
from cryoscope.io.star import read_star, write_star, write_star_rows
from cryoscope.io.star_columns import selection_columns
from cryoscope.io.structures import read_models, read_structure, write_structure, write_trajectory
from tests.examples import examples
from tests.io.relion_rules import check_relion

BOX = 4
WORDS = st.text(
    st.characters(codec="utf-8", exclude_characters="\"' ", exclude_categories=["C", "Z"]),
    min_size=1,
    max_size=10,
).filter(lambda text: not text.startswith(("#", "_")))
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
COLUMN = st.sampled_from(["text", "spaced", "real", "whole"])
many = settings(
    max_examples=examples(60),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": WORDS,
    "spaced": st.builds("{} {}".format, WORDS, WORDS),
    "real": NUMBERS,
    "whole": st.integers(-(2**53), 2**53),
}


def column(kind: str, rows: int) -> st.SearchStrategy[list[Any]]:
    return st.lists(VALUES[kind], min_size=rows, max_size=rows)


@st.composite
def tables(draw: st.DrawFn) -> dict[str, dict[str, list[Any]]]:
    """A STAR file's blocks in any order, the particles' among them."""
    rows = draw(st.integers(1, 6))
    kinds = draw(st.lists(COLUMN, min_size=0, max_size=6))
    particles: dict[str, list[Any]] = {
        f"rlnColumn{i}": draw(column(kind, rows)) for i, kind in enumerate(kinds)
    }
    images = [f"{i + 1:06d}@{draw(WORDS)}" for i in range(rows)]
    place = draw(st.integers(0, len(particles)))
    named = [*particles.items()]
    named.insert(place, ("rlnImageName", images))
    blocks: list[tuple[str, dict[str, Any]]] = [("particles", dict(named))]
    if draw(st.booleans()):
        blocks.append(
            ("optics", {"rlnOpticsGroup": [1, 2], "rlnImagePixelSize": draw(column("real", 2))})
        )
    if draw(st.booleans()):
        blocks.append(("general", {"rlnName": draw(WORDS), "rlnVersion": draw(NUMBERS)}))
    return dict(draw(st.permutations(blocks)))


@many
@given(blocks=tables())
def test_star_tables(tmp_path: Path, blocks: dict[str, dict[str, Any]]) -> None:
    path = tmp_path / "a.star"
    write_star(path, blocks)
    star = read_star(path)
    assert list(star.blocks) == list(blocks)
    for name, columns in blocks.items():
        block = star.blocks[name]
        assert [one[1:] for one in block.columns] == list(columns)
        for column_name, values in columns.items():
            wanted = values if isinstance(values, list) else [values]
            if isinstance(wanted[0], str):
                assert block.text(f"_{column_name}").tolist() == wanted
            else:
                assert block.numbers(f"_{column_name}").tolist() == wanted
    everything = np.arange(star.particle_block().rows)
    write_star_rows(star, everything, tmp_path / "b.star")
    assert (tmp_path / "b.star").read_bytes() == path.read_bytes()


@many
@given(blocks=tables(), end=st.sampled_from([b"\n", b"\r\n"]), data=st.data())
def test_star_rows_with_columns_behind(
    tmp_path: Path, blocks: dict[str, dict[str, Any]], end: bytes, data: st.DataObject
) -> None:
    path = tmp_path / "a.star"
    write_star(path, blocks)
    path.write_bytes(path.read_bytes().replace(b"\n", end))
    star = read_star(path)
    block = star.particle_block()
    row = data.draw(st.lists(st.integers(0, block.rows - 1), min_size=1, unique=True))
    z = data.draw(arrays.arrays(np.float32, len(row), elements=st.floats(-1e3, 1e3, width=32)))
    added = {"_cryoscopeZ1": z, "_cryoscopeCluster": np.arange(len(row))}
    write_star_rows(star, row, tmp_path / "b.star", columns=added)
    again = read_star(tmp_path / "b.star").particle_block()
    assert again.columns == (*block.columns, *added)
    for name in block.columns:
        assert again.text(name).tolist() == block.text(name)[row].tolist()
    np.testing.assert_array_equal(again.numbers("_cryoscopeZ1").astype(np.float32), z)
    own = [line.rstrip() for line in block.raw_lines(np.array(row))]
    for line, mine in zip(again.raw_lines(np.arange(len(row))), own, strict=True):
        assert line.startswith(mine + b" ")


FIELD = st.sampled_from(["u8", "u4", "f4", "f8", "i8", "S9", "(3,)f4", "(2,2)u4", "?"])


@many
@given(
    kinds=st.lists(FIELD, max_size=6),
    count=st.integers(1, 8),
    seed=st.integers(0, 2**32 - 1),
    data=st.data(),
)
def test_cs_records(
    tmp_path: Path, kinds: list[str], count: int, seed: int, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    dtype = np.dtype([("uid", "<u8"), *[(f"f{i}/x", kind) for i, kind in enumerate(kinds)]])
    content = bytearray(rng.bytes(count * dtype.itemsize))
    records = np.frombuffer(content, dtype=dtype).copy()
    records["uid"] = rng.permutation(np.arange(count, dtype=np.uint64)) + np.uint64(2**63)
    path = tmp_path / "a.cs"
    with path.open("wb") as stream:
        np.save(stream, records)
    read = read_cs(path)
    assert read.dtype == records.dtype
    assert read.tobytes() == records.tobytes()
    mask = data.draw(arrays.arrays(bool, count))
    assume(mask.any())
    export_cs_subset(_named(records["uid"].astype(str), path), mask, tmp_path / "b.cs")
    subset = read_cs(tmp_path / "b.cs")
    assert subset.dtype == records.dtype
    assert subset.tobytes() == records[mask].tobytes()


class _NoImages:
    box_size_px = BOX

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def read(self, index: Any) -> Any:
        raise AssertionError("no image is read")

    def take(self, index: Any) -> _NoImages:
        return _NoImages(len(index))


def _named(uid: np.ndarray[Any, Any], file: Path) -> Particles:
    count = len(uid)
    return Particles(
        images=_NoImages(count),
        optics=(Optics(1.5, BOX),),
        ctf=CTFParams.uniform(count, 15_000.0),
        poses=None,
        half_set=np.ones(count, dtype=np.int8),
        uid=uid,
        source=ParticleSource(file, np.arange(count)),
    )


@many
@given(count=st.integers(1, 7), seed=st.integers(0, 2**32 - 1), box=st.sampled_from([2, 64, 360]))
def test_pickles_of_cryodrgn(tmp_path: Path, count: int, seed: int, box: int) -> None:
    rng = np.random.default_rng(seed)
    length_A = box * rng.uniform(0.5, 4.0, count)
    poses = Poses(
        Rotation.random(count, random_state=seed % 2**31).as_matrix(),
        rng.normal(size=(count, 2)) * 0.1,
    )
    write_poses(tmp_path / "pose.pkl", poses, length_A)
    read = read_poses(tmp_path / "pose.pkl", length_A)
    np.testing.assert_array_equal(read.rotation, poses.rotation)
    np.testing.assert_allclose(read.shift_A, poses.shift_A, rtol=1e-12, atol=1e-15)
    optics = (Optics(1.5, box, 300.0, 2.7, 0.1), Optics(1.25, box, 200.0, 0.01, 0.07))
    ctf = CTFParams(
        *(rng.uniform(5e3, 4e4, count).astype(np.float32).astype(float) for _ in range(2)),
        rng.uniform(0, 180, count).astype(np.float32).astype(float),
        np.zeros(count), np.zeros(count), np.ones(count),
        np.sort(rng.integers(0, 2, count)),
    )  # fmt: skip
    write_ctf(tmp_path / "ctf.pkl", ctf, optics)
    table, groups = read_ctf(tmp_path / "ctf.pkl")
    for field in ("defocus_u_A", "defocus_v_A", "defocus_angle_deg", "phase_shift_deg"):
        np.testing.assert_array_equal(getattr(table, field), getattr(ctf, field))
    for field in ("pixel_size_A", "box_size_px", "voltage_kv", "amplitude_contrast"):
        found = [getattr(groups[g], field) for g in table.optics_group.tolist()]
        assert found == [getattr(optics[g], field) for g in ctf.optics_group.tolist()]
    index = rng.integers(0, 2**62, count)
    write_indices(tmp_path / "ind.pkl", index)
    np.testing.assert_array_equal(read_indices(tmp_path / "ind.pkl"), index)
    np.testing.assert_array_equal(read_labels(tmp_path / "ind.pkl"), index)
    z, spread = rng.normal(size=(2, count, 3)).astype(np.float32)
    write_z(tmp_path / "z.pkl", z, spread)
    for one, other in zip(read_z(tmp_path / "z.pkl"), (z, spread), strict=True):
        np.testing.assert_array_equal(one, other)


@many
@given(
    images=arrays.arrays(
        np.float32, (3, BOX, BOX), elements=st.floats(-(2.0**50), 2.0**50, width=32)
    ),
    voxel=st.floats(0.1, 20),
    origin=st.tuples(*[st.floats(-500, 500, width=32)] * 3),
)
def test_stacks_and_maps(
    tmp_path: Path, images: Any, voxel: float, origin: tuple[float, float, float]
) -> None:
    path = tmp_path / "a.mrcs"
    with StackWriter(path, BOX, 1.5) as writer:
        writer.append(images)
    np.testing.assert_array_equal(MrcStack(path).read(np.array([2, 0, 1])), images[[2, 0, 1]])
    values = np.concatenate([images, images[:1]])
    write_volume(tmp_path / "a.mrc", Volume(values, voxel, origin))
    read = read_volume(tmp_path / "a.mrc")
    np.testing.assert_array_equal(read.values, values)
    assert read.voxel_size_A == pytest.approx(voxel, rel=1e-5, abs=2e-6)
    np.testing.assert_allclose(read.origin_A, origin, rtol=1e-6, atol=1e-6)


@many
@given(names=st.lists(WORDS, min_size=1, max_size=8, unique=True), data=st.data())
def test_latents_and_selections(tmp_path: Path, names: list[str], data: st.DataObject) -> None:
    uid = np.array(names)
    z = data.draw(arrays.arrays(np.float32, (len(uid), 2), elements=st.floats(width=32)))
    write_latents(tmp_path / "z.npz", Latents(z, None, uid, "run", 3))
    read = read_latents(tmp_path / "z.npz")
    np.testing.assert_array_equal(read.z, z)
    assert read.uid.tolist() == names
    masks = data.draw(st.lists(arrays.arrays(bool, len(uid)), max_size=3))
    made = [
        Selection(data.draw(WORDS), mask, "#123456", data.draw(st.text(max_size=20)), {"kind": "x"})
        for mask in masks
    ]
    write_selections(tmp_path / "s.json", made, uid=uid)
    for one, other in zip(read_selections(tmp_path / "s.json"), made, strict=True):
        assert one.mask.tolist() == other.mask.tolist()
        assert [getattr(one, f.name) for f in fields(one) if f.name != "mask"] == [
            getattr(other, f.name) for f in fields(other) if f.name != "mask"
        ]


@many
@given(
    coords=arrays.arrays(
        np.float32,
        st.tuples(st.integers(1, 4), st.integers(1, 5), st.just(3)),
        elements=st.floats(-1e5, 1e5, width=32),
    )
)
def test_dcd(tmp_path: Path, coords: Any) -> None:
    write_dcd(tmp_path / "a.dcd", coords)
    np.testing.assert_array_equal(read_dcd(tmp_path / "a.dcd"), coords)


# ------------------------------------------------------------ selections, there and back

KINDS = (".star", ".pkl", ".txt", ".json", ".csv", ".parquet")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Particles:
    """Particles of two stacks, some of them symmetry-expanded."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("a.mrcs", "b.mrcs"):
        with StackWriter(folder / name, BOX, 1.5) as writer:
            writer.append(np.ones((12, BOX, BOX), dtype=np.float32))
    count = 30
    names = [f"{i // 2 % 12 + 1:06d}@{'ab'[i % 2]}.mrcs" for i in range(count)]
    optics = {
        "rlnOpticsGroup": [1, 2], "rlnImagePixelSize": [1.5, 1.5], "rlnImageSize": [BOX, BOX],
        "rlnVoltage": [300.0, 200.0], "rlnSphericalAberration": [2.7, 2.7],
        "rlnAmplitudeContrast": [0.1, 0.1],
    }  # fmt: skip
    rows = {
        "rlnImageName": names, "rlnDefocusU": np.arange(count) + 15000.5,
        "rlnDefocusV": np.full(count, 15000.0), "rlnDefocusAngle": np.zeros(count),
        "rlnOpticsGroup": np.arange(count) % 2 + 1, "rlnNote": ["a b"] * count,
    }  # fmt: skip
    write_star(folder / "particles.star", {"optics": optics, "particles": rows})
    return read_any(folder / "particles.star")


@many
@given(
    mask=arrays.arrays(bool, 30).filter(lambda mask: mask.any()),
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 99),
    record=st.booleans(),
    columns=st.booleans(),
)
def test_a_selection_comes_back_from_any_export(
    project: Particles, tmp_path: Path, mask: Any, kind: str, seed: int, record: bool, columns: bool
) -> None:
    if kind == ".parquet":
        pytest.importorskip("pyarrow")
    out = tmp_path / f"out{kind}"
    added = {}
    if columns and kind == ".star":
        added = {
            "_cryoscopeZ1": np.linspace(0, 1, 30),
            selection_columns(["half"])["half"]: (np.arange(30) % 2),
        }
    chosen = Selection("open state", mask, "#abcdef", "seen twice", {"kind": "lasso"})
    exported = export_rows(project, mask, out, columns=added, selection=chosen)
    assert (exported.count, exported.all_count) == (int(mask.sum()), 30)
    if kind == ".star":
        check_relion(out)
    if not record:
        out.with_name(f"{out.name}.json").unlink(missing_ok=True)
    order = np.random.default_rng(seed).permutation(30)
    (back,) = read_selections_of(project.take(order), out)
    assert project.uid[order][back.mask].tolist() == project.uid[order][mask[order]].tolist()
    if kind == ".json":
        assert (back.name, back.colour, back.note) == ("open state", "#abcdef", "seen twice")
    if added:
        (half,) = read_selections_of(project, out, "half")
        assert half.mask.tolist() == (mask & (np.arange(30) % 2 == 1)).tolist()


# ------------------------------------------------------------ real files


def every(fixtures: Path, *suffixes: str) -> list[Path]:
    found = sorted(path for path in fixtures.rglob("*") if path.suffix in suffixes)
    assert found
    return found


def test_real_star_files(fixtures_dir: Path, tmp_path: Path) -> None:
    for path in every(fixtures_dir, ".star"):
        star = read_star(path)
        rows = np.arange(star.particle_block().rows)
        write_star_rows(star, rows, tmp_path / "copy.star")
        assert (tmp_path / "copy.star").read_bytes() == path.read_bytes(), path
        check_relion(tmp_path / "copy.star")
        blocks = {
            name: {
                column[1:]: (block.text(column) if block.kind == "loop" else block.text(column)[0])
                for column in block.columns
            }
            for name, block in star.blocks.items()
        }
        write_star(tmp_path / "anew.star", blocks)
        again = read_star(tmp_path / "anew.star")
        for name, block in star.blocks.items():
            for column in block.columns:
                found = again.blocks[name].text(column)
                assert found.tolist() == block.text(column).tolist(), (path, column)


def test_real_cs_files(fixtures_dir: Path, tmp_path: Path) -> None:
    for path in every(fixtures_dir, ".cs"):
        shutil.copy(path, tmp_path / path.name)
        records = read_cs(tmp_path / path.name)
        particles = _named(records["uid"].astype(str), tmp_path / path.name)
        export_cs_subset(particles, np.ones(len(records), dtype=bool), tmp_path / "copy.cs")
        copy = read_cs(tmp_path / "copy.cs")
        assert copy.dtype == records.dtype
        assert copy.tobytes() == records.tobytes()


def test_real_pickles(fixtures_dir: Path, tmp_path: Path) -> None:
    for path in every(fixtures_dir, ".pkl"):
        values = read_pickles(path)
        write_pickles(tmp_path / "copy.pkl", *values)
        np.testing.assert_equal(read_pickles(tmp_path / "copy.pkl"), values)


def test_real_stacks_and_maps(fixtures_dir: Path, tmp_path: Path) -> None:
    for path in every(fixtures_dir, ".mrc", ".mrcs", ".map"):
        count, rows, columns = read_header(path).shape
        stack = MrcStack(path)
        if rows == columns:
            images = stack.read(np.arange(count))
            with StackWriter(tmp_path / "copy.mrcs", rows, 1.0) as writer:
                writer.append(images)
            np.testing.assert_array_equal(
                MrcStack(tmp_path / "copy.mrcs").read(np.arange(count)), images
            )
        if path.suffix == ".mrcs":
            continue
        try:
            volume = read_volume(path)
        except InputError:  # of old headers, without a voxel size
            volume = read_volume(path, voxel_size_A=1.5)
        write_volume(tmp_path / "copy.mrc", volume)
        copy = read_volume(tmp_path / "copy.mrc")
        np.testing.assert_array_equal(copy.values, volume.values)
        np.testing.assert_allclose(copy.origin_A, volume.origin_A, atol=1e-3)
        assert copy.voxel_size_A == pytest.approx(volume.voxel_size_A, rel=1e-5)


@pytest.mark.parametrize("suffix", [".pdb", ".cif"])
def test_real_structures(fixtures_dir: Path, tmp_path: Path, suffix: str) -> None:
    for path in every(fixtures_dir / "structures", ".pdb", ".cif"):
        structure = read_structure(path, keep_hetero=True)
        write_structure(tmp_path / f"copy{suffix}", structure)
        copy = read_structure(tmp_path / f"copy{suffix}", keep_hetero=True)
        for field in fields(structure):
            one, other = getattr(structure, field.name), getattr(copy, field.name)
            if field.name == "name":
                continue
            if one.dtype.kind == "f":
                np.testing.assert_allclose(one, other, atol=6e-3, err_msg=f"{path} {field.name}")
            else:
                np.testing.assert_array_equal(one, other, err_msg=f"{path} {field.name}")
    models = read_models(fixtures_dir / "structures" / "1l2y_nmr38.cif")
    write_trajectory(tmp_path / f"models{suffix}", models)
    again = read_models(tmp_path / f"models{suffix}")
    np.testing.assert_allclose(again.coords_A, models.coords_A, atol=6e-4)


def test_real_trajectories(fixtures_dir: Path, tmp_path: Path) -> None:
    for path in every(fixtures_dir, ".dcd"):
        coords_A = read_dcd(path)
        write_dcd(tmp_path / "copy.dcd", coords_A)
        np.testing.assert_array_equal(read_dcd(tmp_path / "copy.dcd"), coords_A)
