from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoscope.data import InputError
from cryoscope.data.trajectory_path import TrajectoryPath
from cryoscope.io.trajectories_file import read_trajectories, write_trajectories


def path(name: str = "opening", ways: int = 3, frames: int = 5, dims: int = 4) -> TrajectoryPath:
    rng = np.random.default_rng(ways)
    xy = rng.normal(size=(ways, 2))
    xy[0] = np.nan
    return TrajectoryPath(
        name=name,
        kind="ridge",
        way_z=rng.normal(size=(ways, dims)),
        way_rows=np.arange(ways),
        way_xy=xy,
        frames_z=rng.normal(size=(frames, dims)),
        nearest=np.arange(frames),
        distance=rng.uniform(size=frames),
        count=np.arange(frames) * 10,
        embedding_id="pca-1",
        run_id="run-7",
        epoch=3,
        made_by={"component": 1},
    )


@settings(max_examples=20, deadline=None)
@given(
    name=st.text(min_size=1, max_size=30),
    ways=st.integers(2, 6),
    frames=st.integers(2, 9),
    dims=st.integers(1, 5),
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, name: str, ways: int, frames: int, dims: int
) -> None:
    file = tmp_path_factory.mktemp("paths") / "trajectories.json"
    one = path(name, ways, frames, dims)
    write_trajectories(file, [one])
    (read,) = read_trajectories(file, particle_count=20)
    for field in ("name", "kind", "embedding_id", "run_id", "epoch", "made_by"):
        assert getattr(read, field) == getattr(one, field)
    for field in ("way_z", "way_rows", "way_xy", "frames_z", "nearest", "distance", "count"):
        assert np.array_equal(getattr(read, field), getattr(one, field), equal_nan=True)


def damaged(file: Path, *steps: Any, value: Any) -> None:
    write_trajectories(file, [path()])
    content = json.loads(file.read_text())
    at = content
    for step in steps[:-1]:
        at = at[step]
    at[steps[-1]] = value
    file.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("steps", "value"),
    [
        (("format",), 2),
        (("format",), "1"),
        (("trajectories",), {}),
        (("trajectories", 0), None),
        (("trajectories", 0, "name"), ""),
        (("trajectories", 0, "name"), "x" * 2000),
        (("trajectories", 0, "kind"), "spiral"),
        (("trajectories", 0, "epoch"), "3"),
        (("trajectories", 0, "made_by"), []),
        (("trajectories", 0, "way_points"), 1),
        (("trajectories", 0, "way_points", "z"), [[1.0]]),
        (("trajectories", 0, "way_points", "z", 0), [1.0]),
        (("trajectories", 0, "way_points", "z", 0), ["a", 1, 2, 3]),
        (("trajectories", 0, "way_points", "z", 0), [[1], [1], [1], [1]]),
        (("trajectories", 0, "way_points", "xy"), [None]),
        (("trajectories", 0, "way_points", "xy", 1), [1, 2, 3]),
        (("trajectories", 0, "way_points", "particle_row", 0), 1.5),
        (("trajectories", 0, "way_points", "particle_row", 0), True),
        (("trajectories", 0, "way_points", "particle_row", 0), 10**30),
        (("trajectories", 0, "frames", "z", 0), [float("nan")] * 4),
        (("trajectories", 0, "frames", "nearest_row", 0), -1),
        (("trajectories", 0, "frames", "nearest_row", 0), 20),
        (("trajectories", 0, "frames", "distance"), [1.0]),
        (("trajectories", 0, "frames", "particle_count"), None),
    ],
)
def test_damage_is_told(tmp_path: Path, steps: tuple[Any, ...], value: Any) -> None:
    file = tmp_path / "trajectories.json"
    damaged(file, *steps, value=value)
    with pytest.raises(InputError, match=r"trajectories\.json"):
        read_trajectories(file, particle_count=20)


def test_names_must_differ(tmp_path: Path) -> None:
    file = tmp_path / "trajectories.json"
    write_trajectories(file, [path(), replace(path(), kind="graph")])
    with pytest.raises(InputError, match="same name"):
        read_trajectories(file)
