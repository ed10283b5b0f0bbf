from __future__ import annotations

import numpy as np
import pytest

from cryoscope.session import Session, actions
from cryoscope.session.follow import show_latents
from cryoscope.session.scatter import UNIT_BOUNDS, scatter_bounds, scatter_picture
from cryoscope.session.selecting import find_selection
from tests.session.conftest import PARTICLES, fake_latents

RIGHT = [(0, -99), (99, -99), (99, 99), (0, 99)]
TOP = [(-99, 0), (99, 0), (99, 99), (-99, 99)]
NOWHERE = [(900, 900), (901, 900), (901, 901)]


@pytest.fixture
def session(quiet_session: Session) -> Session:
    show_latents(quiet_session, fake_latents("run", 1, 0))
    return quiet_session


def xy(session: Session) -> np.ndarray:
    assert session.embedding is not None
    return session.embedding.xy


def error(session: Session) -> str:
    assert session.notice is not None
    assert session.notice.level == "error"
    return session.notice.text


def test_lasso_selects_exactly_what_is_inside(session: Session) -> None:
    actions.lasso(session, RIGHT)
    (made,) = session.selections
    assert np.array_equal(made.mask, xy(session)[:, 0] > 0)
    assert session.active_selection == made.name
    assert made.made_by["kind"] == "lasso"
    assert len(made.made_by["polygon"]) == 4
    assert actions.count_lasso(session, RIGHT) == len(made)
    assert actions.count_lasso(session, NOWHERE) == 0
    assert actions.count_lasso(session, RIGHT[:2]) == 0


def test_add_and_subtract_change_the_active_selection(session: Session) -> None:
    right, top = (xy(session) > 0).T
    actions.lasso(session, RIGHT, "add")
    actions.lasso(session, TOP, "add")
    (made,) = session.selections
    assert np.array_equal(made.mask, right | top)
    actions.lasso(session, TOP, "subtract")
    (made,) = session.selections
    assert np.array_equal(made.mask, (right | top) & ~top)
    assert [step["mode"] for step in made.made_by["steps"]] == ["add", "add", "subtract"]


def test_undo_and_redo_bring_everything_back(session: Session) -> None:
    states = [(session.selections, session.active_selection)]

    def step() -> None:
        states.append((session.selections, session.active_selection))

    actions.lasso(session, RIGHT)
    step()
    actions.lasso(session, TOP)
    step()
    actions.rename_selection(session, "selection 2", "  closed   state ")
    step()
    assert session.active_selection == "closed state"
    actions.remove_selection(session, "closed state")
    step()
    assert session.active_selection == "selection 1"
    assert session.undo_state.undo == "remove closed state"
    for before in reversed(states[:-1]):
        actions.undo(session)
        assert (session.selections, session.active_selection) == before
    assert session.undo_state.undo == ""
    actions.undo(session)
    for after in states[1:]:
        actions.redo(session)
        assert (session.selections, session.active_selection) == after
    actions.redo(session)


def test_names_and_colours_are_unique(session: Session) -> None:
    for _ in range(4):
        actions.lasso(session, RIGHT)
    names = [selection.name for selection in session.selections]
    assert names == ["selection 1", "selection 2", "selection 3", "selection 4"]
    assert len({selection.colour for selection in session.selections}) == 4
    actions.rename_selection(session, "selection 1", "selection 2")
    assert "already" in error(session)
    actions.rename_selection(session, "selection 1", " ")
    assert "needs a name" in error(session)
    actions.activate_selection(session, "selection 1")
    assert session.active_selection == "selection 1"
    actions.activate_selection(session, "")
    assert session.active_selection == ""


def test_a_lasso_that_changes_nothing_is_remarked_and_leaves_nothing_to_undo(
    session: Session,
) -> None:
    actions.lasso(session, NOWHERE)
    assert session.notice.level == "info"
    assert "no particle" in session.notice.text
    assert session.selections == ()
    actions.lasso(session, RIGHT)
    before, undo = session.selections, session.undo_state
    for polygon, mode in ((NOWHERE, "add"), (RIGHT, "add"), (NOWHERE, "subtract")):
        actions.lasso(session, polygon, mode)
        assert session.notice.level == "info"
        assert session.selections is before
        assert session.undo_state == undo


def test_what_cannot_be_done_is_said(session: Session) -> None:
    actions.lasso(session, RIGHT, "subtract")
    assert "no selection is active" in error(session)
    for verb in (actions.remove_selection, actions.activate_selection):
        verb(session, "x")
        assert "there is no selection 'x'" in error(session)
    assert session.selections == ()
    session.embedding = None
    actions.lasso(session, RIGHT)
    assert "no latents" in error(session)
    assert actions.count_lasso(session, RIGHT) == 0


def test_refreshed_latents_keep_selections_and_do_not_flip(session: Session) -> None:
    actions.lasso(session, RIGHT)
    before = xy(session)
    show_latents(session, fake_latents("run", 2, 10))
    after = xy(session)
    assert len(session.selections) == 1
    assert np.all((before[:, 0] > 0) == (after[:, 0] > 0))
    assert find_selection(session, "selection 1").mask.sum() == (before[:, 0] > 0).sum()


def test_selections_of_other_particles_go(session: Session) -> None:
    actions.lasso(session, RIGHT)
    latents = fake_latents("other", 0, 0)
    fewer = type(latents)(latents.z[:50], None, latents.uid[:50], "other", 0)
    show_latents(session, fewer)
    assert session.selections == ()
    assert session.undo_state.undo == ""


def test_scatter_picture_dims_what_is_not_selected(session: Session) -> None:
    bounds = scatter_bounds(session)
    assert bounds[0] < xy(session)[:, 0].min()
    plain = scatter_picture(session, bounds, (60, 80))
    assert plain.shape == (60, 80, 4)
    assert plain.dtype == np.uint8
    assert plain[..., 3].any()
    actions.lasso(session, RIGHT)
    assert not np.array_equal(scatter_picture(session, bounds, (60, 80)), plain)


def test_scatter_bounds_only_grow(session: Session) -> None:
    wide = (-1000.0, 1000.0, -1000.0, 1000.0)
    assert scatter_bounds(session, wide) == wide
    session.embedding = None
    assert scatter_bounds(session) == UNIT_BOUNDS
    assert not scatter_picture(session, UNIT_BOUNDS, (4, 4)).any()


def test_latents_with_particles_not_yet_encoded(session: Session) -> None:
    latents = fake_latents("run", 0, 0)
    latents.z[10:] = np.nan
    show_latents(session, latents)
    assert actions.count_lasso(session, [(-99, -99), (99, -99), (99, 99), (-99, 99)]) == 10
    assert len(xy(session)) == PARTICLES
