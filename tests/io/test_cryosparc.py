"""cryoSPARC particles: golden values, passthrough, classes, subsets, damaged files."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cryoscope.conventions import rotation_from_cryosparc
from cryoscope.data import InputError
from cryoscope.io.cryodrgn_files import box_lengths_A, ctf_columns
from cryoscope.io.cryosparc import export_cs_subset, read_cs_particles
from cryoscope.io.cryosparc_table import micrograph_paths, read_cs, read_cs_table
from cryoscope.io.safe_pickle import read_pickles
from cryoscope.io.stack import StackWriter

BOX = 8
FIELDS: list[Any] = [
    ("uid", "u8"),
    ("blob/path", "S40"),
    ("blob/idx", "u4"),
    ("blob/shape", "u4", 2),
    ("blob/psize_A", "f4"),
    ("blob/sign", "f4"),
    ("ctf/df1_A", "f4"),
    ("ctf/df2_A", "f4"),
    ("ctf/df_angle_rad", "f4"),
    ("ctf/phase_shift_rad", "f4"),
    ("ctf/accel_kv", "f4"),
    ("ctf/cs_mm", "f4"),
    ("ctf/amp_contrast", "f4"),
    ("alignments3D/pose", "f4", 3),
    ("alignments3D/shift", "f4", 2),
    ("alignments3D/psize_A", "f4"),
    ("alignments3D/split", "u4"),
]
ALIGNMENTS = [field[0] for field in FIELDS if field[0].startswith("alignments3D")]
Records = NDArray[Any]


def records(count: int = 4, fields: list[Any] | None = None) -> Records:
    table = np.zeros(count, dtype=FIELDS + (fields or []))
    table["uid"] = np.arange(count, dtype=np.uint64) + np.uint64(2**63)
    table["blob/path"] = b">J1/extract/p.mrc"
    table["blob/idx"] = np.arange(count)
    table["blob/shape"] = BOX
    table["blob/psize_A"] = 1.5
    table["blob/sign"] = -1
    table["ctf/df1_A"], table["ctf/df2_A"] = 15000, 14000
    table["ctf/df_angle_rad"] = 0.5
    table["ctf/accel_kv"], table["ctf/cs_mm"], table["ctf/amp_contrast"] = 300, 2.7, 0.07
    table["alignments3D/pose"] = np.arange(3 * count).reshape(count, 3) * 0.1
    table["alignments3D/pose"][0] = 0
    table["alignments3D/shift"] = [2, -1]
    table["alignments3D/psize_A"] = 3.0
    table["alignments3D/split"] = np.arange(count) % 2
    return table


def without(table: Records, *names: str) -> Records:
    kept = [name for name in table.dtype.names or () if name not in names]
    out = np.zeros(len(table), dtype=[(name, table.dtype[name]) for name in kept])
    for name in kept:
        out[name] = table[name]
    return out


def project(folder: Path, table: Records) -> Path:
    """A project folder with a job, its stack one folder above the .cs file."""
    (folder / "J1" / "extract").mkdir(parents=True, exist_ok=True)
    (folder / "J2").mkdir(exist_ok=True)
    with StackWriter(folder / "J1" / "extract" / "p.mrc", BOX, 1.5) as writer:
        writer.append(np.arange(4)[:, None, None] * np.ones((BOX, BOX)))
    with (folder / "J2" / "J2_particles.cs").open("wb") as file:
        np.save(file, table)
    return folder / "J2" / "J2_particles.cs"


def test_every_field(tmp_path: Path) -> None:
    table = records()
    table["blob/idx"] = [3, 1, 2, 0]
    particles = read_cs_particles(project(tmp_path, table))
    (optics,) = particles.optics
    assert (optics.pixel_size_A, optics.box_size_px, optics.amplitude_contrast) == (1.5, BOX, 0.07)
    assert particles.uid.tolist() == [str(2**63 + i) for i in range(4)]
    assert particles.half_set.tolist() == [1, 2, 1, 2]
    assert particles.ctf.defocus_u_A.tolist() == [15000.0] * 4
    np.testing.assert_allclose(particles.ctf.defocus_angle_deg, np.rad2deg(0.5))
    poses = particles.poses
    assert poses is not None
    np.testing.assert_array_equal(poses.rotation[0], np.eye(3))  # a pose of zeros is the identity
    expected = rotation_from_cryosparc(table["alignments3D/pose"])
    np.testing.assert_array_equal(poses.rotation, expected)
    assert poses.shift_A.tolist() == [[-6.0, 3.0]] * 4  # pixels of the alignment, not of the image
    assert particles.images.read(np.arange(4))[:, 0, 0].tolist() == [3.0, 1.0, 2.0, 0.0]
    assert read_cs_table(tmp_path / "J2" / "J2_particles.cs").contrast_sign == -1


def test_passthrough_is_joined_by_uid(tmp_path: Path) -> None:
    table = records()
    path = project(tmp_path, without(table, *ALIGNMENTS))
    assert read_cs_particles(path).poses is None
    order = np.array([2, 0, 3, 1])
    rest = [name for name in table.dtype.names or () if name not in ("uid", *ALIGNMENTS)]
    other = tmp_path / "J2" / "J2_passthrough_particles.cs"
    with other.open("wb") as file:
        np.save(file, without(table, *rest)[order])
    poses = read_cs_particles(path).poses  # found by its name
    assert poses is not None
    expected = rotation_from_cryosparc(table["alignments3D/pose"])
    np.testing.assert_array_equal(poses.rotation, expected)
    with other.open("wb") as file:
        np.save(file, without(table, *rest)[order[:2]])
    with pytest.raises(InputError, match=r"row 2: its particle \(uid \d+\) is not in J2_pass"):
        read_cs_particles(path)


def test_classes_are_asked_for(tmp_path: Path) -> None:
    fields: list[Any] = []
    for number in (0, 1):
        name = f"alignments_class_{number}"
        fields += [(f"{name}/pose", "f4", 3), (f"{name}/shift", "f4", 2), (f"{name}/psize_A", "f4")]
    table = without(records(4, fields), *ALIGNMENTS)
    table["alignments_class_1/pose"] = [0.1, 0.2, 0.3]
    table["alignments_class_1/psize_A"] = 1.5
    path = project(tmp_path, table)
    with pytest.raises(InputError, match=r"alignments of 2 classes.*--class"):
        read_cs_particles(path)
    poses = read_cs_particles(path, class_number=1).poses
    assert poses is not None
    np.testing.assert_allclose(poses.rotation[0], rotation_from_cryosparc([[0.1, 0.2, 0.3]])[0])
    with pytest.raises(InputError, match="no alignment of class 5"):
        read_cs_particles(path, class_number=5)


def test_subset_keeps_every_field(tmp_path: Path) -> None:
    table = records(4, [("filament/score", "f8")])
    table["filament/score"] = np.arange(4)
    path = project(tmp_path, table)
    particles = read_cs_particles(path)
    out = tmp_path / "some.cs"
    export_cs_subset(particles, [True, False, False, True], out)
    found = read_cs(out)
    assert found.dtype == table.dtype
    assert found.tobytes() == table[[0, 3]].tobytes()
    export_cs_subset(particles.take(np.array([3, 1])), [True, True], out)
    assert read_cs(out)["uid"].tolist() == [2**63 + 3, 2**63 + 1]
    with pytest.raises(InputError, match="selection is empty"):
        export_cs_subset(particles, np.zeros(4, bool), out)
    with pytest.raises(InputError, match="the file that the particles come from"):
        export_cs_subset(particles, np.ones(4, bool), path)
    project(tmp_path, table[::-1])
    with pytest.raises(InputError, match="changed since"):
        export_cs_subset(particles, [True, False, False, True], tmp_path / "other.cs")
    assert not (tmp_path / "other.cs").exists()


def test_large_headers(tmp_path: Path) -> None:
    table = records(4, [(f"passthrough/with_a_long_name_{i:04d}", "f4") for i in range(900)])
    assert len(read_cs_particles(project(tmp_path, table))) == 4


def change(name: str, value: Any, row: Any = 1) -> Callable[[Records], Records]:
    def apply(table: Records) -> Records:
        table[name][row] = value
        return table

    return apply


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda t: without(t, "ctf/df1_A", "blob/path"), "missing fields: blob/path, ctf/df1_A"),
        (lambda t: t[:0], "no particles"),
        (change("ctf/df1_A", np.nan), "row 2: ctf/df1_A is not a finite number"),
        (change("alignments3D/pose", np.inf), "row 2: alignments3D/pose is not a finite"),
        (change("blob/psize_A", 0), "row 2: blob/psize_A makes no sense"),
        (change("blob/psize_A", 2), "row 2: mixed pixel sizes: 1.5 and 2 A"),
        (change("blob/shape", 16, slice(None)), "blob/shape is 16 but the images"),
        (change("blob/idx", 4), "row 2: image 5 of .*which holds 4"),
        (change("blob/path", b">J9/p.mrc"), "row 2: 1 of 2 stacks are missing: J9/p.mrc"),
        (change("blob/sign", 1), None),
        (change("uid", 2**63, 2), "row 3: its uid occurs before"),
    ],
)
def test_bad_records(
    tmp_path: Path, damage: Callable[[Records], Records], problem: str | None
) -> None:
    path = project(tmp_path, damage(records()))
    with pytest.raises(InputError, match=problem or "blob/sign differs") as caught:
        read_cs_particles(path)
    assert "\n" not in str(caught.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    path = project(tmp_path, records())
    content = path.read_bytes()
    objects = io.BytesIO()
    np.save(objects, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    cases = [content[:-5], content[:40], b"", b"text", objects.getvalue()]
    cases += [content.replace(b"'<u8'", b"'|O8'"), content.replace(b"(4,)", b"(9,)")]
    for case in cases:
        path.write_bytes(case)
        with pytest.raises(InputError) as caught:
            read_cs_particles(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="no such file"):
        read_cs_particles(tmp_path / "none.cs")


def test_golden_values_of_a_real_file(fixtures_dir: Path) -> None:
    folder = fixtures_dir / "metadata"
    table = read_cs_table(folder / "cryosparc_P12_J24_001_particles.cs")
    rotation, fraction = read_pickles(folder / "cryosparc_P12_J24_pose_by_cryodrgn.pkl")[0]
    (ctf,) = read_pickles(folder / "cryosparc_P12_J24_ctf_by_cryodrgn.pkl")
    assert table.poses is not None
    # cryoDRGN computes these in float32.
    np.testing.assert_allclose(table.poses.rotation, rotation, atol=6e-7)
    length_A = box_lengths_A(table.ctf, table.optics)
    np.testing.assert_allclose(-table.poses.shift_A / length_A[:, None], fraction, atol=1e-8)
    np.testing.assert_array_equal(ctf_columns(table.ctf, table.optics), ctf)
    assert (len(table.uid), table.optics[0].box_size_px) == (2019, 180)
    assert len(table.stack_names) == 50
    exported = read_cs_table(folder / "cryosparc_J2_particles_exported.cs")
    assert exported.poses is None
    assert not any(name.startswith(">") for name in exported.stack_names)


def test_star_and_cs_of_the_same_images_agree(fixtures_dir: Path) -> None:
    from cryoscope.io.relion import read_particles

    folder = fixtures_dir / "particles" / "empiar10076_7"
    cs = read_cs_particles(folder / "empiar_10076_7.cs")
    star = read_particles(folder / "empiar_10076_7.star")
    np.testing.assert_array_equal(cs.images.read(np.arange(7)), star.images.read(np.arange(7)))
    for name in ("defocus_u_A", "defocus_v_A", "defocus_angle_deg"):
        np.testing.assert_allclose(getattr(cs.ctf, name), getattr(star.ctf, name), rtol=1e-6)
    assert cs.pixel_size_A == pytest.approx(star.pixel_size_A, rel=1e-5)


def test_micrographs_are_named_by_the_file_or_its_passthrough(tmp_path: Path) -> None:
    table = records(fields=[("location/micrograph_path", "S20")])
    table["location/micrograph_path"] = [b"a.mrc", b"b.mrc", b"a.mrc", b"c.mrc"]
    path = project(tmp_path, table)
    assert micrograph_paths(path).tolist() == ["a.mrc", "b.mrc", "a.mrc", "c.mrc"]
    with pytest.raises(InputError, match=r"no field location/micrograph_path.*passthrough"):
        micrograph_paths(project(tmp_path, records()))


@pytest.mark.parametrize(
    ("field", "kind", "problem"),
    [
        ("blob/path", "u4", "blob/path is no text"),
        ("ctf/df1_A", "S4", r"ctf/df1_A has the type \|S4"),
    ],
)
def test_fields_of_another_type(tmp_path: Path, field: str, kind: str, problem: str) -> None:
    good = records()
    fields = [
        (name, kind if name == field else good.dtype[name]) for name in good.dtype.names or ()
    ]
    table = np.zeros(len(good), dtype=fields)
    for name in good.dtype.names or ():
        if name != field:
            table[name] = good[name]
    with pytest.raises(InputError, match=problem):
        read_cs_table(project(tmp_path, table))


def test_arrays_without_records_or_particles(tmp_path: Path) -> None:
    path = tmp_path / "a.cs"
    for values, problem in (
        (np.zeros(3), "holds no records"),
        (records()[None], "holds no records"),
        (records()[:0], "has no particles"),
    ):
        with path.open("wb") as file:
            np.save(file, values)
        with pytest.raises(InputError, match=problem):
            read_cs_table(path)
    table = records()
    table["blob/path"][2] = b""
    with pytest.raises(InputError, match="blob/path is empty"):
        read_cs_table(project(tmp_path, table))
