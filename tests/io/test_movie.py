from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cryoscope.data import InputError
from cryoscope.io.movie import write_movie


def frames() -> list[np.ndarray]:
    found = []
    for i in range(4):
        frame = np.full((20, 30, 3), 255, dtype=np.uint8)
        frame[:, 5 * i : 5 * i + 5] = (200, 30, 60)
        found.append(frame)
    return found


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_there_and_back(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"movie{suffix}"
    write_movie(path, frames(), frames_per_s=10)
    with Image.open(path) as movie:
        assert movie.n_frames == 6
        movie.seek(5)
        back = np.asarray(movie.convert("RGB")).astype(int)
        assert movie.size == (30, 20)
    assert np.abs(back - frames()[1]).mean() < 8
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_one_way_and_one_frame(tmp_path: Path) -> None:
    write_movie(tmp_path / "a.gif", frames(), there_and_back=False)
    with Image.open(tmp_path / "a.gif") as movie:
        assert movie.n_frames == 4
    write_movie(tmp_path / "b.gif", frames()[:1])
    assert (tmp_path / "b.gif").is_file()


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.gif, \.webp or \.png"):
        write_movie(tmp_path / "a.mp4", frames())
    with pytest.raises(InputError, match="at least one frame"):
        write_movie(tmp_path / "a.gif", [])
    with pytest.raises(InputError, match="no folder"):
        write_movie(tmp_path / "none" / "a.gif", frames())
