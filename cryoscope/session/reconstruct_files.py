"""What a reconstruction leaves in a folder: maps, the FSC as a table, and a picture of it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from cryoscope.io.atomic import explain_os_errors, write_bytes_atomic, write_text_atomic
from cryoscope.io.json_file import write_json
from cryoscope.io.mrc import write_volume
from cryoscope.physics.map_fsc import THRESHOLD, FSCCurves

if TYPE_CHECKING:
    from cryoscope.session.reconstruct import Reconstruction

_WIDTH_PX, _HEIGHT_PX, _MARGIN_PX, _TOP_PX = 860, 560, 70, 110
_INK, _FAINT, _GROUND = (30, 34, 40), (205, 209, 214), (255, 255, 255)
_LOWEST = -0.1
_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_Curve = tuple[str, NDArray[np.float64], tuple[int, int, int], int]


def write_reconstruction(
    found: Reconstruction, folder: Path, particles_file: Path
) -> tuple[Path, ...]:
    """Write ``map.mrc half1.mrc half2.mrc mask.mrc fsc.csv fsc.png reconstruction.json``.

    Every file is written atomically; those of an earlier reconstruction are replaced.

    Raises
    ------
    InputError
        If the folder or a file cannot be written.
    """
    with explain_os_errors(folder, option="--out"):
        folder.mkdir(parents=True, exist_ok=True)
    volumes = {
        "map": found.full,
        "half1": found.halves.half1,
        "half2": found.halves.half2,
        "mask": found.mask,
    }
    files = [folder / f"{name}.mrc" for name in volumes]
    for file, volume in zip(files, volumes.values(), strict=True):
        write_volume(file, volume)
    table, picture, record = (folder / n for n in ("fsc.csv", "fsc.png", "reconstruction.json"))
    write_text_atomic(table, fsc_csv(found.fsc, found.control))
    write_fsc_picture(found.fsc, found.control, picture, title=found.summary())
    control = found.control
    write_json(
        record,
        {
            "particles": str(particles_file),
            "particle_count": sum(found.half_counts),
            "half_counts": list(found.half_counts),
            "voxel_size_A": found.full.voxel_size_A,
            "box_size_px": found.full.values.shape[0],
            "contrast": "bright" if found.contrast > 0 else "dark",
            "resolution_A": found.resolution_A,
            "control_resolution_A": None if control is None else control.resolution_A,
        },
    )
    return (*files, table, picture, record)


def fsc_csv(fsc: FSCCurves, control: FSCCurves | None) -> str:
    """The curves as CSV, one row per shell from the first on."""
    columns = {
        "fsc_unmasked": fsc.unmasked,
        "fsc_masked": fsc.masked,
        "fsc_phase_randomised": fsc.randomised,
        "fsc_corrected": fsc.corrected,
    }
    if control is not None:
        columns["control_fsc_corrected"] = control.corrected
    lines = [",".join(["shell", "frequency_per_A", "resolution_A", *columns])]
    for shell in range(1, len(fsc.frequency_per_A)):
        frequency = fsc.frequency_per_A[shell]
        values = [f"{column[shell]:.6f}" for column in columns.values()]
        lines.append(",".join([str(shell), f"{frequency:.8f}", f"{1 / frequency:.4f}", *values]))
    return "\n".join(lines) + "\n"


def write_fsc_picture(
    fsc: FSCCurves, control: FSCCurves | None, path: Path, *, title: str = ""
) -> None:
    """Draw the curves as a PNG: correlation against spatial frequency, with the 0.143 line."""
    curves: list[_Curve] = [
        ("unmasked", fsc.unmasked, (150, 155, 162), 2),
        ("phases randomised", fsc.randomised, (176, 124, 30), 2),
        ("masked", fsc.masked, (110, 160, 215), 2),
        (f"corrected: {fsc.resolution_A:.2f} A", fsc.corrected, (30, 90, 170), 3),
    ]
    if control is not None:
        name = f"random control: {control.resolution_A:.2f} A"
        curves.append((name, control.corrected, (196, 84, 62), 3))
    image = Image.new("RGB", (_WIDTH_PX, _HEIGHT_PX), _GROUND)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(14)
    draw.text((_MARGIN_PX, 14), title, _INK, font)
    _legend(draw, font, curves)
    _axes(draw, font, float(fsc.frequency_per_A[-1]))
    for _, values, colour, width in curves:
        place = fsc.frequency_per_A / fsc.frequency_per_A[-1]
        points = [_place(x, y) for x, y in zip(place, values, strict=True)]
        draw.line(points, colour, width, joint="curve")
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    write_bytes_atomic(path, buffer.getvalue())


def _place(share: float, value: float) -> tuple[float, float]:
    """Pixel of a share of the frequencies and a correlation."""
    height = (1 - max(value, _LOWEST)) / (1 - _LOWEST)
    return (
        _MARGIN_PX + share * (_WIDTH_PX - 2 * _MARGIN_PX),
        _TOP_PX + height * (_HEIGHT_PX - _TOP_PX - _MARGIN_PX),
    )


def _legend(draw: ImageDraw.ImageDraw, font: _Font, curves: Sequence[_Curve]) -> None:
    x, y = float(_MARGIN_PX), 48
    for name, _, colour, width in curves:
        length = draw.textlength(name, font)
        if x + 34 + length > _WIDTH_PX - 20:
            x, y = float(_MARGIN_PX), y + 24
        draw.line((x, y + 8, x + 24, y + 8), colour, width + 1)
        draw.text((x + 30, y), name, _INK, font)
        x += 54 + length


def _axes(draw: ImageDraw.ImageDraw, font: _Font, nyquist_per_A: float) -> None:
    for value in (0.0, 0.25, 0.5, 0.75, 1.0):
        draw.line((*_place(0, value), *_place(1, value)), _FAINT, 1)
        draw.text((22, _place(0, value)[1] - 9), f"{value:.2f}", _INK, font)
    draw.line((*_place(0, THRESHOLD), *_place(1, THRESHOLD)), _INK, 1)
    right, height = _place(1, THRESHOLD)
    draw.text((right + 8, height - 9), f"{THRESHOLD}", _INK, font)
    bottom = _place(0, _LOWEST)[1]
    for part in (0.2, 0.4, 0.6, 0.8, 1.0):
        x = _place(part, 0)[0]
        draw.line((x, bottom, x, bottom - 6), _INK, 1)
        draw.text((x - 18, bottom + 6), f"{1 / (part * nyquist_per_A):.1f}", _INK, font)
    draw.line((*_place(0, _LOWEST), *_place(1, _LOWEST)), _INK, 1)
    draw.text((_WIDTH_PX / 2 - 60, bottom + 30), "resolution in A", _INK, font)
