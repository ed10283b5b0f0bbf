"""The simulated sets of the benches: made once, reused while settings are equal."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from cryoscope.data import InputError
from cryoscope.io.json_file import read_json_object
from cryoscope.simulation.config import SimulationConfig
from cryoscope.simulation.truth import Truth, read_truth

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class SimulatedSet:
    """A simulated set on disk."""

    settings: SimulationConfig
    folder: Path

    @property
    def star(self) -> Path:
        """The particle file."""
        return self.folder / "particles.star"

    @property
    def reference(self) -> Path:
        """The first conformation, in the frame of the poses."""
        return self.folder / "reference.pdb"

    @cached_property
    def truth(self) -> Truth:
        """What is known."""
        return read_truth(self.folder / "truth.npz")


def simulated(
    name: str,
    settings: SimulationConfig,
    out: Path,
    progress: Progress = lambda stage, done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> SimulatedSet:
    """The set below ``out / "data"``; an equal one is taken as it is.

    Raises
    ------
    InputError
        A file it needs is not there, or the folder cannot be written.
    SimulationStopped
        ``should_stop`` said so.
    """
    from cryoscope.simulation.simulate import simulate

    wanted = json.loads(json.dumps(settings.to_json()))
    folder = first_folder(out / "data" / name, lambda path: _settings_in(path) == wanted)
    made = SimulatedSet(settings, folder)
    if not made.star.is_file():
        stage = f"simulating {name}"
        progress(stage, 0, 0)
        simulate(settings, folder, lambda done, total: progress(stage, done, total), should_stop)
    return made


def first_folder(path: Path, is_equal: Callable[[Path], bool]) -> Path:
    """``path``, else ``path-2``, ``path-3``...: the first that is free or holds the same thing."""
    names = itertools.chain(
        [path], (path.with_name(f"{path.name}-{i}") for i in itertools.count(2))
    )
    return next(folder for folder in names if not folder.exists() or is_equal(folder))


def _settings_in(folder: Path) -> Any:
    """Settings of an earlier simulation; what its version did not know has its default."""
    try:
        settings = read_json_object(folder / "simulation.json").get("settings")
    except InputError:
        return None
    if not isinstance(settings, dict):
        return None
    return json.loads(json.dumps(SimulationConfig().to_json())) | settings
