"""The maps of many states, one after another, in the box that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from cryoscope.data import InputError, Structure, Volume

#: Latents (S, d) to the maps of these states, one after another.
DecodeMaps = Callable[[NDArray[np.floating]], Iterator[Volume]]


class StateDecoder(Protocol):
    """What :class:`cryoscope.training.decoding.Decoder` offers to analysis."""

    @property
    def bead_count(self) -> int:
        """Residues in the trace; 0 where the run has no atoms."""
        ...

    @property
    def trace_structure(self) -> Structure:
        """The trace at rest."""
        ...

    def coords_A(self, z: NDArray[np.floating], chunk: int = 1024) -> NDArray[np.float32]:
        """(S, d) latents to (S, residues, 3) traces."""
        ...

    def volumes(self, z: NDArray[np.floating], box_size_px: int = 0) -> Iterator[Volume]:
        """The maps of (S, d) states in a box over the same field of view; 0: the run's own."""
        ...


def in_box(volume: Volume, box_size_px: int) -> Volume:
    """The same field of view in fewer samples, by cutting the spectrum; 0 leaves it alone.

    Raises
    ------
    InputError
        For an odd box, or one below 8 px.
    """
    full_px = volume.values.shape[0]
    if box_size_px == 0 or box_size_px >= full_px:
        return volume
    if box_size_px % 2 or box_size_px < 8:
        raise InputError(f"a box of {box_size_px} px", cure="Choose an even number from 8 up")
    values: NDArray[Any] = np.asarray(volume.values, dtype=np.float32)
    for axis in range(3):
        half = scipy.fft.rfft(values, axis=axis)
        # The real part that the inverse takes at its last sample is the mean of both signs.
        kept = np.take(half, range(box_size_px // 2 + 1), axis=axis)
        values = scipy.fft.irfft(kept, box_size_px, axis=axis) * (box_size_px / full_px)
    voxel_size_A = volume.voxel_size_A * full_px / box_size_px
    return Volume.centred(values.astype(np.float32), voxel_size_A, volume.provenance)
