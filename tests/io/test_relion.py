"""RELION particles: optics, poses, halves, missing stacks, subsets of the user's own file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import starfile
from scipy.spatial.transform import Rotation

from cryoscope.data import CTFParams, InputError, Optics, Particles, ParticleSource, Poses
from cryoscope.io.relion import export_subset, read_particles, write_particle_star
from cryoscope.io.relion_table import read_particle_table
from cryoscope.io.stack import StackImages, StackWriter
from cryoscope.io.star import read_star

BOX = 8
OPTICS = {
    "rlnOpticsGroup": "1",
    "rlnOpticsGroupName": "og1",
    "rlnImagePixelSize": "1.5",
    "rlnImageSize": str(BOX),
    "rlnVoltage": "300",
    "rlnSphericalAberration": "2.7",
    "rlnAmplitudeContrast": "0.1",
}
PARTICLE = {
    "rlnImageName": "000001@p.mrcs",
    "rlnDefocusU": "15000",
    "rlnDefocusV": "14000",
    "rlnDefocusAngle": "30",
    "rlnAngleRot": "10",
    "rlnAngleTilt": "20",
    "rlnAnglePsi": "30",
    "rlnOriginXAngst": "1.5",
    "rlnOriginYAngst": "-3",
    "rlnOpticsGroup": "1",
    "rlnRandomSubset": "2",
}
Row = dict[str, str]


def table(name: str, rows: list[Row]) -> str:
    columns = "".join(f"_{column} #{i}\n" for i, column in enumerate(rows[0], 1))
    body = "".join(" ".join(row.values()) + "\n" for row in rows)
    return f"\n# version 30001\n\ndata_{name}\n\nloop_\n{columns}{body}\n"


def particle_rows(count: int, **changed: str) -> list[Row]:
    return [PARTICLE | {"rlnImageName": f"{i + 1:06d}@p.mrcs"} | changed for i in range(count)]


def without(row: Row, *columns: str) -> Row:
    return {column: value for column, value in row.items() if column not in columns}


def stack(path: Path, count: int, box: int = BOX) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with StackWriter(path, box, 1.5) as writer:
        writer.append(np.arange(count)[:, None, None] * np.ones((box, box)))


def project(folder: Path, particles: list[Row], optics: list[Row] | None = None) -> Path:
    """A particle file with its stack of four images beside it."""
    star = folder / "particles.star"
    star.write_text(table("optics", optics or [OPTICS]) + table("particles", particles))
    stack(folder / "p.mrcs", 4)
    return star


def test_every_field(tmp_path: Path) -> None:
    rows = particle_rows(3)
    rows[1] |= {"rlnAngleRot": "-50.5", "rlnRandomSubset": "1", "rlnImageName": "4@p.mrcs"}
    particles = read_particles(project(tmp_path, rows))
    assert particles.optics == (Optics(1.5, BOX, 300.0, 2.7, 0.1, "og1"),)
    assert particles.uid.tolist() == ["000001@p.mrcs", "4@p.mrcs", "000003@p.mrcs"]
    assert particles.half_set.tolist() == [2, 1, 2]
    assert particles.ctf.defocus_u_A.tolist() == [15000.0] * 3
    assert particles.ctf.defocus_v_A.tolist() == [14000.0] * 3
    assert particles.ctf.defocus_angle_deg.tolist() == [30.0] * 3
    assert particles.ctf.phase_shift_deg.tolist() == [0.0] * 3
    assert particles.ctf.scale.tolist() == [1.0] * 3
    assert particles.ctf.optics_group.tolist() == [0] * 3
    assert particles.poses is not None
    assert particles.poses.shift_A.tolist() == [[-1.5, 3.0]] * 3
    expected = Rotation.from_euler("ZYZ", [-50.5, 20, 30], degrees=True).inv().as_matrix()
    np.testing.assert_allclose(particles.poses.rotation[1], expected, atol=1e-12)
    assert particles.images.read(np.arange(3))[:, 0, 0].tolist() == [0.0, 3.0, 2.0]
    assert particles.source.row.tolist() == [0, 1, 2]


def test_optics_groups_that_are_used(tmp_path: Path) -> None:
    optics = [
        OPTICS | {"rlnOpticsGroup": "7", "rlnOpticsGroupName": "a", "rlnVoltage": "200"},
        OPTICS | {"rlnOpticsGroup": "2", "rlnOpticsGroupName": "b"},
        OPTICS | {"rlnOpticsGroup": "3", "rlnOpticsGroupName": "c", "rlnImagePixelSize": "9"},
    ]
    rows = [row | {"rlnOpticsGroup": g} for row, g in zip(particle_rows(3), "272", strict=True)]
    particles = read_particles(project(tmp_path, rows, optics))
    assert [(o.name, o.voltage_kv) for o in particles.optics] == [("a", 200.0), ("b", 300.0)]
    assert particles.ctf.optics_group.tolist() == [1, 0, 1]


def test_no_angles_no_poses_and_no_origins_no_shift(tmp_path: Path) -> None:
    rows = [without(row, "rlnAngleRot", "rlnAngleTilt") for row in particle_rows(2)]
    assert read_particles(project(tmp_path, rows)).poses is None
    rows = [without(row, "rlnOriginXAngst", "rlnOriginYAngst") for row in particle_rows(2)]
    poses = read_particles(project(tmp_path, rows)).poses
    assert poses is not None
    assert not poses.shift_A.any()


def test_split_without_subsets_keeps_images_together(tmp_path: Path) -> None:
    rows = [without(row, "rlnRandomSubset") for row in particle_rows(4)]
    star = project(tmp_path, [*rows, rows[2], rows[2], *rows])
    particles = read_particles(star)
    half = particles.half_set
    assert sorted(half[:4].tolist()) == [1, 1, 2, 2]
    assert half[4] == half[5] == half[2]
    assert half[6:].tolist() == half[:4].tolist()
    np.testing.assert_array_equal(half, read_particles(star).half_set)
    assert particles.uid[4:7].tolist() == ["000003@p.mrcs#2", "000003@p.mrcs#3", "000001@p.mrcs#2"]
    assert len(set(particles.uid.tolist())) == len(particles)


def test_relion_30_takes_pixel_size_from_the_magnification(tmp_path: Path) -> None:
    extra = {
        "rlnOriginX": "2",
        "rlnOriginY": "-4",
        "rlnMagnification": "10000",
        "rlnDetectorPixelSize": "1.5",
    } | without(OPTICS, "rlnOpticsGroup", "rlnOpticsGroupName", "rlnImagePixelSize", "rlnImageSize")
    old = ("rlnOriginXAngst", "rlnOriginYAngst", "rlnOpticsGroup")
    rows = [without(row, *old) | extra for row in particle_rows(3)]
    rows[2]["rlnVoltage"] = "200"
    stack(tmp_path / "p.mrcs", 4)
    star = tmp_path / "old.star"
    star.write_text(table("", rows))
    particles = read_particles(star)
    assert particles.pixel_size_A == pytest.approx(1.5)
    assert {o.voltage_kv for o in particles.optics} == {200.0, 300.0}
    assert [particles.optics[g].voltage_kv for g in particles.ctf.optics_group] == [300, 300, 200]
    assert particles.poses is not None
    np.testing.assert_allclose(particles.poses.shift_A, [[-3.0, 6.0]] * 3)
    rows[1]["rlnMagnification"] = "0"
    star.write_text(table("", rows))
    with pytest.raises(InputError, match="row 2: the pixel size is not above 0"):
        read_particles(star)
    rows[1]["rlnMagnification"] = "20000"
    star.write_text(table("", rows))
    with pytest.raises(InputError, match=r"row 2: mixed pixel sizes: 1.5 and 0.75 A"):
        read_particles(star)


# ---------------------------------------------------------------- bad input


def test_all_missing_columns_are_named(tmp_path: Path) -> None:
    rows = [without(row, "rlnDefocusU", "rlnDefocusAngle") for row in particle_rows(1)]
    star = project(tmp_path, rows, [without(OPTICS, "rlnVoltage", "rlnImagePixelSize")])
    names = "_rlnDefocusU, _rlnDefocusAngle, _rlnVoltage, _rlnImagePixelSize"
    with pytest.raises(InputError, match=f"missing columns: {names}") as caught:
        read_particles(star)
    assert caught.value.cure


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"rlnAngleTilt": "nan"}, "_rlnAngleTilt is nan"),
        ({"rlnAngleRot": "inf"}, "_rlnAngleRot is inf"),
        ({"rlnDefocusU": "x"}, "_rlnDefocusU is 'x'"),
        ({"rlnRandomSubset": "0"}, "_rlnRandomSubset is neither 1 nor 2"),
        ({"rlnOpticsGroup": "4"}, "not in data_optics"),
        ({"rlnImageName": "p.mrcs"}, "not of the form"),
        ({"rlnImageName": "0@p.mrcs"}, "not of the form"),
        ({"rlnImageName": "-1@p.mrcs"}, "not of the form"),
        ({"rlnImageName": "1@"}, "not of the form"),
        ({"rlnImageName": "9" * 400 + "@p.mrcs"}, "not of the form"),
        ({"rlnImageName": "000005@p.mrcs"}, "image 5 of .*p.mrcs, which holds 4 images"),
    ],
)
def test_bad_values_name_the_row(tmp_path: Path, changed: Row, problem: str) -> None:
    rows = particle_rows(3)
    rows[1] |= changed
    with pytest.raises(InputError, match=rf"particles\.star, row 2: .*{problem}") as caught:
        read_particles(project(tmp_path, rows))
    assert caught.value.cure


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"rlnImagePixelSize": "0"}, "pixel size is not above 0"),
        ({"rlnVoltage": "0"}, "_rlnVoltage"),
        ({"rlnAmplitudeContrast": "10"}, "_rlnAmplitudeContrast"),
        ({"rlnImageDimensionality": "3"}, "subtomograms"),
        ({"rlnCtfDataAreCtfPremultiplied": "1"}, "multiplied by their CTF"),
        ({"rlnImageSize": "64"}, "_rlnImageSize is 64 but the images of .* are 8 px"),
    ],
)
def test_optics_that_cannot_be_used(tmp_path: Path, changed: Row, problem: str) -> None:
    star = project(tmp_path, particle_rows(2), [OPTICS | changed])
    with pytest.raises(InputError, match=rf"particles\.star, row 1: .*{problem}"):
        read_particles(star)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"rlnImagePixelSize": "1.6"}, "mixed pixel sizes: 1.5 and 1.6 A"),
        ({"rlnImageSize": "16"}, "mixed box sizes: 8 and 16 px"),
    ],
)
def test_mixed_sampling(tmp_path: Path, changed: Row, problem: str) -> None:
    optics = [OPTICS, OPTICS | {"rlnOpticsGroup": "2", "rlnOpticsGroupName": "og2"} | changed]
    rows = particle_rows(3)
    rows[2]["rlnOpticsGroup"] = "2"
    with pytest.raises(InputError, match=rf"row 3: {problem} .*og1 and og2"):
        read_particles(project(tmp_path, rows, optics))


def test_optics_group_column_may_be_absent_with_one_group_only(tmp_path: Path) -> None:
    rows = [without(row, "rlnOpticsGroup") for row in particle_rows(2)]
    assert len(read_particles(project(tmp_path, rows))) == 2
    with pytest.raises(InputError, match="missing column _rlnOpticsGroup"):
        read_particles(project(tmp_path, rows, [OPTICS, OPTICS | {"rlnOpticsGroup": "2"}]))


def test_no_particles(tmp_path: Path) -> None:
    star = project(tmp_path, particle_rows(1))
    star.write_text("".join(star.read_text().splitlines(keepends=True)[:-2]))
    with pytest.raises(InputError, match="no particles"):
        read_particles(star)


# ---------------------------------------------------------------- where stacks are


@pytest.mark.parametrize(
    "place", ["Refine3D/job2/Extract/x.mrcs", "Extract/x.mrcs", "Refine3D/job2/x.mrcs"]
)
def test_stacks_are_found_from_the_file(tmp_path: Path, place: str) -> None:
    stack(tmp_path / place, 1)
    star = tmp_path / "Refine3D" / "job2" / "run_data.star"
    star.parent.mkdir(parents=True, exist_ok=True)
    rows = particle_rows(1, rlnImageName="1@Extract/x.mrcs")
    star.write_text(table("optics", [OPTICS]) + table("particles", rows))
    images = read_particles(star).images
    assert isinstance(images, StackImages)
    assert images.files == (tmp_path / place,)


def test_stacks_are_found_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = particle_rows(1, rlnImageName="1@Extract/x.mrcs")
    star = tmp_path / "a" / "run_data.star"
    star.parent.mkdir()
    star.write_text(table("optics", [OPTICS]) + table("particles", rows))
    stack(tmp_path / "disk" / "x.mrcs", 1)
    assert len(read_particles(star, search=[tmp_path / "disk"])) == 1
    stack(tmp_path / "cwd" / "Extract" / "x.mrcs", 1)
    monkeypatch.chdir(tmp_path / "cwd")
    images = read_particles(star).images
    monkeypatch.chdir(tmp_path)
    assert images.read(np.array([0])).shape == (1, BOX, BOX)
    rows = particle_rows(1, rlnImageName=f"1@{tmp_path}/disk/x.mrcs")
    star.write_text(table("optics", [OPTICS]) + table("particles", rows))
    assert len(read_particles(star)) == 1


def test_missing_stacks_are_reported_at_once(tmp_path: Path) -> None:
    rows = particle_rows(1) + [
        PARTICLE | {"rlnImageName": f"1@Extract/m{i % 4}.mrcs"} for i in range(8)
    ]
    with pytest.raises(InputError) as caught:
        read_particles(project(tmp_path, rows), search=[tmp_path / "elsewhere"])
    text = str(caught.value)
    assert "particles.star, row 2: 4 of 5 stacks are missing: " in text
    assert "Extract/m0.mrcs, Extract/m1.mrcs, Extract/m2.mrcs, ..." in text
    assert "m3" not in text
    assert str(tmp_path / "elsewhere") in text
    rows = particle_rows(1, rlnImageName="1@" + "x" * 3000)
    with pytest.raises(InputError, match="1 of 1 stacks are missing"):
        read_particles(project(tmp_path, rows))


def test_truncated_stack(tmp_path: Path) -> None:
    star = project(tmp_path, particle_rows(2))
    path = tmp_path / "p.mrcs"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"p\.mrcs: the file is truncated.*3 whole images"):
        read_particles(star)


# ---------------------------------------------------------------- writing


def test_subset_has_the_rows_of_the_users_file(tmp_path: Path) -> None:
    rows = [row | {"rlnUnknown": f"'v {i}'"} for i, row in enumerate(particle_rows(4))]
    star = project(tmp_path, [*rows, rows[1]])
    particles = read_particles(star).take(np.array([4, 2, 1]))
    out = tmp_path / "subset.star"
    export_subset(particles, [True, False, True], out)
    before, after = star.read_text().splitlines(), out.read_text().splitlines()
    first = next(i for i, line in enumerate(before) if "@p.mrcs" in line)
    assert after[:first] == before[:first]
    assert after[first : first + 2] == [before[first + 4], before[first + 1]]
    assert after[first + 2 :] == before[first + 5 :]
    assert read_particles(out).uid.tolist() == ["000002@p.mrcs", "000002@p.mrcs#2"]


def test_subsets_that_are_refused(tmp_path: Path) -> None:
    star = project(tmp_path, particle_rows(3))
    particles = read_particles(star)
    out = tmp_path / "subset.star"
    with pytest.raises(InputError, match="selection is empty"):
        export_subset(particles, np.zeros(3, dtype=bool), out)
    with pytest.raises(ValueError, match="mask"):
        export_subset(particles, [True], out)
    with pytest.raises(InputError, match="came from"):
        export_subset(particles, [True, False, False], star)
    with pytest.raises(InputError, match="no folder"):
        export_subset(particles, [True, False, False], tmp_path / "none" / "subset.star")
    project(tmp_path, particle_rows(2))
    with pytest.raises(InputError, match="row 3: there is no such row"):
        export_subset(particles, [True, False, True], out)
    project(tmp_path, particle_rows(4)[1:])
    with pytest.raises(InputError, match="has changed since it was read"):
        export_subset(particles, [True, False, True], out)
    assert not out.exists()


@pytest.mark.parametrize("with_poses", [True, False])
def test_written_particles_are_read_back(tmp_path: Path, with_poses: bool) -> None:
    rng = np.random.default_rng(3)
    count = 20
    stack(tmp_path / "sim.mrcs", count)
    names = [f"{i + 1:06d}@sim.mrcs" for i in range(count)]
    poses = Poses(Rotation.random(count, rng).as_matrix(), rng.normal(0, 5, (count, 2)))
    ctf = CTFParams.uniform(count, rng.uniform(5e3, 3e4, count), astigmatism_A=300)
    made = Particles(
        images=StackImages.open(
            [tmp_path / "sim.mrcs"], np.zeros(count, int), np.arange(count), table="x"
        ),
        optics=(Optics(1.6, BOX, name="one"), Optics(1.6, BOX, 200.0, 1.4, 0.07, "two")),
        ctf=replace(ctf, optics_group=np.arange(count) % 2, phase_shift_deg=np.full(count, 90.0)),
        poses=poses if with_poses else None,
        half_set=(np.arange(count) % 2 + 1).astype(np.int8),
        uid=np.array(names),
        source=ParticleSource(tmp_path, np.arange(count)),
    )
    path = tmp_path / "sim.star"
    write_particle_star(path, made, names)
    read = read_particles(path)
    assert read.optics == made.optics
    for name in ("defocus_u_A", "defocus_v_A", "phase_shift_deg", "scale", "optics_group"):
        np.testing.assert_allclose(getattr(read.ctf, name), getattr(made.ctf, name), atol=1e-5)
    np.testing.assert_array_equal(read.half_set, made.half_set)
    assert read.uid.tolist() == names
    assert (read.poses is not None) == with_poses
    if read.poses is not None:
        np.testing.assert_allclose(read.poses.rotation, poses.rotation, atol=1e-7)
        np.testing.assert_allclose(read.poses.shift_A, poses.shift_A, atol=1e-6)
    blocks = starfile.read(path)
    assert list(blocks) == ["optics", "particles"]
    assert len(blocks["particles"]) == count


# ---------------------------------------------------------------- files of RELION itself


def test_real_particles(fixtures_dir: Path) -> None:
    old = read_particles(fixtures_dir / "particles/aspire_17/particles_relion30.star")
    assert old.pixel_size_A == pytest.approx(1.338, abs=1e-6)
    assert (len(old), old.box_size_px, old.poses is not None) == (17, 200, True)
    new = read_particles(fixtures_dir / "particles/aspire_17/particles_relion31.star")
    assert [group.voltage_kv for group in new.optics] == [300.0, 200.0]
    assert new.poses is not None
    np.testing.assert_array_equal(
        old.images.read(np.array([4, 1])), new.images.read(np.array([4, 1]))
    )


@pytest.mark.parametrize("name", ["relion31.star", "relion31.v2.star"])
def test_real_particles_of_relion_31(fixtures_dir: Path, name: str) -> None:
    path = fixtures_dir / "particles/relion31_5" / name
    particles = read_particles(path)
    assert particles.optics[0].pixel_size_A == 2.806
    assert particles.box_size_px == 256
    frame = starfile.read(path)["particles"]
    np.testing.assert_allclose(particles.ctf.defocus_u_A, frame["rlnDefocusU"])
    assert particles.poses is not None
    np.testing.assert_allclose(-particles.poses.shift_A[:, 1], frame["rlnOriginYAngst"])
    assert particles.images.read(np.array([2])).std() == pytest.approx(1.0, abs=0.1)


def test_real_tables_without_stacks(fixtures_dir: Path) -> None:
    metadata = fixtures_dir / "metadata"
    five = read_particle_table(metadata / "relion5.star")
    assert five.optics == (Optics(0.89, 448, 100.0, 1.6, 0.1, "opticsGroup1"),)
    assert len(set(five.uid.tolist())) == 17
    with pytest.raises(InputError, match="2 of 2 stacks are missing"):
        read_particles(metadata / "relion5.star")
    mixed = metadata / "relion31.6opticsgroups.star"
    with pytest.raises(InputError, match=r"row 25: mixed pixel sizes: 1\.25 and 1\.24 A"):
        read_particles(mixed)
    group = read_star(mixed).particle_block().numbers("_rlnOpticsGroup")
    assert np.flatnonzero(np.isin(group, (2, 5)))[0] == 24
    with pytest.raises(InputError, match="missing columns: _rlnAmplitudeContrast"):
        read_particles(metadata / "FinalRefinement-OriginalParticles-PfCRT.star")
