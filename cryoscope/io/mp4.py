"""Movies as .mp4, made by the program ffmpeg where there is one."""

from __future__ import annotations

import importlib
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError
from cryoscope.io.atomic import atomic_path
from cryoscope.io.movie import frame_order

_LIMIT_S = 600.0


def find_ffmpeg() -> str | None:
    """The program: that of the search path, or that of the package imageio-ffmpeg; or None."""
    found = shutil.which("ffmpeg")
    if found is not None:
        return found
    try:
        return str(importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        return None


def write_mp4(
    path: Path,
    frames: Sequence[NDArray[np.uint8]],
    *,
    frames_per_s: float = 10.0,
    there_and_back: bool = True,
    ffmpeg: str | None = None,
) -> None:
    """Write pictures as a movie that slide programs play.

    Parameters
    ----------
    path
        ``.mp4``.
    frames
        (height, width, 3) uint8 each, all of one size; an odd line or column is left out.
    there_and_back
        Run backwards to the first frame at the end.
    ffmpeg
        The program; by default that of :func:`find_ffmpeg`.

    Raises
    ------
    InputError
        No frames, no program, a program that fails, or the file cannot be written.
    """
    program = ffmpeg or find_ffmpeg()
    if program is None:
        raise InputError(
            "there is no ffmpeg on this computer", file=path, cure="Install it, or write a .gif"
        )
    if not frames:
        raise InputError("a movie needs at least one frame", file=path)
    height, width = (side - side % 2 for side in frames[0].shape[:2])
    order = frame_order(len(frames), there_and_back)
    shown = np.stack([frames[i][:height, :width] for i in order])
    with atomic_path(path) as temporary:
        command = [program, "-y", "-loglevel", "error"]
        command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"]
        command += ["-r", f"{frames_per_s:g}", "-i", "-", "-an", "-pix_fmt", "yuv420p"]
        command += ["-movflags", "+faststart", "-f", "mp4", str(temporary)]
        try:
            done = subprocess.run(
                command, input=shown.tobytes(), capture_output=True, timeout=_LIMIT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise InputError(f"ffmpeg could not be run ({error})", file=path) from error
        if done.returncode != 0:
            words = done.stderr.decode(errors="replace").strip().splitlines()
            raise InputError(
                f"ffmpeg failed: {words[-1][:200] if words else done.returncode}",
                file=path,
                cure="Install another ffmpeg, or take this one from the search path",
            )
