from __future__ import annotations

import json
from pathlib import Path

import gemmi
import mrcfile
import numpy as np
import pytest

from cryoscope.data.trajectory_path import TrajectoryPath
from cryoscope.io.dcd import read_dcd
from cryoscope.io.run_folder import RunFolder
from cryoscope.session import Session, actions
from cryoscope.session.follow import show_latents
from cryoscope.session.path_views import is_outdated, marks_xy, path_xy, way_points_xy
from tests.session.conftest import eventually, fake_latents
from tests.session.fake_worker import BEADS


@pytest.fixture
def session(quiet_session: Session) -> Session:
    show_latents(quiet_session, fake_latents("run", 1, 0))
    return quiet_session


def xy(session: Session) -> np.ndarray:
    assert session.embedding is not None
    return session.embedding.xy


def ends(session: Session) -> tuple[int, int]:
    return int(xy(session)[:, 0].argmin()), int(xy(session)[:, 0].argmax())


def only(session: Session) -> TrajectoryPath:
    assert actions.wait(session, 60)
    (path,) = session.trajectories
    return path


def error(session: Session) -> str:
    assert actions.wait(session, 60)
    assert session.notice is not None
    assert session.notice.level == "error"
    return session.notice.text


def test_a_component_runs_across_the_cloud(session: Session) -> None:
    actions.make_path(session, "component", component=1, frames=9)
    path = only(session)
    assert (path.name, path.kind, len(path)) == ("PC1", "component", 9)
    assert session.active_path == "PC1"
    along = path_xy(session, path)[:, 0]
    assert np.ptp(np.diff(along)) < 1e-6 * np.ptp(along)
    assert path.count.sum() == len(xy(session))
    assert np.isfinite(path.distance).all()


@pytest.mark.parametrize("kind", ["straight", "graph", "ridge"])
def test_a_path_passes_its_particles(session: Session, kind: str) -> None:
    a, b = ends(session)
    for row in (a, b):
        actions.mark_particle(session, xy(session)[row])
    assert session.path_marks == (a, b)
    assert np.allclose(marks_xy(session), xy(session)[[a, b]])
    actions.make_path(session, kind, frames=7)
    path = only(session)
    assert session.path_marks == ()
    assert path.way_rows.tolist() == [a, b]
    assert np.allclose(way_points_xy(session, path), xy(session)[[a, b]], atol=1e-4)
    assert np.allclose(path.frames_z[[0, -1]], path.way_z, atol=0.01)  # a ridge climbs a little
    assert path.nearest[[0, -1]].tolist() == [a, b]


def test_a_drawn_curve_is_followed_in_the_plot(session: Session) -> None:
    a, b = xy(session)[list(ends(session))]
    corner = np.array([0.0, 1.0])
    curve = np.concatenate([np.linspace(a / 2, corner, 40), np.linspace(corner, b / 2, 40)])
    actions.make_path(session, "drawn", curve_xy=curve, frames=12)
    path = only(session)
    assert 2 <= len(path.way_z) <= 12
    assert np.allclose(way_points_xy(session, path)[0], curve[0])
    assert path_xy(session, path)[:, 0].argmax() > path_xy(session, path)[:, 0].argmin()


def test_way_points_are_added_moved_reordered_and_removed_and_all_is_undone(
    session: Session,
) -> None:
    a, b = ends(session)
    actions.make_path(session, "straight", rows=[a, b], frames=5)
    first = only(session)
    middle = int(((xy(session)) ** 2).sum(axis=1).argmin())
    actions.add_way_point(session, "straight", xy(session)[middle])
    assert only(session).way_rows.tolist() == [a, middle, b]
    top = int(xy(session)[:, 1].argmax())
    actions.move_way_point(session, "straight", 1, xy(session)[top])
    assert only(session).way_rows.tolist() == [a, top, b]
    actions.reorder_way_points(session, "straight", [1, 0, 2])
    assert only(session).way_rows.tolist() == [top, a, b]
    actions.remove_way_point(session, "straight", 1)
    assert only(session).way_rows.tolist() == [top, b]
    actions.set_path_frames(session, "straight", 11)
    assert len(only(session)) == 11
    actions.rename_path(session, "straight", "opening")
    assert only(session).name == "opening" == session.active_path
    actions.remove_path(session, "opening")
    actions.wait(session)
    assert session.trajectories == ()
    for _ in range(6):
        actions.undo(session)
    assert session.trajectories == (first,) or only(session).way_rows.tolist() == [a, middle, b]
    actions.undo(session)
    assert session.trajectories == (first,)
    actions.undo(session)
    assert session.trajectories == ()
    for _ in range(8):
        actions.redo(session)
    assert session.trajectories == ()
    assert session.undo_state.undo == "remove opening"


def test_many_changes_at_once_take_effect_in_their_order(session: Session) -> None:
    a, b = ends(session)
    actions.make_path(session, "straight", rows=[a, b], frames=5)
    for row in range(5):
        actions.add_way_point(session, "straight", xy(session)[row], place=0)
    assert only(session).way_rows.tolist() == [4, 3, 2, 1, 0, a, b]


def test_a_changed_component_becomes_a_straight_path(session: Session) -> None:
    actions.make_path(session, "component")
    actions.move_way_point(session, "PC1", 0, xy(session)[3])
    assert only(session).kind == "straight"


def test_names_stay_apart(session: Session) -> None:
    for _ in range(3):
        actions.make_path(session, "component")
    actions.wait(session)
    assert [path.name for path in session.trajectories] == ["PC1", "PC1 2", "PC1 3"]
    actions.rename_path(session, "PC1 2", "PC1")
    assert "already" in error(session)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda s: actions.make_path(s, "straight", rows=[0]), "two particles"),
        (lambda s: actions.make_path(s, "straight", rows=[3, 3]), "same particle"),
        (lambda s: actions.make_path(s, "graph", rows=[0, 10**9]), "no particle"),
        (lambda s: actions.make_path(s, "spiral"), "kind of path"),
        (lambda s: actions.make_path(s, "component", component=99), "component 99"),
        (lambda s: actions.make_path(s, "component", frames=10**9), "frames"),
        (lambda s: actions.make_path(s, "drawn", curve_xy=[[0, 0], [0, 0]]), "two points"),
        (lambda s: actions.make_path(s, "drawn", curve_xy=[[np.nan, 0]] * 3), "two points"),
        (lambda s: actions.mark_particle(s, (np.nan, 0)), "pair of numbers"),
        (lambda s: actions.show_frame(s, "none", 0), "no trajectory"),
        (lambda s: actions.activate_path(s, "none"), "no trajectory"),
        (lambda s: actions.remove_path(s, "none"), "no trajectory"),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(session: Session, call, words) -> None:
    call(session)
    assert words in error(session)
    assert session.trajectories == ()


def test_a_path_cannot_lose_its_last_two_way_points(session: Session) -> None:
    actions.make_path(session, "straight", rows=ends(session))
    before = only(session)
    actions.remove_way_point(session, "straight", 0)
    assert "2 to" in error(session)
    actions.reorder_way_points(session, "straight", [0, 0])
    assert "once" in error(session)
    assert session.trajectories == (before,)


def test_paths_of_older_latents_say_so_and_are_refreshed(session: Session) -> None:
    actions.make_path(session, "straight", rows=ends(session), frames=4)
    before = only(session)
    show_latents(session, fake_latents("run", 2, 100))
    assert is_outdated(session, before)
    actions.refresh_path(session, "straight")
    after = only(session)
    assert not is_outdated(session, after)
    assert np.allclose(after.way_z, 2 * before.way_z, rtol=1e-4)


def trained(session: Session, folder: Path) -> None:
    actions.start_training(session, folder)
    eventually(lambda: session.embedding is not None and session.run.ready, "latents")
    actions.stop_training(session)
    eventually(lambda: not session.run.status.active, "the end of training")
    actions.wait(session)


def test_states_are_decoded_ahead_and_shown(session: Session, tmp_path: Path) -> None:
    trained(session, tmp_path / "run")
    actions.make_path(session, "component", frames=6)
    path = only(session)
    actions.show_frame(session, "PC1", 2)
    eventually(lambda: session.player.kept(path).all(), "all states")
    eventually(lambda: session.shown is not None and session.shown.density is not None, "shown")
    assert np.allclose(session.shown.z, path.frames_z[2], atol=1e-5)
    assert session.path_frame == 2
    assert session.cursor_xy == pytest.approx(tuple(path_xy(session, path)[2]), abs=1e-5)
    last = session.shown.request_id
    actions.show_frame(session, "PC1", 99)
    assert np.allclose(session.shown.z, path.frames_z[5], atol=1e-5)  # at once: it was kept
    assert session.shown.request_id > last
    assert session.shown.density is not None


def test_paths_are_saved_with_the_run_and_come_back(session: Session, tmp_path: Path) -> None:
    trained(session, tmp_path / "run")
    actions.make_path(session, "component", frames=6)
    path = only(session)
    assert json.loads((tmp_path / "run" / "trajectories.json").read_text())["format"] == 1
    actions.open_run(session, tmp_path / "run")
    actions.wait(session)
    (read,) = session.trajectories
    assert read.name == path.name
    assert np.allclose(read.frames_z, path.frames_z)
    assert not is_outdated(session, read)


def test_a_damaged_file_is_told_and_the_run_opens(session: Session, tmp_path: Path) -> None:
    trained(session, tmp_path / "run")
    (tmp_path / "run" / "trajectories.json").write_text("{")
    notices = []
    session.events.notice.connect(notices.append)
    actions.open_run(session, tmp_path / "run")
    actions.wait(session)
    assert any("trajectories.json" in notice.text for notice in notices)
    assert session.run is not None
    assert session.latents is not None
    assert RunFolder.open(tmp_path / "run").has_checkpoint()


def test_a_path_is_exported_for_other_programs(session: Session, tmp_path: Path) -> None:
    trained(session, tmp_path / "run")
    actions.make_path(session, "component", frames=4)
    path = only(session)
    folder = tmp_path / "out" / "PC1"
    actions.export_path(session, "PC1", folder)
    assert actions.wait(session, 60)
    assert session.notice.level == "info", session.notice.text
    names = {file.name for file in folder.iterdir()}
    maps = {f"state-0{number}.mrc" for number in range(1, 5)}
    others = {"states.csv", "states.pdb", "states.cif", "states.dcd", "series.cxc", "movie.gif"}
    assert names == maps | others
    assert len(gemmi.read_structure(str(folder / "states.pdb"))) == 4
    assert len(gemmi.read_structure(str(folder / "states.cif"))) == 4
    assert read_dcd(folder / "states.dcd").shape == (4, BEADS, 3)
    with mrcfile.open(folder / "state-01.mrc") as file:
        assert file.data.shape == (16, 16, 16)
        assert file.voxel_size.x == pytest.approx(2.0)
    lines = (folder / "states.csv").read_text().splitlines()
    assert len(lines) == 5
    assert sum(int(line.split(",")[-1]) for line in lines[1:]) == path.count.sum()
    actions.export_path(session, "PC1", folder)
    assert "not empty" in error(session)


def test_an_export_that_is_cancelled_leaves_nothing(session: Session, tmp_path: Path) -> None:
    trained(session, tmp_path / "run")
    actions.make_path(session, "component", frames=200)
    only(session)
    actions.export_path(session, "PC1", tmp_path / "out")
    eventually(lambda: session.jobs, "the job")
    actions.cancel_job(session, "Exporting trajectory")
    assert actions.wait(session, 60)
    assert not list(tmp_path.glob("*out*"))
