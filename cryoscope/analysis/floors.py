"""What predictors reach that see no image, or know what no one can know.

Every result of a bench stands beside these. Each predictor is a table of one structure per true
frame, so that whatever is measured of a model is measured of them by the same code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoscope.analysis.alignment import superposed_A
from cryoscope.analysis.validate import best_linear_A, mean_structure_A
from cryoscope.models.normal_modes import elastic_modes

Array = NDArray[np.floating]
FloatArray = NDArray[np.float64]

DO_NOTHING, MEAN_STRUCTURE = "do nothing", "mean structure"
BEST_CONSTANT, TWO_ENDS = "best constant frame", "two end states"
ORACLE = "oracle"


def linear_floor(dimensions: int) -> str:
    """Name of the best linear motion of so many dimensions."""
    return f"best {dimensions}-D linear"


def mode_floor(modes: int) -> str:
    """Name of the best fit by so many normal modes."""
    return f"best fit of {modes} modes"


def predictors_A(
    reference_A: Array,
    frames_A: Array,
    frame: NDArray[np.integer],
    *,
    modes: tuple[int, ...] = (16,),
    cutoff_A: float = 12.0,
) -> dict[str, FloatArray]:
    """Structures by predictors that look at no image: (F, n, 3) each, one per true frame.

    ``do nothing``: the reference. ``mean structure``: the mean over all particles. ``best constant
    frame``: the true frame that is nearest to all others. ``two end states``: the nearer of the
    first and the last. ``best k-D linear``: every frame on the best linear motion of 1 and of 8
    dimensions. ``best fit of k modes``: every frame fitted by the reference's softest modes and a
    rigid motion (k = 0: by the rigid motion alone).

    Parameters
    ----------
    reference_A
        (n, 3) what a model starts from.
    frames_A
        (F, n, 3) true structures.
    frame
        (N,) frame of each particle.
    modes
        Numbers of normal modes.
    cutoff_A
        Of the elastic network.
    """
    frames = np.asarray(frames_A, dtype=np.float64)
    constant = frames[_nearest_to_all(frames, frame)]
    table = {
        DO_NOTHING: _same_for_all(reference_A, frames),
        MEAN_STRUCTURE: _same_for_all(mean_structure_A(frames, frame), frames),
        BEST_CONSTANT: _same_for_all(constant, frames),
        TWO_ENDS: frames[_nearer_end(frames)],
    }
    for dimensions in (1, 8):
        table[linear_floor(dimensions)] = best_linear_A(frames, frame, dimensions)
    for count in modes:
        table[mode_floor(count)] = mode_fits_A(reference_A, frames, count, cutoff_A=cutoff_A)
    return table


def mode_fits_A(
    reference_A: Array, frames_A: Array, count: int, *, cutoff_A: float = 12.0
) -> FloatArray:
    """(F, n, 3) every frame fitted by the reference's softest modes, laid where the frame is.

    The structures whose distances :func:`cryoscope.models.normal_modes.best_mode_fit_A` gives:
    least squares on the modes after superposition (Kabsch), then superposed once more.
    """
    reference = np.asarray(reference_A, dtype=np.float64)
    _, modes = elastic_modes(reference, count, cutoff_A=cutoff_A)
    offset = (superposed_A(frames_A, reference) - reference).reshape(len(frames_A), -1)
    fitted = reference + ((offset @ modes) @ modes.T).reshape(np.shape(frames_A))
    return superposed_A(fitted, frames_A)


def _same_for_all(structure_A: Array, frames_A: FloatArray) -> FloatArray:
    return np.broadcast_to(np.asarray(structure_A, dtype=np.float64), frames_A.shape)


def _nearest_to_all(frames_A: FloatArray, frame: NDArray[np.integer]) -> int:
    """The frame with the least mean RMSD from the particles' frames."""
    share = np.bincount(frame, minlength=len(frames_A))
    flat = frames_A.reshape(len(frames_A), -1)
    square = (flat**2).sum(1)
    distance2 = square[:, None] + square - 2 * flat @ flat.T
    return int(np.argmin(np.sqrt(np.maximum(distance2, 0.0)) @ share))


def _nearer_end(frames_A: FloatArray) -> NDArray[np.int64]:
    """(F,) 0 or F - 1."""
    to_first, to_last = (((frames_A - frames_A[i]) ** 2).sum((1, 2)) for i in (0, -1))
    return np.where(to_first <= to_last, 0, len(frames_A) - 1)


@dataclass(frozen=True, eq=False)
class Oracle:
    """What the true forward model knows of S particles.

    Attributes
    ----------
    rows
        (S,) which particles.
    posterior
        (S, F) probability of every frame of the true path, given the image.
    """

    rows: NDArray[np.int64]
    posterior: FloatArray

    def structures_A(self, frames_A: Array) -> FloatArray:
        """(S, n, 3) posterior means: the structures of least expected square error."""
        return np.asarray(
            np.tensordot(self.posterior, np.asarray(frames_A, dtype=np.float64), axes=1)
        )


def bayes_oracle(
    images: Callable[[NDArray[np.int64]], Array],
    clean_images: Callable[[int], Array],
    frame: NDArray[np.integer],
    frame_count: int,
    noise_sd: float,
    *,
    particles: int = 200,
    seed: int = 0,
) -> Oracle:
    """Posterior over the frames of the true path, with known pose, CTF, scale and noise.

    No method that looks at one image at a time can have a lower expected square error.

    Parameters
    ----------
    images
        Rows -> (S, y, x) recorded images.
    clean_images
        Row -> (F, y, x) noise-free image of every frame, as this particle would have shown it.
    frame
        (N,) true frames: how often each occurs is the prior.
    frame_count
        F.
    noise_sd
        Of the white noise in the images.
    particles, seed
        How many particles are looked at, drawn at random.
    """
    chosen = np.random.default_rng(seed).permutation(len(frame))[:particles]
    rows = np.sort(chosen).astype(np.int64)
    share = np.bincount(frame, minlength=frame_count) / len(frame)
    with np.errstate(divide="ignore"):
        log_prior = np.log(share)
    posterior = np.empty((len(rows), frame_count))
    for place, row in enumerate(rows):
        recorded = np.asarray(images(rows[place : place + 1])[0], dtype=np.float64)
        residual = np.asarray(clean_images(int(row)), dtype=np.float64) - recorded
        log_weight = log_prior - 0.5 * (residual**2).sum((1, 2)) / noise_sd**2
        weight = np.exp(log_weight - log_weight.max())
        posterior[place] = weight / weight.sum()
    return Oracle(rows, posterior)
