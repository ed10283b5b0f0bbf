"""Where along a path particles are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError

Distribution = Literal["uniform", "cooperative", "noncontiguous", "discrete"]

DISTRIBUTIONS: tuple[Distribution, ...] = get_args(Distribution)
_END_SHARE = 0.425
_END_SD = 0.06
#: Where the groups of ``noncontiguous`` are, unless said otherwise.
MAXIMA = (0.1, 0.5, 0.9)
_GROUP_SD = 0.045


def draw_frames(
    distribution: Distribution,
    particles: int,
    frames: int,
    rng: np.random.Generator,
    *,
    states: int = 5,
    maxima: Sequence[float] = MAXIMA,
    closed: bool = False,
) -> NDArray[np.int64]:
    """The frame of every particle, 0 to ``frames - 1``.

    Positions t in [0, 1] are drawn and rounded to the nearest frame; along a ``closed`` path t = 1
    is t = 0 again.

    Parameters
    ----------
    distribution
        ``"uniform"``: every frame alike. ``"cooperative"``: 42.5 % near each end (half-normal,
        sd 0.06) and 15 % spread evenly between. ``"noncontiguous"``: groups of equal size around
        the ``maxima`` (t = 0.1, 0.5 and 0.9; sd 0.045) with nothing between. ``"discrete"``:
        ``states`` equal states at even t, both ends included (:func:`state_frames`).

    Raises
    ------
    InputError
        Unknown distribution, or fewer frames than states.
    """
    if distribution == "uniform":
        return rng.integers(0, frames, particles)
    if distribution == "cooperative":
        t = _cooperative(particles, rng)
    elif distribution == "noncontiguous":
        centre = np.asarray(maxima)[rng.integers(0, len(maxima), particles)]
        t = centre + _GROUP_SD * rng.standard_normal(particles)
        t = t % 1.0 if closed else np.clip(t, 0.0, 1.0)
    elif distribution == "discrete":
        return state_frames(states, frames, closed=closed)[rng.integers(0, states, particles)]
    else:
        raise InputError(
            f"there is no distribution {distribution!r}",
            cure=f"Choose one of {', '.join(DISTRIBUTIONS)}",
        )
    if closed:
        return np.rint(t * frames).astype(np.int64) % frames
    return np.rint(t * (frames - 1)).astype(np.int64)


def state_frames(states: int, frames: int, *, closed: bool = False) -> NDArray[np.int64]:
    """(states,) frames of discrete states, evenly along the path.

    Raises
    ------
    InputError
        Fewer frames than states.
    """
    if not 1 <= states <= frames:
        raise InputError(
            f"{states} discrete states do not fit on {frames} frames",
            cure="Give from 1 state to as many states as frames",
        )
    if closed:
        return np.rint(np.arange(states) / states * frames).astype(np.int64)
    return np.rint(np.arange(states) / max(states - 1, 1) * (frames - 1)).astype(np.int64)


def _cooperative(particles: int, rng: np.random.Generator) -> NDArray[np.float64]:
    group = rng.random(particles)
    tail = np.minimum(np.abs(_END_SD * rng.standard_normal(particles)), 1.0)
    bridge = rng.random(particles)
    return np.where(group < _END_SHARE, tail, np.where(group < 2 * _END_SHARE, 1.0 - tail, bridge))


def fraction_of_path(frames: int) -> NDArray[np.float64]:
    """(frames,) t of every frame; a single frame is at 0."""
    return np.arange(frames) / max(frames - 1, 1)
