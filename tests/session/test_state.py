from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import pytest

from cryoscope.data import InputError
from cryoscope.session import Session, actions
from tests.session.conftest import ROOT, fake_thread


@pytest.fixture
def bare() -> Session:
    return Session(make_runner=fake_thread)


def test_setting_a_field_emits_its_new_value(bare: Session) -> None:
    seen: list[Any] = []
    bare.events.iso_sigma.connect(seen.append)
    bare.iso_sigma = 4.5
    assert seen == [4.5]
    assert bare.iso_sigma == 4.5


def test_several_fields_change_before_any_event(bare: Session) -> None:
    seen: list[Any] = []
    bare.events.iso_sigma.connect(lambda _: seen.append((bare.iso_sigma, bare.active_selection)))
    bare.events.active_selection.connect(
        lambda _: seen.append((bare.iso_sigma, bare.active_selection))
    )
    bare.change(iso_sigma=1.5, active_selection="a")
    assert seen == [(1.5, "a"), (1.5, "a")]


def test_unknown_fields_are_refused(bare: Session) -> None:
    with pytest.raises(AttributeError, match="no field 'lattents'"):
        bare.change(lattents=1)


def test_events_are_emitted_outside_the_lock(bare: Session) -> None:
    def from_another_thread(_: object) -> None:
        thread = threading.Thread(target=lambda: bare.snapshot("run"))
        thread.start()
        thread.join(10)
        assert not thread.is_alive()
        passed.append(True)

    passed: list[bool] = []
    bare.events.iso_sigma.connect(from_another_thread)
    bare.iso_sigma = 2.0
    assert passed == [True]


def test_many_writers_leave_the_last_event_true(bare: Session) -> None:
    seen: list[int] = []
    bare.events.cursor_xy.connect(lambda xy: seen.append(xy[0]))
    count, writers = 300, 4
    barrier = threading.Barrier(writers)

    def write(number: int) -> None:
        barrier.wait()
        for step in range(count):
            bare.cursor_xy = (number * count + step, 0)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == list(range(count * writers))
    assert bare.cursor_xy is not None
    assert seen[-1] == bare.cursor_xy[0]
    for number in range(writers):  # the order of every writer is kept
        mine = [value for value in seen if value // count == number]
        assert mine == sorted(mine)


def test_revise_loses_no_update(bare: Session) -> None:
    bare.iso_sigma = 0.0

    def add() -> None:
        for _ in range(500):
            bare.revise(lambda: {"iso_sigma": bare.iso_sigma + 1})

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bare.iso_sigma == 2000


def test_a_broken_listener_stops_nobody(bare: Session, caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("panel")

    seen: list[Any] = []
    bare.events.iso_sigma.connect(broken)
    bare.iso_sigma = 1.0
    bare.events.iso_sigma.disconnect(broken)
    bare.events.iso_sigma.connect(seen.append)
    bare.iso_sigma = 2.0
    assert seen == [2.0]
    assert "a listener of session.iso_sigma failed" in caplog.text


def test_a_listener_may_set_the_field_that_it_listens_to(bare: Session) -> None:
    def limit(value: float) -> None:
        seen.append(value)
        if value > 5:
            bare.iso_sigma = 5.0

    seen: list[float] = []
    bare.events.iso_sigma.connect(limit)
    bare.iso_sigma = 9.0
    assert seen == [9.0, 5.0]


def test_notices_are_one_line(bare: Session) -> None:
    bare.report(InputError("bad\nnews", file="a.star", row=3, cure="Mend it."))
    assert bare.notice is not None
    assert bare.notice.level == "error"
    assert bare.notice.text == "a.star, row 3: bad news. Mend it."
    bare.report(ValueError("two\nlines"))
    assert bare.notice.text == "Unexpected error: ValueError: two lines"


def test_closing_twice_and_using_a_closed_session(bare: Session) -> None:
    actions.close(bare)
    actions.close(bare)
    actions.open_files(bare, ["nowhere.star"])
    actions.move_cursor(bare, (0.0, 0.0))
    assert actions.wait(bare, 10)


def test_import_is_light() -> None:
    heavy = ("torch", "scipy", "skimage", "pandas", "gemmi", "numba", "PySide6", "napari", "vispy")
    code = f"import sys, cryoscope.session; print([n for n in {heavy!r} if n in sys.modules])"
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "[]"


def test_an_interpreter_with_a_session_exits() -> None:
    code = """
import threading, cryoscope.session as s
session = s.Session()
session.pool.submit("endless", lambda job: threading.Event().wait())
session.pool.submit("polite", lambda job: job.wait_cancelled(3600))
session.decoder.redraw()
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
