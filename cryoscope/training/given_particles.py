"""The particles of a run, read as its settings say."""

from __future__ import annotations

from pathlib import Path

from cryoscope.data import Particles
from cryoscope.io.particles_file import read_any
from cryoscope.training.config import DataConfig


def read_given_particles(data: DataConfig, file: Path | None = None) -> Particles:
    """Particles with the class and the folder of images that are set.

    Parameters
    ----------
    file
        Read this file instead of ``data.particles``.

    Raises
    ------
    InputError
        See `cryoscope.io.particles_file.read_any`.
    """
    return read_any(
        data.particles if file is None else file,
        class_number=None if data.class_number < 0 else data.class_number,
        search=[data.image_folder] if data.image_folder else [],
    )
