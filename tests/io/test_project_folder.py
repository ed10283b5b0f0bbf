from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cryoscope.data import InputError
from cryoscope.io.array_archive import read_arrays, write_arrays
from cryoscope.io.json_file import read_json_object, write_json
from cryoscope.io.process_lock import LockLost
from cryoscope.io.project_folder import NEWEST, PARTS, PREVIOUS, Part, ProjectFolder
from cryoscope.io.recent_projects import MOST_RECENT, read_recent, settings_folder, write_recent


def saved(path: Path, number: int = 1) -> ProjectFolder:
    folder = ProjectFolder(path)
    if not ProjectFolder.is_one(path):
        folder.make()
    part = folder.write_part("selections", ".json", lambda file: write_json(file, {"n": number}))
    folder.save({"view": {"number": number}}, {"selections": part})
    return folder


def test_what_is_saved_is_read_and_so_is_the_save_before(tmp_path: Path) -> None:
    for number in range(1, 4):
        folder = saved(tmp_path / "project", number)
    found, problems = folder.saves()
    assert problems == []
    assert [one.content["view"]["number"] for one in found] == [3, 2]
    assert folder.read_part(found[0].parts["selections"], read_json_object) == {"n": 3}
    assert folder.read_part(found[1].parts["selections"], read_json_object) == {"n": 2}
    assert len(list((folder.path / PARTS).iterdir())) == 2


def test_the_same_content_is_the_same_part(tmp_path: Path) -> None:
    folder = saved(tmp_path / "project")
    again = folder.write_part("selections", ".json", lambda file: write_json(file, {"n": 1}))
    assert folder.saves()[0][0].parts["selections"] == again


def test_a_folder_with_other_things_is_no_new_project(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match="not empty"):
        ProjectFolder(tmp_path).make()
    saved(tmp_path / "project")
    with pytest.raises(InputError, match="already"):
        ProjectFolder(tmp_path / "project").make()


def test_the_lock_names_who_has_it_and_one_of_the_dead_is_taken_over(tmp_path: Path) -> None:
    folder = saved(tmp_path / "project")
    with (
        folder.lock(),
        pytest.raises(InputError, match=r"process \d+ of this computer"),
        folder.lock(),
    ):
        raise AssertionError
    dead = {"pid": 2**22 + 5, "host": __import__("socket").gethostname(), "process_started": "1"}
    (folder.path / "project.lock").write_text(json.dumps(dead))
    with folder.lock():
        pass
    elsewhere = {"pid": 7, "host": "far-away", "process_started": "1"}
    (folder.path / "project.lock").write_text(json.dumps(elsewhere))
    with (
        pytest.raises(InputError, match=r"process 7 on far-away.*delete project.lock"),
        folder.lock(),
    ):
        raise AssertionError


def test_nothing_is_saved_once_another_program_has_the_project(tmp_path: Path) -> None:
    folder = saved(tmp_path / "project", 1)
    with folder.lock():
        other = {"pid": 7, "host": "far-away", "token": "another"}
        (folder.path / "project.lock").write_text(json.dumps(other))
        with pytest.raises(LockLost, match="taken over by another program"):
            folder.save({"view": {"number": 2}}, {})
    assert [one.content["view"]["number"] for one in folder.saves()[0]] == [1]
    assert (folder.path / "project.lock").exists()


def test_a_damaged_newest_save_is_said_and_the_one_before_is_given(tmp_path: Path) -> None:
    folder = saved(tmp_path / "project", 1)
    saved(folder.path, 2)
    (folder.path / NEWEST).write_text("{")
    found, problems = folder.saves()
    assert [one.content["view"]["number"] for one in found] == [1]
    assert len(problems) == 1
    (folder.path / PREVIOUS).unlink()
    with pytest.raises(InputError, match=NEWEST):
        folder.saves()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("format", "1"),
        ("format", True),
        ("parts", []),
        ("parts", {"selections": "x"}),
        ("parts", {"selections": {"file": "../../etc/passwd", "sha256": ""}}),
        ("parts", {"selections": {"file": "selections-0123456789abcdef.exe", "sha256": ""}}),
        ("parts", {f"p{n}": {"file": "p-0123456789abcdef.npz", "sha256": ""} for n in range(99)}),
    ],
)
def test_what_no_program_of_ours_wrote_is_refused(tmp_path: Path, name: str, value: Any) -> None:
    folder = saved(tmp_path / "project")
    content = json.loads((folder.path / NEWEST).read_text())
    (folder.path / NEWEST).write_text(json.dumps({**content, name: value}))
    with pytest.raises(InputError, match=NEWEST):
        folder.saves()


@pytest.mark.parametrize("version", [0, 2, 99])
def test_another_format_is_refused_even_where_an_older_save_would_do(
    tmp_path: Path, version: int
) -> None:
    folder = saved(tmp_path / "project", 1)
    saved(folder.path, 2)
    content = json.loads((folder.path / NEWEST).read_text())
    (folder.path / NEWEST).write_text(json.dumps({**content, "format": version}))
    with pytest.raises(InputError, match=f"format {version}"):
        folder.saves()


def test_a_part_that_has_changed_is_not_read(tmp_path: Path) -> None:
    folder = saved(tmp_path / "project")
    part = folder.saves()[0][0].parts["selections"]
    (folder.path / PARTS / part.file).write_text('{"n": 7}')
    with pytest.raises(InputError, match="damaged"):
        folder.read_part(part, read_json_object)
    with pytest.raises(InputError, match="no such file"):
        folder.read_part(Part("selections-0123456789abcdef.json", ""), read_json_object)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_damage_to_the_file_is_an_error_of_ours_or_harmless(
    tmp_path: Path, data: st.DataObject
) -> None:
    path = tmp_path / "project"
    folder = saved(path)
    whole = bytearray((path / NEWEST).read_bytes())
    place = data.draw(st.integers(0, len(whole) - 1))
    damaged = bytearray(whole)
    damaged[place] = data.draw(st.integers(0, 255))
    (path / NEWEST).write_bytes(damaged[: data.draw(st.integers(0, len(whole)))])
    (path / PREVIOUS).unlink(missing_ok=True)
    try:
        found, _ = folder.saves()
        for part in found[0].parts.values():
            folder.read_part(part, read_json_object)
    except InputError:
        pass
    finally:
        (path / NEWEST).write_bytes(whole)


def test_arrays_come_back_and_compressed_ones_are_refused(tmp_path: Path) -> None:
    values = {"clusters": np.arange(5, dtype=np.int32), "other": np.zeros(2)}
    write_arrays(tmp_path / "a.npz", values)
    found = read_arrays(tmp_path / "a.npz", ("clusters", "umap"), what="project", cure="")
    assert list(found) == ["clusters"]
    assert np.array_equal(found["clusters"], values["clusters"])
    np.savez_compressed(tmp_path / "b.npz", clusters=np.zeros(10**6))
    with pytest.raises(InputError, match="damaged project file"):
        read_arrays(tmp_path / "b.npz", ("clusters",), what="project", cure="")


def test_recent_projects_are_few_and_never_a_reason_to_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert read_recent() == []
    write_recent([tmp_path / f"{n}" for n in range(30)])
    assert read_recent() == [tmp_path / f"{n}" for n in range(MOST_RECENT)]
    file = settings_folder() / "recent-projects.json"
    for text in ("[", "[]", '{"projects": 3}', '{"projects": [1, "", "a\\u0000b"]}'):
        file.write_text(text)
        assert read_recent() == []
