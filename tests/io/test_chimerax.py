from __future__ import annotations

from pathlib import Path

import pytest

from cryoscope.data import InputError
from cryoscope.io.chimerax import write_series_script, write_states_script


def test_a_series_with_models_and_a_movie(tmp_path: Path) -> None:
    maps = ["state-01.mrc", "state-02.mrc", "state-03.mrc"]
    path = tmp_path / "series.cxc"
    write_series_script(path, maps, level=0.25, structures="states.pdb", movie="movie.mp4")
    lines = path.read_text().splitlines()
    assert "open state-01.mrc state-02.mrc state-03.mrc vseries true" in lines
    assert "volume #1 style surface step 1 level 0.25 color #569cd680" in lines
    assert "open states.pdb coordset true" in lines
    at = [lines.index(line) for line in (
        "movie record size 1200,900 supersample 3",
        "vseries play #1 direction forward pauseFrames 5",
        "coordset #2 1,3 pauseFrames 5",
        "wait 15",
        "vseries play #1 direction backward pauseFrames 5",
        "coordset #2 3,1 pauseFrames 5",
        "movie encode movie.mp4 framerate 25 quality high",
    )]  # fmt: skip
    assert at == sorted(at)


def test_models_alone(tmp_path: Path) -> None:
    write_series_script(tmp_path / "s.cxc", [], level=0, structures="states.pdb", frames=4)
    text = (tmp_path / "s.cxc").read_text()
    assert "coordset #1 1,4" in text
    assert "vseries" not in text
    assert "movie" not in text


def test_states_have_their_colours(tmp_path: Path) -> None:
    path = tmp_path / "states.cxc"
    write_states_script(path, ["a b.mrc", "c.mrc"], ["#e69f00", "#56b4e9"], level=1.5)
    lines = path.read_text().splitlines()
    assert 'open "a b.mrc" id 1' in lines
    assert "volume #2 style surface step 1 level 1.5 color #56b4e9" in lines
    assert "tile #1-2" in lines


@pytest.mark.parametrize("name", ['a".mrc', "a;exit.mrc", "#1", "", "a\nexit", "/etc/x", "*.mrc"])
def test_names_that_would_be_commands_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot stand in a ChimeraX script"):
        write_series_script(tmp_path / "s.cxc", [name], level=1)
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_open(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to open"):
        write_series_script(tmp_path / "s.cxc", [], level=1)
    with pytest.raises(InputError, match="nothing to open"):
        write_states_script(tmp_path / "s.cxc", [], [], level=1)
