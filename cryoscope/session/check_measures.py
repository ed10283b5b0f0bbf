"""What a check measures: correlations, views, associations; and the files that keep them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError, Latents, Particles, Selection
from cryoscope.session.check_records import Check, Curve
from cryoscope.session.opening import SAME_WIDTH
from cryoscope.session.records import ShownState

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


def map_to_map(found: Reconstruction, decoded: ShownState | None, notes: list[str]) -> Curve | None:
    """The correlation of the reconstructed with the decoded map in the mask of the half-maps.

    In the coarser box of the two; ``notes`` gets the reason where there is none.
    """
    import torch

    from cryoscope.physics.fsc import resolution_A
    from cryoscope.physics.map_comparison import AGREEMENT
    from cryoscope.physics.map_fsc import masked_fsc
    from cryoscope.training.consensus import crop_map

    if decoded is None or decoded.density is None:
        return None
    ours, theirs = found.full, decoded.density
    width_A = ours.width_A
    if abs(theirs.width_A - width_A) > SAME_WIDTH * width_A:
        notes.append("The decoded map covers another field of view: it was not compared.")
        return None
    box_px = min(ours.values.shape[0], theirs.values.shape[0])
    first, second, mask = (
        torch.as_tensor(crop_map(one.values, box_px)) for one in (ours, theirs, found.mask)
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
    from cryoscope.analysis.association import angle_functions, associations, view_functions
    from cryoscope.analysis.reduce import principal_axes
    from cryoscope.analysis.views import view_directions

    if latents is None or particles.poses is None:
        return ()
    poses, ctf = particles.poses, particles.ctf
    defocus_A = 0.5 * (np.asarray(ctf.defocus_u_A) + np.asarray(ctf.defocus_v_A))
    rotation = np.asarray(poses.rotation)
    if not np.array_equal(latents.uid, particles.uid):
        order = np.argsort(particles.uid)
        place = np.searchsorted(particles.uid[order], latents.uid)
        found = order[np.minimum(place, len(order) - 1)]
        if not np.array_equal(particles.uid[found], latents.uid):
            return ()
        defocus_A, rotation = defocus_A[found], rotation[found]
    found_axes = principal_axes(latents.z)
    scores = {
        f"PC{number}": latents.z @ axis.astype(np.float32)
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
