"""What is known of every particle, as columns of the files that are handed on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError, Latents, Particles, Selection

#: What can stand behind the user's own columns of a .star file.
STAR_COLUMNS = ("z", "cluster", "selection")
Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Known:
    """What a session or a run knows of its particles.

    Attributes
    ----------
    latents
        Of all particles, or None while there are none.
    clusters
        (N,) cluster of each latent, -1 none; or None.
    selections
        Their masks are in the order of the latents (of the file where there are none).
    """

    latents: Latents | None
    clusters: NDArray[np.int64] | None = None
    selections: tuple[Selection, ...] = ()

    def places(self, uid: NDArray[np.str_]) -> NDArray[np.int64]:
        """(len(uid),) where particles of these names are in the order of the masks; -1 nowhere."""
        if self.latents is None or np.array_equal(self.latents.uid, uid):
            return np.arange(len(uid), dtype=np.int64)
        return places_among(self.latents.uid, uid)


def places_among(known: NDArray[np.str_], uid: NDArray[np.str_]) -> NDArray[np.int64]:
    """(len(uid),) where each name is among `known`, -1 where it is not."""
    if len(known) == 0:
        return np.full(len(uid), -1, dtype=np.int64)
    order = np.argsort(known, kind="stable")
    place = order[np.searchsorted(known[order], uid).clip(0, len(known) - 1)]
    return np.where(known[place] == uid, place, -1).astype(np.int64)


def star_columns(known: Known, uid: NDArray[np.str_], wanted: Sequence[str]) -> Columns:
    """Columns to add to a .star file for all particles `uid`.

    Raises
    ------
    InputError
        A word of `wanted` is none of ``STAR_COLUMNS``, or asks for what is not there.
    """
    from cryoscope.io.star_columns import PREFIX, selection_columns

    odd = [word for word in wanted if word not in STAR_COLUMNS]
    if odd:
        raise InputError(
            f"there is no column {odd[0]!r} to add", cure=f"Choose from {', '.join(STAR_COLUMNS)}"
        )
    if not wanted:
        return {}
    place, columns = known.places(uid), Columns()
    if "z" in wanted:
        if known.latents is None:
            raise InputError("there are no latents yet", cure="Train, or open a run folder, first.")
        for i in range(known.latents.z.shape[1]):
            columns[f"{PREFIX}Z{i + 1}"] = _found(known.latents.z[:, i], place, np.nan)
    if "cluster" in wanted:
        if known.clusters is None:
            raise InputError("there are no clusters yet", cure="Colour by k-means cluster first.")
        columns[f"{PREFIX}Cluster"] = _found(known.clusters + 1, place, 0)
    if "selection" in wanted:
        names = selection_columns([one.name for one in known.selections])
        for one in known.selections:
            columns[names[one.name]] = _found(one.mask, place, False).astype(np.int64)
    return columns


def table_columns(
    known: Known, uid: NDArray[np.str_], particles: Particles | None, *, with_selections: bool
) -> Columns:
    """Latents, principal components, clusters, selections and what the particle file says.

    Columns are in the order of `uid`; `particles`, where given, are in that order too.
    """
    from cryoscope.io.particle_tables import SELECTION_COLUMN

    place, columns = known.places(uid), Columns()
    latents = known.latents
    if latents is not None:
        from cryoscope.analysis.reduce import pca_embedding

        for i in range(latents.z.shape[1]):
            columns[f"z{i + 1}"] = _found(latents.z[:, i], place, np.nan)
        xy = pca_embedding(latents.z).xy
        for i in range(2):
            columns[f"PC{i + 1}"] = _found(xy[:, i], place, np.nan)
    if known.clusters is not None:
        columns["cluster"] = _found(known.clusters + 1, place, 0)
    if particles is not None:
        columns |= _file_columns(particles)
    if with_selections:
        for one in known.selections:
            marks = _found(one.mask, place, False)
            columns[f"{SELECTION_COLUMN}{one.name}"] = marks.astype(np.int64)
    return columns


def _file_columns(particles: Particles) -> Columns:
    from cryoscope.conventions import relion_deg_from_rotation

    ctf = particles.ctf
    columns: Columns = {
        "file_row": particles.source.row + 1,
        "defocus_u_A": ctf.defocus_u_A,
        "defocus_v_A": ctf.defocus_v_A,
        "defocus_angle_deg": ctf.defocus_angle_deg,
        "phase_shift_deg": ctf.phase_shift_deg,
        "optics_group": ctf.optics_group + 1,
        "half_set": particles.half_set.astype(np.int64),
    }
    if particles.poses is not None:
        euler_deg = relion_deg_from_rotation(particles.poses.rotation)
        names = ("rot_deg", "tilt_deg", "psi_deg")
        columns |= {name: euler_deg[:, i] for i, name in enumerate(names)}
        columns |= {f"shift_{axis}_A": particles.poses.shift_A[:, i] for i, axis in enumerate("xy")}
    return columns


def _found(values: NDArray[Any], place: NDArray[np.int64], absent: float) -> NDArray[Any]:
    """Values at `place`, and `absent` where there is none."""
    if (place >= 0).all():
        return values[place]
    found: NDArray[Any] = np.where(place >= 0, values[place], absent)
    return found if values.dtype.kind == "f" else found.astype(np.int64)
