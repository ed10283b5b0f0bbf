"""What a check measures: correlations, views, associations; and the files that keep them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError, Latents, Particles, Selection, Volume
from cryoscope.session.check_records import Check, Curve
from cryoscope.session.opening import SAME_WIDTH

if TYPE_CHECKING:
    from cryoscope.analysis.association import Association
    from cryoscope.analysis.views import ViewMap
    from cryoscope.session.reconstruct import Reconstruction

#: Axes of the latents that are looked at: so many, of those with that share of the variance.
_MOST_AXES, _LEAST_VARIANCE = 4, 0.02


def named_curve(
    frequency_per_A: NDArray[np.float64],
    correlation: NDArray[np.float64],
    resolution_A: float,
    threshold: float = 0.143,
) -> Curve:
    """(s,) correlations with the resolution at ``threshold`` that was found for them."""
    limited = resolution_A <= 1.001 / float(frequency_per_A[-1])
    return Curve(frequency_per_A, correlation, threshold, resolution_A, limited)


def same_field_of_view(ours: Volume, theirs: Volume) -> bool:
    """Whether two maps are as wide as each other."""
    return abs(theirs.width_A - ours.width_A) <= SAME_WIDTH * ours.width_A


def map_to_map(found: Reconstruction, decoded: Volume | None, notes: list[str]) -> Curve | None:
    """The correlation of the reconstructed with the decoded map in the mask of the half-maps.

    In the coarser box of the two; ``notes`` gets the reason where there is none.
    """
    import torch

    from cryoscope.physics.fsc import resolution_A
    from cryoscope.physics.map_comparison import AGREEMENT
    from cryoscope.physics.map_fsc import masked_fsc
    from cryoscope.training.consensus import crop_map

    if decoded is None:
        return None
    ours, width_A = found.full, found.full.width_A
    if not same_field_of_view(ours, decoded):
        notes.append("The decoded map covers another field of view: it was not compared.")
        return None
    box_px = min(ours.values.shape[0], decoded.values.shape[0])
    first, second, mask = (
        torch.as_tensor(crop_map(one.values, box_px)) for one in (ours, decoded, found.mask)
    )
    correlation = masked_fsc(first, second, mask.clamp(0, 1))
    frequency_per_A = np.arange(len(correlation)) / width_A
    resolution = resolution_A(correlation, width_A / box_px, AGREEMENT)
    return named_curve(frequency_per_A, correlation.numpy(), resolution, AGREEMENT)


def selected_rows(
    particles: Particles, selection: Selection, latents: Latents | None
) -> NDArray[np.int64]:
    """The rows of the open particle file that a selection means, ascending.

    Raises
    ------
    InputError
        If it is empty, or its particles are not in the file.
    """
    mask = selection.mask
    cure = "Open the particle file that the run was trained on."
    if latents is not None and not np.array_equal(latents.uid, particles.uid):
        wanted = latents.uid[mask]
        mask = np.isin(particles.uid, wanted)
        missing = len(wanted) - int(mask.sum())
        if missing:
            raise InputError(f"{missing:,} selected particles are not in the file", cure=cure)
    if len(mask) != len(particles):
        raise InputError("the selection is of other particles than the open file", cure=cure)
    if not mask.any():
        raise InputError(f"the selection {selection.name!r} is empty", cure="Select particles.")
    return np.flatnonzero(mask).astype(np.int64)


def some_of(rows: NDArray[np.int64], half_set: NDArray[np.int8], most: int) -> NDArray[np.int64]:
    """At most about ``most`` of the rows, drawn at random from both half-sets alike."""
    if len(rows) <= most:
        return rows
    generator = np.random.default_rng(7)
    halves = [rows[half_set[rows] == number] for number in (1, 2)]
    share = most / len(rows)
    drawn = [
        generator.choice(half, min(len(half), max(1, round(share * len(half)))), replace=False)
        for half in halves
        if len(half)
    ]
    return np.sort(np.concatenate(drawn))


def views_of(particles: Particles, rows: NDArray[np.int64]) -> ViewMap:
    """Viewing directions of some rows beside those of all particles (InputError without poses)."""
    from cryoscope.analysis.views import compare_views

    if particles.poses is None:
        raise InputError("the particles have no poses", cure="Give particles of a refinement.")
    mask = np.zeros(len(particles), dtype=np.bool_)
    mask[rows] = True
    return compare_views(particles.poses.rotation, mask)


def latent_associations(particles: Particles, latents: Latents | None) -> tuple[Association, ...]:
    """The leading axes of the latents against viewing direction, turn in the image, and defocus."""
    from cryoscope.analysis.association import (
        MOST_PARTICLES,
        angle_functions,
        associations,
        view_functions,
    )
    from cryoscope.analysis.reduce import principal_axes
    from cryoscope.analysis.views import view_directions

    few = None if latents is None else _some_particles(particles, latents, MOST_PARTICLES)
    if few is None or few[0].poses is None:
        return ()
    poses, ctf, z = few[0].poses, few[0].ctf, few[1].z
    defocus_A = 0.5 * (np.asarray(ctf.defocus_u_A) + np.asarray(ctf.defocus_v_A))
    rotation = np.asarray(poses.rotation)
    found_axes = principal_axes(z)
    scores = {
        f"PC{number}": z @ axis.astype(np.float32)
        for number, axis in enumerate(found_axes.axes[:_MOST_AXES], start=1)
        if found_axes.fraction[number - 1] >= _LEAST_VARIANCE
    }
    in_plane = np.arctan2(rotation[:, 0, 2], rotation[:, 1, 2])
    covariates = {
        "viewing direction": view_functions(view_directions(rotation)),
        "angle in the image": angle_functions(in_plane),
        "defocus": defocus_A,
    }
    return associations(scores, covariates)


def _some_particles(
    particles: Particles, latents: Latents, most: int
) -> tuple[Particles, Latents] | None:
    """At most so many particles and their latents, drawn at random; None if they do not match."""
    count = len(latents)
    rows = np.arange(count)
    if count > most:
        rows = np.sort(np.random.default_rng(5).choice(count, most, replace=False))
    few = replace(latents, z=latents.z[rows], log_var=None, uid=latents.uid[rows])
    places = rows
    if count != len(particles) or not np.array_equal(few.uid, particles.uid[rows]):
        order = np.argsort(particles.uid)
        found = np.searchsorted(particles.uid[order], few.uid)
        places = order[np.minimum(found, len(order) - 1)]
        if not np.array_equal(particles.uid[places], few.uid):
            return None
    return particles.take(places), few


def write_check(check: Check, folder: Path) -> None:
    """Write ``decoded.mrc`` and ``check.json`` beside the files of the reconstruction."""
    from cryoscope.io.json_file import write_json
    from cryoscope.io.mrc import write_volume

    if check.decoded is not None and check.decoded.density is not None:
        write_volume(folder / "decoded.mrc", check.decoded.density)
    views, against = check.views, check.decoded_fsc
    write_json(
        folder / "check.json",
        {
            "selection": check.selection,
            "verdict": check.verdict,
            "warnings": check.warnings,
            "notes": check.notes,
            "particle_count": check.particle_count,
            "half_counts": check.half_counts,
            "resolution_A": check.fsc.resolution_A,
            "control_resolution_A": check.control and check.control.resolution_A,
            "decoded_agrees_to_A": against and against.resolution_A,
            "decoded_z": None if check.decoded is None else check.decoded.z,
            "decoded_fsc": against and against.correlation,
            "view_coverage": views.coverage,
            "view_coverage_all": views.coverage_everyone,
            "view_distance": views.distance,
            "view_distance_by_chance": views.chance,
            "associations": [
                {
                    "axis": a.axis,
                    "covariate": a.covariate,
                    "strength": a.strength,
                    "chance": a.chance,
                    "follows": a.follows,
                }
                for a in check.associations
            ],
        },
    )
