"""The tests of the napari plugin, in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


@pytest.mark.gl
@pytest.mark.slow
def test_the_plugin_in_a_plain_napari_window(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, f"--basetemp={tmp_path / 'its'}", str(HERE / "test_plugin.py")],
        cwd=HERE.parents[1],
        env={**os.environ, "CRYOSCOPE_PLAIN_NAPARI": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-8000:]
    assert " passed" in done.stdout
