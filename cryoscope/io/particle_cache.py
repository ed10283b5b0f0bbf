"""The particle cache: images cropped, normalised and kept in one memory-mapped file.

A cache folder holds ``particles.npy`` (N, y, x float32 or float16) and ``cache.json`` with the key:
what it was made from and how. It is used again while the key is the same and some of its images,
prepared anew, are what it holds. While it is being made the images are in ``particles.npy.part``
and the number of finished ones in ``progress.json``, so that a kill leaves nothing that looks
finished and the next start goes on where it stopped.
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
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import ImageSource, InputError, Particles
from cryoscope.io.atomic import explain_os_errors, free_bytes, require_free
from cryoscope.io.cache_spec import CacheEstimate, CacheSpec, check_spec
from cryoscope.io.cached_images import CachedImages, cached_particles
from cryoscope.io.image_preparation import background_mask, fourier_crop, normalise_background
from cryoscope.io.json_file import read_json_object, write_json
from cryoscope.io.process_lock import Held, LockLost, process_lock

__all__ = [
    "CHUNK_IMAGES",
    "CacheEstimate",
    "CacheSpec",
    "CachedImages",
    "CachingStopped",
    "cached_particles",
    "open_or_build_cache",
]

FORMAT_VERSION = 2
CHUNK_IMAGES = 512
_PROGRESS_EVERY_S = 2.0
_FREE_MARGIN_BYTES = 32 * 1024**2
_CHECKED_IMAGES = 32
_CHECK_SEED = 0
# Images have a spread of 1; transforms of other batches differ by rounding alone.
_SAME = {"<f4": 1e-3, "<f2": 1e-2}
_OPTION = "--set data.cache_dir=FOLDER"


class CachingStopped(Exception):
    """Making the cache was stopped on request; what is finished is kept for the next start."""


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
    announce: Callable[[CacheEstimate], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    workers: int = 2,
) -> CachedImages:
    """Prepared images of ``particles``, from the cache in ``folder`` where it fits, else made now.

    Parameters
    ----------
    folder
        Made where absent; a cache of other particles in it is replaced.
    announce
        Called with the size of the cache, once, before it is made; not where one is there.
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
    pixel_size_A = check_spec(particles, spec)
    key = _key(particles, spec, pixel_size_A)
    shape = (len(particles), spec.box_size_px, spec.box_size_px)
    build = _Build(particles, spec, pixel_size_A, folder, key, shape)
    if (images := build.finished()) is not None:
        return CachedImages(images)

    def waiting(_what: str, _left_s: float) -> None:
        if should_stop is not None and should_stop():
            raise CachingStopped("another program makes the cache")

    lock = process_lock(folder / "cache.lock", "particle cache", option=_OPTION, waiting=waiting)
    with _made(folder), lock as build.held:
        # Another process may have made it since.
        if (images := build.finished()) is None:
            build.require_room()
            if announce is not None:
                announce(build.estimate())
            build.run(progress, should_stop, max(1, workers))
            images = _finished(folder, key, shape, spec.dtype)
    if images is None:
        raise InputError(
            "the cache was changed while it was made", file=folder, cure="Start again."
        )
    return CachedImages(images)


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
    folder: Path, key: dict[str, Any], shape: tuple[int, int, int], dtype: str
) -> NDArray[Any] | None:
    """The images of a finished cache with this key, memory-mapped; None where there is none."""
    try:
        if read_json_object(folder / "cache.json") != key:
            return None
        images = np.load(folder / "particles.npy", mmap_mode="r", allow_pickle=False)
    except (InputError, OSError, ValueError, EOFError):
        return None  # absent or damaged: it is made anew
    fits = images.shape == shape and images.dtype == np.dtype(dtype) and images.flags.c_contiguous
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
        self.image_bytes = spec.image_bytes
        self.held: Held | None = None

    def estimate(self) -> CacheEstimate:
        """What is still to be done."""
        count = self.shape[0] - self._resumable()
        return CacheEstimate(count, count * self.image_bytes, free_bytes(self.folder))

    def require_room(self) -> None:
        """Raise InputError where the disk cannot hold what is still to be made."""
        require_free(
            self.folder,
            self.estimate().needed_bytes + _FREE_MARGIN_BYTES,
            "the particle cache",
            option=_OPTION,
            cure=", or choose a smaller --box-px.",
        )

    def finished(self) -> NDArray[Any] | None:
        """The finished cache; None where there is none, or its images are not of these particles.

        Some images are prepared again and compared: sizes and dates of files, which the key has,
        stay the same in some accidents.
        """
        images = _finished(self.folder, self.key, self.shape, self.spec.dtype)
        if images is None:
            return None
        rng = np.random.default_rng(_CHECK_SEED)
        count = min(_CHECKED_IMAGES, len(images))
        some = np.sort(rng.choice(len(images), count, replace=False))
        try:
            fresh = self._prepare(some).astype(np.float32)
        except InputError:
            return None  # told when the cache is made anew
        kept = np.asarray(images[some], dtype=np.float32)
        tolerance = _SAME[self.spec.dtype]
        same = np.allclose(kept, fresh, rtol=tolerance, atol=tolerance)
        return images if same else None

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
                self._require_lock()
                self.part.replace(self.folder / "particles.npy")
            # cache.json makes the folder a finished cache: it comes last.
            write_json(self.folder / "cache.json", self.key)
            self.progress.unlink(missing_ok=True)
        except LockLost:
            raise  # what is there is another program's
        except InputError:
            self._discard()
            raise

    def _require_lock(self) -> None:
        if self.held is not None:
            self.held.require()

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
        with self.part.open("r+b" if done else "w+b") as file:
            layout = {"descr": self.spec.dtype, "fortran_order": False, "shape": self.shape}
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
        self._require_lock()
        file.flush()
        os.fsync(file.fileno())
        write_json(self.progress, {"key": self.key, "done": done})

    def _discard(self) -> None:
        for path in (self.part, self.progress):
            path.unlink(missing_ok=True)

    def _prepared(self, done: int, workers: int) -> Generator[tuple[int, NDArray[Any]], None, None]:
        """Start and images of every chunk from ``done`` on, a few chunks ahead of the writer."""
        waiting: deque[tuple[int, Future[NDArray[Any]]]] = deque()
        with ThreadPoolExecutor(workers, thread_name_prefix="particle-cache") as pool:
            try:
                for start in range(done, self.shape[0], CHUNK_IMAGES):
                    index = np.arange(start, min(start + CHUNK_IMAGES, self.shape[0]))
                    waiting.append((start, pool.submit(self._prepare, index)))
                    if len(waiting) > workers + 1:
                        first, future = waiting.popleft()
                        yield first, future.result()
                while waiting:
                    first, future = waiting.popleft()
                    yield first, future.result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _prepare(self, index: NDArray[np.int64]) -> NDArray[Any]:
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
        images = images * np.float32(self.spec.contrast)
        if self.spec.float16:
            limit = float(np.finfo(np.float16).max)  # a hot pixel stays the brightest there can be
            np.clip(images, -limit, limit, out=images)
        return np.ascontiguousarray(images, dtype=self.spec.dtype)
