"""Particles whose image stacks are not at hand: all that their table says, and no images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError, Particles, ParticleSource
from cryoscope.io.cryosparc import cs_particles, one_sampling
from cryoscope.io.cryosparc_table import read_cs_table
from cryoscope.io.relion_table import read_particle_table


class AbsentImages:
    """As many images as there are rows, none of which can be read.

    Parameters
    ----------
    count, box_size_px
        Of the images, if they were there.
    problem
        What is raised whenever one is asked for.
    """

    def __init__(self, count: int, box_size_px: int, problem: InputError) -> None:
        self._count, self._box_size_px, self.problem = count, box_size_px, problem

    @property
    def box_size_px(self) -> int:
        """Side of the square images."""
        return self._box_size_px

    def __len__(self) -> int:
        return self._count

    def read(self, index: NDArray[np.integer]) -> NDArray[np.float32]:
        """Raise what says which stack is missing."""
        raise InputError(self.problem.problem, file=self.problem.file, cure=self.problem.cure)

    def take(self, index: NDArray[np.integer]) -> AbsentImages:
        """Other rows of the same absent images."""
        return AbsentImages(len(index), self._box_size_px, self.problem)


def read_without_images(
    path: Path, box_size_px: int, problem: InputError, *, class_number: int | None = None
) -> Particles:
    """The particles of a RELION or cryoSPARC file without their images.

    Parameters
    ----------
    box_size_px
        Side of the images, for files that do not say it.
    problem
        What is wrong with the images.
    class_number
        Which class's alignment to read from a cryoSPARC file of several.

    Raises
    ------
    InputError
        ``problem``, if the file is of another kind; as of
        :func:`~cryoscope.io.relion_table.read_particle_table` and
        :func:`~cryoscope.io.cryosparc_table.read_cs_table`.
    """
    if path.suffix.lower() in (".cs", ".csg"):
        listed = read_cs_table(path, class_number=class_number)
        one_sampling(listed)
        box_px = listed.optics[0].box_size_px
        return cs_particles(listed, AbsentImages(len(listed.uid), box_px, problem))
    if path.suffix.lower() != ".star":
        raise problem
    table = read_particle_table(path)
    box_px = table.optics[0].box_size_px or box_size_px
    if box_px <= 0:
        raise problem
    return Particles(
        images=AbsentImages(len(table.uid), box_px, problem),
        optics=tuple(
            replace(group, box_size_px=group.box_size_px or box_px) for group in table.optics
        ),
        ctf=table.ctf,
        poses=table.poses,
        half_set=table.half_set,
        uid=table.uid,
        source=ParticleSource(path.absolute(), np.arange(len(table.uid), dtype=np.int64)),
    )
