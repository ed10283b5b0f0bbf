"""The conformations that are projected: read, checked, and put where the poses expect them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError, Structure, Trajectory
from cryoscope.io.structures import read_models, read_structure
from cryoscope.io.trajectories import read_trajectory
from cryoscope.physics.scattering import scattering_tables
from cryoscope.simulation.config import SimulationConfig
from cryoscope.simulation.hinge import hinge_number, turned_about_hinges
from cryoscope.simulation.path import path_through


def load_conformations(config: SimulationConfig) -> Trajectory:
    """Heavy atoms of all frames; the CA centroid of the first frame lies at the origin.

    One translation serves all frames, so motion of the whole molecule in a trajectory is kept.

    Raises
    ------
    InputError
        Unreadable files, no CA atoms, unknown elements, or a molecule larger than the box.
    """
    if config.trajectory:
        source = config.trajectory
        path = _without_hydrogens(read_trajectory(config.trajectory, config.topology))
    elif config.motion != "path":
        source = config.structures[0]
        read_one = read_structure(source)
        path = turning(read_one.take(read_one.heavy_atoms()), config)
    elif len(config.structures) == 1:
        source = config.structures[0]
        path = _without_hydrogens(read_models(source))
    else:
        source = config.structures[0]
        read = [read_structure(name) for name in config.structures]
        stops = [structure.take(structure.heavy_atoms()) for structure in read]
        for name, structure in zip(config.structures, stops, strict=True):
            _check_atoms(structure, name)
        path = path_through(stops, config.frames, align=config.align)
    _check_atoms(path.structure, source)
    coords_A = np.asarray(path.coords_A, dtype=np.float64)
    coords_A = coords_A - coords_A[0, path.structure.alpha_carbons()].mean(axis=0)
    _check_size(coords_A, config, source)
    return Trajectory(path.structure.with_coords(coords_A[0]), coords_A)


def turning(structure: Structure, config: SimulationConfig) -> Trajectory:
    """All frames of one structure that turns about its hinges (``config.motion``).

    Frames of several coordinates are counted with the last one fastest.
    """
    hinges = [hinge_number(structure, hinge) for hinge in config.hinges]
    if len(set(hinges)) != len(hinges):
        raise InputError("two hinges are the same", cure="Name different residues")
    largest_rad = np.broadcast_to(np.deg2rad(config.angles_deg), len(hinges))
    if config.motion == "hinges":
        steps = [np.linspace(0.0, angle, config.frames) for angle in largest_rad]
        angles_rad = np.stack([grid.ravel() for grid in np.meshgrid(*steps, indexing="ij")], axis=1)
    else:
        phase = 2 * np.pi * np.arange(config.frames)[:, None] / config.frames
        angles_rad = phase
        if len(hinges) == 2:  # an ellipse through the structure as given
            angles_rad = np.hstack([1 - np.cos(phase), np.sin(phase)]) * largest_rad / 2
    return Trajectory(structure, turned_about_hinges(structure, hinges, angles_rad))


def _without_hydrogens(path: Trajectory) -> Trajectory:
    heavy = path.structure.heavy_atoms()
    return Trajectory(path.structure.take(heavy), path.coords_A[:, heavy])


def _check_atoms(structure: Structure, source: str) -> None:
    if len(structure.alpha_carbons()) == 0:
        raise InputError(
            "the structure has no CA atom",
            file=source,
            cure="Give an atomic model of a protein",
        )
    scattering_tables(structure, file=source)


def _check_size(coords_A: NDArray[np.float64], config: SimulationConfig, source: str) -> None:
    if not np.isfinite(coords_A).all():
        raise InputError("a coordinate is not a number", file=source, cure="Correct the model")
    radius_A = float(np.linalg.norm(coords_A, axis=-1).max())
    half_box_A = config.box_px * config.pixel_size_A / 2
    if radius_A > half_box_A:
        needed_px = 2 * math.ceil(1.2 * radius_A / config.pixel_size_A)
        raise InputError(
            f"an atom lies {radius_A:,.0f} A from the centre of the molecule (CA centroid of the "
            f"first frame), outside the box of {config.box_px} px, {2 * half_box_A:,.0f} A",
            file=source,
            cure=f"Use --box-px {needed_px} or a larger --pixel-size-A, or remove stray atoms",
        )
