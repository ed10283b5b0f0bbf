from __future__ import annotations

import gc
import logging
import shlex
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cryoscope.session import Session, actions
from cryoscope.session.journal import MOST_ENTRIES, Journal, is_verb
from cryoscope.session.journal_text import LONGEST_CALL, python_call, python_text, spoken
from cryoscope.session.records import UndoState
from tests.session.conftest import eventually, fake_thread
from tests.session.test_opening import real_inputs
from tests.session.test_projects import SQUARE, a_run


@pytest.fixture
def session() -> Iterator[Session]:
    made = Session(make_runner=fake_thread)
    yield made
    actions.close(made)


def test_every_verb_is_noted_and_no_question_is() -> None:
    verbs = {name for name in actions.__all__ if hasattr(getattr(actions, name), "__wrapped__")}
    assert {"lasso", "undo", "open_files", "start_training", "save_project"} <= verbs
    assert not verbs & {"wait", "close", "count_lasso", "why_not_train", "keep_window"}
    assert all(is_verb(getattr(actions, name).__wrapped__) for name in verbs)


def test_what_was_done_can_be_done_again_from_its_text(session: Session, tmp_path: Path) -> None:
    run = a_run(tmp_path)
    actions.open_run(session, run)
    actions.wait(session)
    actions.lasso(session, np.array(SQUARE))
    actions.rename_selection(session, "selection 1", 'the "left" ones')
    actions.note_selection(session, 'the "left" ones', "line 1\nline 2")
    actions.lasso(session, [[x + 1, y] for x, y in SQUARE], mode="add")
    actions.set_contour(session, 2.5, "sigma")
    actions.wait(session)
    lines = [entry.python for entry in session.journal.entries() if entry.verb]
    assert lines[0] == f"actions.open_run(session, {str(run)!r})"
    (run / "selections.json").unlink()
    again = Session(make_runner=fake_thread)
    for line in lines:
        exec(line, {"actions": actions, "session": again})
        actions.wait(again)
    assert [one.name for one in again.selections] == ['the "left" ones']
    assert np.array_equal(again.selections[0].mask, session.selections[0].mask)
    assert again.selections[0].note == "line 1\nline 2"
    assert again.iso_sigma == 2.5
    actions.close(again)


def test_the_log_as_a_program_runs(session: Session, tmp_path: Path) -> None:
    actions.open_run(session, a_run(tmp_path))
    actions.wait(session)
    actions.lasso(session, SQUARE)
    actions.wait(session)
    actions.save_log(session, tmp_path / "log.py")
    actions.save_log(session, tmp_path / "log.txt")
    actions.wait(session)
    program = (tmp_path / "log.py").read_text()
    (tmp_path / "run" / "selections.json").unlink()
    names: dict[str, object] = {}
    exec(compile(program, "log.py", "exec"), names)
    assert len(names["session"].selections) == 1  # type: ignore[attr-defined]
    text = (tmp_path / "log.txt").read_text()
    assert "action   Lasso" in text
    assert "cryoscope" in text


def test_only_the_last_of_a_drag_is_kept(session: Session) -> None:
    for x in range(200):
        actions.move_cursor(session, (x, 0.5))
    moves = [entry for entry in session.journal.entries() if entry.verb == "move_cursor"]
    assert [entry.python for entry in moves] == ["actions.move_cursor(session, (199, 0.5))"]


def test_the_journal_is_bounded_and_keeps_no_array(session: Session) -> None:
    class Watched(np.ndarray):
        pass

    large = np.zeros((50_000, 2)).view(Watched)
    gone = weakref.ref(large)
    actions.lasso(session, large)
    last = session.journal.last_action()
    assert last is not None
    assert len(last.python) < LONGEST_CALL
    assert "too long" in last.python
    del large, last
    gc.collect()
    assert gone() is None
    numbers: list[int] = []
    journal = Journal(numbers.append)
    for number in range(MOST_ENTRIES + 50):
        journal.add("info", f"{number}")
    assert len(journal.entries()) == MOST_ENTRIES
    assert journal.entries()[-1].text == f"{MOST_ENTRIES + 49}"
    for number in range(100):
        journal.add("action", "large", verb=f"verb{number}", python="x" * LONGEST_CALL * 10)
    assert sum(entry.size for entry in journal.entries()) < 4_400_000
    assert numbers == sorted(numbers)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.float32(0.5), "0.5"),
        (1 / 3, "0.333333333"),
        (float("nan"), "float('nan')"),
        (np.arange(3), "[0, 1, 2]"),
        ((1,), "(1,)"),
        ({"kind": "brush", "radius": (1.0, 2.5)}, "{'kind': 'brush', 'radius': (1, 2.5)}"),
        (Path("a b") / "c.star", "'a b/c.star'"),
        (True, "True"),
        (None, "None"),
        ("it's", '"it\'s"'),
        ({3}, "[3]"),
        (object(), "..."),
        (UndoState("lasso"), "UndoState(undo='lasso', redo='')"),
        ([[[[[[[[[["deep"]]]]]]]]]], "[[[[[[[[[...]]]]]]]]]"),
        (np.bool_(True), "True"),
    ],
)
def test_values_as_python(value: object, text: str) -> None:
    assert python_text(value) == text
    assert python_call("verb", (value,), {}) == f"actions.verb(session, {text})"


def test_what_is_too_long_is_left_out_and_it_is_said() -> None:
    for long in (np.zeros(LONGEST_CALL), list(range(LONGEST_CALL)), ["x" * 400] * 100):
        call = python_call("verb", (1, long), {"name": "a"})
        assert call == "actions.verb(session, 1, ..., name='a')  # ...: too long to be kept"


@pytest.mark.parametrize(
    ("args", "kwargs", "words"),
    [
        (("closed", "out/closed.star"), {}, "Some verb: closed, closed.star"),
        ((Path("a") / "b.pdb",), {"box_px": 64}, "Some verb: b.pdb, box px 64"),
        (({"kind": "range", "covariate": "defocus", "low": 1.0},), {}, "Some verb: range defocus"),
        ((np.zeros((50, 2)),), {"mode": "add"}, "Some verb: 50 points, mode add"),
        (([1.5, 2],), {}, "Some verb: [1.5, 2]"),
        ((["a/b.star", "c.mrc"],), {}, "Some verb: b.star, c.mrc"),
        ((None, UndoState()), {}, "Some verb"),
        (("x" * 300,), {}, f"Some verb: {'x' * 119}…"),
    ],
)
def test_actions_in_a_few_words(
    args: tuple[object, ...], kwargs: dict[str, object], words: str
) -> None:
    assert spoken("some_verb", args, kwargs) == words


def test_actions_that_the_command_line_has_too(session: Session, tmp_path: Path) -> None:
    inputs = real_inputs(tmp_path)
    commands: list[list[str]] = []

    def last_command() -> list[str]:
        last = session.journal.last_action()
        assert last is not None
        commands.append(shlex.split(last.command))
        return commands[-1]

    actions.open_files(session, inputs)
    actions.wait(session)
    assert last_command() == ["cryoscope", *map(str, inputs)]
    actions.set_option(session, "optimiser.epochs", 4)
    assert last_command() == []
    actions.start_training(session, tmp_path / "my run")
    words = last_command()
    assert words[:5] == ["cryoscope", "train", str(inputs[0]), "--out", str(tmp_path / "my run")]
    assert words[words.index("--structure") + 1] == str(inputs[1])
    assert "optimiser.epochs=4" in words
    eventually(lambda: session.latents is not None, "latents")
    actions.lasso(session, SQUARE)
    assert last_command() == []
    actions.stop_training(session)
    eventually(lambda: session.run is not None and not session.run.status.active, "the end")
    actions.export_selection(session, "selection 1", tmp_path / "some.star")
    assert last_command()[1:3] == ["export", str(tmp_path / "my run")]
    actions.reconstruct_selection(session, out=tmp_path / "maps", control=False)
    assert last_command()[-3:] == ["--out", str(tmp_path / "maps"), "--no-control"]
    actions.cancel_job(session, actions.CHECK_JOB)
    assert actions.wait(session, 60)
    for words in commands:
        if words[1:2] == ["train"]:
            understood(words)


def understood(words: list[str]) -> None:
    """The command line knows all of these options."""
    from typer.main import get_command

    from cryoscope.cli.entry import app

    command = get_command(app).commands[words[1]]  # type: ignore[attr-defined]
    command.make_context("cryoscope", words[2:])


def test_notices_runs_jobs_and_the_log_of_python_are_told(session: Session, tmp_path: Path) -> None:
    actions.open_files(session, [tmp_path / "nothing.star", *real_inputs(tmp_path)])
    assert actions.wait(session, 60)
    logging.getLogger("cryoscope.somewhere").warning("beware of %s", "dogs")
    try:
        raise ValueError("cheese")
    except ValueError as error:
        session.report(error)
    actions.start_training(session, tmp_path / "run")
    eventually(lambda: session.run is not None and session.run.epoch > 0, "an epoch")
    told = session.journal.entries()
    texts = "\n".join(f"{entry.level}: {entry.text}" for entry in told)
    assert "error: " in texts
    assert "nothing.star: there is no such file. Check the path." in texts
    assert "warning: beware of dogs" in texts
    assert "work: Opening files" in texts
    assert "work: run: running" in texts
    assert "work: run: epoch" in texts
    assert any("ValueError: cheese" in entry.detail for entry in told)
    assert session.logged == told[-1].number or session.run.status.active
    actions.clear_log(session)
    assert not [entry for entry in session.journal.entries() if entry.level == "error"]


def test_a_closed_session_hears_nothing_more() -> None:
    session = Session(make_runner=fake_thread)
    actions.close(session)
    before = len(session.journal.entries())
    logging.getLogger("cryoscope").warning("too late")
    assert len(session.journal.entries()) == before
