"""One living writer per run; the locks of dead ones are taken over."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cryoscope.data import InputError
from cryoscope.io.run_folder import RunFolder


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

    def test_unreadable_lock(self, run: RunFolder) -> None:
        path = run.path / "run.lock"
        path.write_text("")
        with pytest.raises(InputError, match="just opened"), run.lock():
            pass
        os.utime(path, (0, 0))
        with run.lock():
            pass
