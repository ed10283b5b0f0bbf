"""The particle cache: images cropped, normalised and kept in one memory-mapped file.

A cache folder holds ``particles.npy`` (N, y, x float32) and ``cache.json`` with the key: what it
was made from and how. It is used again while the key is the same. While it is being made the images
are in ``particles.npy.part`` and the number of finished ones in ``progress.json``, so that a kill
leaves nothing that looks finished and the next start goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import os
import time
import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import ImageSource, InputError, Particles
from cryoscope.io.atomic import explain_os_errors, require_free
from cryoscope.io.image_preparation import background_mask, fourier_crop, normalise_background
from cryoscope.io.json_file import read_json_object, write_json
from cryoscope.io.process_lock import process_lock

FORMAT_VERSION = 1
CHUNK_IMAGES = 512
_PROGRESS_EVERY_S = 2.0
_FREE_MARGIN_BYTES = 32 * 1024**2
_OPTION = "--set data.cache_dir=FOLDER"


@dataclass(frozen=True)
class CacheSpec:
    """How images are prepared.

    Attributes
    ----------
    box_size_px
        Even side they are Fourier-cropped to.
    particle_radius_A
        Pixels further from the centre are background.
    contrast
        +1 where protein is bright in the data, -1 where it is dark (convention 7).
    """

    box_size_px: int
    particle_radius_A: float
    contrast: int


class CachingStopped(Exception):
    """Making the cache was stopped on request; what is finished is kept for the next start."""


class CachedImages:
    """Prepared images of a cache (an `ImageSource`); protein is bright, background N(0, 1)."""

    def __init__(
        self, images: NDArray[np.float32], index: NDArray[np.integer] | None = None
    ) -> None:
        self._images = images
        self._index = index

    @property
    def box_size_px(self) -> int:
        """Side of the square images."""
        return int(self._images.shape[2])

    def __len__(self) -> int:
        return len(self._images) if self._index is None else len(self._index)

    def read(self, index: NDArray[np.integer]) -> NDArray[np.float32]:
        """(len(index), y, x) float32 images in the order of ``index``."""
        index = np.asarray(index)
        return np.array(self._images[index if self._index is None else self._index[index]])

    def read_all(self) -> NDArray[np.float32]:
        """All images in memory."""
        return np.array(self._images if self._index is None else self._images[self._index])

    def take(self, index: NDArray[np.integer]) -> CachedImages:
        """The images at ``index``, still unread."""
        index = np.asarray(index)
        return CachedImages(self._images, index if self._index is None else self._index[index])


@runtime_checkable
class _FromFiles(Protocol):
    """Images that come from files: their sizes and dates tell whether they changed."""

    @property
    def files(self) -> tuple[Path, ...]: ...


def open_or_build_cache(
    particles: Particles,
    spec: CacheSpec,
    folder: Path,
    *,
    progress: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    workers: int = 2,
) -> CachedImages:
    """Prepared images of ``particles``, from the cache in ``folder`` where it fits, else made now.

    Parameters
    ----------
    folder
        Made where absent; a cache of other particles in it is replaced.
    progress
        Called with the number of finished images and of all, after every chunk.
    should_stop
        Asked between chunks.
    workers
        Threads.

    Raises
    ------
    InputError
        If the box or the radius does not suit the images, the disk is too small or not writable,
        or an image has a constant background or values that are not numbers.
    CachingStopped
        If ``should_stop`` said so.
    """
    folder = Path(folder)
    pixel_size_A = _check(particles, spec)
    key = _key(particles, spec, pixel_size_A)
    shape = (len(particles), spec.box_size_px, spec.box_size_px)
    if (images := _finished(folder, key, shape)) is not None:
        return CachedImages(images)
    build = _Build(particles, spec, pixel_size_A, folder, key, shape)
    with _made(folder), process_lock(folder / "cache.lock", "particle cache", option=_OPTION):
        # Another process may have made it since.
        if (images := _finished(folder, key, shape)) is None:
            build.run(progress, should_stop, max(1, workers))
            images = _finished(folder, key, shape)
    if images is None:
        raise InputError(
            "the cache was changed while it was made", file=folder, cure="Start again."
        )
    return CachedImages(images)


def cached_particles(particles: Particles, cached: CachedImages) -> Particles:
    """The same particles with their prepared images, and optics sampled as these are."""
    if len(cached) != len(particles):
        raise ValueError(f"{len(cached)} cached images for {len(particles)} particles")
    optics = tuple(group.cropped(cached.box_size_px) for group in particles.optics)
    return replace(particles, images=cached, optics=optics)


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Make the folder; if it was made here and the body fails and leaves it empty, it goes."""
    existed = folder.is_dir()
    with explain_os_errors(folder, option=_OPTION):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except InputError:
        if not existed:
            with suppress(OSError):
                folder.rmdir()
        raise


def _check(particles: Particles, spec: CacheSpec) -> float:
    """Refuse what does not fit; the pixel size in A of the cropped images."""
    if spec.contrast not in (1, -1):
        raise ValueError(f"contrast is +1 or -1, not {spec.contrast}")
    file, full_px = particles.source.file, particles.box_size_px
    if len(particles) == 0:
        raise InputError("there are no particles", file=file, cure="Choose at least one.")
    if spec.box_size_px % 2 or not 0 < spec.box_size_px <= full_px:
        raise InputError(
            f"images of {full_px} px cannot be cropped to {spec.box_size_px} px",
            file=file,
            cure=f"Choose an even --box-px of at most {full_px}.",
        )
    used = np.unique(particles.ctf.optics_group)
    sizes_A = [particles.optics[group].pixel_size_A for group in used.tolist()]
    if max(sizes_A) > min(sizes_A) * 1.0001:
        raise InputError(
            f"pixel sizes from {min(sizes_A)} to {max(sizes_A)} A are mixed",
            file=file,
            cure="Train on particles of one pixel size.",
        )
    pixel_size_A = float(sizes_A[0] * full_px / spec.box_size_px)
    outside = background_mask(spec.box_size_px, pixel_size_A, spec.particle_radius_A)
    if outside.mean() < 0.01 or outside.sum() < 16 or not spec.particle_radius_A > 0:
        raise InputError(
            f"a particle radius of {spec.particle_radius_A} A leaves no background in a box of "
            f"{sizes_A[0] * full_px:.0f} A",
            file=file,
            cure="Give a smaller particle radius, or extract with a larger box.",
        )
    return pixel_size_A


def _key(particles: Particles, spec: CacheSpec, pixel_size_A: float) -> dict[str, Any]:
    """What a cache depends on, as plain JSON."""
    images = particles.images
    files: list[list[str | int]] = []
    if isinstance(images, _FromFiles):
        for file in images.files:
            with explain_os_errors(file, action="read"):
                stat = file.stat()
            files.append([str(file.resolve()), stat.st_size, stat.st_mtime_ns])
    row = np.ascontiguousarray(particles.source.row, dtype="<i8")
    names = "\n".join(particles.uid.tolist()).encode("utf-8", "surrogateescape")
    return {
        "format": FORMAT_VERSION,
        "spec": asdict(spec),
        "pixel_size_A": pixel_size_A,
        "particle_count": len(particles),
        "files": files,
        "content_crc32": None if files else _content_crc32(images),
        "uid_sha256": hashlib.sha256(names).hexdigest(),
        "row_sha256": hashlib.sha256(row.data).hexdigest(),
    }


def _content_crc32(images: ImageSource) -> int:
    """Checksum of images that come from no file."""
    value = 0
    for start in range(0, len(images), CHUNK_IMAGES):
        index = np.arange(start, min(start + CHUNK_IMAGES, len(images)))
        value = zlib.crc32(np.ascontiguousarray(images.read(index)).data, value)
    return value


def _finished(
    folder: Path, key: dict[str, Any], shape: tuple[int, int, int]
) -> NDArray[np.float32] | None:
    """The images of a finished cache with this key, memory-mapped; None where there is none."""
    try:
        if read_json_object(folder / "cache.json") != key:
            return None
        images = np.load(folder / "particles.npy", mmap_mode="r", allow_pickle=False)
    except (InputError, OSError, ValueError, EOFError):
        return None  # absent or damaged: it is made anew
    fits = images.shape == shape and images.dtype == np.dtype("<f4") and images.flags.c_contiguous
    return images if fits else None


class _Build:
    """Making one cache: chunks are prepared by threads and written in order."""

    def __init__(
        self,
        particles: Particles,
        spec: CacheSpec,
        pixel_size_A: float,
        folder: Path,
        key: dict[str, Any],
        shape: tuple[int, int, int],
    ) -> None:
        self.particles, self.spec, self.folder = particles, spec, folder
        self.key, self.shape = key, shape
        self.background = background_mask(spec.box_size_px, pixel_size_A, spec.particle_radius_A)
        self.part = folder / "particles.npy.part"
        self.progress = folder / "progress.json"
        self.image_bytes = 4 * spec.box_size_px**2

    def run(
        self,
        progress: Callable[[int, int], None] | None,
        should_stop: Callable[[], bool] | None,
        workers: int,
    ) -> None:
        """Make the cache; on a fault in the data or the disk, leave nothing behind."""
        try:
            needed_bytes = self.image_bytes * self.shape[0]
            with explain_os_errors(self.folder, needed_bytes=needed_bytes, option=_OPTION):
                for stale in ("cache.json", "particles.npy"):
                    (self.folder / stale).unlink(missing_ok=True)
                self._write(progress, should_stop, workers)
                self.part.replace(self.folder / "particles.npy")
            # cache.json makes the folder a finished cache: it comes last.
            write_json(self.folder / "cache.json", self.key)
            self.progress.unlink(missing_ok=True)
        except InputError:
            self._discard()
            raise

    def _write(
        self,
        progress: Callable[[int, int], None] | None,
        should_stop: Callable[[], bool] | None,
        workers: int,
    ) -> None:
        count, saved_at = self.shape[0], time.monotonic()
        with self._open() as (file, first_byte, done), closing(self._prepared(done, workers)) as it:
            for start, images in it:
                if should_stop is not None and should_stop():
                    self._save_progress(file, start)
                    raise CachingStopped(f"{start:,} of {count:,} images are cached")
                file.seek(first_byte + start * self.image_bytes)
                file.write(images.data)
                done = start + len(images)
                if time.monotonic() - saved_at > _PROGRESS_EVERY_S:
                    self._save_progress(file, done)
                    saved_at = time.monotonic()
                if progress is not None:
                    progress(done, count)
            file.flush()
            os.fsync(file.fileno())

    @contextmanager
    def _open(self) -> Iterator[tuple[BinaryIO, int, int]]:
        """The file being made, where its first image starts, and how many it holds already."""
        done = self._resumable()
        if done == 0:
            self._discard()
        missing_bytes = (self.shape[0] - done) * self.image_bytes
        require_free(
            self.folder,
            missing_bytes + _FREE_MARGIN_BYTES,
            "the particle cache",
            option=_OPTION,
            cure=", or choose a smaller --box-px.",
        )
        with self.part.open("r+b" if done else "w+b") as file:
            layout = {"descr": "<f4", "fortran_order": False, "shape": self.shape}
            np.lib.format.write_array_header_1_0(file, layout)
            yield file, file.tell(), done

    def _resumable(self) -> int:
        """Images that an interrupted start with the same key has finished."""
        try:
            state = read_json_object(self.progress)
            size_bytes = self.part.stat().st_size
        except (InputError, OSError):
            return 0
        done = state.get("done")
        if not isinstance(done, int) or not 0 <= done <= self.shape[0]:
            return 0
        fits = state.get("key") == self.key and size_bytes >= done * self.image_bytes
        return done if fits else 0

    def _save_progress(self, file: BinaryIO, done: int) -> None:
        file.flush()
        os.fsync(file.fileno())
        write_json(self.progress, {"key": self.key, "done": done})

    def _discard(self) -> None:
        for path in (self.part, self.progress):
            path.unlink(missing_ok=True)

    def _prepared(
        self, done: int, workers: int
    ) -> Generator[tuple[int, NDArray[np.float32]], None, None]:
        """Start and images of every chunk from ``done`` on, a few chunks ahead of the writer."""
        waiting: deque[tuple[int, Future[NDArray[np.float32]]]] = deque()
        with ThreadPoolExecutor(workers, thread_name_prefix="particle-cache") as pool:
            try:
                for start in range(done, self.shape[0], CHUNK_IMAGES):
                    waiting.append((start, pool.submit(self._prepare, start)))
                    if len(waiting) > workers + 1:
                        first, future = waiting.popleft()
                        yield first, future.result()
                while waiting:
                    first, future = waiting.popleft()
                    yield first, future.result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _prepare(self, start: int) -> NDArray[np.float32]:
        index = np.arange(start, min(start + CHUNK_IMAGES, self.shape[0]))
        cropped = fourier_crop(self.particles.images.read(index), self.spec.box_size_px)
        images, usable = normalise_background(cropped, self.background)
        if not usable.all():
            particle = int(index[np.flatnonzero(~usable)[0]])
            raise InputError(
                f"image {self.particles.uid[particle]} has a constant background or values that "
                "are not numbers",
                file=self.particles.source.file,
                row=int(self.particles.source.row[particle]) + 1,
                cure="Remove this particle, or extract it again.",
            )
        return np.ascontiguousarray(images * np.float32(self.spec.contrast), dtype="<f4")
