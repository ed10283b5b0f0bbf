"""Result groups join their files by uid; what could unpack to anything is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cryoscope.data import InputError
from cryoscope.io.cryosparc_group import passthrough_beside, read_group
from cryoscope.io.particles_file import read_any, read_metadata
from tests.io.test_cryosparc import ALIGNMENTS, project, records, without

GROUP = """created: 2024-01-01 10:00:00
group:
  description: All particles
  name: particles
  title: Particles
  type: particle
results:
  alignments3D:
    metafile: '>J1_passthrough.cs'
    num_items: 4
    type: particle.alignments3D
  blob:
    metafile: '>{main}'
    num_items: 4
    type: particle.blob
version: v4.4.0
"""


def grouped(folder: Path) -> Path:
    table = records(4)
    main = project(folder, without(table, *ALIGNMENTS))
    order = [2, 0, 3, 1]
    kept = [n for n in table.dtype.names or () if n == "uid" or n in ALIGNMENTS]
    second = without(table, *[n for n in table.dtype.names or () if n not in kept])[order]
    with (main.parent / "J1_passthrough.cs").open("wb") as stream:
        np.save(stream, second)
    group = main.with_name("J1_particles.csg")
    group.write_text(GROUP.format(main=main.name))
    return group


def test_the_files_of_a_group_are_joined(tmp_path: Path) -> None:
    group = grouped(tmp_path)
    main, others = read_group(group)
    assert [file.name for file in others] == ["J1_passthrough.cs"]
    particles = read_any(group)
    assert particles.source.file == main.absolute()
    whole = read_any(project(tmp_path / "whole", records(4)))
    assert particles.poses is not None
    assert whole.poses is not None
    np.testing.assert_array_equal(particles.uid, whole.uid)
    np.testing.assert_array_equal(particles.poses.rotation, whole.poses.rotation)
    np.testing.assert_array_equal(particles.half_set, whole.half_set)
    assert read_metadata(group).poses is not None


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no result group"),
        ("just text", "no result group"),
        ("results: {}", "no result group"),
        ("results: [", "no result group"),
        ("\0", "no result group"),
        ("results: {blob: {metafile: [1]}}", "names no file"),
        ("results: {blob: 3}", "names no file"),
        ("results: {blob: {metafile: '>../x.cs'}}", "no file beside it"),
        ("results: {blob: {metafile: '>/etc/x.cs'}}", "no file beside it"),
        ("results: {blob: {metafile: '>passwd'}}", "no file beside it"),
        ("results: {blob: {metafile: '>x.cs'}, ctf: {metafile: '>y.cs'}}", "2 of its 2 files"),
        (BOMB, "aliases"),
        ("[" * 5000 + "]" * 5000, "nested too deeply"),
        ("x: !!python/object/apply:os.system ['true']\n", "no result group"),
        ("x" * (1 << 20) + "x", "too large"),
    ],
)
def test_what_is_no_group_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    group = tmp_path / "a.csg"
    group.write_text(text)
    with pytest.raises(InputError, match=problem):
        read_any(group)


def test_the_passthrough_of_the_class(tmp_path: Path) -> None:
    names = [f"J7_passthrough_particles_{end}.cs" for end in ("class_0", "class_1", "all_classes")]
    for name in names:
        (tmp_path / name).touch()
    for own, wanted in (
        ("J7_class_01_00042_particles.cs", names[1]),
        ("J7_class_00_00042_particles.cs", names[0]),
        ("J7_00042_particles.cs", names[2]),
        ("J7_class_02_00042_particles.cs", None),
        ("J8_particles.cs", None),
        (names[0], None),
    ):
        found = passthrough_beside(tmp_path / own)
        assert (found and found.name) == wanted, own
