"""What is measured of a run, and of every predictor beside it, by the same code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cryoscope.analysis.alignment import emd_rmsd_A
from cryoscope.analysis.validate import (
    local_distance_error_A,
    mean_rmsd_A,
    order_along_path,
    rms_motion_A,
    rmsd_A,
    share_within,
    shift_error_px,
)
from cryoscope.data import Latents

if TYPE_CHECKING:
    from cryoscope.analysis.floors import Oracle
    from cryoscope.session.bench_atomic_data import MadeSet

Array = NDArray[np.floating]

#: Label and unit of every figure; shares are given in percent.
LABELS: dict[str, tuple[str, str]] = {
    "rmsd_A": ("mean CA RMSD, pose frame", "A"),
    "emd_A": ("EMD-RMSD, superposed, optimal assignment", "A"),
    "rmsd_end_A": ("CA RMSD at the end of the path", "A"),
    "rmsd_maxima_A": ("CA RMSD at the worst of the maxima", "A"),
    "local_distance_A": ("error of distances i to i+2..i+4", "A"),
    "spearman": ("Spearman of PC1 with the true frame", ""),
    "shift_px": ("error of the shifts (RMS per axis)", "px"),
    "motion_A": ("RMS deformation", "A"),
    "ca_rmse_A": ("CA RMSE of the one structure", "A"),
    "share_3A": ("residues within 3 A", "%"),
}
#: The end of a path: its last frames, up to this share of it.
_END_SHARE = 0.02


def coordinate_figures(
    coords_A: Array, made: MadeSet, reference_A: Array, rows: NDArray[np.int64] | None = None
) -> dict[str, float]:
    """Figures of one structure per particle, pose frame.

    Parameters
    ----------
    coords_A
        (N, n, 3), or (S, n, 3) of the particles at ``rows``.
    made
        The set with its truth.
    reference_A
        (n, 3) what the model started from.
    rows
        (S,) particles; None for all.
    """
    truth = made.truth
    frames_A, last = truth.coords_ca_A, len(truth.t_of_frame) - 1
    every = np.arange(len(truth)) if rows is None else rows
    frame = truth.frame_of_particle[every]
    figures = {"motion_A": rms_motion_A(coords_A, reference_A)}
    if last == 0:
        # a homogeneous fit: one structure for all particles
        figures["ca_rmse_A"] = float(rmsd_A(coords_A[:1], frames_A)[0])
        figures["share_3A"] = 100 * share_within(coords_A[0], frames_A[0])
        return figures
    figures["rmsd_A"] = mean_rmsd_A(coords_A, frames_A, frame)
    figures["emd_A"] = emd_rmsd_A(coords_A, frames_A, frame)
    figures["local_distance_A"] = local_distance_error_A(coords_A, frames_A, frame, truth.chain_id)
    at_end = frame >= last - round(_END_SHARE * last)
    if at_end.any():
        figures["rmsd_end_A"] = mean_rmsd_A(coords_A[at_end], frames_A, frame[at_end])
    if made.settings.distribution == "noncontiguous":
        figures["rmsd_maxima_A"] = max(
            mean_rmsd_A(coords_A[near], frames_A, frame[near])
            for place in made.settings.maxima
            if (near := np.abs(frame - place * last) <= 1).any()
        )
    return figures


def oracle_figures(oracle: Oracle, made: MadeSet, reference_A: Array) -> dict[str, float]:
    """The same of the oracle, on the particles that it looked at."""
    coords_A = oracle.structures_A(made.truth.coords_ca_A)
    figures = coordinate_figures(coords_A, made, reference_A, oracle.rows)
    most_likely = oracle.posterior @ np.arange(oracle.posterior.shape[1])
    frame = made.truth.frame_of_particle[oracle.rows]
    return {**figures, "spearman": order_along_path(most_likely[:, None], frame)}


def latent_figures(latents: Latents, made: MadeSet, given_shift_A: Array) -> dict[str, float]:
    """Order along the path, and the error of the shifts where the model corrects them."""
    figures = {}
    if len(made.truth.t_of_frame) > 1:
        figures["spearman"] = order_along_path(latents.z, made.truth.frame_of_particle)
    if latents.shift_A is not None:
        found_A = given_shift_A + latents.shift_A
        figures["shift_px"] = shift_error_px(
            found_A, made.truth.shift_A, made.settings.pixel_size_A
        )
    return figures


def latent_floors(
    latents: Latents, made: MadeSet, given_shift_A: Array
) -> dict[str, dict[str, float]]:
    """Trivial predictors of the figures that are not about coordinates."""
    pixel_A = made.settings.pixel_size_A
    floors = {}
    if latents.shift_A is not None:
        error_px = shift_error_px(given_shift_A, made.truth.shift_A, pixel_A)
        floors["shift_px"] = {"do nothing": error_px}
    if len(made.truth.t_of_frame) > 1:
        shuffled = np.random.default_rng(0).permutation(latents.z)
        floors["spearman"] = {
            "do nothing": order_along_path(shuffled, made.truth.frame_of_particle)
        }
    return floors
