"""Short movies that every browser and slide shows."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cryoscope.data import InputError
from cryoscope.io.atomic import write_bytes_atomic

_COLOURS = 128
_FORMATS = {".gif": "GIF", ".webp": "WEBP", ".png": "PNG"}


def write_movie(
    path: Path,
    frames: Sequence[NDArray[np.uint8]],
    *,
    frames_per_s: float = 10.0,
    there_and_back: bool = True,
) -> None:
    """Write pictures as an animation that repeats for ever.

    Parameters
    ----------
    path
        ``.gif``, ``.webp`` or ``.png`` (animated PNG).
    frames
        (height, width, 3) uint8 each, all of one size.
    there_and_back
        Run backwards to the first frame before it repeats, instead of jumping.

    Raises
    ------
    InputError
        Another kind of file, no frames, or the file cannot be written.
    """
    kind = _FORMATS.get(path.suffix.lower())
    if kind is None:
        raise InputError(
            f"movies cannot be written as {path.suffix or 'a file without suffix'}",
            file=path,
            cure="Name it .gif, .webp or .png; ChimeraX makes .mp4 from the .cxc script beside it",
        )
    if not frames:
        raise InputError("a movie needs at least one frame", file=path)
    shown = [Image.fromarray(frames[i]) for i in frame_order(len(frames), there_and_back)]
    if kind == "GIF":
        # One palette for all frames: colours do not flicker.
        palette = _palette(frames)
        shown = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in shown]
    buffer = io.BytesIO()
    duration_ms = max(20, round(1000 / frames_per_s))
    shown[0].save(
        buffer, kind, save_all=True, append_images=shown[1:], duration=duration_ms, loop=0
    )
    write_bytes_atomic(path, buffer.getvalue())


def frame_order(count: int, there_and_back: bool) -> list[int]:
    """Which frame comes when, up to where it repeats."""
    back = range(count - 2, 0, -1) if there_and_back else ()
    return [*range(count), *back]


def _palette(frames: Sequence[NDArray[np.uint8]]) -> Image.Image:
    some = [frames[i] for i in np.linspace(0, len(frames) - 1, min(len(frames), 5)).astype(int)]
    return Image.fromarray(np.concatenate(some)).quantize(_COLOURS)
