"""The true maps of a simulated set, for the FSC of what a model decodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError
from cryoscope.io.json_file import read_json_object
from cryoscope.physics.devices import named_device
from cryoscope.simulation.composition import Composition
from cryoscope.simulation.config import SimulationConfig
from cryoscope.simulation.ensemble import load_ensemble
from cryoscope.simulation.optics_draw import optics_of

_CURE = "Simulate the set again"


def true_volumes(
    simulation: Path | SimulationConfig,
    frames: Iterable[int],
    box_px: int = 0,
    pixel_size_A: float = 0.0,
) -> Iterator[NDArray[np.float32]]:
    """Maps of frames, rendered from their atoms as the images were: same form factors, same blur.

    Parameters
    ----------
    simulation
        Folder of a simulated set, whose structures are read again, or its settings.
    frames
        Numbers of frames, as ``Truth.frame_of_particle`` has them.
    box_px, pixel_size_A
        Even box and its sampling; 0 = those of the images.

    Yields
    ------
    (n, n, n) float32 [z, y, x] in A^-2, protein bright, origin at n // 2, in the frame of the poses
    (conventions 1 to 3).

    Raises
    ------
    InputError
        The folder holds no simulation, its structures are gone, or there is no such frame.
    """
    config = simulation if isinstance(simulation, SimulationConfig) else read_settings(simulation)
    ensemble = load_ensemble(config)
    imager = ensemble.imager(optics_of(config), config.b_factor_A2, named_device(config.device))
    for frame in frames:
        if not 0 <= frame < len(ensemble):
            raise InputError(f"there is no frame {frame} of {len(ensemble)}", cure=_CURE)
        yield imager.volume(
            int(frame), box_px or config.box_px, pixel_size_A or config.pixel_size_A
        )


def read_settings(folder: Path) -> SimulationConfig:
    """The settings of a simulated set; what an older version did not know has its default.

    Raises
    ------
    InputError
        The folder holds no simulation, or settings that make no sense.
    """
    file = folder / "simulation.json"
    values = read_json_object(file).get("settings")
    try:
        config = _config(values)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"not the settings of a simulation ({error})", file=file, cure=_CURE
        ) from error
    config.check()
    return config


def _config(values: Any) -> SimulationConfig:
    if not isinstance(values, dict):
        raise TypeError("no settings")
    known = {f.name for f in fields(SimulationConfig)}
    unknown = set(values) - known
    if unknown:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
    plain: dict[str, Any] = {
        name: tuple(v) if isinstance(v, list) else v for name, v in values.items()
    }
    plain["compositions"] = tuple(
        Composition(str(c["name"]), float(c["share"]), tuple(map(str, c["without"])))
        for c in values.get("compositions", ())
        if isinstance(c, dict) and {"name", "share", "without"} <= set(c)
    )
    for name, default in asdict(SimulationConfig()).items():
        expected = (int, float) if isinstance(default, float) else type(default)
        if not isinstance(plain.get(name, default), expected):
            raise TypeError(f"{name} is {plain[name]!r}")
    return SimulationConfig(**plain)
