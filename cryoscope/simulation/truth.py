"""What is known about a simulated set: ``truth.npz``."""

from __future__ import annotations

import zipfile
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError
from cryoscope.io.atomic import atomic_path, explain_os_errors

_CURE = "Simulate the set again"
_LIMIT_BYTES = 8 * 1024**3
_ABSENT: Any = np.zeros(0)


@dataclass(frozen=True, eq=False)
class Truth:
    """The truth about N particles in F frames of r residues; the fields are the keys of the file.

    Attributes
    ----------
    frame_of_particle
        (N,) frame, 0 to F - 1.
    t
        (N,) position along the path, 0 to 1.
    t_of_frame
        (F,) the same of every frame.
    coords_ca_A
        (F, r, 3) CA positions in the frame of the poses.
    residue_id, chain_id
        (r,) of the CA atoms.
    rotation, shift_A
        (N, 3, 3) map -> image and (N, 2) (conventions 3 and 5).
    defocus_u_A, defocus_v_A, defocus_angle_deg
        (N,).
    half_set
        (N,) 1 or 2.
    snr, snr_measured
        Asked for, and measured on the noise-free images of all particles (convention 10).
    noise_sd
        Standard deviation of the noise in the images.
    signal_scale
        Image value per A^-1 of projected potential (form factor per A^2); negative where
        protein is dark.
    coordinate_of_frame
        (F, k) position along every independent motion, 0 to 1. Sets of older versions do not have
        this nor what follows: they hold one path of complete molecules without states.
    coordinate_is_closed
        (k,) whether 1 is 0 again: a circle.
    state_of_frame
        (F,) number of the state, -1 for a frame between the states.
    state_names
        (S,) of the states; empty where particles are spread along the motion alone.
    ca_present
        (F, r) which residues are there.
    """

    frame_of_particle: NDArray[np.int32]
    t: NDArray[np.float32]
    t_of_frame: NDArray[np.float32]
    coords_ca_A: NDArray[np.float32]
    residue_id: NDArray[np.int64]
    chain_id: NDArray[np.str_]
    rotation: NDArray[np.float32]
    shift_A: NDArray[np.float32]
    defocus_u_A: NDArray[np.float64]
    defocus_v_A: NDArray[np.float64]
    defocus_angle_deg: NDArray[np.float64]
    half_set: NDArray[np.int8]
    snr: float
    snr_measured: float
    noise_sd: float
    signal_scale: float
    coordinate_of_frame: NDArray[np.float32] = field(default_factory=lambda: _ABSENT)
    coordinate_is_closed: NDArray[np.bool_] = field(default_factory=lambda: _ABSENT)
    state_of_frame: NDArray[np.int32] = field(default_factory=lambda: _ABSENT)
    state_names: NDArray[np.str_] = field(default_factory=lambda: np.zeros(0, dtype="<U1"))
    ca_present: NDArray[np.bool_] = field(default_factory=lambda: _ABSENT)

    def __post_init__(self) -> None:
        frames = len(self.t_of_frame)
        defaults = {
            "coordinate_of_frame": self.t_of_frame[:, None],
            "coordinate_is_closed": np.zeros(1, dtype=np.bool_),
            "state_of_frame": np.zeros(frames, dtype=np.int32),
            "ca_present": np.ones((frames, len(self.residue_id)), dtype=np.bool_),
        }
        for name, value in defaults.items():
            if getattr(self, name) is _ABSENT:
                object.__setattr__(self, name, value)

    @property
    def coordinate(self) -> NDArray[np.float32]:
        """(N, k) position of each particle along every motion."""
        return np.asarray(self.coordinate_of_frame[self.frame_of_particle])

    @property
    def state(self) -> NDArray[np.int32]:
        """(N,) state of each particle."""
        return np.asarray(self.state_of_frame[self.frame_of_particle])

    def __len__(self) -> int:
        return len(self.frame_of_particle)

    def write(self, path: Path) -> None:
        """Write ``path`` atomically."""
        arrays: dict[str, Any] = {f.name: np.asarray(getattr(self, f.name)) for f in fields(self)}
        needed_bytes = sum(array.nbytes for array in arrays.values())
        with atomic_path(path, needed_bytes=needed_bytes) as temporary, temporary.open("wb") as out:
            np.savez_compressed(out, **arrays)


def read_truth(path: Path) -> Truth:
    """Read ``truth.npz``.

    Raises
    ------
    InputError
        The file is missing, damaged, or not the truth of a simulation.
    """
    with explain_os_errors(path, action="read"):
        try:
            with zipfile.ZipFile(path) as archive:
                size_bytes = sum(entry.file_size for entry in archive.infolist())
            if size_bytes > _LIMIT_BYTES:
                raise InputError(f"unpacks to {size_bytes:,} bytes", file=path, cure=_CURE)
            with np.load(path, allow_pickle=False) as arrays:
                values: dict[str, Any] = {
                    f.name: arrays[f.name]
                    for f in fields(Truth)
                    if f.name in arrays or f.default_factory is MISSING
                }
            numbers = {f.name for f in fields(Truth) if f.type == "float"}
            values |= {name: float(values[name]) for name in numbers}
            truth = Truth(**values)
        except (ValueError, KeyError, TypeError, IndexError, zipfile.BadZipFile) as error:
            raise InputError(
                f"not readable as the truth of a simulation ({error})", file=path, cure=_CURE
            ) from error
    count, frames = len(truth), len(truth.t_of_frame)
    shapes = (
        truth.rotation.shape == (count, 3, 3)
        and truth.shift_A.shape == (count, 2)
        and truth.coords_ca_A.shape == (frames, len(truth.residue_id), 3)
        and truth.coordinate_of_frame.shape == (frames, len(truth.coordinate_is_closed))
        and truth.state_of_frame.shape == (frames,)
        and truth.ca_present.shape == (frames, len(truth.residue_id))
    )
    in_range = (
        count and 0 <= truth.frame_of_particle.min() <= truth.frame_of_particle.max() < frames
    )
    if not (shapes and in_range):
        raise InputError("the arrays do not fit each other", file=path, cure=_CURE)
    return truth
