from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryoscope.io.run_folder import RunFolder
from cryoscope.session import Session, actions
from cryoscope.session.project_records import WindowState
from cryoscope.training.config import config_to_json
from tests.session.conftest import PARTICLES, ROOT, eventually, fake_thread, structure
from tests.session.fake_worker import fake_latents
from tests.session.test_opening import real_inputs

SQUARE = [[-9.0, -9.0], [0.0, -9.0], [0.0, 9.0], [-9.0, 9.0]]


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))


def a_run(folder: Path) -> Path:
    """A finished run beside its particles."""
    star, model = real_inputs(folder)
    config = config_to_json(Session(make_runner=fake_thread).config)
    config["data"] |= {"particles": str(star), "structure": str(model)}
    info = {"particle_count": PARTICLES, "particles": str(star), "structure": str(model)}
    run = RunFolder.create(folder / "run", config, info)
    run.write_reference(structure())
    run.save_latents(fake_latents(run.run_id, 1, 5), live=False)
    run.save_checkpoint(7, {"w": np.zeros(1)}, {"epoch": 1})
    return run.path


def opened(session: Session, *paths: Path) -> Session:
    actions.open_files(session, paths)
    assert actions.wait(session, 60)
    return session


def worked(session: Session) -> Session:
    """Everything that a project keeps is other than at the beginning."""
    actions.lasso(session, SQUARE)
    actions.rename_selection(session, "selection 1", "left")
    actions.note_selection(session, "left", "the closed ones")
    actions.lasso(session, [[x + 4, y] for x, y in SQUARE])
    actions.activate_selection(session, "left")
    assert actions.wait(session, 60)
    actions.make_path(session, "component", component=2, frames=7, name="second")
    assert actions.wait(session, 60)
    actions.cluster_particles(session, 3)
    assert actions.wait(session, 60)
    actions.view_latents(session, "pc", 1, 3)
    assert actions.wait(session, 60)
    actions.set_contour(session, 4.5, "sigma")
    actions.colour_backbone(session, "chain")
    actions.draw_backbone_as(session, "ribbon")
    actions.mark_particle(session, (0.5, 0.1))
    actions.mark_residue(session, 4)
    actions.move_cursor(session, (1.25, 0.5))
    actions.set_option(session, "optimiser.epochs", 77)
    assert actions.wait(session, 60)
    return session


def told(session: Session) -> dict[str, Any]:
    """What a project keeps, to be compared."""
    names = (
        "active_selection", "cursor_xy", "iso_sigma", "contours", "active_path", "path_frame",
        "path_marks", "marked_residue", "backbone_colour", "latent_view", "config", "scene",
    )  # fmt: skip
    found = {name: getattr(session, name) for name in names}
    found["selections"] = [
        (one.name, one.colour, one.note, one.made_by, one.mask.tolist())
        for one in session.selections
    ]
    found["trajectories"] = [
        (one.name, one.frames_z.tolist(), one.nearest.tolist()) for one in session.trajectories
    ]
    found["xy"] = session.embedding.xy.tolist()
    found["clusters"] = session.clusters.tolist()
    found["colouring"] = session.colouring.name
    found["run"] = session.run.folder
    return found


def saved(session: Session, folder: Path) -> None:
    actions.save_project(session, folder)
    assert actions.wait(session, 60)
    assert session.project is not None
    assert session.project.path == folder
    window = WindowState({"state": b"\0docks"}, {"camera": (1.0, 2.0, 3.5)})
    actions.keep_window(session, window)
    actions.save_project(session)
    assert actions.wait(session, 60)


def no_error(session: Session) -> None:
    wrong = [one.text for one in session.journal.entries() if one.level == "error"]
    assert wrong == []


def warnings_of(session: Session) -> str:
    return "\n".join(one.text for one in session.journal.entries() if one.level == "warning")


def test_everything_comes_back(sessions: Any, tmp_path: Path) -> None:
    first = worked(opened(sessions(), a_run(tmp_path)))
    saved(first, tmp_path / "project")
    before = told(first)
    actions.close(first)
    second = opened(sessions(), tmp_path / "project")
    eventually(lambda: second.colouring is not None, "colours")
    no_error(second)
    assert told(second) == before
    assert second.project.window.layout == {"state": b"\0docks"}
    assert second.project.window.numbers == {"camera": (1.0, 2.0, 3.5)}
    eventually(lambda: second.shown is not None and second.shown.request_id > 0, "a state")


def test_it_opens_without_the_stack_and_without_the_particle_file(
    sessions: Any, tmp_path: Path
) -> None:
    first = worked(opened(sessions(), a_run(tmp_path)))
    saved(first, tmp_path / "project")
    before = told(first)
    actions.close(first)
    (tmp_path / "stack.mrcs").unlink()
    second = opened(sessions(), tmp_path / "project")
    eventually(lambda: second.colouring is not None, "colours")
    no_error(second)
    assert told(second) == before
    assert "stack.mrcs" in warnings_of(second)
    assert second.particles.count == PARTICLES
    actions.colour_by(second, "defocus")
    assert actions.wait(second, 60)
    assert second.colouring.name == "defocus"
    card = actions.particle_at(second, (0.0, 0.0), (100.0, 100.0))
    assert card.image is None
    assert "stack.mrcs" in card.remark
    actions.close(second)
    (tmp_path / "particles.star").unlink()
    third = opened(sessions(), tmp_path / "project")
    no_error(third)
    assert [one[0] for one in told_selections(third)] == ["left", "selection 1"]
    assert "particles.star" in warnings_of(third)


def told_selections(session: Session) -> list[tuple[str, int]]:
    return [(one.name, len(one)) for one in session.selections]


def test_it_is_found_again_after_everything_moved(sessions: Any, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    first = worked(opened(sessions(), a_run(tmp_path / "old")))
    saved(first, tmp_path / "old" / "project")
    selections = told_selections(first)
    actions.close(first)
    (tmp_path / "old").rename(tmp_path / "new")
    second = opened(sessions(), tmp_path / "new" / "project")
    assert second.run.folder == tmp_path / "new" / "run"
    assert told_selections(second) == selections
    assert second.particles.file == tmp_path / "new" / "particles.star"


def test_a_run_that_is_gone_is_said_and_nothing_of_it_is_lost(
    sessions: Any, tmp_path: Path
) -> None:
    first = worked(opened(sessions(), a_run(tmp_path)))
    saved(first, tmp_path / "project")
    before = told(first)
    actions.close(first)
    (tmp_path / "run").rename(tmp_path / "elsewhere")
    second = opened(sessions(), tmp_path / "project")
    assert second.run is None
    assert second.particles.count == PARTICLES
    assert "gone" in warnings_of(second)
    actions.set_option(second, "optimiser.epochs", 5)
    saved(second, tmp_path / "copy")
    actions.close(second)
    (tmp_path / "elsewhere").rename(tmp_path / "run")
    for name, epochs in (("project", 5), ("copy", 5)):
        third = opened(sessions(), tmp_path / name)
        eventually(lambda one=third: one.colouring is not None, "colours")
        now = told(third)
        assert now.pop("config").optimiser.epochs == epochs
        assert now == {key: value for key, value in before.items() if key != "config"}
        actions.close(third)


def test_autosave_without_being_asked(sessions: Any, tmp_path: Path) -> None:
    session = opened(sessions(), a_run(tmp_path))
    saved(session, tmp_path / "project")
    file = tmp_path / "project" / "project.json"
    assert "selections" not in json.loads(file.read_text())["parts"]
    actions.lasso(session, SQUARE)
    eventually(lambda: "selections" in json.loads(file.read_text())["parts"], "autosave")
    part = json.loads(file.read_text())["parts"]["selections"]["file"]
    actions.move_cursor(session, (0.25, 0.75))
    eventually(lambda: json.loads(file.read_text())["view"]["cursor_xy"] == [0.25, 0.75])
    assert json.loads(file.read_text())["parts"]["selections"]["file"] == part, "as it was"
    for number in range(4):
        actions.rename_selection(session, session.selections[0].name, f"name {number}")
        eventually(lambda n=number: f"name {n}" in parts_text(tmp_path / "project"))
    parts = tmp_path / "project" / "parts"
    eventually(lambda: len(list(parts.iterdir())) <= 3, "what nobody names is removed")


def parts_text(project: Path) -> str:
    content = json.loads((project / "project.json").read_text())
    return (project / "parts" / content["parts"]["selections"]["file"]).read_text()


def test_a_change_of_the_run_folder_alone_is_not_lost(sessions: Any, tmp_path: Path) -> None:
    first = opened(sessions(), a_run(tmp_path))
    actions.lasso(first, SQUARE)
    saved(first, tmp_path / "project")
    actions.close(first)
    other = opened(sessions(), tmp_path / "run")
    actions.invert_selection(other)
    actions.lasso(other, SQUARE)
    assert actions.wait(other, 60)
    actions.close(other)
    second = opened(sessions(), tmp_path / "project")
    names = [one.name for one in second.selections]
    assert names == ["selection 1", "selection 1 (run folder)", "selection 2"]
    assert len(second.selections[0]) + len(second.selections[1]) == PARTICLES


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("victim", ["selections", "trajectories", "arrays", "window"])
def test_a_damaged_part_is_said_and_the_rest_opens(
    sessions: Any, tmp_path: Path, victim: str
) -> None:
    first = worked(opened(sessions(), a_run(tmp_path)))
    saved(first, tmp_path / "project")
    actions.close(first)
    project = tmp_path / "project"
    (project / "project.previous.json").unlink(missing_ok=True)
    for folder in (tmp_path / "run", project / "parts"):
        for path in folder.glob(f"{victim}*"):
            damage(path) if folder.name == "parts" else path.unlink()
    second = opened(sessions(), project)
    assert f"{victim}-" in warnings_of(second)
    assert "damaged" in warnings_of(second)
    assert second.cursor_xy == (1.25, 0.5)
    assert bool(second.selections) == (victim != "selections")
    assert bool(second.trajectories) == (victim != "trajectories")
    if victim != "arrays":  # without them the particles are grouped again, to be coloured
        assert second.clusters.max() == 2
    assert bool(second.project.window.layout) == (victim != "window")


def test_the_save_before_is_taken_where_the_last_is_damaged(sessions: Any, tmp_path: Path) -> None:
    first = opened(sessions(), a_run(tmp_path))
    project = tmp_path / "project"
    saved(first, project)
    for number in range(2):
        actions.lasso(first, [[x + number, y] for x, y in SQUARE])
        actions.save_project(first)
        assert actions.wait(first, 60)
    actions.close(first)
    (tmp_path / "run" / "selections.json").unlink()
    damage(project / "parts" / part_named(project, "selections"))
    second = opened(sessions(), project)
    assert [one.name for one in second.selections] == ["selection 1"]
    actions.close(second)
    (tmp_path / "run" / "selections.json").unlink(missing_ok=True)
    (project / "project.json").write_text('{"format": 1, "ru')
    third = opened(sessions(), project)
    assert third.run is not None
    assert "project.json" in warnings_of(third)
    actions.close(third)
    for name in ("project.json", "project.previous.json"):
        (project / name).write_text("[]")
    fourth = opened(sessions(), project)
    assert fourth.notice.level == "error"
    assert "project.json" in fourth.notice.text
    assert fourth.project is None


def part_named(project: Path, name: str) -> str:
    return str(json.loads((project / "project.json").read_text())["parts"][name]["file"])


def test_a_project_of_another_version_is_refused_with_the_cure(
    sessions: Any, tmp_path: Path
) -> None:
    session = opened(sessions(), a_run(tmp_path))
    saved(session, tmp_path / "project")
    actions.close(session)
    file = tmp_path / "project" / "project.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": 9}))
    other = opened(sessions(), tmp_path / "run")
    actions.open_project(other, tmp_path / "project")
    assert actions.wait(other, 60)
    assert other.notice.level == "error"
    assert "format 9" in other.notice.text
    assert "Update Cryoscope" in other.notice.text
    assert other.run is not None, "what was open stays open"
    assert json.loads(file.read_text())["format"] == 9, "and the file as it is"


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("view",), 3),
        (("view", "cursor_xy"), [1e999, 0]),
        (("view", "contours"), {"decoded": ["loud", 3]}),
        (("view", "path_marks"), [-1]),
        (("view", "marked_residue"), 10**15),
        (("view", "picture"), {"centre": []}),
        (("window_numbers",), {"camera": "here"}),
        (("files",), {"particles": {"folder": "\0"}}),
        (("config",), [1]),
        (("run",), {"folder": ""}),
    ],
)
def test_what_makes_no_sense_is_left_out_and_said(
    sessions: Any, tmp_path: Path, where: tuple[str, ...], value: Any
) -> None:
    session = opened(sessions(), a_run(tmp_path))
    actions.lasso(session, SQUARE)
    saved(session, tmp_path / "project")
    actions.close(session)
    file = tmp_path / "project" / "project.json"
    content = json.loads(file.read_text())
    holder = content
    for name in where[:-1]:
        holder = holder[name]
    holder[where[-1]] = value
    file.write_text(json.dumps(content))
    second = opened(sessions(), tmp_path / "project")
    assert second.project is not None
    assert where[-1] in warnings_of(second)
    if where != ("run",):
        assert len(second.selections) == 1


def test_two_programs_cannot_have_one_project(sessions: Any, tmp_path: Path) -> None:
    first = opened(sessions(), a_run(tmp_path))
    saved(first, tmp_path / "project")
    second = opened(sessions(), tmp_path / "run")
    actions.open_project(second, tmp_path / "project")
    assert actions.wait(second, 60)
    assert second.notice.level == "error"
    assert str(os.getpid()) in second.notice.text
    assert "project.lock" in second.notice.text
    assert second.run is not None, "what was open stays open"
    assert second.project is None
    actions.close(first)
    actions.open_project(second, tmp_path / "project")
    assert actions.wait(second, 60)
    assert second.project is not None
    actions.open_project(second, tmp_path / "project")
    assert actions.wait(second, 60)
    assert second.project is not None, "one's own project can be opened again"


SAVE_ALL_THE_TIME = """
import sys
from pathlib import Path
from cryoscope.session import Session, actions
from tests.session.conftest import fake_thread
folder = Path(sys.argv[1])
session = Session(make_runner=fake_thread)
actions.open_project(session, folder)
actions.wait(session)
number = 0
print("ready", flush=True)
while True:
    number += 1
    actions.lasso(session, [[-9, -9], [0.01 * number, -9], [0.01 * number, 9], [-9, 9]])
    if number > 3:
        actions.remove_selection(session, session.selections[0].name)
    session.keeper.save()
"""


def test_a_kill_at_any_moment_leaves_a_whole_project(sessions: Any, tmp_path: Path) -> None:
    first = opened(sessions(), a_run(tmp_path))
    actions.lasso(first, SQUARE)
    project = tmp_path / "project"
    saved(first, project)
    actions.close(first)
    rng = np.random.default_rng(5)
    for _ in range(4):
        child = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(SAVE_ALL_THE_TIME), str(project)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
        )
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        time.sleep(float(rng.uniform(0.05, 0.4)))
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
        again = opened(sessions(), project)
        assert again.project is not None, again.notice
        assert again.selections
        assert warnings_of(again) == ""
        actions.close(again)


def test_recent_projects(sessions: Any, tmp_path: Path) -> None:
    session = sessions()
    for name in ("one", "two"):
        actions.new_project(session, tmp_path / name)
        assert actions.wait(session, 60)
    recent = [(one.path.name, one.there) for one in session.recent_projects]
    assert recent == [("two", True), ("one", True)]
    actions.open_project(session, tmp_path / "one")
    assert actions.wait(session, 60)
    for path in sorted((tmp_path / "two").iterdir()):
        path.unlink()
    other = sessions()
    actions.list_recent(other)
    assert actions.wait(other, 60)
    recent = [(one.path.name, one.there) for one in other.recent_projects]
    assert recent == [("one", True), ("two", False)]
    actions.forget_recent(other, tmp_path / "two")
    assert actions.wait(other, 60)
    assert [one.path.name for one in other.recent_projects] == ["one"]


def test_a_new_project_begins_with_nothing_open(sessions: Any, tmp_path: Path) -> None:
    session = opened(sessions(), a_run(tmp_path))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("precious")
    actions.new_project(session, tmp_path / "full")
    assert actions.wait(session, 60)
    assert session.notice.level == "error"
    assert session.run is not None
    actions.new_project(session, tmp_path / "empty")
    assert actions.wait(session, 60)
    assert session.run is None
    assert session.particles is None
    assert session.project.path == tmp_path / "empty"


def test_saving_without_a_project_says_what_to_do(sessions: Any) -> None:
    session = sessions()
    actions.save_project(session)
    assert session.notice.level == "error"
    assert "new project" in session.notice.text


def test_a_project_is_not_opened_while_a_run_is_trained(sessions: Any, tmp_path: Path) -> None:
    session = opened(sessions(), a_run(tmp_path))
    saved(session, tmp_path / "project")
    actions.start_training(session, tmp_path / "other")
    eventually(lambda: session.run is not None and session.run.step > 0, "a step")
    actions.open_project(session, tmp_path / "project")
    assert actions.wait(session, 60)
    assert "Stop it first" in session.notice.text
    assert session.run.folder == tmp_path / "other"
    actions.stop_training(session)
