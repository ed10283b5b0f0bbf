"""Writers: maps as MRC, the shown backbone as PDB or mmCIF."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from napari import current_viewer

from cryoscope import conventions
from cryoscope.app.attachment import attach
from cryoscope.app.napari_bridge import BACKBONE_LAYER
from cryoscope.data import InputError, Volume
from cryoscope.data.volume import Provenance
from cryoscope.io.mrc import write_volume
from cryoscope.io.structures import write_structure


def write_map(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write a 3-D image layer as a map.

    Raises
    ------
    InputError
        It is not 3-D, its voxels are not cubes, or the file cannot be written.
    """
    values = np.asarray(data, dtype=np.float32)
    scale = np.asarray(attributes.get("scale", np.ones(values.ndim)), dtype=np.float64)
    if values.ndim != 3 or not np.allclose(scale, scale[0], rtol=1e-3):
        raise InputError(
            "only 3-D images with cubic voxels are maps", file=path, cure="Choose another layer"
        )
    corner = attributes.get("translate", np.zeros(3))
    origin_A = tuple(float(x) for x in conventions.xyz_from_zyx(np.asarray(corner, dtype=float)))
    made = Provenance("file", detail=str(attributes.get("name", "a napari layer")))
    write_volume(path, Volume(values, float(scale[0]), origin_A, made))
    return [path]


def write_backbone(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write the state whose backbone the layer shows.

    Raises
    ------
    InputError
        The layer is not Cryoscope's backbone, its atoms are not known, or the file cannot be
        written.
    """
    session = attach(current_viewer()).session
    shown, run = session.shown, session.run
    reference = None if run is None else run.reference
    if attributes.get("name") != BACKBONE_LAYER or shown is None or reference is None:
        raise InputError(
            f"only the layer {BACKBONE_LAYER!r} of an open run has atoms",
            file=path,
            cure="Open a run of an atomic method, and choose that layer",
        )
    if len(reference) != len(shown.coords_A):
        raise InputError(
            f"the state has {len(shown.coords_A):,} beads, its reference {len(reference):,} atoms",
            file=path,
            cure="Export a trajectory from the panels instead",
        )
    state = replace(reference, coords_A=np.asarray(shown.coords_A, dtype=np.float64))
    write_structure(Path(path), state)
    return [path]
