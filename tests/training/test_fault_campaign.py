"""The fault campaign of tests/benchmarks, with a few moments."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the campaign forks")
def test_what_is_killed_at_random_moments_is_whole_when_it_is_opened_again(tmp_path: Path) -> None:
    script = ROOT / "tests" / "benchmarks" / "fault_campaign.py"
    one = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    done = subprocess.run(
        [sys.executable, str(script), "--moments", "6", "--seed", "7"],
        env={**os.environ, **one, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 of 6 consistent reopenings" in done.stdout
