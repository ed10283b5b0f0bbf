"""The simulated sets of ``cryoscope bench atomic``, its starting models, and its oracle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cryoscope.data import InputError
from cryoscope.io.atomic import explain_os_errors
from cryoscope.io.resources import resource_path
from cryoscope.io.structures import read_structure, write_structure, write_trajectory
from cryoscope.session.bench_atomic_cases import SCALES, Case, DataSet
from cryoscope.session.bench_sets import Progress, SimulatedSet, simulated
from cryoscope.session.demo import CLOSED, OPEN
from cryoscope.simulation.config import SimulationConfig

#: Files that are not shipped, where a checkout of the project keeps them: beside itself.
FIXTURES = Path(__file__).resolve().parents[3] / "shared" / "fixtures"
_TRAJECTORY, _TOPOLOGY = "trajectories/adk_dims0001_fit-core.dcd", "trajectories/adk4ake.psf"
_GLOBIN = "structures/4hhb_A_141res.pdb"
#: Of the globin's residues the hinge between two halves that pass each other without a clash.
_HINGE_RESIDUE = 80


@dataclass(frozen=True)
class MadeSet(SimulatedSet):
    """A simulated set on disk, and what it is."""

    data: DataSet


def make_set(
    data: DataSet,
    scale: str,
    out: Path,
    *,
    fixtures: Path = FIXTURES,
    progress: Progress = lambda stage, done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> MadeSet:
    """The simulated set below ``out / "data"``; an equal one is taken as it is.

    Raises
    ------
    InputError
        A file it needs is not there, or the folder cannot be written.
    SimulationStopped
        ``should_stop`` said so.
    """
    settings = _settings(data, scale, out, fixtures)
    made = simulated(data.name, settings, out, progress, should_stop)
    return MadeSet(settings, made.folder, data)


def _settings(data: DataSet, scale: str, out: Path, fixtures: Path) -> SimulationConfig:
    size = SCALES[scale]
    config = SimulationConfig(
        **_what_is_projected(data, out, fixtures),
        particles=size.particles,
        box_px=size.box_px,
        pixel_size_A=size.pixel_size_A,
    )
    return replace(config, **data.settings)


def _what_is_projected(data: DataSet, out: Path, fixtures: Path) -> dict[str, Any]:
    closed, opened = str(resource_path(CLOSED)), str(resource_path(OPEN))
    if data.source == "closed to open":
        return {"structures": (closed, opened)}
    if data.source == "open to closed":
        return {"structures": (opened, closed)}
    if data.source == "dims":
        return {
            "trajectory": str(_present(fixtures / _TRAJECTORY)),
            "topology": str(_present(fixtures / _TOPOLOGY)),
        }
    globin = _present(fixtures / _GLOBIN)
    if data.source == "globin":
        return {"structures": (str(globin),)}
    return {"structures": (str(_turned(globin, out / "inputs" / "hinge.pdb")),)}


def _present(file: Path) -> Path:
    if not file.is_file():
        raise InputError(
            "this file is not part of Cryoscope and not there",
            file=file,
            cure="Give the folder that holds it (--fixtures)",
        )
    return file


def _turned(globin: Path, models: Path) -> Path:
    """The globin with one backbone dihedral turned, as 50 models in a file."""
    from cryoscope.simulation.hinge import turned_about_hinge

    if not models.is_file():
        structure = read_structure(globin)
        structure = structure.take(structure.heavy_atoms())
        with explain_os_errors(models):
            models.parent.mkdir(parents=True, exist_ok=True)
        write_trajectory(models, turned_about_hinge(structure, _HINGE_RESIDUE))
    return models


def reference_of(case: Case, made: MadeSet, out: Path) -> Path:
    """The structure a case starts from: the set's own, or one that is wrong on purpose."""
    from cryoscope.simulation.starting_models import starting_model

    if not case.start:
        return made.reference
    file = out / "inputs" / f"{made.folder.name}-{case.start}.pdb"
    if not file.is_file():
        with explain_os_errors(file):
            file.parent.mkdir(parents=True, exist_ok=True)
        write_structure(file, starting_model(read_structure(made.reference), case.start))
    return file
