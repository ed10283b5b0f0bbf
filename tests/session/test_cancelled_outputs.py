from __future__ import annotations

import threading
from pathlib import Path

import pytest

from cryoscope.io.atomic import atomic_folder, write_text_atomic
from cryoscope.session.jobs import Job, JobPool
from cryoscope.session.opened import UNKNOWN, what_it_is


def pool() -> JobPool:
    return JobPool(lambda: None, lambda error: None)


@pytest.mark.parametrize("quiet", [False, True])
def test_what_a_cancelled_job_wrote_does_not_appear(tmp_path: Path, quiet: bool) -> None:
    target, folder = tmp_path / "particles.star", tmp_path / "states"
    target.write_text("as it was")
    ready, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def work(job: Job) -> None:
        try:
            ready.set()
            go_on.wait(20)
            write_text_atomic(target, "new")
            with atomic_folder(folder) as place:
                (place / "a.mrc").write_text("map")
        finally:
            ended.set()

    jobs = pool()
    job = jobs.submit("Exporting", work, quiet=quiet)
    assert ready.wait(20)
    job.cancel()
    go_on.set()
    assert ended.wait(20)
    assert jobs.wait(20)
    # Quiet work keeps what the user has done: it is not lost by closing the window.
    assert target.read_text() == ("new" if quiet else "as it was")
    assert folder.exists() == quiet
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".")] == []
    jobs.close(5)


def test_jobs_do_not_hold_each_other_up(tmp_path: Path) -> None:
    jobs = pool()
    first, second = tmp_path / "a.txt", tmp_path / "b.txt"
    hold = threading.Event()

    def slow(job: Job) -> None:
        hold.wait(20)
        write_text_atomic(first, "a")

    job = jobs.submit("Slow", slow)
    jobs.submit("Quick", lambda _job: write_text_atomic(second, "b")).ended.wait(20)
    job.cancel()
    hold.set()
    assert jobs.wait(20)
    assert second.read_text() == "b"
    assert not first.exists()
    jobs.close(5)


def test_what_a_file_would_be_opened_as(tmp_path: Path) -> None:
    said = {name: what_it_is(tmp_path / name) for name in ("a.STAR.gz", "b.ent", "c.mrc", "d.txt")}
    assert said["a.STAR.gz"] == "the particles to train on"
    assert said["b.ent"] == "the reference structure"
    assert said["c.mrc"].startswith("a map")
    assert said["d.txt"] == UNKNOWN
    assert what_it_is(tmp_path) == "a run or project folder"
