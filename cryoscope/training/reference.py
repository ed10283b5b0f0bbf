"""The atomic model a run deforms: read, placed in the frame of the poses, made into beads."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cryoscope.data import InputError, Optics, Structure
from cryoscope.io.structures import read_structure
from cryoscope.models.coarse_grain import Beads, beads_for
from cryoscope.training.config import TrainConfig

#: Share of the residues that may lie outside the box.
MOST_OUTSIDE = 0.1


@dataclass(frozen=True, eq=False)
class Reference:
    """An atomic model in the frame of the poses.

    Attributes
    ----------
    structure
        With the origin in the centre of the box.
    beads
        What it is made of for a model.
    report
        What was kept and what was left out: a sentence each.
    """

    structure: Structure
    beads: Beads
    report: tuple[str, ...]


def read_reference(config: TrainConfig, optics: Optics) -> Reference:
    """The atomic model of a configuration, checked against the images' box.

    Raises
    ------
    InputError
        For a file that is no model, or a model that does not lie in the box.
    """
    file = Path(config.data.structure)
    structure = place_structure(read_structure(file), optics, config.data.structure_origin, file)
    beads = beads_for(structure, config.beads, file)
    _refuse_outside(beads, optics, file)
    report = tuple(filter(None, [beads.report, _hetero_left_out(file, structure)]))
    return Reference(structure, beads, report)


def _hetero_left_out(file: Path, polymer: Structure) -> str:
    """A sentence about the waters, ions and ligands of a file, which get no bead."""

    def names(structure: Structure) -> Counter[str]:
        return Counter(map(str, structure.residue_name[structure.residue_starts()]))

    lost = names(read_structure(file, keep_hetero=True)) - names(polymer)
    if not lost:
        return ""
    listed = ", ".join(f"{count:,} {name}" for name, count in lost.most_common(8))
    return f"Waters, ions and ligands are not modelled: {listed}{', ...' * (len(lost) > 8)}."


def place_structure(
    structure: Structure, optics: Optics, origin: str, file: str | Path = ""
) -> Structure:
    """Move a structure into the frame of the poses, whose origin is the centre of the box.

    Parameters
    ----------
    origin
        ``"centre"``, ``"corner"`` (the map's origin is voxel (0, 0, 0)), or ``"auto"``: whichever
        puts the structure's middle nearer to the centre of the box.

    Raises
    ------
    InputError
        When the middle of the structure lies outside the box either way.
    """
    middle_A = structure.coords_A.mean(0)
    half_A = optics.box_size_px * optics.pixel_size_A / 2
    corner_A = optics.box_size_px // 2 * optics.pixel_size_A
    offsets = {"centre": 0.0, "corner": corner_A}
    if origin == "auto":
        origin = min(offsets, key=lambda name: float(np.linalg.norm(middle_A - offsets[name])))
    moved = middle_A - offsets[origin]
    if np.abs(moved).max() > half_A:
        raise InputError(
            f"the structure lies outside the box: its middle is {np.linalg.norm(moved):.0f} A from "
            f"the box's centre, the box is {2 * half_A:.0f} A wide",
            file=file or None,
            cure="Fit the model into the consensus map these poses belong to and save it there",
        )
    # rounded as the run's reference file will hold them, so that it gives the same beads back
    return structure.with_coords(np.round(structure.coords_A - offsets[origin], 3))


def _refuse_outside(beads: Beads, optics: Optics, file: Path) -> None:
    """Refuse a structure of which much would not be in the images."""
    half_A = optics.box_size_px * optics.pixel_size_A / 2
    trace_A = beads.anchor_A[beads.trace]
    outside = int((np.linalg.norm(trace_A, axis=1) > half_A).sum())
    if outside > MOST_OUTSIDE * len(trace_A):
        raise InputError(
            f"{outside:,} of {len(trace_A):,} residues lie outside the box: further than "
            f"{half_A:.0f} A from its centre",
            file=file,
            cure="Fit the model into the consensus map these poses belong to, keep only the chains "
            "in it, or extract with a larger box",
        )
