"""Kept states and the last reconstruction in a project: there and back, old and damaged files."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryoscope.analysis.association import Association
from cryoscope.analysis.reduce import nearest_state
from cryoscope.analysis.views import ViewMap
from cryoscope.data import Provenance, Volume
from cryoscope.io.mrc import write_volume
from cryoscope.session import Session, actions, project_states
from cryoscope.session.check_files import MAP, read_check, write_shown_again
from cryoscope.session.check_measures import named_curve, write_check
from cryoscope.session.check_records import Check
from cryoscope.session.contours import Contour
from cryoscope.session.project_keeper import QUIET_S
from cryoscope.session.view_averages import ViewAverages
from tests.session.conftest import eventually
from tests.session.test_projects import a_run, damage, no_error, opened, own_settings, warnings_of

__all__ = ["own_settings"]  # the fixture
NEW_KEYS = ("kept", "check")
SHELLS = np.arange(9) / 32.0


def a_map(px: int = 16) -> Volume:
    grid = np.indices((px,) * 3) - px // 2
    values = np.exp(-(grid**2).sum(0) / (px * 1.2)).astype(np.float32)
    return Volume.centred(values, 32.0 / px, Provenance("file", detail="other.mrc"))


def with_states(session: Session, folder: Path) -> Session:
    """Three states are kept: two of the run, and a map from a file."""
    eventually(lambda: session.run.ready, "a model")
    for x in (1.0, -2.0):
        actions.move_cursor(session, (x, 0.5))
        z, _ = nearest_state(session.latents.z, session.embedding.xy, (x, 0.5))
        eventually(lambda z=z: shows(session, z), "the state there")
        actions.keep_state(session, f"at {x:g}")
    write_volume(folder / "other.mrc", a_map(24))
    actions.open_files(session, [folder / "other.mrc"])
    assert actions.wait(session, 60)
    actions.keep_state(session, "other")
    actions.recolour_kept(session, "at -2", "#123456")
    actions.show_kept(session, "at -2", False)
    actions.set_contour(session, 2.0)
    actions.colour_surface(session, "difference", "at 1")
    return session


def shows(session: Session, z: np.ndarray) -> bool:
    shown = session.shown
    return shown is not None and shown.density is not None and np.allclose(shown.z, z, atol=1e-4)


def told(session: Session) -> list[Any]:
    return [
        (one.name, one.colour, one.visible, one.place, one.shown.label, one.shown.box_text,
         one.shown.z.tolist(), one.shown.coords_A.tolist(), one.shown.displacement_A.tolist(),
         one.shown.density.provenance, one.shown.density.origin_A, one.shown.level,
         one.shown.density.values.tolist(), len(one.shown.isosurface.faces),
         one.shown.backbone.faces.tolist())
        for one in session.kept_states
    ]  # fmt: skip


def saved(session: Session, folder: Path) -> Path:
    actions.save_project(session, folder)
    assert actions.wait(session, 60)
    no_error(session)
    actions.close(session)
    return folder


def reopened(session: Session, project: Path) -> Session:
    """Opened as a project, which says what is wrong once."""
    actions.open_project(session, project)
    assert actions.wait(session, 60)
    return session


def test_kept_states_come_back(sessions: Any, tmp_path: Path) -> None:
    first = with_states(opened(sessions(), a_run(tmp_path)), tmp_path)
    assert [one.place for one in first.kept_states][2] == ""
    assert first.kept_states[0].place.startswith("PC1 ")
    project, before = saved(first, tmp_path / "project"), told(first)
    second = opened(sessions(), project)
    no_error(second)
    assert warnings_of(second) == ""
    assert told(second) == before
    assert second.scene.surface == "difference"
    assert second.scene.against == "at 1"
    files = sorted(path.name for path in (project / "parts").glob("state-*"))
    actions.rename_kept(second, "other", "another")
    actions.remove_kept(second, "at 1")
    saved(second, project)
    assert {path.name for path in (project / "parts").glob("state-*")} <= set(files)
    third = opened(sessions(), project)
    assert [one.name for one in third.kept_states] == ["at -2", "another"]
    actions.new_project(third, tmp_path / "empty")
    assert actions.wait(third, 60)
    assert third.kept_states == ()


def test_they_come_back_without_their_run(sessions: Any, tmp_path: Path) -> None:
    first = with_states(opened(sessions(), a_run(tmp_path)), tmp_path)
    project, before = saved(first, tmp_path / "project"), told(first)
    (tmp_path / "run").rename(tmp_path / "elsewhere")
    second = opened(sessions(), project)
    assert second.run is None
    assert [one[:13] for one in told(second)] == [one[:13] for one in before]


def test_a_large_map_is_cut_and_decoded_again(
    sessions: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(project_states, "LARGEST_PX", 8)
    first = with_states(opened(sessions(), a_run(tmp_path)), tmp_path)
    project, before = saved(first, tmp_path / "project"), first.kept_states
    parts = sorted(path.name for path in (project / "parts").glob("state-*"))
    second = opened(sessions(), project)
    widths = lambda: [one.shown.density.values.shape[0] for one in second.kept_states]  # noqa: E731
    eventually(lambda: widths() == [16, 16, 8], "the maps of the run in full")
    assert second.kept_states[2].shown.box_text == "8³ preview of 24³"
    for old, new in zip(before, second.kept_states, strict=True):
        width_A = old.shown.density.width_A
        assert new.shown.density.width_A == pytest.approx(width_A)
        assert new.shown.displacement_A.tolist() == old.shown.displacement_A.tolist()
    no_error(second)
    saved(second, project)
    assert sorted(path.name for path in (project / "parts").glob("state-*")) == parts


def test_a_damaged_state_is_decoded_again_or_waits(sessions: Any, tmp_path: Path) -> None:
    first = with_states(opened(sessions(), a_run(tmp_path)), tmp_path)
    project, before = saved(first, tmp_path / "project"), told(first)
    rows = json.loads((project / "project.json").read_text())["kept"]
    damage(project / "parts" / f"{rows[0]['part']}.npz")
    (tmp_path / "run").rename(tmp_path / "elsewhere")
    second = reopened(sessions(), project)
    assert [one.name for one in second.kept_states] == ["at -2", "other"]
    assert warnings_of(second).count("is damaged") == 1
    actions.show_kept(second, "other", False)
    saved(second, project)
    (tmp_path / "elsewhere").rename(tmp_path / "run")
    third = opened(sessions(), project)
    eventually(lambda: len(third.kept_states) == 3, "the state that waited")
    found = {one[0]: one for one in told(third)}
    assert found["at 1"][:5] == before[0][:5]
    assert np.allclose(found["at 1"][7], before[0][7], atol=1e-5)
    actions.remove_kept(third, "at 1")
    saved(third, project)
    assert [one.name for one in opened(sessions(), project).kept_states] == ["at -2", "other"]


@pytest.mark.parametrize(
    "hurt",
    [
        lambda content: content.update(kept={"no": "list"}),
        lambda content: content["kept"][1].update(colour="red"),
        lambda content: content["kept"][1].pop("name"),
        lambda content: content["kept"].__setitem__(1, 7),
    ],
)
def test_a_hand_damaged_list_is_said_in_one_line_and_nothing_is_lost(
    sessions: Any, tmp_path: Path, hurt: Any
) -> None:
    first = with_states(opened(sessions(), a_run(tmp_path)), tmp_path)
    project, before = saved(first, tmp_path / "project"), told(first)
    file = project / "project.json"
    content = json.loads(file.read_text())
    (project / "project.previous.json").write_text(file.read_text())
    hurt(content)
    file.write_text(json.dumps(content))
    second = reopened(sessions(), project)
    wrong = warnings_of(second).splitlines()
    assert len(wrong) == 1
    assert "kept states" in wrong[0]
    assert sorted(told(second)) == sorted(before)


def test_a_project_of_before_has_no_states_and_opens(sessions: Any, tmp_path: Path) -> None:
    first = opened(sessions(), a_run(tmp_path))
    actions.move_cursor(first, (1.25, 0.5))
    project = saved(first, tmp_path / "project")
    for file in project.glob("project*.json"):
        content = json.loads(file.read_text())
        for key in NEW_KEYS:
            content.pop(key, None)
        content["view"]["scene"].pop("against")
        file.write_text(json.dumps(content))
    second = opened(sessions(), project)
    assert warnings_of(second) == ""
    assert second.cursor_xy == (1.25, 0.5)
    assert second.kept_states == ()
    assert second.check is None


def a_check(folder: Path, session: Session | None = None) -> Check:
    """A reconstruction with everything, as it lies in its folder."""
    rng = np.random.default_rng(2)
    curve = named_curve(SHELLS, np.linspace(1, 0, 9), 9.0)
    provenance = Provenance("reconstructed", detail="left", particle_count=150)
    volume = replace(a_map(), provenance=provenance)
    averages = ViewAverages(
        images=rng.normal(size=(2, 8, 8)).astype(np.float32),
        counts=np.array([20, 10]),
        used=np.array([20, 10]),
        azimuth_deg=np.array([1.0, 2.0]),
        elevation_deg=np.array([3.0, 4.0]),
        pixel_size_A=4.0,
        projections={"reconstructed": rng.normal(size=(2, 8, 8)).astype(np.float32)},
        agreement={"reconstructed": np.array([0.5, 0.75])},
    )
    counts = rng.integers(0, 9, size=(4, 8))
    check = Check(
        selection="left",
        stage="done",
        particle_count=150,
        half_counts=(75, 75),
        map=volume,
        fsc=curve,
        control=named_curve(SHELLS, np.linspace(0.9, 0, 9), 12.0),
        decoded_fsc=named_curve(SHELLS, np.linspace(1, 0.2, 9), 8.0, 0.5),
        decoded=None if session is None else session.kept_states[0].shown,
        views=ViewMap(counts, counts + 1, 0.9, 0.95, 0.1, 0.2),
        averages=averages,
        associations=(Association("PC1", "defocus", 0.5, 0.1),),
        notes=("a note",),
        folder=folder,
    )
    folder.mkdir(parents=True)
    write_volume(folder / MAP, volume)
    write_check(check, folder)
    write_shown_again(check, folder)
    return check


def same_check(one: Check, other: Check) -> None:
    assert one.verdict == other.verdict
    assert one.warnings == other.warnings
    assert (one.notes, one.half_counts) == (other.notes, other.half_counts)
    assert one.map.provenance == other.map.provenance
    np.testing.assert_array_equal(one.map.values, other.map.values)
    for name in ("fsc", "control", "decoded_fsc"):
        mine, theirs = getattr(one, name), getattr(other, name)
        assert (mine.threshold, mine.text) == (theirs.threshold, theirs.text)
        np.testing.assert_array_equal(mine.correlation, theirs.correlation)
    np.testing.assert_array_equal(one.views.selected, other.views.selected)
    assert one.averages is not None
    assert other.averages is not None
    np.testing.assert_array_equal(one.averages.images, other.averages.images)
    assert (one.decoded is None) == (other.decoded is None)
    if one.decoded is not None and other.decoded is not None:
        assert one.decoded.label == other.decoded.label
        assert one.decoded.coords_A.tolist() == other.decoded.coords_A.tolist()
        assert one.decoded.density is not None
        assert other.decoded.density is not None
        assert one.decoded.density.provenance == other.decoded.density.provenance


def reconstructed(sessions: Any, folder: Path) -> Session:
    session = with_states(opened(sessions(), a_run(folder)), folder)
    session.check = a_check(folder / "run" / "volumes" / "check-left", session)
    actions.show_checked(session, "reconstructed")
    return session


def test_the_last_reconstruction_is_shown_again(sessions: Any, tmp_path: Path) -> None:
    first = reconstructed(sessions, tmp_path)
    project = saved(first, tmp_path / "project")
    second = opened(sessions(), project)
    no_error(second)
    assert warnings_of(second) == ""
    same_check(second.check, first.check)
    eventually(lambda: second.run.ready, "a model")
    assert second.shown.density is second.check.map
    assert second.shown.label == first.shown.label
    actions.show_checked(second, "decoded")
    assert second.shown.label.startswith("decoded by the model")
    saved(second, tmp_path / "project")
    third = opened(sessions(), project)
    assert third.check is not None
    eventually(lambda: third.shown.density.provenance.kind == "decoded", "what was looked at")


def test_files_of_it_that_are_gone_are_said_and_it_is_not_forgotten(
    sessions: Any, tmp_path: Path
) -> None:
    first = reconstructed(sessions, tmp_path)
    project, folder = saved(first, tmp_path / "project"), first.check.folder
    folder.rename(tmp_path / "away")
    second = reopened(sessions(), project)
    assert second.check is None
    wrong = warnings_of(second).splitlines()
    assert len(wrong) == 1
    assert "check-left" in wrong[0]
    assert len(second.kept_states) == 3
    actions.show_kept(second, "other", False)
    saved(second, tmp_path / "copy")
    (tmp_path / "away").rename(folder)
    for path in (project, tmp_path / "copy"):
        again = opened(sessions(), path)
        same_check(again.check, first.check)
        actions.close(again)
    for name in (MAP, "check.npz"):
        (folder / name).rename(folder / "gone")
        without = opened(sessions(), project)
        assert without.check is None
        assert "files of the last reconstruction are gone" in warnings_of(without)
        actions.close(without)
        (folder / "gone").rename(folder / name)
    damage(folder / "check.npz")
    assert opened(sessions(), project).run is not None


def test_any_damage_to_its_record_is_an_input_error(tmp_path: Path) -> None:
    from cryoscope.data import InputError

    a_check(tmp_path / "check")
    file = tmp_path / "check" / "check.npz"
    whole, rng = file.read_bytes(), np.random.default_rng(0)
    same_check(read_check(tmp_path / "check", Contour(), None), a_check(tmp_path / "other" / "x"))
    for place in rng.integers(0, len(whole), 60):
        data = bytearray(whole)
        data[place] ^= 0xFF
        file.write_bytes(bytes(data))
        with suppress(InputError):
            read_check(tmp_path / "check", Contour(), None)


def test_it_is_saved_by_itself(sessions: Any, tmp_path: Path) -> None:
    assert QUIET_S < 5
    session = opened(sessions(), a_run(tmp_path))
    actions.save_project(session, tmp_path / "project")
    assert actions.wait(session, 60)
    file = tmp_path / "project" / "project.json"
    with_states(session, tmp_path)
    eventually(lambda: len(json.loads(file.read_text())["kept"]) == 3, "autosave")
    session.check = a_check(tmp_path / "run" / "volumes" / "check-left")
    eventually(lambda: json.loads(file.read_text())["check"], "autosave")
