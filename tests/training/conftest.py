from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cryoscope.data import Structure, Trajectory
from cryoscope.io.structures import write_trajectory
from cryoscope.simulation.config import SimulationConfig
from cryoscope.simulation.simulate import simulate
from cryoscope.training.config import TrainConfig
from cryoscope.training.presets import preset


def bent_helix(bend_deg: float) -> np.ndarray:
    """CA positions of a helix of 40 residues bent in the middle."""
    turn = np.deg2rad(100) * np.arange(40)
    coords = np.stack([2.3 * np.cos(turn), 2.3 * np.sin(turn), 1.5 * (np.arange(40) - 20)], axis=1)
    a = np.deg2rad(bend_deg)
    rotation = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    coords[20:] = coords[20:] @ rotation.T
    return coords


def simulated_set(out: Path, particles: int = 160, **changes: object) -> Path:
    """Projections of a bending helix; the folder holds what ``cryoscope simulate`` leaves."""
    count = 40
    structure = Structure(
        coords_A=bent_helix(0),
        element=np.array(["C"] * count),
        atom_name=np.array(["CA"] * count),
        residue_name=np.array(["ALA"] * count),
        residue_id=np.arange(1, count + 1),
        chain_id=np.array(["A"] * count),
        insertion_code=np.array([""] * count),
        b_factor_A2=np.zeros(count),
        occupancy=np.ones(count),
    )
    out.mkdir(parents=True, exist_ok=True)
    models = out.parent / f"{out.name}-models.pdb"
    frames = np.stack([bent_helix(angle) for angle in np.linspace(0, 60, 5)])
    write_trajectory(models, Trajectory(structure, frames))
    config = SimulationConfig(
        structures=(str(models),), particles=particles, box_px=32, pixel_size_A=3.0, snr=0.3
    )
    simulate(replace(config, **changes), out)
    return out


@pytest.fixture(scope="session")
def small_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulated_set(tmp_path_factory.mktemp("small") / "set")


@pytest.fixture
def small_config(small_set: Path, tmp_path: Path) -> TrainConfig:
    config = preset("cryoscope-default")
    return replace(
        config,
        threads=1,
        data=replace(
            config.data,
            particles=str(small_set / "particles.star"),
            structure=str(small_set / "reference.pdb"),
            box_size_px=32,
            cache_dir=str(tmp_path / "cache"),
        ),
        encoder=replace(config.encoder, widths=(32,)),
        deformer=replace(config.deformer, widths=(32,)),
        optimiser=replace(config.optimiser, batch_size=32, epochs=2),
    )
