"""One living writer per run; the locks of dead ones are taken over."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryoscope.data import InputError, Latents
from cryoscope.io import process_lock, processes
from cryoscope.io.process_lock import LockLost, LockWatch
from cryoscope.io.run_folder import RunFolder

ROOT = Path(__file__).parents[2]
#: A program on a host of that name that holds the lock until it is told to stand still or to end.
HOLDER = """
import socket, sys, threading
socket.gethostname = lambda: sys.argv[2]
from cryoscope.io import process_lock
from cryoscope.data import InputError
from cryoscope.io.run_folder import RunFolder
process_lock.BEAT_S /= 50
run = RunFolder(sys.argv[1])
try:
    with run.lock():
        print("held", flush=True)
        for line in sys.stdin:
            if line == "write\\n":
                run.append_event({"kind": "test"})
                print("written", flush=True)
            elif line == "end\\n":
                break
except InputError as error:
    print(type(error).__name__, error, flush=True)
"""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds become milliseconds, in this process."""
    names = ("BEAT_S", "SILENT_S", "SURE_S", "UNREADABLE_S", "LOOK_S", "MOST_PER_LOOK_S")
    for name in names:
        monkeypatch.setattr(process_lock, name, getattr(process_lock, name) / 50)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", {}, {})


class TestLock:
    def test_second_writer_is_refused(self, run: RunFolder) -> None:
        refused = pytest.raises(InputError, match=f"process {os.getpid()}")
        with run.lock(), refused, RunFolder(run.path).lock():
            pass
        with run.lock():
            pass
        assert not (run.path / "run.lock").exists()

    def test_lock_of_a_dead_process_is_taken_over(self, run: RunFolder) -> None:
        code = (
            "import os, sys; from cryoscope.io.run_folder import RunFolder\n"
            "with RunFolder(sys.argv[1]).lock(): os._exit(0)"
        )
        root = Path(__file__).parents[2]
        subprocess.run([sys.executable, "-c", code, run.path], check=True, cwd=root)
        assert (run.path / "run.lock").exists()
        with run.lock(), pytest.raises(InputError, match="in use"), run.lock():
            pass

    @pytest.mark.skipif(sys.platform != "linux", reason="zombies are told apart on Linux only")
    def test_lock_of_a_killed_child_is_taken_over(self, run: RunFolder) -> None:
        code = (
            "import sys, time; from cryoscope.io.run_folder import RunFolder\n"
            "with RunFolder(sys.argv[1]).lock(): print('held', flush=True); time.sleep(60)"
        )
        command = [sys.executable, "-c", code, run.path]
        root = Path(__file__).parents[2]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"held\n"
            with pytest.raises(InputError, match=f"process {child.pid}"), run.lock():
                pass
            child.kill()
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
            with run.lock():
                pass

    def test_lock_of_another_machine_is_respected(self, run: RunFolder) -> None:
        (run.path / "run.lock").write_text('{"pid": 1, "host": "elsewhere"}')
        with pytest.raises(InputError, match=r"elsewhere.*delete run\.lock"), run.lock():
            pass

    def test_unreadable_lock(self, run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
        path = run.path / "run.lock"
        path.write_text("")
        with run.lock(waiting=lambda what, left_s: None):  # nobody writes it: taken over
            pass
        path.write_text("")

        def written(what: str, left_s: float) -> None:
            assert "just opened" in what
            path.write_text(json.dumps(processes.this_process()))

        with pytest.raises(InputError, match=f"process {os.getpid()}"), run.lock(waiting=written):
            pass


@contextmanager
def held_on(host: str, run: RunFolder) -> Iterator[subprocess.Popen[str]]:
    """A program on another host that holds the run."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, run.path, host],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as program:
        try:
            assert program.stdout is not None
            assert program.stdout.readline() == "held\n"
            yield program
        finally:
            program.kill()


def told(program: subprocess.Popen[str], word: str) -> str:
    assert program.stdin is not None
    assert program.stdout is not None
    program.stdin.write(f"{word}\n")
    program.stdin.flush()
    return program.stdout.readline()


def nap(what: str, left_s: float) -> None:
    """Wait in silence."""


@pytest.mark.skipif(sys.platform == "win32", reason="stops processes by signals")
class TestOtherHosts:
    def test_one_that_lives_is_refused_whatever_the_user_says(self, run: RunFolder) -> None:
        with held_on("node7", run) as program:
            for sure in (False, True):
                refused = pytest.raises(InputError, match=rf"process {program.pid} on node7.*Stop")
                with refused, run.lock(take_over=sure):
                    pass
            assert told(program, "write") == "written\n"

    def test_one_that_died_is_taken_over_when_it_was_silent(self, run: RunFolder) -> None:
        with held_on("node7", run) as program:
            program.kill()
            program.wait()
        waited: list[float] = []
        with run.lock(waiting=lambda what, left_s: waited.append(left_s)):
            assert len(waited) > 5, "silence is seen, not believed"
            assert waited == sorted(waited, reverse=True)

    def test_the_user_may_say_that_it_died(self, run: RunFolder) -> None:
        with held_on("node7", run) as program:
            program.kill()
            program.wait()
        waited: list[float] = []
        with run.lock(take_over=True, waiting=lambda what, left_s: waited.append(left_s)):
            assert 0 < max(waited) <= process_lock.SURE_S

    def test_one_that_stood_still_learns_that_it_was_replaced(self, run: RunFolder) -> None:
        with held_on("node7", run) as program:
            os.kill(program.pid, 19)
            with run.lock():
                os.kill(program.pid, 18)
                assert "LockLost" in told(program, "write")
                assert run.read_events() == []
                run.append_event({"kind": "mine"})
            assert len(run.read_events()) == 1

    def test_one_that_ends_after_it_was_replaced_leaves_the_lock_alone(
        self, run: RunFolder
    ) -> None:
        with held_on("node7", run) as program:
            os.kill(program.pid, 19)
            with run.lock():
                os.kill(program.pid, 18)
                told(program, "end")
                program.wait()
                with pytest.raises(InputError, match="in use"), RunFolder(run.path).lock():
                    pass

    def test_a_clock_that_is_wrong_changes_nothing(
        self, run: RunFolder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with held_on("node7", run):
            os.utime(run.path / "run.lock", (0, 0))
            monkeypatch.setattr(time, "time", lambda: 4e9)
            with pytest.raises(InputError, match="in use"), run.lock():
                pass

    def test_of_many_that_wait_one_gets_it(self, run: RunFolder) -> None:
        with held_on("node7", run) as program:
            program.kill()
            program.wait()
        inside, most, refused = 0, 0, 0
        guard = threading.Lock()

        def take() -> None:
            nonlocal inside, most, refused
            try:
                with RunFolder(run.path).lock(waiting=nap):
                    with guard:
                        inside += 1
                        most = max(most, inside)
                    time.sleep(0.3)
                    with guard:
                        inside -= 1
            except InputError:
                with guard:
                    refused += 1

        threads = [threading.Thread(target=take) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert (most, refused) == (1, 5)
        assert [one.name for one in run.path.glob("run.lock*")] == []


class TestWatch:
    def looks(
        self, path: Path, contents: list[str], seconds: list[float], monkeypatch: Any
    ) -> list[bool]:
        """Whether somebody holds the lock, at looks so many seconds apart."""
        watch, now, seen = LockWatch(path), 0.0, []
        for content, later in zip(contents, seconds, strict=True):
            now += later
            path.write_text(content)
            monkeypatch.setattr(process_lock.time, "monotonic", lambda now=now: now)
            seen.append(watch.look() is not None)
        return seen

    def lock(self, beat: int) -> str:
        elsewhere = {"pid": 7, "host": "far-away", "process_started": "1", "token": "t"}
        return json.dumps({**elsewhere, "beat": f"{beat:012d}"})

    def test_silence_is_counted_from_the_last_beat(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(process_lock, "SILENT_S", 30.0)
        monkeypatch.setattr(process_lock, "MOST_PER_LOOK_S", 10.0)
        beats = [self.lock(n) for n in (1, 1, 1, 2, 2, 2, 2)]
        seen = self.looks(tmp_path / "lock", beats, [0, 10, 10, 10, 10, 10, 10], monkeypatch)
        assert seen == [True] * 6 + [False]

    def test_time_in_which_nothing_could_be_read_is_no_silence(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(process_lock, "SILENT_S", 30.0)
        monkeypatch.setattr(process_lock, "MOST_PER_LOOK_S", 10.0)
        beats = [self.lock(n) for n in (1, 1, 2)]
        seen = self.looks(tmp_path / "lock", beats, [0, 3600, 5], monkeypatch)
        assert seen == [True, True, True]

    def test_the_same_name_on_another_machine_is_watched(
        self, run: RunFolder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        twin = {**processes.this_process(), "token": "t", "beat": "000000000001", "boot": "other"}
        (run.path / "run.lock").write_text(json.dumps(twin))
        waited: list[float] = []
        with run.lock(waiting=lambda what, left_s: waited.append(left_s)):
            assert 0 < max(waited) <= process_lock.SURE_S

    def test_numbers_in_a_container_are_its_own(self) -> None:
        twin = {**processes.this_process(), "space": "pid:[1]"}
        assert processes.place_of(twin) == "elsewhere"
        assert processes.place_of(processes.this_process()) == "here"


class TestHeld:
    def test_a_lock_that_was_deleted_is_made_again(self, run: RunFolder) -> None:
        with run.lock():
            (run.path / "run.lock").unlink()
            run.append_event({"kind": "test"})
            assert (run.path / "run.lock").exists()
        assert not (run.path / "run.lock").exists()

    def test_nothing_is_written_once_another_has_it(self, run: RunFolder) -> None:
        latents = Latents(np.zeros((1, 2), np.float32), None, np.array(["1@a"]), run.run_id, 0)
        path = run.path / "run.lock"
        with run.lock():
            path.write_text('{"pid": 9, "host": "node9", "token": "another"}')
            for write in (
                lambda: run.append_event({"kind": "test"}),
                lambda: run.save_latents(latents, live=True),
                lambda: run.save_checkpoint(1, {}, {}),
                lambda: run.truncate_events_after(0),
            ):
                with pytest.raises(LockLost, match="process 9 on node9"):
                    write()
        assert path.exists(), "it is the other's"
        run.append_event({"kind": "test"})  # without a lock, as before

    def test_no_thread_is_left(self, run: RunFolder) -> None:
        with run.lock():
            assert "cryoscope-lock" in [one.name for one in threading.enumerate()]
        assert "cryoscope-lock" not in [one.name for one in threading.enumerate()]
