"""Movies by ffmpeg: what it is given, and what is said where it fails or is missing."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from cryoscope.data import InputError
from cryoscope.io import mp4
from cryoscope.io.mp4 import find_ffmpeg, write_mp4

needs_posix = pytest.mark.skipif(os.name != "posix", reason="the stand-in is a script")


def stand_in(folder: Path, code: int = 0) -> str:
    """A program that writes down what ffmpeg would be given."""
    program = folder / "ffmpeg"
    program.write_text(
        f"#!{sys.executable}\n"
        "import json, sys\n"
        "given = sys.stdin.buffer.read()\n"
        "open(sys.argv[-1], 'w').write(json.dumps([sys.argv[1:-1], len(given), given[:3].hex()]))\n"
        f"print('no such encoder', file=sys.stderr); sys.exit({code})\n"
    )
    program.chmod(0o755)
    return str(program)


def frames(count: int = 3) -> list[np.ndarray]:
    return [np.full((21, 30, 3), 10 * i, dtype=np.uint8) for i in range(1, count + 1)]


@needs_posix
def test_frames_go_there_and_back_in_even_sides(tmp_path: Path) -> None:
    program = stand_in(tmp_path)
    write_mp4(tmp_path / "a.mp4", frames(), frames_per_s=8, ffmpeg=program)
    options, size, first = json.loads((tmp_path / "a.mp4").read_text())
    assert options[options.index("-s") + 1] == "30x20"
    assert options[options.index("-r") + 1] == "8"
    assert size == 4 * 20 * 30 * 3
    assert first == "0a0a0a"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.mp4", "ffmpeg"]


@needs_posix
def test_the_search_path_and_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = stand_in(tmp_path, code=1)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_ffmpeg() == program
    with pytest.raises(InputError, match="ffmpeg failed: no such encoder"):
        write_mp4(tmp_path / "a.mp4", frames())
    assert not (tmp_path / "a.mp4").exists()


def test_what_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mp4, "find_ffmpeg", lambda: None)
    with pytest.raises(InputError, match="no ffmpeg"):
        write_mp4(tmp_path / "a.mp4", frames())
    with pytest.raises(InputError, match="at least one frame"):
        write_mp4(tmp_path / "a.mp4", [], ffmpeg="ffmpeg")
