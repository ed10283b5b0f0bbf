"""Selections come back exactly, whatever the order of the file; what does not fit is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cryoscope.data import InputError, Particles, Selection
from cryoscope.io.cryodrgn_files import write_indices
from cryoscope.io.export_record import record_path
from cryoscope.io.particle_export import export_rows
from cryoscope.io.particle_matching import match_particles, selection_mask
from cryoscope.io.particles_file import read_any
from cryoscope.io.selections_file import write_selections
from cryoscope.io.stack import StackWriter
from tests.examples import examples

COUNT, BOX = 24, 4
OPTICS = (
    "data_optics\n\nloop_\n_rlnOpticsGroup #1\n_rlnImagePixelSize #2\n_rlnImageSize #3\n"
    "_rlnVoltage #4\n_rlnSphericalAberration #5\n_rlnAmplitudeContrast #6\n"
    f"1 1.5 {BOX} 300 2.7 0.1\n\n"
)
HEAD = (
    "data_particles\n\nloop_\n_rlnImageName #1\n_rlnDefocusU #2\n_rlnDefocusV #3\n"
    "_rlnDefocusAngle #4\n_rlnOpticsGroup #5\n"
)
KINDS = ("star", "cs", "pkl", "txt", "json", "csv", "parquet")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two stacks with their particle files of three programs."""
    folder = tmp_path_factory.mktemp("matching")
    for stack in ("a.mrcs", "b.mrcs"):
        with StackWriter(folder / stack, BOX, 1.5) as writer:
            writer.append(np.random.default_rng(0).normal(size=(COUNT, BOX, BOX)))
    names = [f"{i // 2 + 1:06d}@{'ab'[i % 2]}.mrcs" for i in range(COUNT)]
    write_star(folder / "particles.star", names)
    names = [f"{i // 4 + 1:06d}@a.mrcs" for i in range(COUNT)]  # four rows of every image
    write_star(folder / "expanded.star", names)
    write_cs(folder / "particles.cs", np.random.default_rng(1).permutation(COUNT))
    return folder


def write_star(path: Path, names: list[str], first: int = 0) -> None:
    rows = [f"{name} {15000 + first + i} 14000 0 1\n" for i, name in enumerate(names)]
    path.write_text(OPTICS + HEAD + "".join(rows), encoding="utf-8")


def write_cs(path: Path, order: np.ndarray) -> None:
    fields = [("uid", "u8"), ("blob/path", "S10"), ("blob/idx", "u4"), ("blob/shape", "u4", 2)]
    fields += [(name, "f4") for name in ("blob/psize_A", "ctf/df1_A", "ctf/df2_A")]
    fields += [("ctf/" + n, "f4") for n in ("df_angle_rad", "accel_kv", "cs_mm", "amp_contrast")]
    records = np.zeros(len(order), dtype=fields)
    records["uid"] = order.astype(np.uint64) * np.uint64(2**58) + np.uint64(17)
    records["blob/path"] = [b">a.mrcs" if i % 2 == 0 else b"b.mrcs" for i in order]
    records["blob/idx"], records["blob/shape"] = order // 2, BOX
    records["blob/psize_A"], records["ctf/accel_kv"], records["ctf/amp_contrast"] = 1.5, 300, 0.1
    with path.open("wb") as stream:
        np.save(stream, records)


def shuffled(particles: Particles, seed: int) -> Particles:
    return particles.take(np.random.default_rng(seed).permutation(len(particles)))


@pytest.mark.parametrize("source", ["particles.star", "particles.cs", "expanded.star"])
@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    chosen=st.sets(st.integers(0, COUNT - 1), min_size=1),
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 99),
    keep_record=st.booleans(),
)
def test_every_export_restores_its_selection(
    folder: Path,
    tmp_path: Path,
    source: str,
    chosen: set[int],
    kind: str,
    seed: int,
    keep_record: bool,
) -> None:
    if kind in ("star", "cs") and kind != source.rpartition(".")[2]:
        return
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    particles = shuffled(read_any(folder / source), seed)
    mask = np.isin(np.arange(COUNT), list(chosen))
    out = tmp_path / f"out.{kind}"
    export_rows(particles, mask, out)
    if not keep_record:
        record_path(out).unlink(missing_ok=True)
    np.testing.assert_array_equal(selection_mask(particles, out), mask)
    other = shuffled(read_any(folder / source), seed + 1)
    again = selection_mask(other, out)
    assert set(other.uid[again]) == set(particles.uid[mask])
    place = match_particles(other, out)
    np.testing.assert_array_equal(other.uid[place], particles.uid[match_particles(particles, out)])


def test_the_record_says_what_was_written(folder: Path, tmp_path: Path) -> None:
    particles = read_any(folder / "particles.star")
    mask = np.arange(COUNT) % 3 == 1
    for kind, listed in (("star", False), ("pkl", True), ("txt", True)):
        export_rows(particles, mask, tmp_path / f"out.{kind}")
        record = json.loads((tmp_path / f"out.{kind}.json").read_text(encoding="utf-8"))
        assert record["export"]["file"] == f"out.{kind}"
        assert len(record["export"]["sha256"]) == 64
        assert record["source"]["file"] == str(folder / "particles.star")
        assert record["source"]["particles"] == COUNT
        assert (record["particles"]["rows"], record["particles"]["order"]) == (8, "source")
        assert record.get("uid") == (particles.uid[mask].tolist() if listed else None)
    export_rows(particles.take(np.arange(COUNT)[::-1]), mask, tmp_path / "out.txt")
    record = json.loads((tmp_path / "out.txt.json").read_text(encoding="utf-8"))
    assert record["particles"]["order"] == "given"


def test_a_file_that_was_changed_is_refused(folder: Path, tmp_path: Path) -> None:
    particles, out = read_any(folder / "particles.star"), tmp_path / "out.txt"
    export_rows(particles, np.arange(COUNT) < 3, out)
    out.write_text("0\n1\n5\n", encoding="utf-8")
    with pytest.raises(InputError, match="changed after it was exported"):
        match_particles(particles, out)
    record_path(out).write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="no record of an export"):
        match_particles(particles, out)
    record_path(out).unlink()
    assert match_particles(particles, out).tolist() == [0, 1, 5]


def test_numbers_for_other_particles_are_refused_with_the_first_row(
    folder: Path, tmp_path: Path
) -> None:
    particles, out = read_any(folder / "particles.star"), tmp_path / "ind.pkl"
    export_rows(particles, np.arange(COUNT) % 2 == 0, out)
    uid = particles.uid.copy()
    uid[[4, 6]] = ["000009@c.mrcs", "000010@c.mrcs"]
    with pytest.raises(
        InputError, match=r"row 3: image 000003@a.mrcs is not among .* \(2 such rows\)"
    ):
        match_particles(replace(particles, uid=uid), out)
    # another order is no mismatch: the names decide, not the numbers
    turned = particles.take(np.arange(COUNT)[::-1])
    assert set(turned.uid[match_particles(turned, out)]) == set(particles.uid[::2])


def test_images_of_other_programs_are_found_by_number_and_stack(
    folder: Path, tmp_path: Path
) -> None:
    particles = read_any(folder / "particles.cs")
    write_star(tmp_path / "out.star", ["2@elsewhere/b.mrcs", "000003@a.mrcs"])
    place = match_particles(particles, tmp_path / "out.star")
    uid = [(3 << 58) + 17, (4 << 58) + 17]
    assert particles.uid[place].tolist() == [str(one) for one in uid]
    place = match_particles(read_any(folder / "particles.star"), folder / "particles.cs")
    assert sorted(place.tolist()) == list(range(COUNT))
    ours = read_any(folder / "particles.star")
    write_star(tmp_path / "out.star", ["2@b.mrcs", "000001@a.mrcs"])
    assert match_particles(ours, tmp_path / "out.star").tolist() == [3, 0]
    write_star(tmp_path / "out.star", ["000001@a.mrcs", "000002@Extract/job7/b.mrcs"])
    with pytest.raises(InputError, match=r"row 2: image 2 of Extract/job7/b\.mrcs is not among"):
        match_particles(ours, tmp_path / "out.star")
    write_star(tmp_path / "out.star", ["000001@x/a.mrcs", "000001@y/a.mrcs"])
    with pytest.raises(InputError, match="same name in different folders"):
        match_particles(particles, tmp_path / "out.star")
    write_star(tmp_path / "out.star", ["000001@a.mrcs", "000099@a.mrcs"])
    with pytest.raises(InputError, match=r"row 2: image 99 of a\.mrcs is not among"):
        match_particles(particles, tmp_path / "out.star")


def test_rows_that_cannot_be_told_apart_are_refused(folder: Path, tmp_path: Path) -> None:
    star = tmp_path / "same.star"
    star.write_text(OPTICS + HEAD + "1@a.mrcs 15000 14000 0 1\n" * 3, encoding="utf-8")
    (tmp_path / "a.mrcs").symlink_to(folder / "a.mrcs")
    particles, out = read_any(star), tmp_path / "out.star"
    mask = np.array([False, True, False])
    export_rows(particles, mask, out)
    np.testing.assert_array_equal(selection_mask(particles, out), mask)
    record_path(out).unlink()
    with pytest.raises(InputError, match=r"row 1: 3 rows of same\.star are the same"):
        match_particles(particles, out)
    export_rows(particles, ~mask | mask, out)
    record_path(out).unlink()
    assert selection_mask(particles, out).all()


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        ("a.txt", "0\n1\nx\n", "row 3: 'x' is no particle number"),
        ("a.txt", "0\n-1\n", "row 2: '-1' is no particle number"),
        ("a.txt", "0\n2\n0\n", "row 3: particle 000001@a.mrcs is in row 1 already"),
        ("a.txt", "0\n24\n", "row 2: there is no particle 24 among the 24"),
        ("a.txt", "9" * 30, "no particle number"),
        ("a.npy", "junk", "no particle numbers"),
        ("a.json", "[]", "JSON object is expected"),
        ("a.dat", "0\n", "says nothing about particles"),
    ],
)
def test_files_that_are_no_selection(
    folder: Path, tmp_path: Path, file: str, content: str, problem: str
) -> None:
    (tmp_path / file).write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=problem):
        match_particles(read_any(folder / "particles.star"), tmp_path / file)


def test_arrays_and_numbers_of_cryodrgn(folder: Path, tmp_path: Path) -> None:
    particles = read_any(folder / "particles.star")
    np.save(tmp_path / "a.npy", np.array([3, 1]))
    assert match_particles(particles, tmp_path / "a.npy").tolist() == [3, 1]
    np.save(tmp_path / "a.npy", np.arange(COUNT) == 7)
    assert match_particles(particles, tmp_path / "a.npy").tolist() == [7]
    np.save(tmp_path / "a.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(InputError, match="no particle numbers"):
        match_particles(particles, tmp_path / "a.npy")
    write_indices(tmp_path / "ind.pkl", np.array([5, 2]))
    assert match_particles(particles, tmp_path / "ind.pkl").tolist() == [5, 2]


def test_selections_by_name(folder: Path, tmp_path: Path) -> None:
    particles, path = read_any(folder / "particles.star"), tmp_path / "two.json"
    masks = [np.arange(COUNT) < 5, np.arange(COUNT) > 20]
    both = [Selection(name, mask) for name, mask in zip(("low", "high"), masks, strict=True)]
    write_selections(path, both, uid=particles.uid)
    np.testing.assert_array_equal(selection_mask(particles, path, name="high"), masks[1])
    for name in (None, "middle"):
        with pytest.raises(InputError, match="'low', 'high'"):
            match_particles(particles, path, name=name)
    write_selections(path, both[:1])
    with pytest.raises(InputError, match="order alone may mislead"):
        match_particles(particles, path)


def test_names_that_climb_out_of_their_folder_are_not_exported(
    folder: Path, tmp_path: Path
) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "a.mrcs").symlink_to(folder / "a.mrcs")
    write_star(inside / "up.star", ["000001@../a.mrcs", "000002@x/../../a.mrcs"])
    before = sorted(tmp_path.rglob("*"))
    particles = read_any(inside / "up.star", search=[tmp_path])
    with pytest.raises(InputError, match=r"up\.star, row 2: .*climbs out"):
        export_rows(particles, [False, True], inside / "out.star")
    assert sorted(tmp_path.rglob("*")) == before
    export_rows(particles, [False, True], inside / "out.txt")  # numbers point nowhere


def test_names_that_are_the_same_by_chance_are_refused(folder: Path, tmp_path: Path) -> None:
    particles = read_any(folder / "particles.star")
    write_star(tmp_path / "other.star", ["000002@a.mrcs", "000001@b.mrcs"])
    assert match_particles(particles, tmp_path / "other.star").tolist() == [2, 1]
    (tmp_path / "a.mrcs").write_bytes((folder / "a.mrcs").read_bytes())  # a copy is the same
    assert len(match_particles(particles, tmp_path / "other.star")) == 2
    with StackWriter(tmp_path / "b.mrcs", BOX, 1.5) as writer:
        writer.append(np.random.default_rng(5).normal(size=(COUNT, BOX, BOX)))
    with pytest.raises(InputError, match=r"row 2: .*b\.mrcs.* differ"):
        match_particles(particles, tmp_path / "other.star")
