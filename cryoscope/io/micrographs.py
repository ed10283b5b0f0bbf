"""From which micrograph each particle was picked."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError, ParticleSource
from cryoscope.io.cryosparc_table import micrograph_paths
from cryoscope.io.star import read_star

_COLUMN = "_rlnMicrographName"


def micrograph_names(source: ParticleSource) -> NDArray[np.str_]:
    """(N,) micrograph of each particle, as the particle file names it.

    Raises
    ------
    InputError
        If the file is gone, or does not say.
    """
    if source.file.suffix.lower() == ".cs":
        names = micrograph_paths(source.file)
    else:
        block = read_star(source.file).particle_block()
        if _COLUMN not in block:
            raise InputError(
                f"the particles name no micrographs (no column {_COLUMN})",
                file=source.file,
                cure="Export the particles with it.",
            )
        names = block.text(_COLUMN)
    if len(source.row) and int(source.row.max()) >= len(names):
        raise InputError(
            "the file has fewer particles than were read from it",
            file=source.file,
            cure="Open it again.",
        )
    return np.asarray(names)[source.row]
