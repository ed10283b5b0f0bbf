"""What the window's process and the one that checks a selection leave for each other in a folder.

Plain arrays (.npy) and JSON in a temporary folder of the session's own. The images stay where they
are: only which of them are meant is written; images that are in no file are laid down once.
"""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import (
    CTFParams,
    ImageSource,
    InputError,
    Latents,
    Optics,
    Particles,
    ParticleSource,
    Poses,
    Provenance,
    Volume,
)
from cryoscope.io.json_file import read_json_object, write_json
from cryoscope.io.stack import StackImages
from cryoscope.session.jobs import Job

_BATCH, _DECODED, _LIMIT_BYTES = 256, "decoded", 1 << 28
_POLL_S = 0.05


@dataclass(frozen=True, eq=False)
class CheckRequest:
    """What is to be checked.

    Attributes
    ----------
    rows, few
        Rows of the selection, and those of the preview.
    latents
        Of the same particles, or None.
    box_size_px, preview_px, control, out
        See :func:`cryoscope.session.checking.reconstruct_selection`.
    """

    particles: Particles
    rows: NDArray[np.int64]
    few: NDArray[np.int64]
    latents: Latents | None
    box_size_px: int
    preview_px: int
    control: bool
    out: Path


def hand_over(request: CheckRequest, folder: Path, job: Job) -> None:
    """Write a request; for jobs."""
    particles, latents = request.particles, request.latents
    ctf = {f"ctf-{f.name}": getattr(particles.ctf, f.name) for f in fields(CTFParams)}
    arrays: dict[str, NDArray[Any]] = {
        **ctf,
        "rows": request.rows,
        "few": request.few,
        "half_set": particles.half_set,
        "uid": particles.uid,
        "source_row": particles.source.row,
    }
    if particles.poses is not None:
        arrays |= {"rotation": particles.poses.rotation, "shift_A": particles.poses.shift_A}
    if latents is not None:
        arrays |= {"z": latents.z, "latent_uid": latents.uid}
    stacks: list[str] = []
    images = particles.images
    if isinstance(images, StackImages):
        stacks = [str(file) for file in images.files]
        arrays |= {"file_index": images.file_index, "frame": images.frame}
    else:
        _lay_down(images, folder / "images.npy", job)
    for name, values in arrays.items():
        job.check()
        np.save(folder / f"{name}.npy", np.asarray(values), allow_pickle=False)
    record = {
        "optics": [asdict(one) for one in particles.optics],
        "stacks": stacks,
        "source": particles.source.file,
        "out": request.out,
        "box_size_px": request.box_size_px,
        "preview_px": request.preview_px,
        "control": request.control,
    }
    write_json(folder / "request.json", record)


def pick_up(folder: Path) -> CheckRequest:
    """Read what :func:`hand_over` wrote."""
    record = read_json_object(folder / "request.json", limit_bytes=_LIMIT_BYTES)
    ctf = CTFParams(**{f.name: _array(folder, f"ctf-{f.name}") for f in fields(CTFParams)})
    source = ParticleSource(Path(record["source"]), _array(folder, "source_row"))
    poses = None
    if (folder / "rotation.npy").is_file():
        poses = Poses(_array(folder, "rotation"), _array(folder, "shift_A"))
    images: ImageSource = (
        StackImages.open(
            [Path(name) for name in record["stacks"]],
            _array(folder, "file_index"),
            _array(folder, "frame"),
            table=source.file,
            row=source.row,
        )
        if record["stacks"]
        else LaidDownImages(np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False))
    )
    particles = Particles(
        images=images,
        optics=tuple(Optics(**one) for one in record["optics"]),
        ctf=ctf,
        poses=poses,
        half_set=_array(folder, "half_set"),
        uid=_array(folder, "uid"),
        source=source,
    )
    latents = None
    if (folder / "z.npy").is_file():
        latents = Latents(_array(folder, "z"), None, _array(folder, "latent_uid"), "", 0)
    return CheckRequest(
        particles=particles,
        rows=_array(folder, "rows"),
        few=_array(folder, "few"),
        latents=latents,
        box_size_px=int(record["box_size_px"]),
        preview_px=int(record["preview_px"]),
        control=bool(record["control"]),
        out=Path(record["out"]),
    )


def leave_decoded(folder: Path, decoded: Volume | None) -> None:
    """Leave the map to compare with, or the word that there is none."""
    if decoded is not None:
        np.save(folder / f"{_DECODED}.npy", decoded.values, allow_pickle=False)
    voxel_size_A = 0.0 if decoded is None else decoded.voxel_size_A
    write_json(folder / f"{_DECODED}.json", {"voxel_size_A": voxel_size_A})


def wait_for_decoded(folder: Path) -> Volume | None:
    """The map that the other process leaves; waits for it, unless that process is gone."""
    said, parent = folder / f"{_DECODED}.json", os.getppid()
    while not said.is_file():
        if os.getppid() != parent:
            raise InputError("the window has gone")
        time.sleep(_POLL_S)
    voxel_size_A = float(read_json_object(said)["voxel_size_A"])
    if voxel_size_A <= 0:
        return None
    return Volume.centred(_array(folder, _DECODED), voxel_size_A, Provenance("decoded"))


def leave_answer(
    folder: Path, name: str, arrays: dict[str, NDArray[Any]], record: dict[str, Any]
) -> None:
    """Leave a part of the answer."""
    for key, values in arrays.items():
        np.save(folder / f"{name}-{key}.npy", values, allow_pickle=False)
    write_json(folder / f"{name}.json", {"arrays": list(arrays), "record": record})


def take_answer(folder: Path, name: str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """What :func:`leave_answer` left."""
    said = read_json_object(folder / f"{name}.json")
    return {key: _array(folder, f"{name}-{key}") for key in said["arrays"]}, said["record"]


class LaidDownImages:
    """Images in one array file (an `ImageSource`)."""

    def __init__(self, images: NDArray[np.float32]) -> None:
        self._images = images

    @property
    def box_size_px(self) -> int:
        """Side of the square images."""
        return int(self._images.shape[-1])

    def __len__(self) -> int:
        return len(self._images)

    def read(self, index: NDArray[np.integer]) -> NDArray[np.float32]:
        """(len(index), y, x) float32 images."""
        return np.array(self._images[index], dtype=np.float32)

    def take(self, index: NDArray[np.integer]) -> LaidDownImages:
        """The images at `index`."""
        return LaidDownImages(self._images[index])


def _lay_down(images: ImageSource, file: Path, job: Job) -> None:
    side, count = images.box_size_px, len(images)
    laid = np.lib.format.open_memmap(file, "w+", np.dtype(np.float32), (count, side, side))
    for first in range(0, count, _BATCH):
        job.progress(first, count, "Handing over the images")
        index = np.arange(first, min(first + _BATCH, count))
        laid[first : first + len(index)] = images.read(index)
    laid.flush()


def _array(folder: Path, name: str) -> NDArray[Any]:
    loaded: NDArray[Any] = np.load(folder / f"{name}.npy", allow_pickle=False)
    return loaded
