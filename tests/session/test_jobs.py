from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from cryoscope.session.history import DEPTH, Change, History
from cryoscope.session.jobs import Job, JobPool
from cryoscope.session.records import JobView, UndoState
from tests.session.conftest import eventually


class Watched:
    """A pool and everything it said."""

    def __init__(self) -> None:
        self.lists: list[tuple[JobView, ...]] = []
        self.errors: list[Exception] = []
        self.pool = JobPool(
            lambda: self.lists.append(self.pool.views()), self.errors.append, workers=2
        )


@pytest.fixture
def watched() -> Iterator[Watched]:
    made = Watched()
    yield made
    made.pool.close(10)


def test_progress_is_listed_and_then_gone(watched: Watched) -> None:
    go = threading.Event()

    def work(job: Job) -> None:
        job.progress(1, 4, "halfway there")
        go.wait(10)

    watched.pool.submit("work", work)
    eventually(lambda: watched.pool.views() and watched.pool.views()[0].done == 1, "progress")
    assert watched.pool.views() == (JobView("work", "halfway there", 1, 4, True),)
    go.set()
    assert watched.pool.wait(10)
    assert watched.lists[-1] == ()


def test_quiet_jobs_are_not_listed(watched: Watched) -> None:
    watched.pool.submit("hush", lambda job: job.progress(1, 2), quiet=True)
    assert watched.pool.wait(10)
    assert watched.lists == []


def test_errors_are_handed_on_and_the_pool_goes_on(watched: Watched) -> None:
    def fail(job: Job) -> None:
        raise ValueError("no")

    done: list[int] = []
    for _ in range(4):
        watched.pool.submit("fail", fail)
    watched.pool.submit("fine", lambda job: done.append(1))
    assert watched.pool.wait(10)
    assert len(watched.errors) == 4
    assert done == [1]


def test_cancel_by_name(watched: Watched) -> None:
    ended: list[bool] = []
    job = watched.pool.submit("long", lambda job: ended.append(job.wait_cancelled(60)))
    watched.pool.cancel("long")
    assert job.ended.wait(10)
    assert ended in ([True], [])
    assert watched.errors == []


def test_newest_wins(watched: Watched) -> None:
    done: list[int] = []

    def work(number: int) -> None:
        def run(job: Job) -> None:
            job.wait_cancelled(0.0 if number == 29 else 60.0)
            job.check()
            done.append(number)

        watched.pool.submit("look", run, key="look")

    for number in range(30):
        work(number)
    assert watched.pool.wait(30)
    assert done == [29]


def test_a_running_job_may_be_left_to_finish(watched: Watched) -> None:
    done: list[int] = []
    started, go = threading.Event(), threading.Event()

    def first(job: Job) -> None:
        started.set()
        go.wait(10)
        job.check()
        done.append(0)

    watched.pool.submit("a", first, key="k", cancel_running=False)
    assert started.wait(10)
    for number in (1, 2, 3):
        watched.pool.submit(
            "a", lambda job, n=number: done.append(n), key="k", cancel_running=False
        )
    go.set()
    assert watched.pool.wait(10)
    assert done == [0, 3]


def test_the_same_key_never_runs_twice_at_once(watched: Watched) -> None:
    inside, most, lock = 0, 0, threading.Lock()

    def work(job: Job) -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        job.wait_cancelled(0.01)
        with lock:
            inside -= 1

    jobs = [watched.pool.submit("x", work, key="k", cancel_running=False) for _ in range(5)]
    eventually(lambda: all(job.ended.is_set() for job in jobs))
    assert most == 1


def test_closing_cancels_and_refuses(watched: Watched) -> None:
    jobs = [watched.pool.submit("w", lambda job: job.wait_cancelled(60) or None) for _ in range(5)]
    watched.pool.close(10)
    assert all(job.ended.is_set() for job in jobs)
    late = watched.pool.submit("late", lambda job: None)
    assert late.cancelled


def test_history_goes_back_and_forth() -> None:
    history, value = History(), [0]

    def change(to: int) -> None:
        old = value[0]
        value[0] = to
        history.push(
            Change(f"to {to}", lambda: value.__setitem__(0, old), lambda: value.__setitem__(0, to))
        )

    change(1)
    change(2)
    assert history.state() == UndoState("to 2", "")
    assert history.undo() == "to 2"
    assert value == [1]
    assert history.state() == UndoState("to 1", "to 2")
    assert history.redo() == "to 2"
    assert value == [2]
    history.undo()
    change(5)
    assert history.redo() == ""
    assert history.undo() == "to 5"
    assert value == [1]


def test_history_is_bounded() -> None:
    history = History()
    for number in range(DEPTH + 5):
        history.push(Change(str(number), lambda: None, lambda: None))
    undone = 0
    while history.undo():
        undone += 1
    assert undone == DEPTH
    history.clear()
    assert history.state() == UndoState()
