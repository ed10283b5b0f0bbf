"""The particle under the mouse: where it lies, its row and name, and its image, low-passed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError, Particles
from cryoscope.session.latent_records import Covariate, ParticleCard
from cryoscope.session.latent_views import nearest_row

if TYPE_CHECKING:
    from cryoscope.session.state import Session

LOW_PASS_A = 25.0
SIDE_PX = 112


def particle_at(
    session: Session, xy: tuple[float, float], reach: tuple[float, float]
) -> ParticleCard | None:
    """The particle nearest to a place of the picture; None where none is within reach.

    Reads one image: it is for a thread of its own, not for the one of the window.

    Parameters
    ----------
    xy
        A place in the embedding's coordinates.
    reach
        How far off a particle may lie along x and along y.
    """
    latents, embedding, particles, shown = session.snapshot(
        "latents", "embedding", "particles", "colouring"
    )
    if latents is None or embedding is None:
        return None
    near = np.flatnonzero(
        (np.abs(embedding.xy - np.asarray(xy, np.float32)) <= np.asarray(reach, np.float32)).all(1)
    )
    scaled = embedding.xy[near] / np.asarray(reach, np.float32)
    found = nearest_row(scaled, (xy[0] / reach[0], xy[1] / reach[1])) if len(near) else None
    if found is None:
        return None
    row = int(near[found])
    uid = str(latents.uid[row])
    place = (float(embedding.xy[row, 0]), float(embedding.xy[row, 1]))
    values = _value_text(shown, row)
    at = None if particles is None else _place_among(particles.record, uid, row)
    if at is None:
        remark = "open the particle file to see the image"
        return ParticleCard(row, row + 1, uid, place, None, remark, values)
    file_row = int(particles.record.source.row[at]) + 1
    try:
        picture = particles.record.images.read(np.array([at]))[0]
    except (InputError, OSError) as error:
        return ParticleCard(row, file_row, uid, place, None, str(error), values)
    image = low_passed(picture, particles.pixel_size_A)
    return ParticleCard(row, file_row, uid, place, image, "", values)


def _place_among(particles: Particles, uid: str, row: int) -> int | None:
    """The row of a particle: mostly that of its latent."""
    if row < len(particles) and str(particles.uid[row]) == uid:
        return row
    found = np.flatnonzero(particles.uid == uid)
    return int(found[0]) if len(found) else None


def low_passed(picture: NDArray[np.floating], pixel_size_A: float) -> NDArray[np.uint8]:
    """A small grey picture of one image without what is finer than 25 A."""
    import scipy.fft

    side = picture.shape[0]
    size = min(SIDE_PX, side)
    spectrum = scipy.fft.fftshift(scipy.fft.fft2(np.nan_to_num(picture)))
    begin = side // 2 - size // 2
    spectrum = spectrum[begin : begin + size, begin : begin + size]
    frequency = (np.arange(size) - size // 2) / (side * pixel_size_A)
    k2 = frequency[:, None] ** 2 + frequency[None, :] ** 2
    # A Gaussian that is down to 1/e at the resolution: sharp edges would ring.
    soft = scipy.fft.ifft2(scipy.fft.ifftshift(spectrum * np.exp(-k2 * LOW_PASS_A**2))).real
    low, high = np.percentile(soft, (1.0, 99.0))
    extent = high - low if high > low else 1.0
    return np.asarray(np.clip((soft - low) / extent, 0.0, 1.0) * 255, dtype=np.uint8)


def _value_text(shown: Covariate | None, row: int) -> str:
    if shown is None or row >= len(shown.values):
        return ""
    value = float(shown.values[row])
    if not np.isfinite(value):
        return f"{shown.label}: unknown"
    if shown.kind == "discrete":
        return f"{shown.label}: {shown.categories[int(value)]}"
    return f"{shown.label}: {value:.4g} {shown.unit}".rstrip()
