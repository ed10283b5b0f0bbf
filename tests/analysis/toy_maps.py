"""Maps whose states are known: a body, and a part that moves or comes and goes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cryoscope.data import Provenance, Volume

BOX_PX, VOXEL_A = 16, 4.0


def blob(centre_zyx: tuple[float, float, float], width_px: float = 1.6) -> np.ndarray:
    """A Gaussian in the toy box."""
    axis = np.arange(BOX_PX) - BOX_PX // 2
    grid = np.meshgrid(axis, axis, axis, indexing="ij")
    square = sum((part - at) ** 2 for part, at in zip(grid, centre_zyx, strict=True))
    return np.asarray(np.exp(-0.5 * square / width_px**2), dtype=np.float32)


def volume(values: np.ndarray) -> Volume:
    return Volume.centred(values.astype(np.float32), VOXEL_A, Provenance("decoded", run_id="toy"))


def moving_part(z: np.ndarray) -> Iterator[Volume]:
    """The part lies along y by the first latent (-1 to 1)."""
    for state in z:
        yield volume(blob((0, 0, -4)) + blob((0, 2.0 * float(state[0]), 2)))


def part_or_none(z: np.ndarray) -> Iterator[Volume]:
    """The part is there where the first latent is above 0, and always a little elsewhere."""
    for state in z:
        body = blob((0, 0, -4)) + 0.02 * float(state[1]) * blob((3, 0, -4))
        yield volume(body + (1.0 if state[0] > 0 else 0.0) * blob((0, 0, 4)))


def two_groups(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(2 count, 2) latents of two groups, the first twice as far spread, and their truth."""
    rng = np.random.default_rng(seed)
    z = np.concatenate([
        rng.normal((-3, 0), (0.5, 1.0), size=(count, 2)),
        rng.normal((3, 0), (0.5, 0.5), size=(count, 2)),
    ])  # fmt: skip
    return z.astype(np.float32), np.repeat([0, 1], count)
